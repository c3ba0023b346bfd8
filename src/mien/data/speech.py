"""Corpora of speech: the list of their clips, found by name, and folds over their speakers.

They have a registry of their own, because they yield `ClipList` where data sets of faces yield `FaceData`.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.base import ImageList
from mien.data.splits import groups
from mien.errors import DatasetError, InputError, MienError
from mien.io.audio import read_audio
from mien.labels import LabelSet

__all__ = ["SPEECH_DATASETS", "ClipList", "folds", "joined", "load_index"]

SPEECH_DATASETS: dict[str, str] = {
    "ravdess": "RAVDESS (Livingstone and Russo 2018): 24 actors, two statements, eight emotions",
    "emodb": "EMO-DB (Burkhardt et al. 2005): ten German speakers, six of mien's emotions",
    "crema_d": "CREMA-D (Cao et al. 2014): 91 actors, twelve sentences, six emotions",
    "tess": "TESS (Pichora-Fuller and Dupuis 2020): two women, 200 words, seven emotions",
    "savee": "SAVEE (Haq and Jackson 2009): four men, seven emotions",
    "speech_folder": "Any folder: <split>/<emotion>/file, <emotion>/file, or a manifest.csv",
}
"""The corpora with one line on each; each is the module of that name in `mien.data`."""

_TEXT = ("subjects", "sexes", "clips", "splits", "intensities", "statements", "methods")


@dataclass(frozen=True, slots=True)
class ClipList:
    """Recordings in files with labels, not yet read.

    Parameters
    ----------
    name : str
        Name of the corpus, such as ``"ravdess"``.
    source : str
        The folder.
    files : tuple of str
        Paths relative to ``source``, sorted, or in the order of a manifest.
    labels : numpy.ndarray
        int64 of shape (n,): index into ``label_set``, or -1 for none.
    label_set : LabelSet
        The emotions that the labels index.
    subjects, sexes : numpy.ndarray
        str of shape (n,): who speaks, and ``"male"`` or ``"female"``; empty where not known.
    clips : numpy.ndarray
        str of shape (n,): the original recording.  Copies of any kind (another modality, changed speed, pitch or
        noise) carry their original's, so that who splits by clip cannot separate them.
    splits, intensities, statements : numpy.ndarray
        str of shape (n,); empty where not known.
    methods : numpy.ndarray
        str of shape (n,): how a copy was made, such as ``"stretch0.81"``; empty for originals.
    problems : tuple of str
        One line for every file that is missing or wrong, and for every kind that was left out.
    """

    name: str
    source: str
    files: tuple[str, ...]
    labels: NDArray[np.int64]
    label_set: LabelSet
    subjects: NDArray[np.str_]
    sexes: NDArray[np.str_]
    clips: NDArray[np.str_]
    splits: NDArray[np.str_]
    intensities: NDArray[np.str_]
    statements: NDArray[np.str_]
    methods: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.methods):
            object.__setattr__(self, "methods", np.full(len(self.files), ""))
        for part in ("labels", *_TEXT):
            if len(getattr(self, part)) != len(self.files):
                raise DatasetError(f"{self.name}: {len(self.files)} files, but {len(getattr(self, part))} {part}")

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: NDArray[Any]) -> ClipList:
        """Return the clips that a boolean mask or an index array selects."""
        chosen = np.arange(len(self))[index]
        parts = {name: getattr(self, name)[chosen] for name in ("labels", *_TEXT)}
        return replace(self, files=tuple(self.files[i] for i in chosen), **parts)

    def split(self, name: str) -> ClipList:
        """Return the clips of one split.

        Raises
        ------
        DatasetError
            If no clip is of that split; the message names those present.
        """
        mask = self.splits == name
        if not mask.any():
            present = ", ".join(dict.fromkeys(self.splits.tolist()))
            raise DatasetError(f"{self.source} has no split {name!r}: it has {present or 'none'}")
        return self.take(mask)

    def where(self, index: int) -> str:
        """Return the path of a clip."""
        return str(Path(self.source) / self.files[index])

    def read(self, index: int, rate_hz: int | None = None) -> NDArray[np.float32]:
        """Return one clip as float32 (n,) mono in [-1, 1].

        Parameters
        ----------
        index : int
            Which.
        rate_hz : int, optional
            Rate to resample to; by default the file's own.

        Raises
        ------
        DatasetError
            If it cannot be read, or is empty; the message names the file.
        """
        try:
            wave = read_audio(self.where(index), rate_hz=rate_hz).wave
        except MienError as error:
            raise DatasetError(f"{self.where(index)}: {error}") from error
        if not len(wave):
            raise DatasetError(f"{self.where(index)}: expected sound, but it holds none")
        return wave


def load_index(name: str, path: str | Path, **options: Any) -> ClipList:
    """List the clips of a corpus, without reading them.

    Parameters
    ----------
    name : str
        One of `SPEECH_DATASETS`.
    path : str or pathlib.Path
        Its folder, as published.
    **options : object
        What the corpus takes; see the ``index`` of its module.

    Raises
    ------
    InputError
        If there is no such corpus, or it does not take an option.
    DatasetError
        If the folder is missing, or no clip of the corpus is in it.
    """
    if name not in SPEECH_DATASETS:
        raise InputError(f"unknown speech corpus {name!r}: expected one of {', '.join(SPEECH_DATASETS)}")
    function = importlib.import_module(f"mien.data.{name}").index
    taken = [key for key in inspect.signature(function).parameters if key != "path"]
    for key in options:
        if key not in taken:
            raise InputError(f"speech corpus {name!r} has no option {key!r}: it takes {', '.join(taken) or 'none'}")
    return cast(ClipList, function(path, **options))


def joined(first: ClipList, second: ClipList) -> ClipList:
    """Return two lists as one, such as a corpus and a folder of changed copies of it.

    Raises
    ------
    DatasetError
        If their label sets differ.
    """
    if first.label_set != second.label_set:
        raise DatasetError(f"cannot join {first.label_set.name} of {first.source} and {second.label_set.name}")
    roots = [Path(part.source).absolute() for part in (first, second)]
    root = Path(os.path.commonpath(roots))
    files = [
        (base / file).relative_to(root).as_posix()
        for base, part in zip(roots, (first, second), strict=True)
        for file in part.files
    ]
    name = first.name if first.name == second.name else f"{first.name}+{second.name}"
    parts: dict[str, Any] = {
        key: np.concatenate([getattr(first, key), getattr(second, key)]) for key in ("labels", *_TEXT)
    }
    problems = first.problems + second.problems
    return replace(first, name=name, source=str(root), files=tuple(files), problems=problems, **parts)


def folds(clips: ClipList, k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Deal speakers into folds: whole speakers, the sexes spread evenly.

    Speakers of each sex are shuffled and dealt in turn; what does not come out even goes on where the dealing stopped,
    so that folds differ by one speaker at most, and by one of either sex.  20 actors of RAVDESS in five folds are two
    women and two men each.  Clips without a known speaker are dealt one by one, emotion by emotion, each with all its
    copies.

    Parameters
    ----------
    clips : ClipList
        Rows that share a speaker or an original recording, directly or through others, stay together.
    k : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffling; the same clips and seed give the same folds.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,): fold of each row.

    Raises
    ------
    DatasetError
        If there are fewer speakers than folds.
    """
    count = check_integer(k, "k", low=2)
    # `groups` looks at length, subjects and clips only, which both kinds of lists have.
    unit = groups(cast(ImageList, clips))
    first = np.unique(unit, return_index=True)[1]
    if len(first) < count:
        what = "speakers" if (clips.subjects != "").any() else "recordings"
        raise DatasetError(f"{count} folds need at least {count} {what}, but {clips.source} has {len(first)}")
    strata: defaultdict[tuple[str, int], list[tuple[str, str, int]]] = defaultdict(list)
    for number, row in enumerate(first.tolist()):
        subject = str(clips.subjects[row])
        label = -1 if subject else int(clips.labels[row])
        # Sorted by name, not by place in the list: filters and the order of files do not change who is dealt where.
        strata[str(clips.sexes[row]), label].append((subject, str(clips.clips[row]), number))
    rng = np.random.default_rng(seed)
    fold_of = np.empty(len(first), dtype=np.int64)
    dealt = 0
    for key in sorted(strata):
        members = sorted(strata[key])
        for place in rng.permutation(len(members)).tolist():
            fold_of[members[place][2]] = dealt % count
            dealt += 1
    return fold_of[unit]
