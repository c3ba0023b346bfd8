"""CREMA-D, the crowd-sourced emotional multimodal actors dataset (Cao et al. 2014)."""

from __future__ import annotations

import re
from pathlib import Path

from mien.data._sounds import Clip, Wrong, gather, split_of, stem_of
from mien.data.speech import ClipList
from mien.labels import FER7

__all__ = ["index"]

_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
_EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"}
_SENTENCES = frozenset(["IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"])
# One published file, 1040_ITH_SAD_X, ends in a single X.
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}
_FIRST_ACTOR, _LAST_ACTOR = 1001, 1091


def index(path: str | Path) -> ClipList:
    """List the recordings of a folder by CREMA-D's file names (``1001_DFA_ANG_XX.wav``).

    The actors' sex stands in a table apart (``VideoDemographics.csv``), not in the names, so it stays empty.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, such as ``AudioWAV``.

    Returns
    -------
    ClipList
        With `FER7`; speakers ``"1001"`` to ``"1091"``; statements are the sentences' codes, such as ``"DFA"``.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no such name.

    References
    ----------
    Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D: crowd-sourced emotional multimodal actors dataset", IEEE
    Transactions on Affective Computing 5 (2014); https://github.com/CheyneyComputerScience/CREMA-D (ODbL).
    """
    return gather("crema_d", path, FER7, _tell)


def _tell(file: str) -> Clip:
    stem, method = stem_of(file)
    match = _NAME.fullmatch(stem.upper())
    if match is None:
        raise Wrong("expected a name like 1001_DFA_ANG_XX (actor, sentence, emotion, intensity)")
    actor, sentence, emotion, intensity = match.groups()
    if not _FIRST_ACTOR <= int(actor) <= _LAST_ACTOR:
        raise Wrong(f"expected an actor from {_FIRST_ACTOR} to {_LAST_ACTOR}, but the name says {actor}")
    for what, code, known in (
        ("a sentence", sentence, _SENTENCES),
        ("an emotion", emotion, _EMOTIONS),
        ("an intensity", intensity, _INTENSITIES),
    ):
        if code not in known:
            raise Wrong(f"expected {what} of {', '.join(sorted(known))}, but the name says {code}")
    return Clip(
        emotion=_EMOTIONS[emotion],
        clip=stem.upper(),
        subject=actor,
        split=split_of(file),
        intensity=_INTENSITIES[intensity],
        statement=sentence,
        method=method,
    )
