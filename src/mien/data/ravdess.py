"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone and Russo 2018)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from mien.data._sounds import Clip, Left, Wrong, gather, split_of, stem_of
from mien.data.speech import ClipList
from mien.errors import InputError
from mien.io.paths import format_path
from mien.labels import RAVDESS8, canonical

__all__ = ["index"]

# The seven fields may stand anywhere in the name: copies that others made put words before or behind them.
_NAME = re.compile(r"(?<![0-9])(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)(?![0-9])")
_FOLDER = re.compile(r"actor[_ -]?(\d+)", re.IGNORECASE)

# doi:10.1371/journal.pone.0196391, table 1; https://zenodo.org/records/1188976
_MODALITIES = {"01": "full-av", "02": "video", "03": "audio"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {"01": "kids", "02": "dogs"}
_REPETITIONS = {"01": "1", "02": "2"}
_ACTORS = 24


def index(
    path: str | Path,
    *,
    statement: int | str | None = None,
    intensity: int | str | None = None,
    repetition: int | str | None = None,
    channel: str | None = "speech",
    modality: str | None = None,
) -> ClipList:
    """List the recordings of a folder by RAVDESS's file names.

    Takes the published tree (``Actor_12/03-01-05-02-01-01-12.wav``), any other folders of such names, and system A's
    tree ``train|test/<emotion>/<name>``, whose first folder becomes the split.  There, a name that is not RAVDESS's is
    taken by its folder, without a speaker.  The original recording (``clips``) is the name without its first field,
    because the same recording is published with and without its image; copies with words added to the name keep it.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    statement : {1, 2, "kids", "dogs"}, optional
        Only this one ("Kids are talking by the door", "Dogs are sitting by the door").
    intensity : {1, 2, "normal", "strong"}, optional
        Only this one.
    repetition : {1, 2}, optional
        Only this one.
    channel : {"speech", "song"}, optional
        Only this one; None takes both.
    modality : {"audio", "full-av"}, optional
        Only files with this; by default both.  Files of images alone are left out and counted.

    Returns
    -------
    ClipList
        With `RAVDESS8`; speakers ``"01"`` to ``"24"``, odd ones are men.

    Raises
    ------
    InputError
        If a filter is none of the above.
    DatasetError
        If the folder is missing, or nothing in it passes.

    References
    ----------
    Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13
    (2018), doi:10.1371/journal.pone.0196391.
    """
    wanted = {
        "modality": _wanted("modality", modality, {k: v for k, v in _MODALITIES.items() if v != "video"}),
        "channel": _wanted("channel", channel, _CHANNELS),
        "intensity": _wanted("intensity", intensity, _INTENSITIES),
        "statement": _wanted("statement", statement, _STATEMENTS),
        "repetition": _wanted("repetition", repetition, _REPETITIONS),
    }
    return gather("ravdess", path, RAVDESS8, partial(_tell, wanted=wanted))


def _wanted(name: str, value: int | str | None, codes: Mapping[str, str]) -> str | None:
    """Return what the filter lets pass, in words."""
    if value is None:
        return None
    text = str(value).strip().lower()
    for code, word in codes.items():
        if text in (word, code, code.lstrip("0")):
            return word
    raise InputError(f"{name} must be {' or '.join(codes.values())}, but got {value!r}")


def _tell(file: str, *, wanted: Mapping[str, str | None]) -> Clip | None:
    stem, method = stem_of(file)
    match = _NAME.search(stem)
    if match is None:
        return _by_folder(file, stem, method, wanted)
    fields = _fields(match)
    if fields["modality"] == "video":
        raise Left("videos without sound (first field 02)")
    for name, value in wanted.items():
        if value is not None and fields[name] != value:
            if name == "channel" and value == "speech":
                raise Left("songs (channel='song' takes them)")
            return None
    _agree(file, fields)
    return Clip(
        emotion=fields["emotion"],
        clip="-".join(match.groups()[1:]),
        subject=fields["actor"],
        sex="male" if int(fields["actor"]) % 2 else "female",
        split=split_of(file),
        intensity=fields["intensity"],
        statement=fields["statement"],
        method=method or (stem[: match.start()] + stem[match.end() :]).strip("_-. "),
    )


def _fields(match: re.Match[str]) -> dict[str, str]:
    """Return what the seven codes mean."""
    modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
    emotions = {f"{code:02}": word for code, word in enumerate(RAVDESS8.emotions, 1)}
    tables = {
        "modality": (modality, _MODALITIES),
        "channel": (channel, _CHANNELS),
        "emotion": (emotion, emotions),
        "intensity": (intensity, _INTENSITIES),
        "statement": (statement, _STATEMENTS),
        "repetition": (repetition, _REPETITIONS),
        "actor": (actor, {f"{n:02}": f"{n:02}" for n in range(1, _ACTORS + 1)}),
    }
    for name, (code, table) in tables.items():
        if code not in table:
            raise Wrong(f"{name} must be from {min(table)} to {max(table)}, but the name says {code}")
    if (emotion, intensity) == ("01", "02"):
        raise Wrong("the name says strong neutral, which RAVDESS does not have")
    return {name: table[code] for name, (code, table) in tables.items()}


def _agree(file: str, fields: Mapping[str, str]) -> None:
    """Check that the folder does not say otherwise than the name."""
    folder = PurePosixPath(file).parent.name
    actor = _FOLDER.fullmatch(folder)
    if actor is not None and int(actor[1]) != int(fields["actor"]):
        raise Wrong(f"the name says actor {fields['actor']}, the folder {actor[1]}")
    emotion = _emotion(folder)
    if emotion and emotion != fields["emotion"]:
        raise Wrong(f"the name says {fields['emotion']}, the folder {emotion}")


def _by_folder(file: str, stem: str, method: str, wanted: Mapping[str, str | None]) -> Clip | None:
    folder = PurePosixPath(file).parent.name
    emotion = _emotion(folder)
    if not split_of(file) or not emotion:
        raise Wrong("expected a name like 03-01-05-02-01-01-12, or train|test/<emotion>/ before it")
    if any(value is not None for name, value in wanted.items() if name != "channel"):
        return None
    return Clip(emotion=emotion, clip=f"{emotion}/{format_path(stem)}", split=split_of(file), method=method)


def _emotion(folder: str) -> str:
    try:
        return canonical(folder)
    except InputError:
        return ""
