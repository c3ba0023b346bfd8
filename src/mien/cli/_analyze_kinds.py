"""The kinds of things that ``mien analyze`` reads."""

from __future__ import annotations

from enum import Enum

__all__ = ["FACES", "SPEECH", "Kind", "kind_of_file"]

FACES, SPEECH = "face-emotion", "speech-emotion"
"""Tasks of models."""


class Kind(Enum):
    """How something is read.  A film is read as a recording where only its voices are asked for."""

    PICTURE = ("a picture", "pictures", FACES)
    RECORDING = ("a recording", "recordings", SPEECH)
    FILM = ("a film", "films", FACES)

    def __init__(self, one: str, many: str, task: str) -> None:
        self.one, self.many, self.task = one, many, task


def kind_of_file(path: str, *, only: str | None, look: bool = True) -> tuple[Kind, bool]:
    """Return how a file is read, and whether it is a film.

    Parameters
    ----------
    path : str
        The file.
    only : {"face", "voice"} or None
        What is read of films.
    look : bool
        Whether the content is looked at; otherwise the name alone says what it is.
    """
    from mien.media.kinds import has_pictures, kind_of, kind_of_name

    found = kind_of(path) if look else kind_of_name(path)
    film = found == "video" and (not look or has_pictures(path))
    if film and only != "voice":
        return Kind.FILM, True
    return (Kind.RECORDING if found in ("audio", "video") else Kind.PICTURE), film
