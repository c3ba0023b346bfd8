"""Choosing settings and epoch on inner folds of the training rows, so that the tested rows choose nothing.

Every setting is tried on every inner fold; the setting and the epoch whose answers to the inner rows are likeliest to
be right are then trained anew on all training rows.  With some hundred rows the likelihood chooses better than
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
from mien.train.corpus import Rows
from mien.train.export import write_file
from mien.train.folder import best_net, claim
from mien.train.history import read_history
from mien.train.kinds import Kind, kind_of
from mien.train.nets import EmotionNet
from mien.train.nets.hybrid import best_shares, blended
from mien.train.recipe import Recipe, load_recipe, overridden
from mien.train.run import RunOptions, fit, watched

__all__ = ["CHOICE", "NET", "Chosen", "Settled", "choose", "member_recipes", "plain", "settle", "train_nested"]

CHOICE = "choice.json"
"""What was tried on the inner folds, and what was chosen."""

NET = "net"
"""The run folder of the net that was trained as chosen, within the folder of its name."""

_LEAST = 1e-6
"""A probability below counts as this."""

Answers = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the inner folds chose.

    Parameters
    ----------
    settings : str
        One of the recipe's choices.
    epochs : int
        After how many epochs training ends.
    nll, accuracy : float
        Of the answers to the inner rows there: slightly optimistic, since they chose.
    inner : dict of str to numpy.ndarray
        By head: float32 (n, classes), those answers.
    tried : tuple of dict
        Each choice with its best epoch, its likelihood there and its accuracy.
    """

    settings: str
    epochs: int
    nll: float
    accuracy: float
    inner: Answers
    tried: tuple[dict[str, Any], ...]

    def in_words(self) -> str:
        """Return the choice in one line."""
        return ", ".join([*([self.settings] if self.settings else []), f"{self.epochs} epochs"])


@dataclass(frozen=True, slots=True)
class Settled:
    """Trained nets, one or those of all members, and how their scores are added.

    Parameters
    ----------
    nets : dict of str to EmotionNet
        By the name of their recipe.
    chosen : dict of str to Chosen
        What was chosen for each.
    shares : tuple of float
        Of each net's probabilities in the answer.
    """

    nets: dict[str, EmotionNet]
    chosen: dict[str, Chosen]
    shares: tuple[float, ...]

    def answers(self, kind: Kind[Any, Any], rows: Rows) -> tuple[Answers, dict[str, Answers]]:
        """Return, by head, the probabilities of rows, float32 (n, classes), and the same of each net alone."""
        own = {
            name: {head: softmax(z).astype(np.float32) for head, z in kind.answered(net, rows).items()}
            for name, net in self.nets.items()
        }
        both = {head: blended([part[head] for part in own.values()], self.shares) for head in rows.heads}
        return both, own if len(own) > 1 else {}

    def in_words(self) -> str:
        """Return all choices in one line."""
        if len(self.nets) == 1:
            return next(iter(self.chosen.values())).in_words()
        parts = zip(self.shares, self.chosen.items(), strict=True)
        return "; ".join(f"{share:g} of {name} ({chosen.in_words()})" for share, (name, chosen) in parts)


