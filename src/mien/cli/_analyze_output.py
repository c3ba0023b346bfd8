"""Where the results of ``mien analyze`` go: tables on stdout, files beside, notes, counts, and the exit code."""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mien._checks import count_of
from mien.api.pipeline import KINDS, Item, Result
from mien.api.sources import Source
from mien.cli import shell
from mien.errors import MediaError, MediaNotFoundError, MienError
from mien.io.container import error_reason
from mien.io.paths import format_path, iter_media_paths
from mien.output.registry import FORMATS, Context, Format, Writer
from mien.output.write import make_folder
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame

__all__ = ["STDIN", "ItemFiles", "Report", "is_one_file"]

STDIN = "-"

Target = tuple[Format, Path]


class Report:
    """Writes results as they come, counts them, and knows the exit code; a context manager.

    Parameters
    ----------
    formats : sequence of Format
        What is written to stdout; nothing else than ``files``, if those are given, or tables to read.
    files : sequence of (Format, Path)
        Files of all results.
    context : Context
        What is known of the results.
    """

    def __init__(self, formats: Sequence[Format], files: Sequence[Target], context: Context) -> None:
        self._many = context.many
        streams = [*formats] if formats or files else [FORMATS["console"]]
        self._files = [(path, form.open(path, context)) for form, path in files]
        self._writers: list[Writer] = [form.open(sys.stdout, context) for form in streams]
        self._writers += [writer for _, writer in self._files]
        self.done = self.failed = 0
        self._read = dict.fromkeys(KINDS, 0)
        self._faces = self._people = 0
        self._speech_s = self._video_s = 0.0
        self._started_s = time.monotonic()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, KeyboardInterrupt):
            return
        for _, writer in self._files:
            try:
                writer.close()  # what was written stays
            except Exception as problem:  # noqa: BLE001 - the first error is the one to report
                with suppress(Exception):
                    writer.discard(problem)

    def add_segment(self, source: Source, number: int, segment: SpeechSegment) -> None:
        """Write a segment of an audio file that is still read."""
        for writer in self._writers:
            writer.write_segment(source.path, number, segment)
        sys.stdout.flush()

    def add_frame(self, source: Source, frame: VideoFrame) -> None:
        """Write a frame of a video that is still read."""
        for writer in self._writers:
            writer.write_frame(source.path, frame)
        sys.stdout.flush()

    def add(self, item: Item) -> None:
        """Write a result."""
        result = item.result
        if isinstance(result, FailedItem):
            is_named = result.path is None or format_path(result.path) in result.message
            self.add_failure(result.message if is_named else f"{result.path}: {result.message}")
        else:
            self._count(result)
        for writer in self._writers:
            writer.write(result)
        sys.stdout.flush()

    def add_failure(self, message: str) -> None:
        """Say that something could not be read or made."""
        self.failed += 1
        shell.note(message)

    def _count(self, result: Result) -> None:
        self.done += 1
        if isinstance(result, ImageResult):
            self._read["image"] += 1
            self._faces += len(result.faces)
        elif isinstance(result, SpeechResult):
            self._read["audio"] += 1
            self._speech_s += result.speech_s
        else:
            self._read["video"] += 1
            self._people += len(result.tracks)
            self._video_s += result.end_s - result.start_s
        for warning in result.warnings:
            shell.note(f"warning: {result.path or 'standard input'}: {warning}")

    def close(self) -> int:
        """Write what is left, and return the exit code."""
        for writer in self._writers:
            writer.close()
        for path, writer in self._files:
            rows = f"{count_of(writer.rows, 'row')} to " if hasattr(writer, "rows") else ""
            shell.note(f"wrote {rows}{format_path(path)}")
        # A single failure has said all in its own line.
        if self._many and self.done + self.failed > 1:
            shell.note(self._counts())
        if self.failed == 0:
            return 0
        return shell.SOME_FAILED if self.done else shell.FAILED

    def _counts(self) -> str:
        parts = []
        if self._read["image"] or not self.done:
            parts += [count_of(self._read["image"], "image"), count_of(self._faces, "face")]
        if self._read["audio"]:
            parts += [count_of(self._read["audio"], "audio file"), f"{self._speech_s:.1f} s of speech"]
        if self._read["video"]:
            videos, people = count_of(self._read["video"], "video"), count_of(self._people, "person", "people")
            parts += [videos, f"{self._video_s:.1f} s", people]
        return ", ".join([*parts, f"{self.failed} failed", f"{time.monotonic() - self._started_s:.1f} s"])


@contextmanager
def _explain_item_errors(source: Source) -> Iterator[None]:
    """Turn whatever goes wrong with the files of an item into an error of that item: the others go on."""
    try:
        yield
    except MienError:
        raise
    except Exception as error:
        raise MediaError(f"cannot write what is made of {source.label}: {error_reason(error)}") from error


