"""Which data set a command works on: the same words for all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli import _shell
from mien.errors import InputError

if TYPE_CHECKING:
    from mien.data import FaceData, ImageList

__all__ = [
    "Choice",
    "choose",
    "dataset_arguments",
    "dataset_or_video_arguments",
    "open_faces",
    "open_images",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """A data set as the command line names it.

    Parameters
    ----------
    name : str
        One of `mien.data.DATASETS`, or where a command takes them of `mien.data.videos.VIDEO_DATASETS`.
    path : pathlib.Path
        Its file or folder.
    split : str or None
        Keep only this split.
    options : dict
        What the data set takes besides.
    """

    name: str
    path: Path
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def choose(
    name: str,
    data: Path | None = None,
    *,
    split: str | None = None,
    labels: Path | None = None,
    protocol: str | None = None,
    pairs: tuple[str, ...] = (),
    videos: bool = False,
) -> Choice:
    """Return the data set that the words of a command mean.

    Parameters
    ----------
    name : str
        A registered name; or, without ``data``, a path: a folder is read as ``folder``, a file as ``fer2013``, or as
        ``table`` if its name ends in ``.parquet``.
    data : pathlib.Path, optional
        File or folder of the data set.
    split : str, optional
        Keep only this split.
    labels : pathlib.Path, optional
        FER+ votes, or another file of labels that the data set takes.
    protocol : str, optional
        How annotations become labels.
    pairs : tuple of str
        Further options of the data set, ``key=value`` each.
    videos : bool
        Take the corpora of clips, too.

    Raises
    ------
    click.UsageError
        If the name is neither a data set nor a path, the path is missing, or a pair is none.
    """
    from mien.data import DATASETS
    from mien.data.videos import VIDEO_DATASETS

    known = [*DATASETS, *VIDEO_DATASETS] if videos else list(DATASETS)
    if name not in known:
        if data is not None or not Path(name).exists():
            raise click.UsageError(f"unknown data set {name!r}: expected {', '.join(known)}, or a path")
        data = Path(name)
        name = "folder" if data.is_dir() else "table" if data.suffix.lower() == ".parquet" else "fer2013"
    if data is None:
        raise click.UsageError(f"--data must say where {name} lies")
    options = dict(_pair(pair) for pair in pairs)
    if labels is not None:
        options["labels"] = labels
    if protocol is not None:
        options["protocol"] = protocol
    return Choice(name, data, split, options)


def _pair(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise click.UsageError(f"--option must be key=value, but got {text!r}")
    return key.strip().replace("-", "_"), _value(value.strip())


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def dataset_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument NAME and --data, --split, --labels, --protocol, --option.

    The command's function gets them as one `Choice`, the parameter ``choice``.
    """
    return _with_arguments(function, videos=False)


def dataset_or_video_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do as `dataset_arguments`, and take corpora of clips as well as data sets of images."""
    return _with_arguments(function, videos=True)


def _with_arguments(function: Callable[..., Any], *, videos: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(
        *rest: Any,
        dataset: str,
        data: Path | None,
        split: str | None,
        labels: Path | None,
        protocol: str | None,
        pairs: tuple[str, ...],
        **others: Any,
    ) -> Any:
        chosen = choose(dataset, data, split=split, labels=labels, protocol=protocol, pairs=pairs, videos=videos)
        return function(*rest, choice=chosen, **others)

    for decorate in reversed(_DECORATORS):
        wrapped = decorate(wrapped)
    return wrapped


_DECORATORS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("dataset", metavar="NAME|PATH"),
    click.option("--data", type=click.Path(path_type=Path), help="File or folder of the data set, as published."),
    click.option("--split", metavar="NAME", help="Only this split."),
    click.option("--labels", type=click.Path(path_type=Path), help="File of labels, such as FER+ votes."),
    click.option("--protocol", metavar="NAME", help="How annotations become labels, where there is a choice."),
    click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Another option of the data set."),
)


def open_faces(choice: Choice, *, size: int | None = None) -> FaceData:
    """Read a data set into memory, with a note and progress on stderr.

    Parameters
    ----------
    choice : Choice
        The data set.
    size : int, optional
        Side of the faces, for data sets in files; by default the data set's own.

    Raises
    ------
    mien.errors.MienError
        If it cannot be read, or does not take an option.
    """
    from mien import data as datasets

    options = (
        choice.options if size is None or not datasets.has_files(choice.name) else {**choice.options, "size": size}
    )
    _shell.note(f"reading {choice.path}")
    with _shell.progress(None, "reading", unit="images") as advance:
        return datasets.load(choice.name, choice.path, split=choice.split, progress=advance, **options)


def open_images(choice: Choice) -> ImageList | FaceData:
    """List a data set that comes in files, or read one that is a table; both can be read image by image.

    Of a corpus of clips, the images are the middle frames.

    Raises
    ------
    mien.errors.MienError
        If it cannot be read, or does not take an option.
    """
    import numpy as np

    from mien import data as datasets
    from mien.data.videos import VIDEO_DATASETS, video_index

    images: ImageList
    if choice.name in VIDEO_DATASETS:
        images = video_index(choice.name, choice.path, **choice.options).middles()
    elif datasets.has_files(choice.name):
        images = datasets.index(choice.name, choice.path, **choice.options)
    else:
        return open_faces(choice)
    if choice.split is None:
        return images
    mask = images.splits == choice.split
    if not mask.any():
        present = ", ".join(np.unique(images.splits[images.splits != ""])) or "none"
        raise InputError(f"{choice.path} has no split {choice.split!r}: it has {present}")
    return images.take(mask)
