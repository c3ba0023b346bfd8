"""The tree of errors: everything that mien raises on purpose is a `MienError`.

A message says what was expected and what came.  Errors that concern a file carry it as ``.path``.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "DatasetError",
    "DecodeError",
    "InputError",
    "MediaError",
    "MediaNotFoundError",
    "MienError",
    "MienWarning",
    "MissingExtraError",
    "ModelError",
    "UnknownModelError",
    "UnsupportedMediaError",
    "WeightsError",
]


def shorten(text: str, most: int = 200) -> str:
    """Return a text of at most so many characters: the middle of a longer one is left out."""
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


class MienError(Exception):
    """Base of every error that mien raises on purpose.

    Its message is one printable line of bounded length, whatever the names of files and the words of tables in it hold:
    what cannot be printed is escaped, and the middle of more than 1,000 characters is left out.
    """

    def __str__(self) -> str:
        text = Exception.__str__(self)  # not that of a KeyError, which quotes
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        return shorten(text, 1000)


class InputError(MienError, ValueError):
    """An argument has the wrong type, shape, dtype or value."""


class MediaError(MienError):
    """An image, video or recording cannot be used.

    Parameters
    ----------
    message : str
        What was expected and what came.
    path : str or pathlib.Path, optional
        The file, kept as ``.path``; ``None`` for bytes and streams.
    """

    def __init__(self, message: str, *, path: str | Path | None = None) -> None:
        super().__init__(message)
        self.path: Path | None = None if path is None else Path(path)


class MediaNotFoundError(MediaError):
    """There is no file at that path, or no image in that folder."""


class UnsupportedMediaError(MediaError):
    """The file is whole, but of a kind that mien does not read (here)."""


class DecodeError(MediaError):
    """The file claims to be a known format, but cannot be decoded."""


class ModelError(MienError):
    """A model cannot be found, loaded or run."""


class UnknownModelError(ModelError):
    """No model has that name."""


class WeightsError(ModelError):
    """The weights of a model are missing, damaged, or not those of its record."""


class DatasetError(MienError):
    """A data set is missing parts, or a row or file of it is wrong; the message names which."""


class MissingExtraError(MienError, ImportError):
    """An optional package is needed; the message names the extra to install."""


class MienWarning(UserWarning):
    """Base of the warnings that mien gives, so that callers can filter them."""
