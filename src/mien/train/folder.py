"""The run folder: its recipe, history and checkpoints, and the networks that can be read back from it."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import tomli_w
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as save_safetensors
from torch import Tensor

from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, ModelError
from mien.io.paths import atomic_path
from mien.labels import FER7, FERPLUS8
from mien.train.corpus import fingerprint_of
from mien.train.nets import EmotionNetwork, build_network
from mien.train.recipe import Recipe

__all__ = [
    "DATA",
    "AtomicCheckpointIO",
    "HistoryWriter",
    "best_epoch",
    "checkpoint_callbacks",
    "claim_data",
    "claim_folder",
    "load_checkpoint",
    "load_network",
    "read_config",
    "read_history",
    "write_file",
    "write_weights_file",
]

DATA = "data.toml"
"""Name of the file that says on what data a run is."""

WEIGHTS = "model.safetensors"
"""Name of the file of a trained network's weights."""


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; its folder is made.

    Raises
    ------
    DatasetError
        If it cannot be written; what stood there before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def claim_folder(folder: Path, recipe: Recipe) -> None:
    """Write ``config.toml``, or make sure that the one which is there is of the same recipe.

    Raises
    ------
    InputError
        If the folder holds a run of another recipe.
    DatasetError
        If it cannot be written to.
    """
    path = folder / "config.toml"
    if not path.is_file():
        write_file(path, tomli_w.dumps(recipe.to_dict()))
    elif replace(read_config(folder), description="") != replace(recipe, description=""):
        raise InputError(f"{folder} holds a run of another recipe: choose another folder, or remove it")


def claim_data(folder: Path, data: Sequence[Samples]) -> None:
    """Write ``data.toml``, or make sure that the one which is there is of the same data.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder; runs of earlier versions have no such file, and get one.
    data : sequence of Samples
        What is trained on, see `mien.train.kinds.list_training`.

    Raises
    ------
    InputError
        If the folder holds a run on other data.
    ModelError
        If the file cannot be read.
    DatasetError
        If it cannot be written.
    """
    path, fingerprint = folder / DATA, fingerprint_of(data)
    if not path.is_file():
        write_file(path, tomli_w.dumps({"rows": len(data[0]), "fingerprint": fingerprint}))
        return
    try:
        noted = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if noted.get("fingerprint") != fingerprint:
        what = f"{noted.get('rows')} rows, now {len(data[0])}"
        if noted.get("rows") == len(data[0]):
            what = "as many rows, but other labels, subjects, splits or content"
        raise InputError(
            f"{folder} holds a run on other data ({what}): choose another folder, or remove it to train anew"
        )


def read_config(folder: Path) -> Recipe:
    """Return the recipe that a run folder was made with.

    Raises
    ------
    ModelError
        If there is no readable ``config.toml``.
    """
    path = folder / "config.toml"
    try:
        return Recipe.from_dict(tomllib.loads(path.read_text("utf-8")), source=str(path))
    except FileNotFoundError:
        raise ModelError(f"{folder} is no run folder: it has no config.toml") from None
    except InputError as error:
        raise ModelError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error


# --- history ----------------------------------------------------------------------------------------------------------


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


class HistoryWriter(Callback):
    """Writes ``history.csv`` after every epoch, and reports it.

    Rows of epochs that a killed run had not yet saved are dropped on resumption, so that the file always holds exactly
    the epochs that made the weights.

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
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "seconds": round(seconds, 1)}
        row["rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row.update((name, round(value, 6)) for name, value in values.items())
        self._rows.append(row)
        stream = io.StringIO()
        writer = csv.DictWriter(stream, fieldnames=list(row), extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(self._rows)
        write_file(self._path, stream.getvalue())
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._report(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {seconds:.0f} s  {metrics}")


# --- checkpoints ------------------------------------------------------------------------------------------------------


class AtomicCheckpointIO(TorchCheckpointIO):
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
            if isinstance(error, RuntimeError) and not _is_write_error(error):
                raise
            state = "the one before is unharmed" if target.is_file() else "there is none before it"
            raise DatasetError(f"cannot save the checkpoint {target}: {error}; {state}") from error


def _is_write_error(error: RuntimeError) -> bool:
    return isinstance(error.__context__, OSError) or "write" in str(error).lower()


def checkpoint_callbacks(folder: Path, *, has_validation: bool = True) -> list[Callback]:
    """Return what keeps ``best.ckpt`` and ``last.ckpt`` in a folder; without validation the last alone."""
    options: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    # One callback each: Lightning's save_last renews last.ckpt only when the score improves, so that a killed run would
    # go on from its best epoch.  The last comes last, to hold the other's state of the same epoch.
    best = [ModelCheckpoint(filename="best", monitor="val_score", mode="max", **options)] if has_validation else []
    return [*best, ModelCheckpoint(filename="last", **options)]


# --- networks ---------------------------------------------------------------------------------------------------------


def load_checkpoint(folder: Path, recipe: Recipe, *, epoch: str = "best") -> EmotionNetwork:
    """Return the network with the averaged weights of the best epoch of a run, or of the last.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    recipe : Recipe
        What was trained.
    epoch : {"best", "last"}
        Which weights.

    Raises
    ------
    ModelError
        If there is no checkpoint yet, or it is damaged.
    """
    path = folder / "checkpoints" / f"{epoch}.ckpt"
    if not path.is_file():
        raise ModelError(f"{folder} has no checkpoint yet")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = {k.removeprefix("net."): v for k, v in content["state_dict"].items() if k.startswith("net.")}
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, AttributeError) as error:
        raise ModelError(f"cannot read the checkpoint {path}: {error}") from error
    return _build(recipe, state, path)


def write_weights_file(folder: Path, net: EmotionNetwork) -> None:
    """Write ``model.safetensors``."""
    weights = {name: values.contiguous() for name, values in net.state_dict().items()}
    write_file(folder / WEIGHTS, save_safetensors(weights))


def load_network(folder: Path) -> EmotionNetwork:
    """Return the trained network of a run folder.

    Parameters
    ----------
    folder : pathlib.Path
        A finished or unfinished run; of an unfinished one the best epoch so far.

    Raises
    ------
    ModelError
        If the folder is no run, or has no weights yet, or they are damaged.
    """
    recipe = read_config(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        return load_checkpoint(folder, recipe)
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read the weights {path}: {error}") from error
    return _build(recipe, state, path)


def _build(recipe: Recipe, state: dict[str, Tensor], path: Path) -> EmotionNetwork:
    net: EmotionNetwork = build_network(recipe.net, _heads_of(state), **recipe.net_options)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:  # torch lists every tensor, a line each
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ModelError(f"{path} does not fit the network of its config.toml: {reason}") from error
    return net.eval()


def _heads_of(state: dict[str, Tensor]) -> dict[str, int]:
    """Return the number of classes of each head, by the weights of a network."""
    found = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        name, _, last = rest.rpartition(".")
        if first == "heads" and last == "weight":
            found[name] = len(value)
    # Files of weights are sorted by name; the order of the outputs is not.
    first_ones = [name for name in (FERPLUS8.name, FER7.name) if name in found]
    return {name: found[name] for name in (*first_ones, *(n for n in found if n not in first_ones))}
