"""Data sets as their publishers ship them: one file each, found by name, all yielding `FaceData`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mien.datasets.base import FaceData, PictureList
from mien.errors import DatasetError, InputError

__all__ = ["DATASETS", "FaceData", "PictureList", "index", "load"]

DATASETS: dict[str, str] = {
    "fer2013": "FER2013 (Goodfellow et al. 2013): 48 x 48 faces of a web search, seven emotions",
    "ferplus": "FER+ (Barsoum et al. 2016): ten taggers' votes on FER2013's pictures, eight emotions",
}
"""The data sets with one line on each; each is the module of that name in this package."""


def load(name: str, path: str | Path, *, split: str | None = None, **options: Any) -> FaceData:
    """Read a data set into memory.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    path : str or pathlib.Path
        Its file or folder, as published.
    split : str, optional
        Keep only this split.
    **options : object
        What the data set takes; see the ``load`` of its module.

    Raises
    ------
    InputError
        If there is no such data set, or it does not take an option.
    DatasetError
        If the data is missing or wrong; the message names the row or file.
    """
    return _call("load", name, path, split=split, **options)  # type: ignore[no-any-return]


def index(name: str, path: str | Path, **options: Any) -> PictureList:
    """List the pictures of a data set that comes in files, without reading them.

    Raises
    ------
    InputError
        If there is no such data set, it is a table, or it does not take an option.
    DatasetError
        If the data is missing or wrong.
    """
    return _call("index", name, path, **options)  # type: ignore[no-any-return]


def _call(function: str, name: str, path: str | Path, **options: Any) -> Any:
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    module = importlib.import_module(f"{__name__}.{name}")
    if not hasattr(module, function):
        raise DatasetError(f"{name} is a table of pictures: it has no picture files to list")
    try:
        return getattr(module, function)(path, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise InputError(f"data set {name!r}: {error}") from None
