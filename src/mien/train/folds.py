"""Cross-validation with a fresh net for every fold, and the ways in which it is often done wrong.

Recipes with inner folds choose their settings anew within each fold (see `mien.train.nested`).

``subject`` is the honest way: folds share no subject, no clip and no copy of an image, and the rows that choose the
epoch come from other groups than the rows that are tested.  The other ways exist to measure what they add to a result:
``random`` deals rows out whatever they show, ``copies`` deals out augmented copies as if they were new images, and
``continued`` goes on training one net over all folds, so that it has learned from every row it is tested on but those
of the first fold.
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
from mien.train.corpus import Rows
from mien.train.export import write_file
from mien.train.folder import claim
from mien.train.history import best_epoch
from mien.train.kinds import Kind, kind_of
from mien.train.nested import CHOICE, member_recipes, settle
from mien.train.nets import EmotionNet
from mien.train.recipe import Recipe
from mien.train.run import RunOptions, fit
from mien.train.speech_corpus import SpeechCorpus
from mien.train.speech_folds import write_speech_folds
from mien.train.video_corpus import VideoCorpus
from mien.train.video_folds import write_video_folds

__all__ = ["WAYS", "FoldResult", "train_folds"]

WAYS = ("subject", "random", "copies", "continued")
"""How rows are dealt into folds; see the top of this module."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What all folds of one way gave together, for one head.

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
        Of recipes with members: which of them answers, empty for all together.
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
    """Train and test a net for every fold; finished folds in the folder are not repeated.

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
        Of recordings, also measure the answers of each fold's net in noise.
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
    if noise and not recipe.is_speech:
        what = "clips" if recipe.is_video else "faces"
        raise InputError(f"recipe {recipe.name!r} is for {what}: only recordings are measured in noise")
    if recipe.members and "continued" in ways:
        raise InputError(f"recipe {recipe.name!r} has members: give each of them the way 'continued' alone")
    folder = Path(out)
    claim(folder, recipe)
    report(f"reading {data}")
    kind = kind_of(recipe)
    corpus = kind.load(recipe, data, votes=labels)
    results: list[FoldResult] = []
    for way in ways:
        rows, own = kind.with_copies(corpus, recipe) if way == "copies" else (corpus, recipe)
        fold = _dealt(kind, rows, k, way, recipe.seed)
        where = folder / f"{way}-{k}"
        _tell(rows, fold, way, report)
        answers = _tested(kind, own, rows, fold, way, where, options or RunOptions(), report, only=only)
        if only:
            continue
        choices, epochs = _choices(where, k)
        made = [_result(way, key, rows, fold, values, epochs, choices) for key, values in answers.items()]
        for result in made:
            report(f"{_called(result)} {result.head}: accuracy {result.accuracy:.4f}, UAR {result.uar:.4f}")
        if way == "subject" and isinstance(rows, SpeechCorpus):
            write_speech_folds(where, recipe, rows, fold, answers, noise=noise, report=report)
        if isinstance(rows, VideoCorpus):
            write_video_folds(where, recipe, rows, fold, answers, way=way, choices=choices, report=report)
        results += made
    if results:
        _write(folder, recipe, k, results)
    return tuple(results)


def _tell(corpus: Rows, fold: NDArray[np.int64], way: str, report: Callable[[str], object]) -> None:
    for number, names in enumerate(_subjects(corpus, fold)):
        if way in ("subject", "continued"):
            report(f"{way}, fold {number + 1}: {len(names)} subjects: {', '.join(names)}")


def _subjects(corpus: Rows, fold: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
    if corpus.subjects is None:
        return ()
    return tuple(tuple(sorted(set(corpus.subjects[fold == number].tolist()))) for number in np.unique(fold))


def _dealt(kind: Kind[Any, Any], corpus: Rows, k: int, way: str, seed: int) -> NDArray[np.int64]:
    if way in ("subject", "continued"):
        return kind.dealt(corpus, k, seed)
    return splits.fold_ids(_labels(corpus), corpus.group, k, by="random", seed=seed)


def _labels(corpus: Rows) -> NDArray[np.int64]:
    return next(iter(corpus.truth.values()))


def _tested(
    kind: Kind[Any, Any],
    recipe: Recipe,
    corpus: Rows,
    fold: NDArray[np.int64],
    way: str,
    folder: Path,
    options: RunOptions,
    report: Callable[[str], object],
    *,
    only: Sequence[int],
) -> dict[str, NDArray[np.float32]]:
    """Return, by head, the probabilities of all rows, each from the net of its own fold.

    Of recipes with members also, by head, ``@`` and member, those of each member alone.
    """
    keys = _keys(recipe, corpus)
    answers = {key: np.zeros((len(corpus), corpus.heads[key.partition("@")[0]]), np.float32) for key in keys}
    net: EmotionNet | None = None
    for number in range(int(fold.max()) + 1):
        if only and number + 1 not in only:
            continue
        place = folder / f"fold-{number}"
        test = fold == number
        done = _read_answers(place, test, corpus, keys)
        if done is None or way == "continued":
            report(f"{way}, fold {number + 1} of {int(fold.max()) + 1}: {int(test.sum())} rows to be tested")
            rest, tested = corpus.take(~test), corpus.take(test)
            if recipe.inner_folds and way != "continued":
                done = _nested(kind, recipe, rest, tested, way, _made(place), options, report)
            else:
                training, validation = _inner(kind, rest, recipe, way)
                start = net if way == "continued" else None
                net = fit(recipe, training, validation, _made(place), options=options, start=start, report=report)
                if net is None:
                    raise InputError("folds cannot be stopped early")
                done = {head: softmax(z).astype(np.float32) for head, z in kind.answered(net, tested).items()}
            _keep(place, done)
        for key, values in done.items():
            answers[key][test] = values
    return answers


def _keys(recipe: Recipe, corpus: Rows) -> list[str]:
    names = member_recipes(recipe) if recipe.members else ()
    members = [f"{head}@{name}" for name in names for head in corpus.heads]
    return [*corpus.heads, *members]


def _nested(
    kind: Kind[Any, Any],
    recipe: Recipe,
    rest: Rows,
    tested: Rows,
    way: str,
    folder: Path,
    options: RunOptions,
    report: Callable[[str], object],
) -> dict[str, NDArray[np.float32]]:
    """Choose on inner folds of the rest, train on all of it, and answer to the tested rows."""
    by = "subject" if way == "subject" else "random"
    settled = settle(kind, recipe, rest, folder, by=by, options=options, report=report)
    together, apart = settled.answers(kind, tested)
    return together | {f"{head}@{name}": values for name, own in apart.items() for head, values in own.items()}


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


def _inner(kind: Kind[Any, Any], rest: Rows, recipe: Recipe, way: str) -> tuple[Rows, Rows]:
    """Divide the rows of the other folds into those to learn from and those that choose the epoch."""
    parts = max(round(1 / recipe.validation_share), 2)
    if way in ("subject", "continued") and len(np.unique(rest.group)) >= parts:
        chosen = kind.dealt(rest, parts, recipe.seed) == 0
    else:
        by = "subject" if way in ("subject", "continued") else "random"
        chosen = splits.holdout_mask(_labels(rest), rest.group, recipe.validation_share, by=by, seed=recipe.seed)
    return rest.take(~chosen), rest.take(chosen)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder


def _keep(folder: Path, answers: dict[str, NDArray[np.float32]]) -> None:
    stream = io.BytesIO()
    arrays: dict[str, Any] = dict(answers)
    np.savez(stream, **arrays)
    write_file(folder / "test.npz", stream.getvalue())


def _read_answers(
    folder: Path, test: NDArray[np.bool_], corpus: Rows, keys: Sequence[str]
) -> dict[str, NDArray[np.float32]] | None:
    """Return the kept answers of a finished fold, or None where there are none for these rows."""
    path = folder / "test.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            answers = {key: np.asarray(stored[key], dtype=np.float32) for key in keys}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read {path}: {error}; remove it to test this fold again") from error
    for key, values in answers.items():
        if values.shape != (int(test.sum()), corpus.heads[key.partition("@")[0]]):
            raise InputError(f"{path} is of other folds: choose another folder, or remove it")
    return answers


def _result(
    way: str,
    key: str,
    corpus: Rows,
    fold: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    epochs: tuple[int, ...],
    choices: tuple[str, ...],
) -> FoldResult:
    head, _, net = key.partition("@")
    known = corpus.truth[head] >= 0
    truth, answers = corpus.truth[head][known], probabilities[known].argmax(axis=1)
    fold_of_all, group, fold = fold, corpus.group[known], fold[known]
    right = truth == answers
    sums = np.stack([right, np.ones(len(right))], axis=1)
    low, high = bootstrap_interval(sums, lambda total: total[:, 0] / total[:, 1], groups=group)
    uar_low, uar_high = bootstrap_interval(recall_sums(truth, answers), uar_of_sums, groups=group)
    return FoldResult(
        way=way,
        head=head,
        n=len(truth),
        groups=len(np.unique(group)),
        accuracy=accuracy(truth, answers),
        accuracy_low=low,
        accuracy_high=high,
        uar=uar(truth, answers),
        uar_low=uar_low,
        uar_high=uar_high,
        chance=float(np.bincount(truth).max() / len(truth)),
        folds=tuple(float(right[fold == number].mean()) for number in np.unique(fold)),
        epochs=() if net else epochs,
        subjects=_subjects(corpus, fold_of_all) if way in ("subject", "continued") else (),
        net=net,
        choices=() if net else choices,
    )


def _called(result: FoldResult) -> str:
    return f"{result.way}, {result.net}" if result.net else result.way


def _write(folder: Path, recipe: Recipe, k: int, results: Sequence[FoldResult]) -> None:
    content = {"recipe": recipe.to_dict(), "k": k, "results": [result.to_dict() for result in results]}
    write_file(folder / "folds.json", json.dumps(content, indent=2).encode() + b"\n")
    lines = [
        f"# {recipe.name}: {k} folds of {recipe.dataset}",
        "",
        "Every row is tested once, by a net of its fold; 95 % bootstrap intervals over subjects (or over distinct",
        "images where the data names none). Only `subject` is honest; the other ways show what leaks add.",
        "",
        "| split | labels | rows | groups | accuracy | UAR | largest class |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_called(r)} | `{r.head}` | {r.n} | {r.groups} | {_percent(r.accuracy, r.accuracy_low, r.accuracy_high)} "
        f"| {_percent(r.uar, r.uar_low, r.uar_high)} | {100 * r.chance:.1f} % |"
        for r in results
    ]
    for r in results:
        lines += ["", *_fold_lines(r)]
    write_file(folder / "folds.md", ("\n".join(lines) + "\n").encode())


def _fold_lines(result: FoldResult) -> list[str]:
    lines = []
    for number, share in enumerate(result.folds):
        how = f", epoch {result.epochs[number]}" if result.epochs else ""
        how = f", chosen: {result.choices[number]}" if result.choices else how
        who = f", tested on {', '.join(result.subjects[number])}" if result.subjects else ""
        name = f"{_called(result)}, `{result.head}`, fold {number + 1}"
        lines.append(f"- {name}: accuracy {100 * share:.1f} %{how}{who}")
    return lines


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
