"""Cross-validation with a new network for every fold, and the ways in which it is often done wrong.

Recipes with inner folds choose their settings anew within each fold (see `mien.train.nested`).

``subject`` is the honest way: folds share no subject, no clip and no copy of an image, and the rows that choose the
epoch come from other groups than the rows that are tested.  The other ways exist to measure what they add to a result:
``random`` divides rows whoever they are of, ``copies`` divides augmented copies as if they were new samples, and
``continued`` goes on training one network over all folds, so that it has learned from every row it is tested on but
those of the first fold.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import splits
from mien.errors import DatasetError, InputError
from mien.evaluate.calibration import softmax
from mien.metrics import accuracy, bootstrap_interval, recall_sums, uar, uar_of_sums
from mien.train.corpus import Corpus
from mien.train.fold_reports import write_speech_report, write_video_report
from mien.train.folder import best_epoch, claim_data, claim_folder, write_file
from mien.train.kinds import kind_of, list_training
from mien.train.nested import CHOICE, train_members
from mien.train.nets import EmotionNetwork
from mien.train.recipe import Recipe, member_recipes
from mien.train.run import RunOptions, fit

__all__ = ["WAYS", "FoldResult", "train_folds"]

WAYS = ("subject", "random", "copies", "continued")
"""How rows are divided into folds; see the top of this module."""

PREDICTIONS = "test.npz"
"""File of the probabilities of a fold's tested rows, within the folder of the fold."""

_BY_SUBJECT = ("subject", "continued")


@dataclass(frozen=True, slots=True)
class FoldResult:
    """The figures of all folds of one way together, for one head.

    Parameters
    ----------
    way : str
        One of `WAYS`.
    head : str
        The label set.
    n : int
        Rows tested, each once.
    groups : int
        Subjects (or clips, or images with all their copies) among them.
    accuracy, accuracy_low, accuracy_high, uar, uar_low, uar_high : float
        Over all rows, with 95 % bootstrap intervals over groups.
    chance : float
        Share of the largest class.
    folds : tuple of float
        Accuracy of each fold.
    epochs : tuple of int
        The epoch of each fold that its validation rows chose.
    subjects : tuple of tuple of str
        Who is tested in each fold, where the data names them.
    net : str
        Of recipes with members: which of them predicts, empty for all together.
    choices : tuple of str
        What each fold's inner folds chose, in words; empty where there are none.
    """

    way: str
    head: str
    n: int
    groups: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    uar: float
    uar_low: float
    uar_high: float
    chance: float
    folds: tuple[float, ...]
    epochs: tuple[int, ...] = ()
    subjects: tuple[tuple[str, ...], ...] = ()
    net: str = ""
    choices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        lists = {name: list(getattr(self, name)) for name in ("folds", "epochs", "choices")}
        return {n: getattr(self, n) for n in self.__slots__} | lists | {"subjects": [list(s) for s in self.subjects]}


