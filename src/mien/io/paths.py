"""From what a user names to the files to read: files, folders and patterns, walked lazily."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mien.errors import MediaNotFoundError

__all__ = [
    "IMAGE_SUFFIXES",
    "SOUND_SUFFIXES",
    "VIDEO_SUFFIXES",
    "count_image_paths",
    "count_media_paths",
    "format_path",
    "iter_image_paths",
    "iter_media_paths",
]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"}
)
"""Lower-case suffixes by which an image is found in a folder; a file that is named outright is taken as it is."""

_RECORDINGS = frozenset(
    {".wav", ".wave", ".flac", ".mp3", ".m4a", ".m4b", ".aac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc"}
    | {".au", ".amr", ".wma", ".mka", ".weba"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".3g2"}
    | {".ogv"}
)
"""Lower-case suffixes by which a video is found in a folder."""

SOUND_SUFFIXES = _RECORDINGS | VIDEO_SUFFIXES
"""Lower-case suffixes by which a recording or a video is found in a folder."""


def format_path(path: object) -> str:
    """Return a path in one printable line, whatever its name holds (line breaks, undecodable bytes, control codes)."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return text if text and text.isprintable() else ascii(text)


def iter_image_paths(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield the image files that the arguments of a command name, lazily and in a fixed order.

    A file is yielded as it is, whatever its suffix.  A folder is walked through all its folders, sorted by name; hidden
    names and files without an image suffix are left out, and linked folders are not entered, so that the walk ends.  A
    name with ``*``, ``?`` or ``[`` that is no file is a pattern (``**`` goes through folders); its matches are treated
    like the content of a folder, unless the pattern itself ends in a suffix.

    An error ends an iterator.  To go on with the rest after one bad argument, call this once an argument.
    A folder inside a folder that may not be opened is yielded itself, so that reading it reports why.

    Parameters
    ----------
    paths : iterable of str or os.PathLike
        Files, folders and patterns.

    Yields
    ------
    str
        A file.

    Raises
    ------
    MediaNotFoundError
        When reaching a path that does not exist, a folder without an image, or a pattern without a match.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        paths = [os.fsdecode(paths)]
    for item in paths:
        yield from _expand(os.fsdecode(item), IMAGE_SUFFIXES, "image")


def iter_media_paths(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield the images, recordings and videos that the arguments of a command name, as `iter_image_paths` does."""
    if isinstance(paths, str | bytes | os.PathLike):
        paths = [os.fsdecode(paths)]
    for item in paths:
        yield from _expand(os.fsdecode(item), IMAGE_SUFFIXES | SOUND_SUFFIXES, "image, video or recording")


def count_image_paths(paths: Iterable[str | os.PathLike[str]]) -> int:
    """Count what `iter_image_paths` would yield, with one for each argument that is an error.

    Only folders are listed; no file is opened.
    """
    return _count(paths, iter_image_paths)


def count_media_paths(paths: Iterable[str | os.PathLike[str]]) -> int:
    """Count what `iter_media_paths` would yield, as `count_image_paths` does."""
    return _count(paths, iter_media_paths)


def _count(
    paths: Iterable[str | os.PathLike[str]], walk: Callable[[Iterable[str | os.PathLike[str]]], Iterator[str]]
) -> int:
    if isinstance(paths, str | bytes | os.PathLike):
        paths = [os.fsdecode(paths)]
    total = 0
    for item in paths:
        try:
            total += sum(1 for _ in walk([item]))
        except MediaNotFoundError:
            total += 1
    return total


def _expand(path: str, suffixes: frozenset[str], what: str) -> Iterator[str]:
    if _exists(path):
        if not Path(path).is_dir():
            yield path
            return
        found = _walk(path, suffixes)
        missing = (
            f"no {what} in the folder {format_path(path)}: expected files that end in {', '.join(sorted(suffixes))}"
        )
    elif any(sign in path for sign in "*?["):
        found = _matches(path, suffixes)
        missing = f"nothing matches the pattern {format_path(path)}"
    else:
        raise MediaNotFoundError(f"no such file or folder: {format_path(path)}", path=path)
    first = next(found, None)
    if first is None:
        raise MediaNotFoundError(missing, path=path)
    yield first
    yield from found


def _exists(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):  # a name that is too long or holds a zero byte is no file
        return False


def _ends_in(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122  (Path would copy every name of a million)


def _walk(folder: str, suffixes: frozenset[str]) -> Iterator[str]:
    # Of a million files in one folder, only the names are held, and none is asked what it is.
    names, folders = [], set()
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                name = entry.name
                if name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.add(name)
                    names.append(name)
                elif _ends_in(name, suffixes) and not (entry.is_symlink() and Path(entry.path).is_dir()):
                    names.append(name)
    except OSError:
        yield folder
        return
    names.sort()
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118
        if name in folders:
            yield from _walk(path, suffixes)
        else:
            yield path


def _matches(pattern: str, suffixes: frozenset[str]) -> Iterator[str]:
    suffix = os.path.splitext(pattern)[1]  # noqa: PTH122
    any_suffix = len(suffix) > 1 and not any(sign in suffix for sign in "*?[")
    for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207  (keeps the form of the path as it was given)
        if Path(path).is_dir():
            # With ** the folders' content is matched by the pattern itself.
            if "**" not in pattern:
                yield from _walk(path, suffixes)
        elif any_suffix or _ends_in(path, suffixes):
            yield path
