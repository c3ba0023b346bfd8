"""EMO-DB, the Berlin database of emotional speech (Burkhardt et al. 2005)."""

from __future__ import annotations

import re
from pathlib import Path

from mien.data._sounds import Clip, Left, Wrong, gather, split_of, stem_of
from mien.data.speech import ClipList
from mien.labels import FER7

__all__ = ["index"]

_NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z])")

# The emotions' initials in German: Wut, Langeweile, Ekel, Angst, Freude, Trauer (http://emodb.bilderbar.info).
_EMOTIONS = {"W": "anger", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}
_BOREDOM = "L"
_MEN = frozenset({"03", "10", "11", "12", "15"})
_WOMEN = frozenset({"08", "09", "13", "14", "16"})


def index(path: str | Path) -> ClipList:
    """List the recordings of a folder by EMO-DB's file names (``03a01Fa.wav``).

    Boredom is none of mien's emotions: its recordings are left out and counted.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, with folders in it or without.

    Returns
    -------
    ClipList
        With `FER7`; speakers ``"03"`` to ``"16"``; statements are the texts' codes, such as ``"a01"``.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no such name.

    References
    ----------
    Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A database of German emotional speech", Interspeech 2005.
    """
    return gather("emodb", path, FER7, _tell)


def _tell(file: str) -> Clip:
    stem, method = stem_of(file)
    match = _NAME.fullmatch(stem)
    if match is None:
        raise Wrong("expected a name like 03a01Fa (speaker, text, emotion, version)")
    speaker, text, letter, _ = match.groups()
    if letter == _BOREDOM:
        raise Left("boredom, which is none of mien's emotions")
    if letter not in _EMOTIONS:
        raise Wrong(f"expected an emotion of {', '.join((*_EMOTIONS, _BOREDOM))}, but the name says {letter}")
    if speaker not in _MEN | _WOMEN:
        raise Wrong(f"expected a speaker of {', '.join(sorted(_MEN | _WOMEN))}, but the name says {speaker}")
    return Clip(
        emotion=_EMOTIONS[letter],
        clip=stem,
        subject=speaker,
        sex="male" if speaker in _MEN else "female",
        split=split_of(file),
        statement=text,
        method=method,
    )
