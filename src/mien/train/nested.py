"""Choosing settings and epoch on inner folds of the training rows, so that the tested rows choose nothing.

Every setting is tried on every inner fold; the setting and the epoch whose predictions for the inner rows are likeliest
to be right are then trained anew on all training rows.  With some hundred rows the likelihood chooses better than
accuracy, which moves in steps of most of a percent.  See Cawley and Talbot, "On over-fitting in model selection and
subsequent selection bias in performance evaluation", JMLR 11, 2010.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from mien.data import splits
from mien.errors import DatasetError, InputError
from mien.evaluate.calibration import softmax
from mien.metrics import accuracy
from mien.train.corpus import Corpus
from mien.train.export import DeployedVideo
from mien.train.folder import claim_data, claim_folder, load_checkpoint, read_history, write_file, write_weights_file
from mien.train.kinds import kind_of, list_training
from mien.train.nets import EmotionNetwork
from mien.train.nets.hybrid import best_shares, blend
from mien.train.recipe import Recipe, member_recipes, override
from mien.train.record import describe_data, export_run
from mien.train.run import RunOptions, fit, fit_and_watch
from mien.train.task import EmotionTask

__all__ = ["CHOICE", "Choice", "Members", "choose_settings", "train_members", "train_nested"]

CHOICE = "choice.json"
"""What was tried on the inner folds, and what was chosen."""

NET = "net"
"""The run folder of the network that was trained as chosen, within the folder of its name."""

_LEAST = 1e-6
"""A probability below counts as this."""

Probabilities = dict[str, NDArray[np.float32]]
"""By head: float32 (n, classes)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the inner folds chose.

    Parameters
    ----------
    settings : str
        One of the recipe's choices.
    epochs : int
        After how many epochs training ends.
    nll, accuracy : float
        Of the predictions for the inner rows there: slightly optimistic, since they chose.
    inner : dict of str to numpy.ndarray
        By head: float32 (n, classes), those predictions.
    tried : tuple of dict
        Each choice with its best epoch, its likelihood there and its accuracy.
    """

    settings: str
    epochs: int
    nll: float
    accuracy: float
    inner: Probabilities
    tried: tuple[dict[str, Any], ...]

    def in_words(self) -> str:
        """Return the choice in one line."""
        return ", ".join([*([self.settings] if self.settings else []), f"{self.epochs} epochs"])


@dataclass(frozen=True, slots=True)
class Members:
    """Trained networks, one or those of all members, and how their probabilities are added.

    Parameters
    ----------
    nets : dict of str to EmotionNetwork
        By the name of their recipe.
    choices : dict of str to Choice
        What was chosen for each.
    shares : tuple of float
        Of each network's probabilities in the sum.
    """

    nets: dict[str, EmotionNetwork]
    choices: dict[str, Choice]
    shares: tuple[float, ...]

    def predict(self, recipe: Recipe, corpus: Corpus) -> tuple[Probabilities, dict[str, Probabilities]]:
        """Return the probabilities of rows, and the same of each network alone, if there are several."""
        kind = kind_of(recipe)
        own = {
            name: {head: softmax(z).astype(np.float32) for head, z in kind.predict(net, corpus).items()}
            for name, net in self.nets.items()
        }
        return self._blended(list(own.values())), own if len(own) > 1 else {}

    def inner(self) -> Probabilities:
        """Return the probabilities of the training rows, each by networks that had not learned from it."""
        return self._blended([choice.inner for choice in self.choices.values()])

    def _blended(self, parts: list[Probabilities]) -> Probabilities:
        return {head: blend([part[head] for part in parts], self.shares) for head in parts[0]}

    def in_words(self) -> str:
        """Return all choices in one line."""
        if len(self.nets) == 1:
            return next(iter(self.choices.values())).in_words()
        parts = zip(self.shares, self.choices.items(), strict=True)
        return "; ".join(f"{share:g} of {name} ({choice.in_words()})" for share, (name, choice) in parts)


def train_members(
    recipe: Recipe,
    corpus: Corpus,
    folder: Path,
    *,
    by: str = "subject",
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Members:
    """Choose on inner folds, then train on all rows; what the folder holds already is not repeated.

    Parameters
    ----------
    recipe : Recipe
        With ``inner_folds``.
    corpus : Corpus
        The training rows.
    folder : pathlib.Path
        Gets ``choice.json``, and for each network a folder of its name with the inner predictions, and ``net``, a run
        folder.
    by : {"subject", "random"}
        How rows are divided into inner folds.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    Members
        The networks.
    """
    options = options or RunOptions()
    fold = splits.folds(corpus.samples, recipe.inner_folds, by=by, group=corpus.group, seed=recipe.seed)
    nets: dict[str, EmotionNetwork] = {}
    choices: dict[str, Choice] = {}
    for name, member in member_recipes(recipe).items():
        claim_folder(folder / name, member)
        choices[name] = choose_settings(member, corpus, fold, folder / name, options=options, report=report)
        report(f"{name}: {choices[name].in_words()}, inner accuracy {choices[name].accuracy:.3f}")
        nets[name] = _train_as_chosen(member, choices[name], corpus, folder / name / NET, options)
    shares = best_shares([choice.inner for choice in choices.values()], corpus.truth)
    members = Members(nets, choices, shares)
    content = {
        "shares": dict(zip(choices, shares, strict=True)),
        "chosen": {
            name: {"settings": choice.settings, "epochs": choice.epochs, "tried": list(choice.tried)}
            for name, choice in choices.items()
        },
        "in_words": members.in_words(),
        "learned": {"dataset": recipe.dataset, "subjects": corpus.subjects},
    }
    write_file(folder / CHOICE, json.dumps(content, indent=2) + "\n")
    return members


def _train_as_chosen(
    recipe: Recipe, choice: Choice, corpus: Corpus, folder: Path, options: RunOptions
) -> EmotionNetwork:
    own = _apply(recipe, choice.settings)
    claim_folder(folder, own)
    history = read_history(folder / "history.csv")
    if history and int(history[-1]["epoch"]) == choice.epochs:
        return load_checkpoint(folder, own, epoch="last")
    # The inner networks were measured at this epoch of the whole schedule, so the schedule is not shortened.
    net = fit(own, corpus, None, folder, options=replace(options, stop_after=choice.epochs))
    return load_checkpoint(folder, own, epoch="last") if net is None else net


def choose_settings(
    recipe: Recipe,
    corpus: Corpus,
    fold: NDArray[np.int64],
    folder: Path,
    *,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Choice:
    """Try every choice of a recipe on every inner fold.

    Parameters
    ----------
    recipe, corpus, folder, options, report
        See `train_members`.
    fold : numpy.ndarray
        int64 (n,): the inner folds.

    Returns
    -------
    Choice
        The setting and epoch that are likeliest right about the inner rows.
    """
    options = options or RunOptions()
    best: Choice | None = None
    tried: list[dict[str, Any]] = []
    for number, settings in enumerate(recipe.choices or ("",)):
        own = _apply(recipe, settings)
        path = folder / f"inner-{number}.npz"
        curves = _read_curves(path, corpus) or _try(own, corpus, fold, path, options)
        losses = np.mean([_losses(curve, corpus.truth[head]) for head, curve in curves.items()], axis=0)
        epoch = int(losses.argmin())
        inner = {head: curve[epoch].astype(np.float32) for head, curve in curves.items()}
        right = float(np.mean([_accuracy(p, corpus.truth[head]) for head, p in inner.items()]))
        nll = float(losses[epoch])
        tried.append({"settings": settings, "epochs": epoch + 1, "nll": round(nll, 4), "accuracy": round(right, 4)})
        report(f"inner folds, {settings or recipe.name}: {nll:.4f} nats, accuracy {right:.3f} at epoch {epoch + 1}")
        if best is None or nll < best.nll:
            best = Choice(settings, epoch + 1, nll, right, inner, ())
    assert best is not None
    return replace(best, tried=tuple(tried))


def _apply(recipe: Recipe, settings: str) -> Recipe:
    """Return a recipe with one of its choices made, and nothing left to choose."""
    own = override(recipe, [part.strip() for part in settings.split(";") if part.strip()])
    return replace(own, inner_folds=0, choices=())


def _try(
    recipe: Recipe, corpus: Corpus, fold: NDArray[np.int64], path: Path, options: RunOptions
) -> dict[str, NDArray[np.float16]]:
    """Return, by head, the probabilities of all rows after every epoch, (epochs, n, classes)."""
    curves = {head: np.zeros((recipe.epochs, len(corpus), k), np.float16) for head, k in corpus.heads.items()}
    for number in np.unique(fold):
        validation = fold == number
        epochs = _EpochPredictions()
        fit_and_watch(recipe, corpus.take(~validation), corpus.take(validation), epochs, options=options)
        for head, parts in epochs.probabilities.items():
            curves[head][:, validation] = np.stack(parts)
    stream = io.BytesIO()
    np.savez_compressed(stream, **curves)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    write_file(path, stream.getvalue())
    return curves


class _EpochPredictions(Callback):
    """Keeps the predictions for the validation rows of every epoch."""

    def __init__(self) -> None:
        self.probabilities: dict[str, list[NDArray[np.float32]]] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, EmotionTask)
        for head, predicted in pl_module.predictions("val").items():
            self.probabilities.setdefault(head, []).append(predicted.probabilities)


def _read_curves(path: Path, corpus: Corpus) -> dict[str, NDArray[np.float16]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            curves = {head: np.asarray(stored[head], dtype=np.float16) for head in corpus.heads}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read {path}: {error}; remove it to choose again") from error
    if any(curve.ndim != 3 or curve.shape[1:] != (len(corpus), corpus.heads[head]) for head, curve in curves.items()):
        raise InputError(f"{path} is of other folds: choose another folder, or remove it")
    return curves


def _losses(curve: NDArray[np.float16], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    known = np.flatnonzero(truth >= 0)
    shares = np.maximum(curve[:, known, truth[known]].astype(np.float64), _LEAST)
    return np.asarray(-np.log(shares).mean(axis=1))


def _accuracy(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    known = truth >= 0
    return accuracy(truth[known], probabilities[known].argmax(axis=1))


def train_nested(
    recipe: Recipe,
    *,
    data: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Path:
    """Choose on inner folds of all clips, train on all of them, and export the networks as one model.

    Parameters
    ----------
    recipe, data, out, options, report
        See `mien.train.run.train`.

    Returns
    -------
    pathlib.Path
        The folder: ``choice.json``, ``model.onnx`` with ``model.toml``, and in ``NAME/net`` a run folder with
        ``model.safetensors`` for each network.

    Raises
    ------
    InputError
        If the recipe is not for clips, or the folder holds a run of another recipe.
    DatasetError
        If the data cannot be read, or the folder cannot be written to.
    """
    if recipe.kind != "video":
        raise InputError(f"recipe {recipe.name!r}: only networks for clips choose on inner folds without --folds")
    folder = Path(out)
    claim_folder(folder, recipe)
    report(f"reading {data}")
    parts = list_training(recipe, data, report=report)
    claim_data(folder, parts)
    corpus = kind_of(recipe).make_corpus(recipe, parts)
    members = train_members(recipe, corpus, folder, options=options, report=report)
    for name, net in members.nets.items():
        write_weights_file(folder / name / NET, net)
    used = [(net, share) for net, share in zip(members.nets.values(), members.shares, strict=True) if share > 0]
    nets, shares = zip(*used, strict=True)
    export_run(
        folder,
        recipe,
        DeployedVideo(nets, shares).eval(),
        corpus,
        corpus,
        training_data=[*describe_data(recipe, corpus), members.in_words()],
        logits={head: np.log(np.maximum(p, _LEAST)) for head, p in members.inner().items()},
        selected_on=f"{recipe.inner_folds} inner folds of {recipe.dataset}, on which settings and epochs were chosen",
        write_weights=False,
        report=report,
    )
    return folder
