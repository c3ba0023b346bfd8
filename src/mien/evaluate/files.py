"""Writing reports: a file is written whole or not at all, and a folder that cannot be written to is one clear error."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from mien.errors import DatasetError

__all__ = ["make_folder", "write_bytes", "write_images", "write_words"]


def make_folder(path: str | Path) -> Path:
    """Make a folder with its parents, where it is not there yet.

    Raises
    ------
    DatasetError
        If that is not possible.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that an older one survives a failure.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            beside.write_bytes(content)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {target}: {error.strerror or error}") from error


def write_images(folder: Path, images: Mapping[str, bytes | None]) -> None:
    """Write images by their names; where there is none, what an older report left is taken away.

    Raises
    ------
    DatasetError
        If one cannot be written.
    """
    for name, content in images.items():
        if content is not None:
            write_bytes(folder / name, content)
        else:
            # What an older report left must not be taken for this one's.
            (folder / name).unlink(missing_ok=True)


def write_words(path: str | Path, text: str) -> None:
    """Write text as UTF-8; what UTF-8 cannot hold (odd bytes of a file name) is written as an escape.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
