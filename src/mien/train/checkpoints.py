"""Checkpoints that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from mien.errors import DatasetError

__all__ = ["WholeCheckpoints", "checkpoint_callbacks"]


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the old checkpoint, on the same disk, and puts the new one in its place only when it is complete.

    A full disk or a kill in the middle leaves the old one as it was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises
        ------
        DatasetError
            If it cannot be written.
        """
        target = Path(path)
        temporary = target.with_suffix(target.suffix + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except (OSError, RuntimeError) as error:
            # torch's writer turns a failed write into a RuntimeError, with the system's error as its context.
            with contextlib.suppress(OSError):
                temporary.unlink()
            if isinstance(error, RuntimeError) and not _of_the_disk(error):
                raise
            kept = "the one before is unharmed" if target.is_file() else "there is none before it"
            raise DatasetError(f"cannot save the checkpoint {target}: {error}; {kept}") from error


def _of_the_disk(error: RuntimeError) -> bool:
    return isinstance(error.__context__, OSError) or "write" in str(error).lower()


def checkpoint_callbacks(folder: Path, *, choosing: bool = True) -> list[Callback]:
    """Return what keeps ``best.ckpt`` and ``last.ckpt`` in a folder; the last alone where nothing chooses."""
    place: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    # One callback each: Lightning's save_last renews last.ckpt only when the score improves, so that a killed run would
    # go on from its best epoch.  The last comes last, to hold the other's state of the same epoch.
    best = [ModelCheckpoint(filename="best", monitor="val_score", mode="max", **place)] if choosing else []
    return [*best, ModelCheckpoint(filename="last", **place)]
