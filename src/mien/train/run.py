"""One training run: from a recipe and data to a run folder that ``mien analyze --model`` can use.

A run folder holds ``config.toml``, ``history.csv``, ``checkpoints/last.ckpt`` and ``best.ckpt``, and after the last
epoch ``model.onnx``, ``model.safetensors``, ``model.toml``, ``validation.npz`` and the report.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, TQDMProgressBar

from mien.errors import InputError
from mien.evaluate.run_report import write_run_report
from mien.train.corpus import Corpus, class_weights, split_corpus
from mien.train.folder import (
    AtomicCheckpointIO,
    HistoryWriter,
    checkpoint_callbacks,
    claim_folder,
    load_checkpoint,
    load_network,
)
from mien.train.init import blend_weights, init_network
from mien.train.kinds import build_for, kind_of, load_corpus
from mien.train.nets import EmotionNetwork
from mien.train.recipe import Recipe
from mien.train.record import describe_data, export_run
from mien.train.task import EmotionTask

__all__ = ["RunOptions", "best_precision", "fit", "fit_and_watch", "train"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What concerns the machine, not the model.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        Where to train.
    devices : int
        Processes (CPU) or GPUs that share each batch.  More than one runs the program's own command once more for each,
        so it works from the command line and from scripts, not from a notebook.
    precision : {"auto", "float32", "bfloat16"}
        ``auto`` is bfloat16 autocast where the processor has instructions for it.
    threads : int or None
        CPU threads of torch; by default its own choice.
    progress : bool
        Show a bar within each epoch.
    stop_after : int or None
        Leave after so many epochs in all, as if interrupted; the run can be resumed.
    """

    device: str = "auto"
    devices: int = 1
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

    Recipes with inner folds are run by `mien.train.nested.train_nested`.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data : str or pathlib.Path
        File or folder of the recipe's dataset.
    out : str or pathlib.Path
        The run folder.
    labels : str or pathlib.Path, optional
        FER+ votes; by default beside FER2013's table.
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
        If the data cannot be read, or the folder cannot be written to.
    ModelError
        If the weights to start from do not fit.
    """
    if recipe.inner_folds:
        # Here, because nested training is made of runs.
        from mien.train.nested import train_nested

        return train_nested(recipe, data=data, out=out, options=options, report=report)
    options = options or RunOptions()
    folder = Path(out)
    claim_folder(folder, recipe)
    if not _is_first_process():
        report = str
    if (folder / "model.toml").is_file():
        report(f"{folder} holds the finished run already")
        return folder
    report(f"reading {data}")
    training, validation = split_corpus(load_corpus(recipe, data, labels=labels), recipe)
    if recipe.domain.dataset or recipe.distillation.fixed:
        training = kind_of(recipe).extend(recipe, training, folder, report=report)
    report(f"{len(training)} training {kind_of(recipe).noun}, {len(validation)} for validation")
    net = fit(recipe, training, validation, folder, options=options, report=report)
    if net is not None and _is_first_process():
        if recipe.init_share:
            blend_weights(net, recipe.init, recipe.init_share)
        about = describe_data(recipe, training)
        export_run(folder, recipe, net, training, validation, training_data=about, report=report)
        write_run_report(folder)
    return folder


def _is_first_process() -> bool:
    # Lightning starts the other processes with this variable set; before that, there is only one.
    return os.environ.get("LOCAL_RANK", "0") == "0"


def fit(
    recipe: Recipe,
    training: Corpus,
    validation: Corpus | None,
    folder: Path,
    *,
    options: RunOptions | None = None,
    start: EmotionNetwork | None = None,
    report: Callable[[str], object] = str,
) -> EmotionNetwork | None:
    """Train a network, or go on with its training where the folder holds a checkpoint.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    training : Corpus
        What to learn from.
    validation : Corpus or None
        What to choose the epoch on; with None it is the last.
    folder : pathlib.Path
        Gets ``history.csv`` and ``checkpoints``.
    options : RunOptions, optional
        Machine options.
    start : EmotionNetwork, optional
        Weights to start from, in place of the recipe's.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    EmotionNetwork or None
        The network with the weights of the best epoch, or, with a second dataset, of the last; None if
        `RunOptions.stop_after` ended the run before its time.

    Raises
    ------
    KeyboardInterrupt
        If the run was interrupted; it can be resumed.
    """
    options = options or RunOptions()
    task = _make_task(recipe, training, validation, options, start, report)
    learning, choosing = kind_of(recipe).loaders(recipe, task.net, training, validation)
    last = folder / "checkpoints" / "last.ckpt"
    resume = str(last) if last.is_file() else None
    if resume is not None:
        report(f"resuming from {last}")
    with _fewer_warnings():
        trainer = pl.Trainer(
            **_trainer_options(recipe, options),
            callbacks=_callbacks(recipe, folder, options, report, has_validation=validation is not None),
            plugins=[AtomicCheckpointIO()],
            default_root_dir=folder,
            enable_progress_bar=options.progress,
        )
        trainer.fit(task, learning, choosing, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    stopping = trainer.early_stopping_callback
    stopped = isinstance(stopping, EarlyStopping) and stopping.stopped_epoch > 0
    if trainer.current_epoch < recipe.epochs and not stopped:
        return None
    # The first dataset's validation rows know nothing of the second.
    is_last = validation is None or recipe.domain.dataset
    return load_checkpoint(folder, recipe, epoch="last" if is_last else "best")


def fit_and_watch(
    recipe: Recipe, training: Corpus, validation: Corpus, callback: Callback, *, options: RunOptions | None = None
) -> None:
    """Train a network that is not kept, for what a callback sees: no file is written, and nothing can be resumed.

    Parameters
    ----------
    recipe, training, validation, options
        See `fit`.
    callback : lightning.pytorch.callbacks.Callback
        Called as Lightning does; the network validates with averaged weights where the recipe averages them.

    Raises
    ------
    KeyboardInterrupt
        If the run was interrupted.
    """
    options = options or RunOptions()
    task = _make_task(recipe, training, validation, options, None, str)
    learning, choosing = kind_of(recipe).loaders(recipe, task.net, training, validation)
    with _fewer_warnings():
        trainer = pl.Trainer(
            **_trainer_options(recipe, options),
            callbacks=[*_averaging(recipe), callback],
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(task, learning, choosing)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _make_task(
    recipe: Recipe,
    training: Corpus,
    validation: Corpus | None,
    options: RunOptions,
    start: EmotionNetwork | None,
    report: Callable[[str], object],
) -> EmotionTask:
    """Return the task of a run, before its first step."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    if validation is not None and training.heads != validation.heads:
        raise InputError(f"training has the labels {training.heads}, but validation {validation.heads}")
    # Before the network: building one draws from the generator that was seeded above.
    learned = () if recipe.distillation.fixed else recipe.distillation.teachers
    teachers = [load_network(Path(folder)) for folder in learned]
    task = EmotionTask(
        recipe,
        build_for(recipe, training.heads),
        voted=training.voted,
        weights=class_weights(training) if recipe.loss.balance == "weights" else None,
        teachers=teachers,
    )
    kind_of(recipe).prepare(task.net, training)
    if start is not None:
        task.net.load_state_dict(start.state_dict())
    elif recipe.init:
        init_network(task.net, recipe.init, report=report)
    frozen = task.freeze_parts()
    if frozen:
        report(f"{len(frozen)} tensors are frozen: {', '.join(recipe.freeze)}")
    task.net = task.net.to(memory_format=task.net.memory_format)  # type: ignore[call-overload]  # torch's stubs lack it
    return task


