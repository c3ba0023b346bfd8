"""What is to be analyzed: from what a user names to sources, each of its kind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mien.errors import MediaNotFoundError, MienError, UnsupportedMediaError
from mien.io.paths import expand_home, format_path, iter_media_paths
from mien.io.sniff import HEAD_BYTES, detect_format, detect_kind, detect_kind_by_name, is_pipe, peek_kind

__all__ = [
    "KindName",
    "Only",
    "Pipe",
    "Source",
    "file_source",
    "find_sources",
    "is_several",
    "kind_of_path",
    "make_source",
]

KindName = Literal["image", "audio", "video"]
"""How something is read."""

Only = Literal["face", "voice"] | None
"""What is read of videos: with ``"voice"`` they are read as audio files."""

_NEEDS_SEEKING = ("mp4", "mov", "m4a", "3gp")
"""Formats whose table of contents may lie at their end."""

_VIDEO_HEAD_BYTES = 1 << 14
"""Other videos say in their first bytes whether there are images in them."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Something to analyze.

    Parameters
    ----------
    data : object
        A path, bytes, a binary file object, an image as an array or `PIL.Image.Image`, or `mien.Audio`.
    kind : {"image", "audio", "video"}
        How it is read.
    name : str
        What files that are made of it are called, relative to a folder.
    label : str, optional
        What messages call it.
    error : MienError, optional
        Why it cannot be read, where that is known already.
    """

    data: Any
    kind: KindName
    name: str = ""
    label: str | None = None
    error: MienError | None = None

    @property
    def path(self) -> str | None:
        """The file, as it was given; None for arrays, bytes and streams without a name."""
        if isinstance(self.data, str | os.PathLike):
            return os.fsdecode(self.data)
        name = getattr(self.data, "name", None)
        return name if isinstance(name, str) else None


def find_sources(
    inputs: Iterable[Any], *, only: Only = None, on_skipped: Callable[[str], None] | None = None
) -> Iterator[Source]:
    """Yield what is to be analyzed, lazily and in order.

    Parameters
    ----------
    inputs : iterable
        Files, folders and patterns (see `mien.io.paths.iter_media_paths`); anything else as `make_source` takes it.
    only : {"face", "voice"}, optional
        What is read of videos.
    on_skipped : callable, optional
        Called with each file of a folder or pattern that is none of them.

    Yields
    ------
    Source
        A path that names nothing is one, too, with its error; so is what is no file in a folder, such as a pipe.
    """
    for given in inputs:
        if not isinstance(given, str | os.PathLike):
            yield make_source(given, only=only)
            continue
        argument = expand_home(os.fsdecode(given))
        folder = argument if os.path.isdir(argument) else None  # noqa: PTH112 - takes a name as it is
        try:
            for path in iter_media_paths([argument], on_skipped=on_skipped):
                if is_pipe(path) and path == argument:
                    yield make_source(path, only=only)
                    continue
                source = file_source(path, only=only)
                yield replace(source, name=str(Path(path).relative_to(folder))) if folder else source
        except MediaNotFoundError as error:
            kind = kind_of_path(argument, only=only, look=False)[0]
            yield Source(argument, kind, argument, format_path(argument), error)


def file_source(path: str, *, only: Only = None) -> Source:
    """Return a file as a source, of the kind that its content says; what is no file, such as a pipe, has an error.

    Parameters
    ----------
    path : str
        The file, taken as it is: neither a pattern nor a folder.
    only : {"face", "voice"}, optional
        What is read of videos.
    """
    error = _irregular(path)
    kind = kind_of_path(path, only=only, look=error is None)[0]
    return Source(path, kind, Path(path).name, format_path(path), error)


def _irregular(path: str) -> MienError | None:
    """Return the error of what is neither a file nor a folder: opening it may wait forever."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (takes a name as it is)
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return UnsupportedMediaError(f"{format_path(path)} is a pipe, socket or device, not a file", path=path)


def make_source(data: Any, *, only: Only = None) -> Source:
    """Return something as a source, of the kind that its content says.

    Parameters
    ----------
    data : object
        See `Source`; a path is that of a file.  A stream that cannot be rewound is read in part or as a whole.
    only : {"face", "voice"}, optional
        What is read of videos.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, str | os.PathLike):
        data = expand_home(os.fsdecode(data))
    kind, data = peek_kind(data)
    if kind == "unknown" and hasattr(data, "wave"):
        return Source(data, "audio")  # `mien.Audio`
    source = Source(data, _kind(kind, only))
    path = source.path
    return source if path is None else replace(source, name=Path(path).name, label=format_path(path))


def kind_of_path(path: str, *, only: Only = None, look: bool = True) -> tuple[KindName, bool]:
    """Return how a file is read, and whether it is a video.

    Parameters
    ----------
    path : str
        The file.
    only : {"face", "voice"}, optional
        What is read of videos.
    look : bool
        Whether to look at the content; otherwise the name alone says what it is.
    """
    found = detect_kind(path) if look and not is_pipe(path) else detect_kind_by_name(path)
    return _kind(found, only), found == "video"


def is_several(path: str) -> bool:
    """Tell whether a path names a folder or a pattern."""
    path = expand_home(path)
    # os.path answers False, where Path raises, for names that are too long or hold a zero byte.
    return os.path.isdir(path) or (any(sign in path for sign in "*?[") and not os.path.exists(path))  # noqa: PTH110, PTH112


def _kind(found: str, only: Only) -> KindName:
    if found == "video":
        return "audio" if only == "voice" else "video"
    # What is none of them is for the reader of images to reject.
    return "audio" if found == "audio" else "image"


class Pipe:
    """A stream that cannot be rewound, such as standard input, and is read as it comes; its first bytes say what it is.

    Parameters
    ----------
    stream : binary file object
        Read from where it stands.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = b""
        self._peek(HEAD_BYTES)
        self._found, self.format = detect_format(self._head)
        if self._found == "video":
            if self.needs_seeking:
                self._head += self._stream.read()
            else:
                self._peek(_VIDEO_HEAD_BYTES)
            from mien.io.container import has_moving_images

            if not has_moving_images(self._head):
                self._found = "audio"

    @property
    def is_video(self) -> bool:
        """Whether it has moving images."""
        return self._found == "video"

    @property
    def needs_seeking(self) -> bool:
        """Whether the format cannot be read from front to back."""
        return self.format in _NEEDS_SEEKING

    def kind(self, only: Only = None) -> KindName:
        """Return how it is read."""
        return _kind(self._found, only)

    def rest(self) -> bytes:
        """Read all that is left."""
        head, self._head = self._head, b""
        content: bytes = head + self._stream.read()
        return content

    def read(self, size: int = -1) -> bytes:
        """Read on; less than ``size`` may come."""
        if not self._head:
            piece: bytes = self._stream.read(size)
            return piece
        size = len(self._head) if size < 0 else size
        head, self._head = self._head[:size], self._head[size:]
        return head

    def _peek(self, size: int) -> None:
        """Read until so much of the beginning is known."""
        while len(self._head) < size:
            piece = self._stream.read(size - len(self._head))
            if not piece:
                return
            self._head += piece