def train_folds(
    recipe: Recipe,
    *,
    data: str | Path,
    out: str | Path,
    k: int = 5,
    ways: Sequence[str] = ("subject",),
    labels: str | Path | None = None,
    noise: bool = False,
    only: Sequence[int] = (),
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> tuple[FoldResult, ...]:
    """Train and test a network for every fold; finished folds in the folder are not repeated.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data, labels
        See `mien.train.run.train`.
    out : str or pathlib.Path
        Gets a folder for every way and fold, ``folds.json`` and ``folds.md``.
    k : int
        Number of folds.
    ways : sequence of str
        Which of `WAYS`.
    noise : bool
        Of recordings, also measure the predictions of each fold's network in noise.
    only : sequence of int
        Train these folds alone, counted from 1, so that several processes or machines can share the work; whoever
        runs all folds afterwards gathers what is there.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    tuple of FoldResult
        For every way and head; empty if ``only`` some folds were asked for.

    Raises
    ------
    InputError
        If a way is unknown, or the folder holds the folds of another recipe.
    DatasetError
        If the data is wrong, or has too few groups.
    """
    unknown = [way for way in ways if way not in WAYS]
    if unknown or not ways:
        raise InputError(f"a way to split must be one of {', '.join(WAYS)}, but got {', '.join(unknown) or 'none'}")
    if not set(only) <= set(range(1, k + 1)) or (only and "continued" in ways):
        raise InputError(f"single folds must be from 1 to {k}, and not of the way 'continued', but got {list(only)}")
    if noise and recipe.kind != "audio":
        raise InputError(f"recipe {recipe.name!r} is for {kind_of(recipe).noun}: only recordings are measured in noise")
    if recipe.members and "continued" in ways:
        raise InputError(f"recipe {recipe.name!r} has members: give each of them the way 'continued' alone")
    folder = Path(out)
    claim_folder(folder, recipe)
    report(f"reading {data}")
    parts = list_training(recipe, data, labels=labels, report=report)
    claim_data(folder, parts)
    corpus = kind_of(recipe).make_corpus(recipe, parts)
    results: list[FoldResult] = []
    for way in ways:
        rows, own = kind_of(recipe).with_copies(recipe, corpus) if way == "copies" else (corpus, recipe)
        fold = _fold_ids(rows, k, way, recipe.seed)
        where = folder / f"{way}-{k}"
        if way in _BY_SUBJECT:
            for number, names in enumerate(_subjects(rows, fold)):
                report(f"{way}, fold {number + 1}: {len(names)} subjects: {', '.join(names)}")
        predicted = _cross_validate(own, rows, fold, way, where, options or RunOptions(), report, only=only)
        if only:
            continue
        choices, epochs = _choices(where, k)
        found = [_result(way, key, rows, fold, p, epochs, choices) for key, p in predicted.items()]
        for result in found:
            report(f"{_title(result)} {result.head}: accuracy {result.accuracy:.4f}, UAR {result.uar:.4f}")
        if way == "subject" and recipe.kind == "audio":
            write_speech_report(where, recipe, rows, fold, predicted, noise=noise, report=report)
        if recipe.kind == "video":
            write_video_report(where, recipe, rows, fold, predicted, way=way, choices=choices, report=report)
        results += found
    if results:
        _write(folder, recipe, k, results)
    return tuple(results)


def _subjects(corpus: Corpus, fold: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
    if not corpus.subjects:
        return ()
    subjects = corpus.samples.subjects
    return tuple(tuple(sorted(set(subjects[fold == number].tolist()))) for number in np.unique(fold))


def _fold_ids(corpus: Corpus, k: int, way: str, seed: int) -> NDArray[np.int64]:
    by = "subject" if way in _BY_SUBJECT else "random"
    return splits.folds(corpus.samples, k, by=by, group=corpus.group, seed=seed)


def _cross_validate(
    recipe: Recipe,
    corpus: Corpus,
    fold: NDArray[np.int64],
    way: str,
    folder: Path,
    options: RunOptions,
    report: Callable[[str], object],
    *,
    only: Sequence[int],
) -> dict[str, NDArray[np.float32]]:
    """Return, by head, the probabilities of all rows, each from the network of its own fold.

    Of recipes with members also, by head, ``@`` and member, those of each member alone.
    """
    members = member_recipes(recipe) if recipe.members else ()
    keys = [*corpus.heads, *(f"{head}@{name}" for name in members for head in corpus.heads)]
    predicted = {key: np.zeros((len(corpus), corpus.heads[key.partition("@")[0]]), np.float32) for key in keys}
    net: EmotionNetwork | None = None
    folds = int(fold.max()) + 1
    for number in range(folds):
        if only and number + 1 not in only:
            continue
        place = folder / f"fold-{number}"
        test = fold == number
        found = _read_predictions(place, test, corpus, keys)
        if found is None or way == "continued":
            report(f"{way}, fold {number + 1} of {folds}: {int(test.sum())} rows to be tested")
            rest, tested = corpus.take(~test), corpus.take(test)
            if recipe.inner_folds and way != "continued":
                by = "subject" if way == "subject" else "random"
                nets = train_members(recipe, rest, place, by=by, options=options, report=report)
                found, alone = nets.predict(recipe, tested)
                found = found | {f"{head}@{name}": p for name, own in alone.items() for head, p in own.items()}
            else:
                training, validation = _inner_split(rest, recipe, way)
                if recipe.domain.dataset:
                    training = kind_of(recipe).extend(recipe, training, place, report=report)
                start = net if way == "continued" else None
                net = fit(recipe, training, validation, place, options=options, start=start, report=report)
                if net is None:
                    raise InputError("folds cannot be stopped early")
                logits = kind_of(recipe).predict(net, tested)
                found = {head: softmax(z).astype(np.float32) for head, z in logits.items()}
            stream = io.BytesIO()
            np.savez(stream, **found)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
            write_file(place / PREDICTIONS, stream.getvalue())
        for key, probabilities in found.items():
            predicted[key][test] = probabilities
    return predicted


def _choices(folder: Path, k: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return what the inner folds of each fold chose in words, if there were any, and epochs, if there is one net."""
    words: list[str] = []
    epochs: list[int] = []
    for number in range(k):
        path = folder / f"fold-{number}" / CHOICE
        if not path.is_file():
            return (), tuple(best_epoch(folder / f"fold-{number}" / "history.csv") for number in range(k))
        try:
            choice = json.loads(path.read_text("utf-8"))
            words.append(str(choice["in_words"]))
            epochs += [int(own["epochs"]) for own in choice["chosen"].values()]
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"cannot read {path}: {error}; remove its folder to test this fold again") from error
    return tuple(words), tuple(epochs) if len(epochs) == k else ()


def _inner_split(rest: Corpus, recipe: Recipe, way: str) -> tuple[Corpus, Corpus]:
    """Divide the rows of the other folds into those to learn from and those that choose the epoch."""
    parts = max(round(1 / recipe.validation_share), 2)
    if way in _BY_SUBJECT and len(np.unique(rest.group)) >= parts:
        chosen = _fold_ids(rest, parts, way, recipe.seed) == 0
    else:
        by = "subject" if way in _BY_SUBJECT else "random"
        chosen = splits.holdout_mask(rest.labels, rest.group, recipe.validation_share, by=by, seed=recipe.seed)
    return rest.take(~chosen), rest.take(chosen)


def _read_predictions(
    folder: Path, test: NDArray[np.bool_], corpus: Corpus, keys: Sequence[str]
) -> dict[str, NDArray[np.float32]] | None:
    """Return the predictions of a finished fold, or None where there are none for these rows."""
    path = folder / PREDICTIONS
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            predicted = {key: np.asarray(stored[key], dtype=np.float32) for key in keys}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read {path}: {error}; remove it to test this fold again") from error
    for key, values in predicted.items():
        if values.shape != (int(test.sum()), corpus.heads[key.partition("@")[0]]):
            raise InputError(f"{path} is of other folds: choose another folder, or remove it")
    return predicted


def _result(
    way: str,
    key: str,
    corpus: Corpus,
    fold: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    epochs: tuple[int, ...],
    choices: tuple[str, ...],
) -> FoldResult:
    head, _, net = key.partition("@")
    known = corpus.truth[head] >= 0
    truth, predicted = corpus.truth[head][known], probabilities[known].argmax(axis=1)
    group = corpus.group[known]
    right = truth == predicted
    sums = np.stack([right, np.ones(len(right))], axis=1)
    low, high = bootstrap_interval(sums, lambda total: total[:, 0] / total[:, 1], groups=group)
    uar_low, uar_high = bootstrap_interval(recall_sums(truth, predicted), uar_of_sums, groups=group)
    return FoldResult(
        way=way,
        head=head,
        n=len(truth),
        groups=len(np.unique(group)),
        accuracy=accuracy(truth, predicted),
        accuracy_low=low,
        accuracy_high=high,
        uar=uar(truth, predicted),
        uar_low=uar_low,
        uar_high=uar_high,
        chance=float(np.bincount(truth).max() / len(truth)),
        folds=tuple(float(right[fold[known] == number].mean()) for number in np.unique(fold[known])),
        epochs=() if net else epochs,
        subjects=_subjects(corpus, fold) if way in _BY_SUBJECT else (),
        net=net,
        choices=() if net else choices,
    )


def _title(result: FoldResult) -> str:
    return f"{result.way}, {result.net}" if result.net else result.way


def _write(folder: Path, recipe: Recipe, k: int, results: Sequence[FoldResult]) -> None:
    content = {"recipe": recipe.to_dict(), "k": k, "results": [result.to_dict() for result in results]}
    write_file(folder / "folds.json", json.dumps(content, indent=2) + "\n")
    lines = [
        f"# {recipe.name}: {k} folds of {recipe.dataset}",
        "",
        "Every row is tested once, by a network of its fold; 95 % bootstrap intervals over subjects (or over distinct",
        "images where the data names none). Only `subject` is honest; the other ways show what leaks add.",
        "",
        "| split | labels | rows | groups | accuracy | UAR | largest class |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_title(r)} | `{r.head}` | {r.n} | {r.groups} | {_percent(r.accuracy, r.accuracy_low, r.accuracy_high)} "
        f"| {_percent(r.uar, r.uar_low, r.uar_high)} | {100 * r.chance:.1f} % |"
        for r in results
    ]
    for r in results:
        lines += ["", *_fold_lines(r)]
    write_file(folder / "folds.md", "\n".join(lines) + "\n")


def _fold_lines(result: FoldResult) -> list[str]:
    lines = []
    for number, share in enumerate(result.folds):
        how = f", epoch {result.epochs[number]}" if result.epochs else ""
        how = f", chosen: {result.choices[number]}" if result.choices else how
        who = f", tested on {', '.join(result.subjects[number])}" if result.subjects else ""
        name = f"{_title(result)}, `{result.head}`, fold {number + 1}"
        lines.append(f"- {name}: accuracy {100 * share:.1f} %{how}{who}")
    return lines


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
