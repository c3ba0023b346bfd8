"""Cross-validation with a fresh net for every fold, and the ways in which it is often done wrong.

``subject`` is the honest way: folds share no subject, no clip and no copy of a picture, and the rows that choose the
epoch come from other groups than the rows that are tested.  The other ways exist to measure what they add to a result:
``random`` deals rows out whatever they show, ``copies`` deals out augmented copies as if they were new pictures, and
``continued`` goes on training one net over all folds, so that it has learnt from every row it is tested on but those of
the first fold.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.datasets import splits
from mien.errors import DatasetError, InputError
from mien.metrics import accuracy, bootstrap_interval, uar
from mien.metrics.bootstrap import recall_sums, uar_of_sums
from mien.training.augment import Augmentation
from mien.training.corpus import Corpus, fitted, load_all
from mien.training.export import write_file
from mien.training.folder import claim
from mien.training.nets import FaceNet
from mien.training.recipe import Recipe
from mien.training.run import RunOptions, fit

__all__ = ["COPIES", "WAYS", "FoldResult", "train_folds"]

WAYS = ("subject", "random", "copies", "continued")
"""How rows are dealt into folds; see the top of this module."""

COPIES = 2
"""Augmented copies of each picture in the way ``copies``."""


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
        Subjects (or clips, or pictures with all their copies) among them.
    accuracy, accuracy_low, accuracy_high, uar, uar_low, uar_high : float
        Over all rows, with 95 % bootstrap intervals over groups.
    chance : float
        Share of the largest class.
    folds : tuple of float
        Accuracy of each fold.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"folds": list(self.folds)}


def train_folds(
    recipe: Recipe,
    *,
    data: str | Path,
    out: str | Path,
    k: int = 5,
    ways: Sequence[str] = ("subject",),
    labels: str | Path | None = None,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> tuple[FoldResult, ...]:
    """Train and test a net for every fold; finished folds in the folder are not repeated.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data, labels
        See `mien.training.run.train`.
    out : str or pathlib.Path
        Gets a folder for every way and fold, ``folds.json`` and ``folds.md``.
    k : int
        Number of folds.
    ways : sequence of str
        Which of `WAYS`.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    tuple of FoldResult
        For every way and head.

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
    folder = Path(out)
    claim(folder, recipe)
    report(f"reading {data}")
    corpus = load_all(recipe, data, votes=labels)
    results: list[FoldResult] = []
    for way in ways:
        rows = _with_copies(corpus, recipe.augmentation, recipe.seed) if way == "copies" else corpus
        fold = _dealt(rows, k, way, recipe.seed)
        answers = _tested(recipe, rows, fold, way, folder / f"{way}-{k}", options or RunOptions(), report)
        results += [_result(way, head, rows, fold, values) for head, values in answers.items()]
        for result in results[-len(answers) :]:
            report(f"{way} {result.head}: accuracy {result.accuracy:.4f}, UAR {result.uar:.4f}")
    _write(folder, recipe, k, results)
    return tuple(results)


def _dealt(corpus: Corpus, k: int, way: str, seed: int) -> NDArray[np.int64]:
    by = "subject" if way in ("subject", "continued") else "random"
    return splits.folds(_labels(corpus), corpus.group, k, by=by, seed=seed)


def _labels(corpus: Corpus) -> NDArray[np.int64]:
    return next(iter(corpus.truth.values()))


