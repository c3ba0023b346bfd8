"""The kinds of things that ``mien analyze`` reads."""

from __future__ import annotations

from enum import Enum

__all__ = ["FACES", "SPEECH", "Kind", "kind_of_file"]

FACES, SPEECH = "face-emotion", "speech-emotion"
"""Tasks of models."""


class Kind(Enum):
    """How something is read.  A video is read as a recording where only its voices are asked for."""

    IMAGE = ("an image", "images", FACES)
    RECORDING = ("a recording", "recordings", SPEECH)
    VIDEO = ("a video", "videos", FACES)

    def __init__(self, one: str, many: str, task: str) -> None:
        self.one, self.many, self.task = one, many, task


def kind_of_file(path: str, *, only: str | None, look: bool = True) -> tuple[Kind, bool]:
    """Return how a file is read, and whether it is a video.

    Parameters
    ----------
    path : str
        The file.
    only : {"face", "voice"} or None
        What is read of videos.
    look : bool
        Whether the content is looked at; otherwise the name alone says what it is.
    """
    from mien.io.sniff import detect_kind, detect_kind_by_name

    found = detect_kind(path) if look else detect_kind_by_name(path)
    video = found == "video"
    if video and only != "voice":
        return Kind.VIDEO, True
    return (Kind.RECORDING if found in ("audio", "video") else Kind.IMAGE), video
