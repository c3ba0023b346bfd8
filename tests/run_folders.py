"""Run folders as training writes them, with planted numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from mien.metrics import SCORES
from planted import write_planted

CONFIG = """
name = "tiny"
description = "a *tiny* net"
net = "cnn"
epochs = {epochs}
dataset = "fer2013"

[loss]
mixup = 0.4
"""

RESULTS = """
[training]
net = "cnn"
parameters = 1234567
multiply_adds = 7654321
data = ["FER2013 Training: 28000 images"]
selected_on = "FER2013 PublicTest"

[[results]]
dataset = "fer2013"
split = "PublicTest"
protocol = "published labels"
output = "fer7"
metric = "accuracy"
value = 0.7
low = 0.68
high = 0.72
n = 3589
date = 2026-01-31
command = "mien evaluate"
"""


def history_rows(epochs: int, heads: tuple[str, ...] = ("fer7",)) -> list[dict[str, object]]:
    """The score rises until the last epoch but one."""
    rows = []
    for epoch in range(1, epochs + 1):
        level = 0.4 + 0.01 * (epoch if epoch < epochs else epoch - 2)
        row: dict[str, object] = {
            "epoch": epoch,
            "seconds": 60.0,
            "rate": 0.1,
            "train_loss": 2 / epoch,
            "val_loss": 2.5,
        }
        for head in heads:
            row |= {f"{side}_{head}_{metric}": round(level, 4) for metric in SCORES for side in ("train", "val")}
        rows.append(row | {"val_score": round(level, 4)})
    return rows


def write_history(folder: Path, rows: list[dict[str, object]]) -> None:
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_run(folder: Path, *, epochs: int = 5, planned: int = 5, finished: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(CONFIG.format(epochs=planned))
    write_history(folder, history_rows(epochs))
    if finished:
        write_planted(folder)
        with (folder / "model.toml").open("a") as file:
            file.write(RESULTS)
        truth = np.array([0, 1, 2, 3, -1, 0])
        np.savez(
            folder / "validation.npz",
            truth_fer7=truth,
            probabilities_fer7=np.eye(7, dtype=np.float32)[[0, 1, 2, 4, 5, 0]],
        )
    return folder


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
