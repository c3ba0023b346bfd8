"""SAVEE, Surrey audio-visual expressed emotion (Haq and Jackson 2009)."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mien.data._sounds import Clip, Wrong, gather, split_of, stem_of
from mien.data.speech import ClipList
from mien.labels import FER7

__all__ = ["index"]

_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d)", re.IGNORECASE)
_SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def index(path: str | Path) -> ClipList:
    """List the recordings of a folder by SAVEE's file names (``DC_a01.wav``, or ``DC/a01.wav``).

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.

    Returns
    -------
    ClipList
        With `FER7`; the four speakers, all men, are ``"DC"``, ``"JE"``, ``"JK"`` and ``"KL"``.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no such name.

    References
    ----------
    Haq and Jackson, "Speaker-dependent audio-visual emotion recognition", AVSP 2009; http://kahlan.eps.surrey.ac.uk.
    """
    return gather("savee", path, FER7, _tell)


def _tell(file: str) -> Clip:
    stem, method = stem_of(file)
    match = _NAME.fullmatch(stem)
    if match is None:
        raise Wrong("expected a name like DC_a01 (speaker, emotion, number)")
    speaker, letters, number = match.groups()
    speaker = (speaker or PurePosixPath(file).parent.name).upper()
    if speaker not in _SPEAKERS:
        raise Wrong(f"expected a speaker of {', '.join(_SPEAKERS)}, before the name or as its folder")
    return Clip(
        emotion=_EMOTIONS[letters.lower()],
        clip=f"{speaker}_{letters.lower()}{number}",
        subject=speaker,
        sex="male",
        split=split_of(file),
        method=method,
    )
