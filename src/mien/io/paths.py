"""From what a user names to the files to read, walked lazily; and files that are written whole or not at all."""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mien.errors import DatasetError, MediaNotFoundError, MienError, shorten

__all__ = [
    "AUDIO_SUFFIXES",
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "atomic_path",
    "describe_missing",
    "expand_home",
    "format_path",
    "is_url",
    "iter_media_paths",
]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"}
    | {".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".psd"}
)
"""Lower-case suffixes by which an image is found in a folder; a file that is named outright may have any.  Formats that
cannot be read are among them, so that such a file is a row with its error and does not vanish."""

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".flac", ".mp3", ".m4a", ".m4b", ".aac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc"}
    | {".au", ".amr", ".wma", ".mka", ".weba", ".caf", ".w64", ".wv", ".ac3", ".eac3", ".g722"}
)
"""Lower-case suffixes by which an audio file is found in a folder."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".3g2"}
    | {".ogv"}
)
"""Lower-case suffixes by which a video is found in a folder."""

_SUFFIXES = {"image": IMAGE_SUFFIXES, "video": VIDEO_SUFFIXES, "audio": AUDIO_SUFFIXES}
_URL = re.compile(r"data:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NOUNS = {"image": "image", "video": "video", "audio": "audio file"}


def format_path(path: object) -> str:
    """Return a path in one short printable line, whatever it holds (line breaks, undecodable bytes, control codes)."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return shorten(text if text and text.isprintable() else ascii(text))


def expand_home(path: str) -> str:
    """Return a path with the home folder for a leading ``~``, unless there is a file of that very name."""
    return os.path.expanduser(path) if path.startswith("~") and not _exists(path) else path  # noqa: PTH111


def describe_missing(path: str, what: str = "file") -> str:
    """Return the message for a path that names nothing, such as a URL."""
    return f"no such {what}: {format_path(path)}{' (URLs are not fetched)' if is_url(path) else ''}"


def is_url(path: str) -> bool:
    """Tell whether a path has the form of a URL."""
    return _URL.match(path) is not None


def iter_media_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    kinds: Sequence[str] = ("image", "video", "audio"),
    on_skipped: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Yield the media files that the arguments of a command name, lazily and in a fixed order.

    A file is yielded as it is, whatever its suffix; ``~`` stands for the home folder.  A folder is walked through all
    its folders, sorted by name; hidden names and files of other suffixes than the kinds' are left out, the content of a
    file without a suffix says what it is, and linked folders are not entered, so that the walk ends.  A name with
    ``*``, ``?`` or ``[`` that is no file is a pattern (``**`` goes through folders); its matches are treated like the
    content of a folder, unless the pattern itself ends in a suffix.

    An error ends an iterator.  To go on with the rest after one bad argument, call this once an argument.
    A folder inside a folder that may not be opened is yielded itself, so that reading it reports why.

    Parameters
    ----------
    paths : iterable of str or os.PathLike
        Files, folders and patterns.
    kinds : sequence of {"image", "video", "audio"}
        What is looked for in folders.
    on_skipped : callable, optional
        Called with each name that is left out of a folder or pattern, but for hidden ones.

    Yields
    ------
    str
        A file.

    Raises
    ------
    MediaNotFoundError
        When reaching a path that does not exist, a folder without such a file, or a pattern without a match.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        paths = [os.fsdecode(paths)]
    *first, last = (_NOUNS[kind] for kind in kinds)
    noun = f"{', '.join(first)} or {last}" if first else last
    for item in paths:
        yield from _expand(expand_home(os.fsdecode(item)), _Wanted(kinds, on_skipped), noun)


class _Wanted:
    """What is looked for in folders, and what was left out."""

    def __init__(self, kinds: Sequence[str], on_skipped: Callable[[str], None] | None) -> None:
        self.kinds = kinds
        self.suffixes = frozenset[str]().union(*(_SUFFIXES[kind] for kind in kinds))
        self.skipped_count = 0
        self._on_skipped = on_skipped

    def takes(self, path: str, *, is_linked_folder: bool = False) -> bool:
        """Tell whether a file is looked for; one that is not is counted."""
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  (Path would copy every name of a million)
        if not is_linked_folder and (suffix in self.suffixes or (not suffix and _content_kind(path) in self.kinds)):
            return True
        self.skipped_count += 1
        if self._on_skipped is not None:
            self._on_skipped(path)
        return False


def _content_kind(path: str) -> str:
    """Return what a file without a suffix holds, by its first bytes; pipes and the like are not opened."""
    from mien.io.sniff import HEAD_BYTES, detect_format

    try:
        if not os.path.isfile(path):  # noqa: PTH113  (Path raises for odd names)
            return "unknown"
        with open(path, "rb") as file:  # noqa: PTH123
            return detect_format(file.read(HEAD_BYTES))[0]
    except OSError:
        return "unknown"


def _expand(path: str, wanted: _Wanted, noun: str) -> Iterator[str]:
    if _exists(path):
        if not Path(path).is_dir():
            yield path
            return
        found = _walk(path, wanted)
        missing = (
            f"no {noun} in the folder {format_path(path)}: expected files that end in "
            f"{', '.join(sorted(wanted.suffixes))}"
        )
    elif any(sign in path for sign in "*?[") and not is_url(path):
        found = _matches(path, wanted)
        missing = f"nothing matches the pattern {format_path(path)}"
    else:
        raise MediaNotFoundError(describe_missing(path, "file or folder"), path=path)
    first = next(found, None)
    if first is None:
        if wanted.skipped_count and "pattern" in missing:
            missing = f"no {noun} among what matches the pattern {format_path(path)} ({wanted.skipped_count} skipped)"
        raise MediaNotFoundError(missing, path=path)
    yield first
    yield from found


def _exists(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):  # a name that is too long or holds a zero byte is no file
        return False


def _walk(folder: str, wanted: _Wanted) -> Iterator[str]:
    # Of a million files in one folder, only the names are held, and none with a suffix is asked what it is.
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
                elif wanted.takes(entry.path, is_linked_folder=entry.is_symlink() and Path(entry.path).is_dir()):
                    names.append(name)
    except OSError:
        yield folder
        return
    names.sort()
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118
        if name in folders:
            yield from _walk(path, wanted)
        else:
            yield path


def _matches(pattern: str, wanted: _Wanted) -> Iterator[str]:
    suffix = os.path.splitext(pattern)[1]  # noqa: PTH122
    any_suffix = len(suffix) > 1 and not any(sign in suffix for sign in "*?[")
    for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207  (keeps the form of the path as it was given)
        if Path(path).is_dir():
            # With ** the folders' content is matched by the pattern itself.
            if "**" not in pattern:
                yield from _walk(path, wanted)
        elif any_suffix or wanted.takes(path):
            yield path


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, error: Callable[[str], MienError] = DatasetError) -> Iterator[Path]:
    """Give a hidden name beside the target, for a file or a folder, and move what was written there at the end.

    Parameters
    ----------
    target : str or os.PathLike
        Where it goes; what stood there before is untouched if it cannot be written.
    error : callable
        Makes the error for any `OSError` on the way, of a message.

    Raises
    ------
    MienError
        What ``error`` returns.
    """
    path = Path(target)
    hidden = path.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            yield hidden
            hidden.replace(path)
        finally:
            if hidden.is_dir():
                shutil.rmtree(hidden, ignore_errors=True)
            else:
                hidden.unlink(missing_ok=True)
    except OSError as cause:
        raise error(f"cannot write {format_path(path)}: {cause.strerror or cause}") from cause
