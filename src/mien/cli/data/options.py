"""Which dataset a command works on: the same options for all commands."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mien.cli import shell

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.data.prepare.audio_work import AudioWork

__all__ = [
    "Choice",
    "choose",
    "choose_named",
    "dataset_arguments",
    "is_given",
    "note_some",
    "open_images",
    "open_samples",
    "parse_pair",
    "run_work",
    "workers_option",
]

_MOST_NOTES = 10
"""Problems and rejections that are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A dataset as the command line names it.

    Parameters
    ----------
    name : str
        One of `mien.data.DATASETS`.
    path : pathlib.Path
        Its file or folder.
    split : str or None
        Keep only this split.
    options : dict
        What the dataset takes besides.
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
    pairs: Sequence[str] = (),
    kinds: Sequence[str] = ("image",),
) -> Choice:
    """Return the dataset that the arguments of a command mean.

    Parameters
    ----------
    name : str
        A registered name; or, without ``data``, a path, which is read as what it looks like: of several kinds, the one
        with most files in it. A folder of images as ``folder``, a file as ``fer2013``, or as ``table`` if its name ends
        in ``.parquet``; audio and videos see ``detect_dataset`` in `mien.data.speech` and `mien.data.videos`.
    data : pathlib.Path, optional
        File or folder of the dataset.
    split : str, optional
        Keep only this split.
    labels : pathlib.Path, optional
        FER+ votes, or another file of labels that the dataset takes.
    protocol : str, optional
        How annotations become labels.
    pairs : sequence of str
        Further options of the dataset, ``key=value`` each.
    kinds : sequence of str
        Kinds of datasets that the command takes.

    Raises
    ------
    click.UsageError
        If the name is neither such a dataset nor a path, the path is missing, or a pair is none.
    """
    from mien.data import dataset_names

    known = dataset_names(*kinds)
    if name not in known:
        if data is not None or not Path(name).exists():
            raise click.UsageError(f"unknown dataset {name!r}: expected {', '.join(known)}, or a path")
        data = Path(name)
        name = _detect(data, kinds)
    if data is None:
        raise click.UsageError(f"--data must say where {name} lies")
    options = dict(parse_pair(pair) for pair in pairs)
    if labels is not None:
        options["labels"] = labels
    if protocol is not None:
        options["protocol"] = protocol
    return Choice(name, data, split, options)


def _detect(path: Path, kinds: Sequence[str]) -> str:
    kind = kinds[0]
    if len(kinds) > 1 and path.is_dir():
        kind = _most_files(path, kinds)
    if kind != "image":
        from mien.data import speech, videos

        detect, other = (
            (speech.detect_dataset, "speech_folder") if kind == "audio" else (videos.detect_dataset, "video_folder")
        )
        name = detect(path) if path.is_dir() else other
        shell.note(f"{path} is read as {name}")
        return name
    return "folder" if path.is_dir() else "table" if path.suffix.lower() == ".parquet" else "fer2013"


def _most_files(folder: Path, kinds: Sequence[str]) -> str:
    """Return the kind of which a folder has most files by their names; images are frames where videos come first."""
    from mien.io.paths import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

    suffixes = {"image": IMAGE_SUFFIXES, "audio": AUDIO_SUFFIXES, "video": VIDEO_SUFFIXES}
    if kinds[0] == "video":
        suffixes["video"] = VIDEO_SUFFIXES | IMAGE_SUFFIXES
    names = Counter(Path(file).suffix.lower() for _, _, files in os.walk(folder) for file in files)
    return max(kinds, key=lambda kind: sum(names[suffix] for suffix in suffixes[kind]))


def choose_named(text: str, pairs: Sequence[str] = (), *, kinds: Sequence[str] = ("image",)) -> Choice:
    """Return the dataset that ``NAME=PATH`` means, with those of the options ``NAME.KEY=VALUE`` that are its own.

    Raises
    ------
    click.UsageError
        If it is another form, or there is no dataset of that name.
    """
    name, sign, path = text.partition("=")
    if not sign or not name.strip() or not path:
        raise click.UsageError(f"expected NAME=PATH, such as fer2013=fer2013.csv, but got {text!r}")
    own = [pair.removeprefix(f"{name.strip()}.") for pair in pairs if pair.startswith(f"{name.strip()}.")]
    return choose(name.strip(), Path(path), pairs=own, kinds=kinds)