def _with_copies(corpus: Corpus, augmentation: Augmentation, seed: int) -> Corpus:
    """Return a corpus with augmented copies of all its pictures behind them, in the groups of their originals."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.from_numpy(corpus.images).unsqueeze(1).to(torch.float32)
    made = [
        augmentation(part, generator).round().clamp(0, 255).to(torch.uint8).squeeze(1).numpy()
        for _ in range(COPIES)
        for part in torch.split(grey, 1024)
    ]
    every = corpus.take(np.tile(np.arange(len(corpus)), 1 + COPIES))
    return replace(every, images=np.concatenate([corpus.images, *made]))


def _tested(
    recipe: Recipe,
    corpus: Corpus,
    fold: NDArray[np.int64],
    way: str,
    folder: Path,
    options: RunOptions,
    report: Callable[[str], object],
) -> dict[str, NDArray[np.float32]]:
    """Return, by head, the probabilities of all rows, each from the net of its own fold."""
    answers = {head: np.zeros((len(corpus), classes), np.float32) for head, classes in corpus.heads.items()}
    net: FaceNet | None = None
    for number in range(int(fold.max()) + 1):
        place = folder / f"fold-{number}"
        test = fold == number
        done = _read_answers(place, test, corpus)
        if done is None or way == "continued":
            report(f"{way}, fold {number + 1} of {int(fold.max()) + 1}: {int(test.sum())} rows to be tested")
            training, validation = _inner(corpus.take(~test), recipe, way)
            net = fit(
                recipe,
                training,
                validation,
                _made(place),
                options=options,
                start=net if way == "continued" else None,
                report=report,
            )
            if net is None:
                raise InputError("folds cannot be stopped early")
            done = _answered(net, corpus.images[test])
            _keep(place, done)
        for head, values in done.items():
            answers[head][test] = values
    return answers


def _inner(rest: Corpus, recipe: Recipe, way: str) -> tuple[Corpus, Corpus]:
    """Divide the rows of the other folds into those to learn from and those that choose the epoch."""
    by = "subject" if way in ("subject", "continued") else "random"
    chosen = splits.holdout(_labels(rest), rest.group, recipe.validation_share, by=by, seed=recipe.seed)
    return rest.take(~chosen), rest.take(chosen)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder


def _answered(net: FaceNet, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in _batches(fitted(images, net.size)):
        with torch.no_grad():
            logits = net(torch.from_numpy(batch).unsqueeze(1).to(torch.float32))
        for head, values in logits.items():
            parts.setdefault(head, []).append(values.float().softmax(dim=1).numpy())
    return {head: np.concatenate(values) for head, values in parts.items()}


def _batches(images: NDArray[np.uint8], size: int = 256) -> Iterator[NDArray[np.uint8]]:
    for begin in range(0, len(images), size):
        yield images[begin : begin + size]


def _keep(folder: Path, answers: dict[str, NDArray[np.float32]]) -> None:
    stream = io.BytesIO()
    arrays: dict[str, Any] = dict(answers)
    np.savez(stream, **arrays)
    write_file(folder / "test.npz", stream.getvalue())


def _read_answers(folder: Path, test: NDArray[np.bool_], corpus: Corpus) -> dict[str, NDArray[np.float32]] | None:
    """Return the kept answers of a finished fold, or None where there are none for these rows."""
    path = folder / "test.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            answers = {head: np.asarray(stored[head], dtype=np.float32) for head in corpus.heads}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read {path}: {error}; remove it to test this fold again") from error
    for head, values in answers.items():
        if values.shape != (int(test.sum()), corpus.heads[head]):
            raise InputError(f"{path} is of other folds: choose another folder, or remove it")
    return answers


def _result(
    way: str, head: str, corpus: Corpus, fold: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> FoldResult:
    known = corpus.truth[head] >= 0
    truth, answers = corpus.truth[head][known], probabilities[known].argmax(axis=1)
    group, fold = corpus.group[known], fold[known]
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
    )


def _write(folder: Path, recipe: Recipe, k: int, results: Sequence[FoldResult]) -> None:
    content = {"recipe": recipe.to_dict(), "k": k, "results": [result.to_dict() for result in results]}
    write_file(folder / "folds.json", json.dumps(content, indent=2).encode() + b"\n")
    lines = [
        f"# {recipe.name}: {k} folds of {recipe.dataset}",
        "",
        "Every row is tested once, by a net of its fold; 95 % bootstrap intervals over subjects (or over distinct",
        "pictures where the data names none). Only `subject` is honest; the other ways show what leaks add.",
        "",
        "| split | labels | rows | groups | accuracy | UAR | largest class |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.way} | `{r.head}` | {r.n} | {r.groups} | {_percent(r.accuracy, r.accuracy_low, r.accuracy_high)} "
        f"| {_percent(r.uar, r.uar_low, r.uar_high)} | {100 * r.chance:.1f} % |"
        for r in results
    ]
    write_file(folder / "folds.md", ("\n".join(lines) + "\n").encode())


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
