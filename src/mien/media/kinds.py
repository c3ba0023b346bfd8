"""Whether a file holds a picture, a film or a recording: by its content, and by its name where that says nothing."""

from __future__ import annotations

import os
from typing import Any

from mien.errors import MediaError
from mien.media._container import open_container, opened, pictures_of, read_head
from mien.media.formats import HEAD_BYTES, Kind, sniff
from mien.media.paths import FILM_SUFFIXES, SOUND_SUFFIXES

__all__ = ["has_pictures", "kind_of", "kind_of_name"]


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """Tell what a file holds from its first bytes.

    What cannot be told so (an empty file, text, one that may not be opened) is told from its name, so that the reader
    of that kind says what is wrong with it.

    Parameters
    ----------
    path : str or os.PathLike
        The file; nothing is raised where there is none.

    Returns
    -------
    {"image", "video", "audio", "unknown"}
        ``"unknown"`` where neither content nor name tell.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (Path would change the name)
            kind = sniff(file.read(HEAD_BYTES))
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        kind = "unknown"
    return kind_of_name(path) if kind == "unknown" else kind


def kind_of_name(path: str | os.PathLike[str]) -> Kind:
    """Return ``"audio"`` for the suffixes of recordings, ``"video"`` for those of films, else ``"unknown"``."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122
    if suffix in FILM_SUFFIXES:
        return "video"
    return "audio" if suffix in SOUND_SUFFIXES else "unknown"


def has_pictures(source: Any) -> bool:
    """Tell whether a file of kind ``"video"`` is a film: the containers of films also hold sound alone.

    A cover beside the sound is one still picture, and makes no film.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; nothing is raised where it cannot be opened.  A file object is read on, and not closed.

    Returns
    -------
    bool
        False where it is told to be sound only; True also where the header is damaged, so that the reader of films says
        what is wrong with it.
    """
    file, owned = None, False
    try:
        name, file, owned = opened(source, "film")
        _, rewound = read_head(file, name, noun="film", expected="a film")
        with open_container(rewound, name, "film") as container:
            return bool(pictures_of(container)) or not container.streams.audio
    except MediaError:
        return True
    finally:
        if file is not None and owned:
            file.close()
