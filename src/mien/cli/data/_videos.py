"""Which corpus of clips a command works on: the same for all such commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli import _shell
from mien.cli.data._options import _pair
from mien.cli.data._speech import _some

if TYPE_CHECKING:
    from mien.data.videos import VideoClips

__all__ = ["video_arguments"]


def video_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument NAME|PATH and --data, --split and --option.

    The command's function gets what they name as `VideoClips`, the parameter ``clips``.
    """

    @functools.wraps(function)
    def wrapped(
        *rest: Any, corpus: str, data: Path | None, split: str | None, pairs: tuple[str, ...], **others: Any
    ) -> Any:
        clips = _open(corpus, data, dict(_pair(pair) for pair in pairs))
        return function(*rest, clips=clips if split is None else clips.split(split), **others)

    for decorate in reversed(_DECORATORS):
        wrapped = decorate(wrapped)
    return wrapped


_DECORATORS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("corpus", metavar="NAME|PATH"),
    click.option("--data", type=click.Path(path_type=Path), help="Folder of the corpus, as published."),
    click.option("--split", metavar="NAME", help="Only this split."),
    click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the corpus."),
)


def _open(name: str, data: Path | None, options: dict[str, Any]) -> VideoClips:
    from mien.data._clips import corpus_at
    from mien.data.videos import VIDEO_DATASETS, video_index

    if name not in VIDEO_DATASETS:
        if data is not None or not Path(name).exists():
            raise click.UsageError(f"unknown video corpus {name!r}: expected {', '.join(VIDEO_DATASETS)}, or a path")
        data = Path(name)
        name = corpus_at(data) if data.is_dir() else "video_folder"
        _shell.note(f"{data} is read as {name}")
    if data is None:
        raise click.UsageError(f"--data must say where {name} lies")
    clips = video_index(name, data, **options)
    _some(clips.problems)
    return clips
