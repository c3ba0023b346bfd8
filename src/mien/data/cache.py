"""Parsed tables, cached between runs: text of 270 MB becomes arrays once, not every time.

The cache never changes an answer: an entry holds everything that the file holds, and counts only while the file's path,
size, time of change and the loader's version are those that it was made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import warn

__all__ = ["VARIABLE", "cache_computed", "cache_folder", "cached_arrays"]

VARIABLE = "MIEN_CACHE_DIR"
"""Environment variable that names the folder; set to nothing, it turns the cache off."""

SMALLEST_BYTES = 1_000_000
"""Smaller files are read as fast as an entry would be."""

_MOST_ENTRIES = 8
_STAMP = "stamp"
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def cache_folder() -> Path | None:
    """Return where parsed tables are cached: ``MIEN_CACHE_DIR``, else the user's cache folder; None if turned off."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given.strip() else None
    import platformdirs

    return Path(platformdirs.user_cache_dir("mien", appauthor=False))


def cached_arrays(
    path: Path, *, loader: str, version: int, read: Callable[[], dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file: from the cache if they are there, else by reading it, and then cache them.

    An entry is an uncompressed ``.npz`` without pickles, written whole or not at all. A damaged entry and a folder
    that cannot be written are warned about and ignored.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    loader : str
        Name of what reads it.
    version : int
        To be raised when the same file would give other arrays.
    read : callable
        Reads everything the file holds; what it raises is not caught.

    Returns
    -------
    dict of str to numpy.ndarray
        What ``read`` returned, now or earlier.
    """
    folder = cache_folder()
    before = _stamp(path, loader, version)
    if folder is None or before is None:
        return read()
    entry = folder / f"{loader}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:24]}.npz"
    found = _load(entry, before)
    if found is not None:
        return found
    arrays = read()
    # A file that changed while it was read must not be taken for what it is now.
    if _stamp(path, loader, version) == before:
        _store(entry, {**arrays, _STAMP: np.array(before)})
    return arrays


def cache_computed(name: str, stamp: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return arrays that take long to compute: from the cache if they are there, else computed, and then cached.

    Parameters
    ----------
    name : str
        Name of what computes them.
    stamp : str
        Everything that they depend on.
    make : callable
        Computes them; what it raises is not caught.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    entry = folder / f"{name}-{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.npz"
    found = _load(entry, stamp)
    if found is None:
        found = make()
        _store(entry, {**found, _STAMP: np.array(stamp)})
    return found


def _stamp(path: Path, loader: str, version: int) -> str | None:
    """Say what an entry must have been made of; None for a file that is missing, or too small to be cached."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if status.st_size < SMALLEST_BYTES:
        return None
    return f"{loader} {version} {status.st_size} {status.st_mtime_ns} {str(path.resolve())!a}"


def _load(entry: Path, stamp: str) -> dict[str, NDArray[Any]] | None:
    try:
        # Opened here, because np.load leaves a damaged file open.
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if str(archive[_STAMP]) != stamp:
                return None
            return {name: archive[name] for name in archive.files if name != _STAMP}
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        warn(f"the cached table {entry} is damaged, so the file itself is read: {error}")
        return None


def _store(entry: Path, arrays: dict[str, NDArray[Any]]) -> None:
    beside = entry.with_name(f".{entry.stem}-{secrets.token_hex(6)}.tmp")
    try:
        # The folder holds images of people: nobody else's business.
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with beside.open("xb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            beside.replace(entry)
        finally:
            beside.unlink(missing_ok=True)
        _prune(entry.parent)
    except OSError as error:
        warn(f"cannot cache the table in {entry.parent} ({error.strerror or error}): {VARIABLE} names another folder")


def _prune(folder: Path) -> None:
    """Remove all entries but the newest: files that were moved or deleted leave theirs behind."""
    entries = []
    for entry in folder.glob("*-*.npz"):
        with contextlib.suppress(FileNotFoundError):  # another process prunes, too
            entries.append((entry.stat().st_mtime_ns, entry))
    for _, entry in sorted(entries, reverse=True)[_MOST_ENTRIES:]:
        entry.unlink(missing_ok=True)
