"""A dataset of a few dozen rows and a network of two thousand parameters, so that a run takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from face_tables import Row, table_text, votes_text, write_table
from mien.labels import FER7, FERPLUS8

NET = {"stem": 4, "widths": [8], "strides": [4], "dropout": 0.0}
N_TRAINING, N_PUBLIC, N_COPIES = 35, 14, 3
TO_8 = [FERPLUS8.index(emotion) for emotion in FER7.emotions]


def faces(n: int, seed: int) -> list[tuple[int, str]]:
    """Return (class, pixels): a bright band whose height is the class, under noise."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        image = generator.integers(0, 120, (48, 48))
        emotion = number % 7
        image[6 * emotion + 2 : 6 * emotion + 8] += 130
        rows.append((emotion, " ".join(map(str, image.ravel()))))
    return rows


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER2013 and FER+ in small: 35 rows of Training, of which 3 are copies of PublicTest's 14."""
    folder = tmp_path_factory.mktemp("data")
    public = faces(N_PUBLIC, 2)
    training = faces(N_TRAINING - N_COPIES, 1) + public[:N_COPIES]
    rows = [Row(str(e), p, "Training") for e, p in training] + [Row(str(e), p, "PublicTest") for e, p in public]
    votes = []
    for row in rows:
        share = [0] * 10
        share[TO_8[int(row.emotion)]] = 8
        share[0] += 2
        votes.append((row.usage, share))
    votes[4] = ("Training", [0] * 9 + [10])  # no face: only FER2013 says something
    write_table(folder / "fer2013.csv", table_text(rows))
    write_table(folder / "fer2013new.csv", votes_text(votes))
    return folder


@pytest.fixture(scope="session")
def recipe() -> Any:
    from mien.train.recipe import Optimizer, Recipe

    return Recipe(
        name="tiny",
        net_options=NET,
        epochs=2,
        batch=8,
        seed=3,
        optimizer=Optimizer(rate=0.05, warmup_epochs=0.5, average=0.5),
    )


@pytest.fixture(scope="session")
def options() -> Any:
    from mien.train.run import RunOptions

    return RunOptions(device="cpu", precision="float32", threads=1)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the export out where a test is about the weights: it takes longer than all the rest."""
    from mien.train import run

    monkeypatch.setattr(run, "export_run", lambda *arguments, **options: None)


@pytest.fixture(scope="session")
def finished(data: Path, recipe: Any, options: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a whole run of two epochs."""
    from mien.train.run import train

    return train(recipe, data=data, out=tmp_path_factory.mktemp("runs") / "tiny", options=options)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Six photographs of six people, without a face; three are in the split for training."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    lines = ["image,emotion,person"]
    for number, emotion in enumerate(("anger", "fear", "happiness", "neutral", "sadness", "surprise")):
        image = np.random.default_rng(number).integers(0, 255, (60, 60, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), cv2.GaussianBlur(image, (0, 0), 9))
        lines.append(f"{number}.png,{emotion},person {number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder
