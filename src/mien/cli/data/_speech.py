"""Which corpus of speech a command works on, and work on all of it: the same for all such commands."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli import _shell
from mien.cli.data._options import _pair

if TYPE_CHECKING:
    from mien.data.prepare._sound_work import SoundWork
    from mien.data.speech import ClipList

__all__ = ["corpus_arguments", "work_off", "workers_option"]

_SHOWN = 10
"""Problems and rejections that are named; the rest is counted."""


def corpus_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument NAME|PATH and --data and --option.

    The command's function gets what they name as a `ClipList`, the parameter ``clips``.
    """

    @functools.wraps(function)
    def wrapped(*rest: Any, corpus: str, data: Path | None, pairs: tuple[str, ...], **others: Any) -> Any:
        return function(*rest, clips=_open(corpus, data, dict(_pair(pair) for pair in pairs)), **others)

    for decorate in reversed(_DECORATORS):
        wrapped = decorate(wrapped)
    return wrapped


_DECORATORS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("corpus", metavar="NAME|PATH"),
    click.option("--data", type=click.Path(path_type=Path), help="Folder of the corpus, as published."),
    click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="A filter or option of the corpus."),
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=min(os.cpu_count() or 1, 8),
    show_default="one a core, at most 8",
    help="Processes.",
)


def _open(name: str, data: Path | None, options: dict[str, Any]) -> ClipList:
    from mien.data.speech import SPEECH_DATASETS, load_index

    if name not in SPEECH_DATASETS:
        if data is not None or not Path(name).exists():
            raise click.UsageError(f"unknown speech corpus {name!r}: expected {', '.join(SPEECH_DATASETS)}, or a path")
        name, data = "speech_folder", Path(name)
    if data is None:
        raise click.UsageError(f"--data must say where {name} lies")
    clips = load_index(name, data, **options)
    _some(clips.problems)
    return clips


def _some(lines: tuple[str, ...] | list[str]) -> None:
    for line in lines[:_SHOWN]:
        _shell.note(line)
    if len(lines) > _SHOWN:
        _shell.note(f"and {len(lines) - _SHOWN} more")


def work_off(work: SoundWork, what: str, *, workers: int) -> int:
    """Do what is left of some work, with progress, and return the exit code.

    Parameters
    ----------
    work : SoundWork
        What to do.
    what : str
        What is done, for the bar.
    workers : int
        Processes.
    """
    left = len(work.left())
    failed: list[str] = []
    with _shell.progress(left, what, unit="recordings") as advance:
        for outcome in work.run(workers=workers):
            if outcome.reason:
                failed.append(f"{outcome.file}: {outcome.reason}")
            advance(1)
    _some(failed)
    total = len(work.clips)
    done = f"{left - len(failed)} recordings done, {len(failed)} rejected, {total - left} done before"
    _shell.write(f"{work.out}: {done}")
    if failed:
        return _shell.SOME_FAILED if total > len(failed) else _shell.FAILED
    return 0
