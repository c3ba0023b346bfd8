"""Whether a file holds an image, a video or a recording: by its content, and by its name where that says nothing."""

from __future__ import annotations

import os
from typing import Any

from mien.errors import MediaError
from mien.io._container import images_of, open_container, opened, read_head
from mien.io.formats import HEAD_BYTES, Kind, sniff
from mien.io.paths import SOUND_SUFFIXES, VIDEO_SUFFIXES

__all__ = ["has_images", "kind_of", "kind_of_name"]


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
    """Return ``"audio"`` for the suffixes of recordings, ``"video"`` for those of videos, else ``"unknown"``."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "audio" if suffix in SOUND_SUFFIXES else "unknown"


def has_images(source: Any) -> bool:
    """Tell whether a file of kind ``"video"`` is a video: the containers of videos also hold sound alone.

    A cover beside the sound is one still image, and makes no video.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; nothing is raised where it cannot be opened.  A file object is read on, and not closed.

    Returns
    -------
    bool
        False where it is told to be sound only; True also where the header is damaged, so that the reader of videos
        says what is wrong with it.
    """
    file, owned = None, False
    try:
        name, file, owned = opened(source, "video")
        _, rewound = read_head(file, name, noun="video", expected="a video")
        with open_container(rewound, name, "video") as container:
            return bool(images_of(container)) or not container.streams.audio
    except MediaError:
        return True
    finally:
        if file is not None and owned:
            file.close()