def member_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipes of all members by their names; of a recipe without any, itself.

    Raises
    ------
    InputError
        If a member is unknown or there twice, has no inner folds, or has members itself.
    """
    if not recipe.members:
        return {recipe.name: recipe}
    found = {}
    for name in recipe.members:
        member = load_recipe(name)
        if member.members or not member.inner_folds:
            raise InputError(f"recipe {recipe.name!r}: the member {name!r} must have inner_folds and no members")
        common = {key: getattr(recipe, key) for key in ("dataset", "dataset_options", "seed", "inner_folds", "video")}
        found[member.name] = replace(member, **common)
    if len(found) < len(recipe.members):
        raise InputError(f"recipe {recipe.name!r}: two members have the same name")
    return found


def settle(
    kind: Kind[Any, Any],
    recipe: Recipe,
    rows: Rows,
    folder: Path,
    *,
    by: str = "subject",
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Settled:
    """Choose on inner folds, then train on all rows; what the folder holds already is not repeated.

    Parameters
    ----------
    kind : Kind
        Of the recipe.
    recipe : Recipe
        With ``inner_folds``.
    rows : Rows
        The training rows.
    folder : pathlib.Path
        Gets ``choice.json``, and for each net a folder of its name with the inner answers, and ``net``, a run folder.
    by : {"subject", "random"}
        How rows are dealt into inner folds.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    Settled
        The nets.
    """
    options = options or RunOptions()
    fold = _dealt(kind, recipe, rows, by)
    nets: dict[str, EmotionNet] = {}
    found: dict[str, Chosen] = {}
    for name, member in member_recipes(recipe).items():
        place = folder / name
        claim(place, member)
        found[name] = choose(member, rows, fold, place, options=options, report=report)
        report(f"{name}: {found[name].in_words()}, inner accuracy {found[name].accuracy:.3f}")
        nets[name] = _trained(member, found[name], rows, place / NET, options)
    shares = best_shares([chosen.inner for chosen in found.values()], rows.truth)
    settled = Settled(nets, found, shares)
    _write(folder, settled, rows)
    return settled


def _dealt(kind: Kind[Any, Any], recipe: Recipe, rows: Rows, by: str) -> NDArray[np.int64]:
    if by == "subject":
        return kind.dealt(rows, recipe.inner_folds, recipe.seed)
    labels = next(iter(rows.truth.values()))
    return splits.fold_ids(labels, rows.group, recipe.inner_folds, by="random", seed=recipe.seed)


def _trained(recipe: Recipe, chosen: Chosen, rows: Rows, folder: Path, options: RunOptions) -> EmotionNet:
    own = plain(recipe, chosen.settings)
    claim(folder, own)
    history = read_history(folder / "history.csv")
    if history and int(history[-1]["epoch"]) == chosen.epochs:
        return best_net(folder, own, epoch="last")
    # The inner nets were measured at this epoch of the whole schedule, so the schedule is not shortened.
    net = fit(own, rows, None, folder, options=replace(options, stop_after=chosen.epochs))
    return best_net(folder, own, epoch="last") if net is None else net


def choose(
    recipe: Recipe,
    rows: Rows,
    fold: NDArray[np.int64],
    folder: Path,
    *,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Chosen:
    """Try every choice of a recipe on every inner fold.

    Parameters
    ----------
    recipe, rows, folder, options, report
        See `settle`.
    fold : numpy.ndarray
        int64 (n,): the inner folds.

    Returns
    -------
    Chosen
        The setting and epoch that are likeliest right about the inner rows.
    """
    options = options or RunOptions()
    best: Chosen | None = None
    tried: list[dict[str, Any]] = []
    for number, settings in enumerate(recipe.choices or ("",)):
        own = plain(recipe, settings)
        path = folder / f"inner-{number}.npz"
        curves = _kept(path, rows) or _tried(own, rows, fold, path, options)
        losses = np.mean([_loss(curve, rows.truth[head]) for head, curve in curves.items()], axis=0)
        epoch = int(losses.argmin())
        inner = {head: curve[epoch].astype(np.float32) for head, curve in curves.items()}
        right = float(np.mean([_right(answers, rows.truth[head]) for head, answers in inner.items()]))
        nll = float(losses[epoch])
        tried.append({"settings": settings, "epochs": epoch + 1, "nll": round(nll, 4), "accuracy": round(right, 4)})
        report(f"inner folds, {settings or recipe.name}: {nll:.4f} nats, accuracy {right:.3f} at epoch {epoch + 1}")
        if best is None or nll < best.nll:
            best = Chosen(settings, epoch + 1, nll, right, inner, ())
    assert best is not None
    return replace(best, tried=tuple(tried))


def plain(recipe: Recipe, settings: str) -> Recipe:
    """Return a recipe with one of its choices made, and nothing left to choose."""
    own = overridden(recipe, [part.strip() for part in settings.split(";") if part.strip()])
    return replace(own, inner_folds=0, choices=())


def _tried(
    recipe: Recipe, rows: Rows, fold: NDArray[np.int64], path: Path, options: RunOptions
) -> dict[str, NDArray[np.float16]]:
    curves = {head: np.zeros((recipe.epochs, len(rows), k), np.float16) for head, k in rows.heads.items()}
    for number in np.unique(fold):
        validation = fold == number
        keeper = _Keeper()
        watched(recipe, rows.take(~validation), rows.take(validation), keeper, options=options)
        for head, values in keeper.curves().items():
            curves[head][:, validation] = values
    stream = io.BytesIO()
    np.savez_compressed(stream, **curves)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    write_file(path, stream.getvalue())
    return curves


class _Keeper(Callback):
    """Keeps the answers to the validation rows of every epoch."""

    def __init__(self) -> None:
        self._seen: dict[str, list[NDArray[np.float32]]] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for head, (_, probabilities) in pl_module.seen("val").items():  # type: ignore[operator]
            self._seen.setdefault(head, []).append(probabilities)

    def curves(self) -> dict[str, NDArray[np.float32]]:
        """Return, by head, the probabilities, float32 (epochs, n, classes)."""
        return {head: np.stack(parts) for head, parts in self._seen.items()}


def _kept(path: Path, rows: Rows) -> dict[str, NDArray[np.float16]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            curves = {head: np.asarray(stored[head], dtype=np.float16) for head in rows.heads}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read {path}: {error}; remove it to choose again") from error
    if any(curve.ndim != 3 or curve.shape[1:] != (len(rows), rows.heads[head]) for head, curve in curves.items()):
        raise InputError(f"{path} is of other folds: choose another folder, or remove it")
    return curves


def _loss(curve: NDArray[np.float16], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    known = np.flatnonzero(truth >= 0)
    shares = np.maximum(curve[:, known, truth[known]].astype(np.float64), _LEAST)
    return np.asarray(-np.log(shares).mean(axis=1))


def _right(answers: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    known = truth >= 0
    return accuracy(truth[known], answers[known].argmax(axis=1))


def _write(folder: Path, settled: Settled, rows: Rows) -> None:
    content = {
        "shares": dict(zip(settled.chosen, settled.shares, strict=True)),
        "chosen": {
            name: {"settings": chosen.settings, "epochs": chosen.epochs, "tried": list(chosen.tried)}
            for name, chosen in settled.chosen.items()
        },
        "in_words": settled.in_words(),
        "learned": {"dataset": rows.name, "subjects": sorted(set(_subjects(rows)) - {""})},
    }
    write_file(folder / CHOICE, json.dumps(content, indent=2).encode() + b"\n")


def _subjects(rows: Rows) -> list[str]:
    return [] if rows.subjects is None else [str(name) for name in rows.subjects]


def train_nested(
    recipe: Recipe,
    *,
    data: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Path:
    """Choose on inner folds of all clips, train on all of them, and keep the nets.

    Parameters
    ----------
    recipe, data, out, options, report
        See `mien.train.run.train`.

    Returns
    -------
    pathlib.Path
        The folder: ``choice.json``, and in ``NAME/net`` a run folder with ``model.safetensors`` for each net.

    Raises
    ------
    InputError
        If the recipe is not for clips, or the folder holds a run of another recipe.
    DatasetError
        If the data cannot be read, or the folder cannot be written to.
    """
    if not recipe.is_video:
        raise InputError(f"recipe {recipe.name!r}: only nets for clips choose on inner folds without --folds")
    folder = Path(out)
    claim(folder, recipe)
    report(f"reading {data}")
    kind = kind_of(recipe)
    rows = kind.load(recipe, data)
    settled = settle(kind, recipe, rows, folder, options=options, report=report)
    for name, net in settled.nets.items():
        kind.export(folder / name / NET, recipe, net, rows, rows, training_data=(), report=report)
    return folder