def parse_pair(text: str) -> tuple[str, Any]:
    """Return an option ``key=value``; values become booleans and numbers where they look like them.

    Raises
    ------
    click.UsageError
        If it is another form.
    """
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


def dataset_arguments(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the argument NAME|PATH and --data, --split, --option; with images --labels and --protocol, too.

    The command's function gets them as one `Choice`, the parameter ``choice``.

    Parameters
    ----------
    *kinds : {"image", "audio", "video"}
        Which datasets the command takes.
    """
    decorators = [*_COMMON, *(_OF_IMAGES if "image" in kinds else ())]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(
            *rest: Any,
            dataset: str,
            data: Path | None,
            split: str | None,
            pairs: tuple[str, ...],
            labels: Path | None = None,
            protocol: str | None = None,
            **others: Any,
        ) -> Any:
            chosen = choose(dataset, data, split=split, labels=labels, protocol=protocol, pairs=pairs, kinds=kinds)
            return function(*rest, choice=chosen, **others)

        for add in reversed(decorators):
            wrapped = add(wrapped)
        return wrapped

    return decorate


_COMMON: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("dataset", metavar="NAME|PATH"),
    click.option("--data", type=click.Path(path_type=Path), help="File or folder of the dataset, as published."),
    click.option("--split", metavar="NAME", help="Only this split."),
    click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Another option of the dataset."),
)
_OF_IMAGES: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--labels", type=click.Path(path_type=Path), help="File of labels, such as FER+ votes."),
    click.option("--protocol", metavar="NAME", help="How annotations become labels, where there is a choice."),
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=min(os.cpu_count() or 1, 8),
    show_default="one a core, at most 8",
    help="Processes.",
)


def open_samples(choice: Choice, *, notes: bool = False) -> Samples:
    """List a dataset, or read one that is a table, with a note and progress on stderr.

    Parameters
    ----------
    choice : Choice
        The dataset.
    notes : bool
        Note its first problems on stderr.

    Raises
    ------
    mien.errors.MienError
        If it cannot be read, or does not take an option.
    """
    from mien.data import DATASETS, load_dataset

    if not DATASETS[choice.name].in_memory:
        samples = load_dataset(choice.name, choice.path, split=choice.split, **choice.options)
    else:
        shell.note(f"reading {choice.path}")
        with shell.progress(None, "reading", unit="images") as advance:
            samples = load_dataset(choice.name, choice.path, split=choice.split, progress=advance, **choice.options)
    if notes:
        note_some(samples.problems)
    return samples


def open_images(choice: Choice, *, size: int | None = None) -> Samples:
    """Read a dataset of images into memory, with a note and progress on stderr.

    Parameters
    ----------
    choice : Choice
        The dataset.
    size : int, optional
        Side of the images, for datasets in files; by default that of `mien.data.load_images`.

    Raises
    ------
    mien.errors.MienError
        If it cannot be read, or does not take an option.
    """
    from mien.data import load_images

    options = choice.options if size is None else {**choice.options, "size": size}
    shell.note(f"reading {choice.path}")
    with shell.progress(None, "reading", unit="images") as advance:
        return load_images(choice.name, choice.path, split=choice.split, progress=advance, **options)


def note_some(lines: Sequence[str]) -> None:
    """Write the first lines to stderr, and how many more there are."""
    for line in lines[:_MOST_NOTES]:
        shell.note(line)
    if len(lines) > _MOST_NOTES:
        shell.note(f"and {len(lines) - _MOST_NOTES} more")


def is_given(name: str) -> bool:
    """Return whether an option of the current command stands on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def run_work(work: AudioWork, what: str, *, workers: int) -> int:
    """Do what is left of some work on audio files, with progress, and return the exit code.

    Parameters
    ----------
    work : AudioWork
        What to do.
    what : str
        What is done, for the bar.
    workers : int
        Processes.
    """
    left = len(work.left())
    failed: list[str] = []
    with shell.progress(left, what, unit="recordings") as advance:
        for outcome in work.run(workers=workers):
            if outcome.reason:
                failed.append(f"{outcome.file}: {outcome.reason}")
            advance(1)
    note_some(failed)
    total = len(work.clips)
    done = f"{left - len(failed)} recordings done, {len(failed)} rejected, {total - left} done before"
    shell.write(f"{work.out}: {done}")
    if failed:
        return shell.SOME_FAILED if total > len(failed) else shell.FAILED
    return 0
