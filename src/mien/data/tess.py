"""TESS, the Toronto emotional speech set (Pichora-Fuller and Dupuis 2020)."""

from __future__ import annotations

import re
from pathlib import Path

from mien.data._sounds import Clip, Wrong, gather, split_of, stem_of
from mien.data.speech import ClipList
from mien.labels import FER7

__all__ = ["index"]

# One published file, OA_bite_neutral.wav, misses a letter.
_NAME = re.compile(r"(OA|YA)F?_([a-z']+)_([a-z]+)", re.IGNORECASE)
_EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",  # "pleasant surprise"
    "sad": "sadness",
}


def index(path: str | Path) -> ClipList:
    """List the recordings of a folder by TESS's file names (``OAF_back_angry.wav``).

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, with folders in it or without.

    Returns
    -------
    ClipList
        With `FER7`; the two speakers are ``"OAF"`` (aged 64) and ``"YAF"`` (26); statements are the words said.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no such name.

    References
    ----------
    Pichora-Fuller and Dupuis, "Toronto emotional speech set (TESS)", doi:10.5683/SP2/E8H2MF (CC BY-NC-ND 4.0).
    """
    return gather("tess", path, FER7, _tell)


def _tell(file: str) -> Clip:
    stem, method = stem_of(file)
    match = _NAME.fullmatch(stem)
    if match is None:
        raise Wrong("expected a name like OAF_back_angry (speaker, word, emotion)")
    speaker, word, emotion = (part.lower() for part in match.groups())
    if emotion not in _EMOTIONS:
        raise Wrong(f"expected an emotion of {', '.join(_EMOTIONS)}, but the name says {emotion}")
    return Clip(
        emotion=_EMOTIONS[emotion],
        clip=f"{speaker.upper()}F_{word}_{emotion}",
        subject=f"{speaker.upper()}F",
        sex="female",
        split=split_of(file),
        statement=word,
        method=method,
    )