@contextlib.contextmanager
def _fewer_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # Loaders without workers are on purpose: batches are made whole, and cost a tenth of a step.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Frozen norms stay in eval mode on purpose, too.
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*treespec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*checkpoint directory.*exists and is not empty.*")
        # Nothing chooses the epoch where every row is for training.
        warnings.filterwarnings("ignore", message=".*but have no `val_dataloader`.*")
        yield


def _trainer_options(recipe: Recipe, options: RunOptions) -> dict[str, Any]:
    """Return what all trainers have in common."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    precision = best_precision(options.device) if options.precision == "auto" else options.precision
    together: dict[str, Any] = {"devices": options.devices}
    if options.devices > 1:
        # The loaders divide the batches themselves.
        together |= {"strategy": "ddp", "use_distributed_sampler": False}
    return together | {
        "accelerator": options.device,
        "precision": "bf16-mixed" if precision == "bfloat16" else "32-true",
        "max_epochs": recipe.epochs,
        "logger": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "gradient_clip_val": 5.0,
    }


def _averaging(recipe: Recipe) -> list[Callback]:
    average = recipe.optimizer.average
    return [EMAWeightAveraging(decay=average)] if average > 0 else []


def _callbacks(
    recipe: Recipe, folder: Path, options: RunOptions, report: Callable[[str], object], *, has_validation: bool
) -> list[Callback]:
    callbacks: list[Callback] = [*_averaging(recipe), HistoryWriter(folder / "history.csv", report)]
    if recipe.early_stopping and has_validation:
        callbacks.append(EarlyStopping("val_score", mode="max", patience=recipe.early_stopping))
    callbacks += checkpoint_callbacks(folder / "checkpoints", has_validation=has_validation)
    if options.stop_after is not None:
        callbacks.append(_StopAfter(options.stop_after))
    if options.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    return callbacks


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
