"""Data sets as their publishers ship them: one file each, found by name, all yielding `FaceData`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mien.data.base import FaceData, ImageList
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError

__all__ = ["DATASETS", "FaceData", "ImageList", "Samples", "has_files", "index", "load"]

DATASETS: dict[str, str] = {
    "fer2013": "FER2013 (Goodfellow et al. 2013): 48 x 48 faces of a web search, seven emotions",
    "ferplus": "FER+ (Barsoum et al. 2016): ten taggers' votes on FER2013's images, eight emotions",
    "folder": "any folder of images, <emotion>/<file> or <split>/<emotion>/<file>, with or without a manifest.csv",
    "jaffe": "JAFFE (Lyons et al. 1998): ten Japanese women, seven posed expressions",
    "ckplus": "CK+ (Lucey et al. 2010): peak and first frames of its labeled sequences, eight emotions",
    "ckplus48": "CK+48: three peak frames a sequence of CK+, cut to 48 x 48, seven emotions without neutral",
    "iefdb": "IEFDB, or any folder of images with a table (CSV, XLSX) that names file and emotion",
    "baum2_frames": "BAUM-2 (Erdem et al. 2015): face frames of video clips by subject, eight emotions",
    "table": "a table that mien wrote: FER2013's columns with subject, clip and source, as CSV or Parquet",
}
"""The data sets with one line on each; each is the module of that name in this package."""


def load(
    name: str,
    path: str | Path,
    *,
    split: str | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> FaceData:
    """Read a data set into memory.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    path : str or pathlib.Path
        Its file or folder, as published.
    split : str, optional
        Keep only this split.
    progress : callable, optional
        Called with the number of images read since the last call, by data sets that tell.
    **options : object
        What the data set takes; see the ``load`` of its module.

    Raises
    ------
    InputError
        If there is no such data set, or it does not take an option.
    DatasetError
        If the data is missing or wrong; the message names the row or file.
    """
    function = _module(name).load
    if progress is not None and "progress" in inspect.signature(function).parameters:
        options["progress"] = progress
    return _call(function, name, path, {"split": split, **options})  # type: ignore[no-any-return]


def index(name: str, path: str | Path, **options: Any) -> ImageList:
    """List the images of a data set that comes in files, without reading them.

    Raises
    ------
    InputError
        If there is no such data set, or it does not take an option.
    DatasetError
        If the data is missing or wrong, or the data set is a table.
    """
    if not has_files(name):
        raise DatasetError(f"{name} is a table of images: it has no image files to list")
    return _call(_module(name).index, name, path, options)  # type: ignore[no-any-return]


def has_files(name: str) -> bool:
    """Return whether a data set comes in image files, so that `index` can list them.

    Raises
    ------
    InputError
        If there is no such data set.
    """
    return hasattr(_module(name), "index")


def _module(name: str) -> ModuleType:
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    return importlib.import_module(f"{__name__}.{name}")


def _call(function: Callable[..., Any], name: str, path: str | Path, options: dict[str, Any]) -> Any:
    parameters = inspect.signature(function).parameters
    taken = [key for key in parameters if key not in _COMMON]
    for key in options:
        if key not in (*taken, *_COMMON):
            raise InputError(f"data set {name!r} has no option {key!r}: it takes {', '.join(taken) or 'none'}")
    return function(path, **options)


_COMMON = ("path", "split", "progress")
