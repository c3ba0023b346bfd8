"""One training run: from a recipe and data to a run folder that ``mien analyze --model`` can use.

A run folder holds ``config.toml``, ``history.csv``, ``checkpoints/last.ckpt`` and ``best.ckpt``, and after the last
epoch ``model.onnx``, ``model.safetensors``, ``model.toml``, ``validation.npz`` and the report.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from torch import Tensor

from mien.errors import InputError, MissingExtraError
from mien.evaluate.run_report import write_run_report
from mien.train.corpus import Corpus, class_weights, split_corpus
from mien.train.faces import follow_crop
from mien.train.folder import (
    AtomicCheckpointIO,
    HistoryWriter,
    checkpoint_callbacks,
    claim_data,
    claim_folder,
    load_checkpoint,
    load_network,
)
from mien.train.init import blend_weights, init_network
from mien.train.kinds import build_for, kind_of, list_training
from mien.train.nets import EmotionNetwork
from mien.train.recipe import Recipe
from mien.train.record import describe_data, export_run
from mien.train.task import EmotionTask

__all__ = ["RunOptions", "best_precision", "fit", "fit_and_watch", "ramped_average", "train"]


LOGGERS = ("csv", "tensorboard", "mlflow")
"""Names of Lightning's loggers that `RunOptions` takes."""


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
    workers : int
        Processes that augment training batches, where the system can fork; 0 does it in this one.  The batches are the
        same.
    loggers : sequence of str or lightning.pytorch.loggers.Logger
        Get all metrics of each epoch, beside ``history.csv``: Lightning's, or their names ``"csv"``, ``"tensorboard"``
        and ``"mlflow"``, which write into ``logs`` of the run folder (the last two need the package of that name).
    callbacks : sequence of lightning.pytorch.callbacks.Callback
        Called as Lightning does, after mien's own.

    Raises
    ------
    InputError
        If CUDA is asked for, or more GPUs than there are, or there is no logger of a name.
    MissingExtraError
        If a logger's package is not installed.
    """

    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    threads: int | None = None
    progress: bool = False
    stop_after: int | None = None
    workers: int = 0
    loggers: Sequence[str | Logger] = ()
    callbacks: Sequence[Callback] = ()

    def __post_init__(self) -> None:
        there = torch.cuda.device_count() if self.device == "cuda" or torch.cuda.is_available() else 0
        if self.device == "cuda" and self.devices > there:
            found = f"{there} of them" if there else "none"
            raise InputError(f"device is cuda, which needs {self.devices} NVIDIA GPU, but PyTorch finds {found}")
        for name in (name for name in self.loggers if isinstance(name, str)):
            if name not in LOGGERS:
                raise InputError(f"a logger must be one of {', '.join(LOGGERS)}, but got {name!r}")
            if name != "csv" and importlib.util.find_spec(name) is None:
                raise MissingExtraError(f"the logger {name} needs {name}: pip install {name}", name=name)


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
        If the folder holds a run of another recipe, or on other data.
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
    report(f"reading {data}")
    parts = list_training(recipe, data, labels=labels, report=report)
    claim_data(folder, parts)
    if (folder / "model.toml").is_file():
        report(f"{folder} holds the finished run already")
        return folder
    recipe = follow_crop(recipe, parts[0], report)
    training, validation = split_corpus(kind_of(recipe).make_corpus(recipe, parts), recipe)
    about = describe_data(recipe, training, validation)
    if recipe.domain.dataset or recipe.distillation.fixed:
        training = kind_of(recipe).extend(recipe, training, folder, report=report)
    report(f"{len(training)} training {kind_of(recipe).noun}, {len(validation)} for validation; {about[-1]}")
    net = fit(recipe, training, validation, folder, options=options, report=report)
    if net is not None and _is_first_process():
        if recipe.init_share:
            blend_weights(net, recipe.init, recipe.init_share)
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
    learning, choosing = kind_of(recipe).loaders(recipe, task.net, training, validation, workers=options.workers)
    last = folder / "checkpoints" / "last.ckpt"
    resume = str(last) if last.is_file() else None
    if resume is not None:
        report(f"resuming from {last}")
    with _fewer_warnings():
        trainer = pl.Trainer(
            **_trainer_options(recipe, options),
            logger=[_make_logger(entry, folder) for entry in options.loggers],
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


def _make_logger(entry: str | Logger, folder: Path) -> Logger:
    if not isinstance(entry, str):
        return entry
    if entry == "mlflow":
        return MLFlowLogger(experiment_name=folder.name, save_dir=str(folder / "logs" / "mlflow"))
    return (CSVLogger if entry == "csv" else TensorBoardLogger)(folder / "logs", name=entry)


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
    learning, choosing = kind_of(recipe).loaders(recipe, task.net, training, validation, workers=options.workers)
    with _fewer_warnings():
        trainer = pl.Trainer(
            **_trainer_options(recipe, options),
            logger=False,
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
    fresh = {name for name, _ in task.net.named_parameters()}
    if start is not None:
        task.net.load_state_dict(start.state_dict())
        fresh.clear()
    elif recipe.init:
        fresh = init_network(task.net, recipe.init, label_sets=training.label_sets, report=report)
    frozen = task.freeze_parts()
    if random := sorted(fresh & set(frozen)):
        more = f" and {len(random) - 2} more" if len(random) > 2 else ""
        report(f"warning: frozen at random values, so nothing is learned there: {', '.join(random[:2])}{more}")
    if frozen:
        report(f"{len(frozen)} tensors are frozen: {', '.join(recipe.freeze)}")
    task.net = task.net.to(memory_format=task.net.choose_layout())  # type: ignore[call-overload]  # torch's stubs lack it
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
        # Workers are forked from a process with threads; they run NumPy and torch alone, with one thread each.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork.*", category=DeprecationWarning)
        # Loggers are given a row an epoch, however few steps it has.
        warnings.filterwarnings("ignore", message=".*number of training batches.*smaller than the logging interval.*")
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
        "accumulate_grad_batches": recipe.accumulate,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "gradient_clip_val": 5.0,
    }


def ramped_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the average of weights for `torch.optim.swa_utils.AveragedModel`.

    It is exponential, with the decay min(decay, (1 + t) / (10 + t)) at update t, the ramp of TensorFlow's
    ``ExponentialMovingAverage``: early weights fade fast, so that runs of few steps do not keep them.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        return averaged + (1 - now) * (current - averaged)  # exact where they are equal: frozen parts stay

    return average


def _averaging(recipe: Recipe) -> list[Callback]:
    decay = recipe.optimizer.average
    return [WeightAveraging(avg_fn=ramped_average(decay))] if decay else []


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
    return [*callbacks, *options.callbacks]


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
