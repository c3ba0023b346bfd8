"""One training run: from a recipe and data to a run folder that ``mien analyze --model`` can use.

A run folder holds ``config.toml``, ``history.csv``, ``checkpoints/last.ckpt`` and ``best.ckpt``, and after the last
epoch ``model.onnx``, ``model.safetensors`` and ``model.toml``.
"""

from __future__ import annotations

import logging
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from safetensors.torch import load_file

from mien.errors import DatasetError, InputError, ModelError
from mien.models.record import dump_toml
from mien.training.augment import Augmentation
from mien.training.data import Corpus, FaceBatches, load_corpus, training_loader, validation_loader
from mien.training.export import export_run
from mien.training.history import HistoryWriter
from mien.training.nets import FaceNet, build
from mien.training.recipe import Recipe
from mien.training.task import HEADS, FaceTask

__all__ = ["RunOptions", "best_precision", "load_net", "train"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What concerns the machine, not the model.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        Where to train.
    precision : {"auto", "float32", "bfloat16"}
        ``auto`` takes bfloat16 autocast where the processor has instructions for it.
    threads : int or None
        CPU threads of torch; by default its own choice.
    progress : bool
        Show a bar within each epoch.
    stop_after : int or None
        Leave after so many epochs in all, as if interrupted; the run can be resumed.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    progress: bool = False
    stop_after: int | None = None


def train(
    recipe: Recipe,
    *,
    data: str | Path,
    out: str | Path,
    labels: str | Path | None = None,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Path:
    """Run a recipe, or go on with it where the folder holds an unfinished run of the same recipe.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data : str or pathlib.Path
        FER2013's table, or a folder with it.
    out : str or pathlib.Path
        The run folder.
    labels : str or pathlib.Path, optional
        FER+ votes; by default beside the table.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    pathlib.Path
        The run folder.

    Raises
    ------
    InputError
        If the folder holds a run of another recipe.
    DatasetError
        If the data cannot be read.
    """
    options = options or RunOptions()
    folder = Path(out)
    _claim(folder, recipe)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    report(f"reading {data}")
    training, validation = load_corpus(data, labels=labels, drop_overlap=recipe.drop_overlap)
    report(f"{len(training)} training pictures, {len(validation)} for validation")
    task = FaceTask(recipe, teachers=[load_net(Path(t)) for t in recipe.distillation.teachers])
    if recipe.init:
        _start_from(task.net, Path(recipe.init))
    task.net = task.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    finished = _fit(task, training, validation, folder, options, report)
    if finished:
        export_run(folder, recipe, best_net(folder, recipe), validation, report=report)
    return folder


def _start_from(net: FaceNet, folder: Path) -> None:
    try:
        net.load_state_dict(load_net(folder).state_dict())
    except RuntimeError as error:  # torch lists every tensor, a line each
        raise InputError(f"cannot start from {folder}: its net is another than the recipe's") from error


def _fit(
    task: FaceTask,
    training: Corpus,
    validation: Corpus,
    folder: Path,
    options: RunOptions,
    report: Callable[[str], object],
) -> bool:
    recipe = task.recipe
    batches = FaceBatches(
        training,
        recipe.augmentation,
        seed=recipe.seed,
        calm=_calm(recipe.augmentation) if recipe.calm_epochs else None,
        calm_from=recipe.epochs - recipe.calm_epochs,
    )
    last = folder / "checkpoints" / "last.ckpt"
    resume = str(last) if last.is_file() else None
    if resume is not None:
        report(f"going on from {last}")
    with warnings.catch_warnings():
        # Loaders without workers are on purpose: batches are made whole, and cost a tenth of a step.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*treespec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*checkpoint directory.*exists and is not empty.*")
        trainer = _trainer(recipe, folder, options, report)
        trainer.fit(
            task,
            training_loader(batches, batch=min(recipe.batch, len(training)), seed=recipe.seed),
            validation_loader(validation),
            ckpt_path=resume,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return bool(trainer.current_epoch >= recipe.epochs)


def _trainer(recipe: Recipe, folder: Path, options: RunOptions, report: Callable[[str], object]) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    precision = best_precision(options.device) if options.precision == "auto" else options.precision
    callbacks: list[Callback] = [
        EMAWeightAveraging(decay=recipe.optimiser.average),
        HistoryWriter(folder / "history.csv", report),
        *_checkpoints(folder),
    ]
    if options.stop_after is not None:
        callbacks.append(_StopAfter(options.stop_after))
    if options.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    return pl.Trainer(
        accelerator=options.device,
        devices=1,
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        max_epochs=recipe.epochs,
        callbacks=callbacks,
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=options.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=5.0,
    )


def _checkpoints(folder: Path) -> list[Callback]:
    place: dict[str, Any] = {"dirpath": folder / "checkpoints", "save_top_k": 1, "enable_version_counter": False}
    # One callback each: Lightning's save_last renews last.ckpt only when the score improves, so that a killed run would
    # go on from its best epoch.  The last comes last, to hold the other's state of the same epoch.
    return [
        ModelCheckpoint(filename="best", monitor="val_score", mode="max", **place),
        ModelCheckpoint(filename="last", **place),
    ]


class _StopAfter(Callback):
    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 >= self._epochs:
            trainer.should_stop = True


def best_precision(device: str = "auto") -> str:
    """Return ``"bfloat16"`` where the processor multiplies in it natively, else ``"float32"``."""
    if device != "cpu" and torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def best_net(folder: Path, recipe: Recipe) -> FaceNet:
    """Return the averaged weights of the best epoch of a run."""
    path = folder / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise ModelError(f"{folder} has no checkpoint yet")
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    net = build(recipe.net, HEADS, **recipe.net_options)
    net.load_state_dict({key.removeprefix("net."): value for key, value in state.items() if key.startswith("net.")})
    return net.eval()


def load_net(folder: Path) -> FaceNet:
    """Return the trained net of a run folder.

    Parameters
    ----------
    folder : pathlib.Path
        A finished or unfinished run; of an unfinished one the best epoch so far.

    Raises
    ------
    ModelError
        If the folder is no run, or has no weights yet.
    """
    recipe = read_config(folder)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return best_net(folder, recipe)
    net = build(recipe.net, HEADS, **recipe.net_options)
    net.load_state_dict(load_file(weights))
    return net.eval()


def read_config(folder: Path) -> Recipe:
    """Return the recipe that a run folder was made with."""
    path = folder / "config.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} is no run folder: it has no config.toml") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    return Recipe.from_dict(data, source=str(path))


def _claim(folder: Path, recipe: Recipe) -> None:
    path = folder / "config.toml"
    if path.is_file():
        if read_config(folder) != Recipe.from_dict(recipe.to_dict()):
            raise InputError(f"{folder} holds a run of another recipe: choose another folder, or remove it")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(dump_toml(recipe.to_dict()), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DatasetError(f"cannot write to the run folder {folder}: {error.strerror or error}") from error


def _calm(augmentation: Augmentation) -> Augmentation:
    geometry: dict[str, Any] = {
        name: getattr(augmentation, name) / 2 for name in ("rotation_deg", "scale", "aspect", "shear", "shift")
    }
    nothing = dict.fromkeys(("equalise", "gradient", "blur", "low_resolution", "noise", "jpeg", "erase"), 0.0)
    light = {"gamma": augmentation.gamma / 2, "contrast": augmentation.contrast / 2}
    return Augmentation(**geometry, **light, **nothing, flip=augmentation.flip)
