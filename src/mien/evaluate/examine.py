"""The steps of an examination: which rows, which answers, what the model looked at, and where the report goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.evaluate.answers import ALL, Answers
from mien.evaluate.folder import worst_rows
from mien.evaluate.paired import PairedResult, compare
from mien.face.analyzer import FaceAnalyzer
from mien.face.explain import choose_method, explain
from mien.output.draw import heat

__all__ = ["attention", "compare_all", "own_names", "take_clips", "take_split"]

TRAINING = ("Training", "training", "train")
"""What publishers call the rows to train on."""


def take_split(data: Samples, split: str | None) -> tuple[Samples, Samples | None]:
    """Return the rows to measure on and, where they are in the data and are not those rows themselves, Training's.

    Parameters
    ----------
    data : Samples
        All rows.
    split : str or None
        Which of the data's splits; ``"all"`` takes every row, and so does None where there are no splits, or just one.

    Returns
    -------
    rows : Samples
        Of one split; an empty name stands for all.
    training : Samples or None
        For finding copies.

    Raises
    ------
    DatasetError
        If there is no such split, or none was chosen of several.
    """
    names = data.split_names()
    if split == ALL and ALL not in names:
        return data.with_columns(split=np.full(len(data), "")), None
    if split is None:
        if len(names) > 1:
            shown = ", ".join(name or "(none)" for name in names)
            raise DatasetError(f"{data.source} has the splits {shown}: choose one of them, or all")
        return data, None
    apart = next((name for name in TRAINING if name in names and name != split), None)
    return data.split(split), None if apart is None else data.split(apart)


def take_clips(clips: Samples, split: str | None) -> tuple[Samples, str]:
    """Return the clips to measure on, and what to call them; as `take_split`.

    Raises
    ------
    DatasetError
        If there is no such split, or none was chosen of several.
    """
    names = list(dict.fromkeys(clips.splits.tolist()))
    if split == ALL and ALL not in names:
        return clips, ALL
    if split is not None:
        return clips.split(split), split
    if len(names) > 1:
        shown = ", ".join(name or "(none)" for name in names)
        raise DatasetError(f"{clips.source} has the splits {shown}: choose one of them, or all")
    return clips, (names[0] if names else "") or ALL


def attention(analyzer: FaceAnalyzer, answers: Answers) -> list[NDArray[np.uint8]]:
    """Return the worst mistakes with the class activation map of what was answered laid over them.

    Parameters
    ----------
    analyzer : FaceAnalyzer
        The model.
    answers : Answers
        Its answers.

    Returns
    -------
    list of numpy.ndarray
        uint8 (H, W, 3), RGB, in the order of `worst_rows`; none for models without such maps, which could be explained
        by hiding parts only, at some hundred answers an image.
    """
    rows = worst_rows(answers)
    if not len(rows) or choose_method(analyzer.spec) != "cam":
        return []
    maps = explain(analyzer, answers.rows.images[rows], output=answers.output.name, method="cam")
    return [heat(answers.rows.read(int(row)), one) for row, one in zip(rows, maps, strict=True)]


def compare_all(answered: Sequence[tuple[str, Answers]]) -> list[PairedResult]:
    """Compare models two by two on the same rows.

    Parameters
    ----------
    answered : sequence of (str, Answers)
        What to call each model, and its answers.
    """
    return [compare(a, b, names=(one, other)) for (one, a), (other, b) in combinations(answered, 2)]


def own_names(words: Sequence[str]) -> list[str]:
    """Return names that can be folders, each another: letters, digits and ``-_.`` of the words, numbered if equal."""
    found: list[str] = []
    for word in words:
        name = re.sub(r"[^\w.-]+", "-", word).strip("-.") or "report"
        same = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in found)
        found.append(name if not same else f"{name}-{same + 1}")
    return found
