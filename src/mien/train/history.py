"""The history of a run: one CSV row an epoch, and one line an epoch for people."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

__all__ = ["HistoryWriter", "best_epoch", "read_history"]


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a history file, oldest first; an absent file has none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def best_epoch(path: Path) -> int:
    """Return the first epoch with the highest score of a history file, the last where nothing chose; 0 without any."""
    rows = read_history(path)
    known = [(float(row["val_score"]), -int(row["epoch"])) for row in rows if row.get("val_score")]
    if known:
        return -max(known)[1]
    return int(rows[-1]["epoch"]) if rows else 0


class HistoryWriter(pl.Callback):
    """Writes ``history.csv`` after every epoch, and reports it.

    Rows of epochs that a killed run had not yet saved are dropped on resumption, so that the file always tells of
    exactly the epochs that made the weights.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    report : callable
        Gets one line a finished epoch.
    """

    def __init__(self, path: Path, report: Callable[[str], object]) -> None:
        self._path, self._report = path, report
        self._rows: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows of the epochs that the checkpoint holds."""
        self._rows = [dict(row) for row in read_history(self._path) if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the row of the epoch; of several processes, the first does."""
        if not trainer.is_global_zero:
            return
        seconds = time.monotonic() - self._started
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "seconds": round(seconds, 1)}
        row["rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row.update((name, round(value, 6)) for name, value in sorted(values.items()))
        self._rows.append(row)
        self._write()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in sorted(values.items()))
        self._report(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {seconds:.0f} s  {shown}")

    def _write(self) -> None:
        temporary = self._path.with_suffix(".csv.part")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self._rows[-1]), extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        temporary.replace(self._path)