class ItemFiles:
    """The files that are made of each item, named after it, never over something that is read.

    Names are given out in the order of the items, so that they do not depend on threads.

    Parameters
    ----------
    targets : sequence of (Format, Path)
        What is made, and where: a file or a folder.
    paths : sequence of str
        The arguments that name what is read.
    many : bool
        Whether several items are read: then each video's faces have a folder of their own.
    """

    def __init__(self, targets: Sequence[Target], paths: Sequence[str], *, many: bool) -> None:
        self._targets, self._many = targets, many
        for form, place in targets:
            if not is_one_file(form, place):
                make_folder(place)
        # Where nothing lies yet, nothing can be written over.
        is_used = any(any(place.iterdir()) if place.is_dir() else place.exists() for _, place in targets)
        self._inputs = set(_identities(paths)) if is_used else set()
        self._names: dict[str, _Names] = {}
        self._writers: dict[Source, list[tuple[Format, Path, Writer]]] = {}

    def open(self, source: Source, context: Context) -> None:
        """Choose the files of a source and begin them.

        Raises
        ------
        MienError
            If one would be written over something that is read, or cannot be written.
        """
        writers, image_name = [], None
        for form, place in self._targets:
            if source.kind not in form.kinds:
                continue
            if source.kind == "image" and not is_one_file(form, place):
                image_name = image_name or self._name("image", source.name, _as_image)
                target = place / image_name
                target = _as_image(target) if form.target == "each" else target
            else:
                target = self._place(form, place, source)
            self._check(form, target, source)
            writers.append((form, target, form.open(target, context)))
        if writers:
            self._writers[source] = writers

    def add_image(self, source: Source, image: Any, found: ImageResult | VideoFrame) -> None:
        """Take an image that was read."""
        with _explain_item_errors(source):
            for form, _, writer in self._writers.get(source, ()):
                if form.needs == "images":
                    writer.add_image(image, found)

    def add_audio(self, source: Source, block: Any) -> None:
        """Take a block of sound that was read."""
        with _explain_item_errors(source):
            for form, _, writer in self._writers.get(source, ()):
                if form.needs == "audio":
                    writer.add_audio(block)

    def write(self, source: Source, result: Result, *, is_complete: bool = True) -> None:
        """Write the files of an item.

        Raises
        ------
        MienError
            If one cannot be written.
        """
        skipped = []
        for form, target, writer in self._writers.pop(source, ()):
            if form.needs == "source" and not is_complete:
                skipped.append(target)
                continue
            with _explain_item_errors(source), writer:
                writer.write(result)
        for target in skipped if source.kind == "video" else ():
            shell.note(f"{format_path(target)}: not drawn, because the video was not read to its end")

    def discard(self, source: Source, failed: FailedItem) -> None:
        """Give up the files of an item that failed."""
        for _, _, writer in self._writers.pop(source, ()):
            writer.discard(MienError(failed.message))

    def targets_of(self, source: Source, needs: str) -> list[Path]:
        """Return where the files of a source go that need something of it."""
        return [target for form, target, _ in self._writers.get(source, ()) if form.needs == needs]

    def _place(self, form: Format, place: Path, source: Source) -> Path:
        if is_one_file(form, place):
            return place
        # A video's own suffix does not belong to what is a video, or a folder, of its own.
        plain = str(Path(source.name).with_suffix(""))
        if form.target == "folder":
            return place / self._name(form.name, plain) if self._many else place
        name = plain if form.replaces_suffix else source.name
        return place / self._name(form.name, f"{name}{form.suffixes[0]}")

    def _name(self, what: str, name: str, made: Callable[[Path], Path] = lambda path: path) -> Path:
        return self._names.setdefault(what, _Names(made)).give(name)

    def _check(self, form: Format, target: Path, source: Source) -> None:
        """Raise where something that is read would be written over, else make the folder."""
        if self._inputs:
            if form.target != "folder":
                written: Iterable[Path] = [target]
            elif source.kind == "image":
                written = target.parent.glob(f"{glob.escape(target.name)}_face*.png")
            else:
                written = target.glob("*/*.png")
            for path in written:
                if _identity(path) in self._inputs:
                    what, place = KINDS[source.kind].one, format_path(target)
                    if form.target == "folder":
                        what, place = "images", f"in {place}"
                    raise MienError(f"will not write over {what} to be read: {place}: choose another folder")
        make_folder(target.parent)


class _Names:
    """Gives each source a name that no other has.

    Parameters
    ----------
    made : callable
        Turns a source's name into that of its file; two sources whose files would be one get numbers.
    """

    def __init__(self, made: Callable[[Path], Path]) -> None:
        self._made = made
        # Text takes a third of the memory of paths.
        self._taken: set[str] = set()

    def give(self, name: str) -> Path:
        """Return the name of a source's file, with a number where another source has it."""
        path = Path(name)
        chosen, number = path, 2
        while str(self._made(chosen)) in self._taken:
            chosen = path.with_name(f"{path.stem}_{number}{path.suffix}")
            number += 1
        self._taken.add(str(self._made(chosen)))
        return chosen


def is_one_file(form: Format, place: Path) -> bool:
    """Tell whether a place is one file, and not a folder with a file for each item."""
    return form.target == "each" and place.suffix.lower() in form.suffixes and not place.is_dir()


def _as_image(target: Path) -> Path:
    """Return the name of an image file; those that are not written get a further suffix."""
    suffixes = FORMATS["annotated-image"].suffixes
    return target if target.suffix.lower() in suffixes else target.with_name(f"{target.name}{suffixes[0]}")


def _identities(paths: Iterable[str]) -> Iterable[tuple[int, int]]:
    for argument in paths:
        try:
            for path in [] if argument == STDIN else iter_media_paths([argument]):
                found = _identity(path)
                if found is not None:
                    yield found
        except MediaNotFoundError:
            continue


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what two names of one file have in common, or None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - takes a name as it is
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
