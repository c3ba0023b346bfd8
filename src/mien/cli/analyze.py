"""``mien analyze``: the emotions of the faces in pictures."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli import _shell
from mien.errors import MediaError, MediaNotFoundError, MienError

if TYPE_CHECKING:
    from mien.analyzers import FaceAnalyzer
    from mien.results import FailedItem, ImageResult

__all__ = ["command"]

_STDIN = "-"


@click.command(name="analyze")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a document for one picture, a line each for many.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV: one row a face.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the drawn pictures there.")
@click.option("--save-faces", type=click.Path(path_type=Path), metavar="DIR", help="Write each face as a PNG there.")
@click.option("--explain", is_flag=True, help="Lay over each drawn face a map of what spoke for its emotion.")
@click.option(
    "--explain-by",
    type=click.Choice(("cam", "occlusion")),
    help="How: class activation maps, or hiding parts.  [default: cam where the model has them]",
)
@click.option("--model", default="face-base", show_default=True, help="A shipped model, a model.toml or a run folder.")
@click.option("--labels-as", metavar="OUTPUT", help="Which output of the model answers, such as fer7.")
@click.option("--detector", default="mtcnn", show_default=True, help="mtcnn or haar.")
@click.option("--min-face", type=float, metavar="PX", help="Width of the smallest face.  [default: by picture size]")
@click.option("--threads", type=click.IntRange(min=1), help="Pictures or computations at once.  [default: cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, help="Size limit.")
def command(
    paths: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    out: Path | None,
    save_faces: Path | None,
    explain: bool,
    explain_by: str | None,
    model: str,
    labels_as: str | None,
    detector: str,
    min_face: float | None,
    threads: int | None,
    device: str,
    max_pixels: int,
) -> int:
    r"""Read the emotions of the faces in pictures.

    PATH is a picture, a folder (with all its folders), a pattern such as 'photos/*.jpg', or - for standard input.
    Reads JPEG, PNG, WebP, TIFF, BMP and GIF, told by content.  A bad file becomes a row with its error and stops
    nothing; the exit code is then 3, or 1 if nothing at all could be read.

    \b
    mien analyze team.jpg
    mien analyze photos/ --csv > faces.csv
    mien analyze team.jpg --out drawn/ --save-faces faces/
    """
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    explain = explain or explain_by is not None
    if explain and out is None:
        raise click.UsageError("--explain draws on the pictures: say with --out where they go")
    from mien.analyzers import FaceAnalyzer
    from mien.api import analyze_images
    from mien.models.runtime import default_threads

    many = len(paths) > 1 or _is_many(paths[0])
    workers = (threads or default_threads()) if many else 1
    analyzer = FaceAnalyzer(
        model,
        detector=detector,
        output=labels_as,
        min_face_px=min_face,
        # Many pictures: one thread each.  One picture: all threads for it.
        threads=1 if many else threads,
        device=device,
    )
    files = _Files(out, save_faces, paths, maps=_maps(analyzer, explain_by or "auto") if explain else None)
    report = _Report(analyzer, as_json=as_json, as_csv=as_csv, many=many)
    total = _count(paths) if many else 1
    with _shell.progress(total, "analyzing", unit="pictures") if many else nullcontext(_nothing) as advance:
        sources = _sources(paths, files)
        results = analyze_images(
            sources,
            analyzer=analyzer,
            workers=workers,
            max_pixels=max_pixels,
            seen=files.write if files.wanted else None,
        )
        try:
            for result in results:
                report.add(result)
                advance(1)
        except KeyboardInterrupt:
            report.close()
            raise
    return report.close()


def _maps(analyzer: FaceAnalyzer, method: str) -> Callable[..., Any]:
    """Return what lays maps over the faces of a picture, and tell how they are made."""
    from mien.analyzers.explain import choose_method
    from mien.output import heat

    chosen = choose_method(analyzer.spec, method)
    told = {"cam": "class activation maps", "occlusion": "hiding parts of the face (about 100 answers a face)"}
    _shell.note(f"explained by {told[chosen]}")
    return lambda image, faces: heat(image, analyzer.explain(image, faces, method=chosen))


def _is_many(path: str) -> bool:
    # os.path answers False, where Path raises, for names that are too long or hold a zero byte.
    return os.path.isdir(path) or (any(sign in path for sign in "*?[") and not os.path.exists(path))  # noqa: PTH110, PTH112


def _nothing(_count: int) -> None:
    return None


def _count(paths: Sequence[str]) -> int:
    from mien.media.paths import count_image_paths

    return sum(1 if path == _STDIN else count_image_paths([path]) for path in paths)


def _sources(paths: Sequence[str], files: _Files) -> Iterator[Any]:
    """Yield what to analyze; an argument that names nothing is yielded as it is, so that reading it tells why."""
    from mien.media.paths import iter_image_paths

    for argument in paths:
        if argument == _STDIN:
            data = sys.stdin.buffer.read()
            files.place(data, "stdin.png")
            yield data
            continue
        folder = Path(argument) if os.path.isdir(argument) else None  # noqa: PTH112
        try:
            for path in iter_image_paths([argument]):
                files.place(path, str(Path(path).relative_to(folder)) if folder else Path(path).name)
                yield path
        except MediaNotFoundError as error:
            yield _Missing(argument, error)


class _Missing:
    """An argument that names no picture: reading it raises the error, which becomes its row."""

    def __init__(self, path: str, error: MienError) -> None:
        self.name, self._error = path, error

    def read(self, _size: int = -1) -> bytes:
        """Raise the error (a picture may be read from anything that has this method)."""
        raise self._error


class _Files:
    """Where drawn pictures and faces go.  Names are given out in order, so that they do not depend on threads."""

    def __init__(
        self, out: Path | None, faces: Path | None, paths: Sequence[str], *, maps: Callable[..., Any] | None = None
    ) -> None:
        self.wanted = out is not None or faces is not None
        self._out, self._faces, self._maps = out, faces, maps
        # A source named twice is written twice: one name each time.
        self._names: dict[Any, deque[str]] = {}
        self._taken: set[Path] = set()
        used = False
        for folder in (out, faces):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                used = used or any(folder.iterdir())
        # Only what already lies in the folder can be written over.
        self._inputs = set(_identities(paths)) if used else set()

    def place(self, source: Any, name: str) -> None:
        """Choose the name of a source's files: its own, with a number where another picture has it already."""
        if not self.wanted:
            return
        path = Path(name)
        chosen, number = path, 2
        while _drawable(chosen) in self._taken:
            chosen = path.with_name(f"{path.stem}_{number}{path.suffix}")
            number += 1
        self._taken.add(_drawable(chosen))
        self._names.setdefault(_key(source), deque()).append(str(chosen))

    def write(self, source: Any, image: Any, result: ImageResult) -> None:
        """Write the files of one picture."""
        from mien.output import draw

        name = Path(self._names[_key(source)].popleft())
        if self._out is not None:
            shown = image if self._maps is None else self._maps(image, result.faces)
            self._write(_drawable(self._out / name), draw(shown, result))
        if self._faces is not None:
            for number, face in enumerate(result.faces, 1):
                self._write(self._faces / name.with_name(f"{name.name}_face{number}.png"), _cut(image, face.box))

    def _write(self, target: Path, image: Any) -> None:
        from mien.media.paths import shown
        from mien.output import write_image

        if self._inputs and _identity(target) in self._inputs:
            raise MienError(f"will not write over a picture to be read: {shown(target)}: choose another folder")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make the folder {shown(target.parent)}: {error.strerror or error}"
            raise MediaError(message, path=target) from error
        write_image(target, image)


def _identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    from mien.media.paths import iter_image_paths

    for argument in paths:
        with suppress(MediaNotFoundError):
            for path in iter_image_paths([argument]):
                identity = _identity(path)
                if identity is not None:
                    yield identity


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what two names of one file have in common, or None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - takes a name as it is
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _key(source: Any) -> Any:
    return source if isinstance(source, str) else id(source)


def _drawable(target: Path) -> Path:
    kept = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
    return target if target.suffix.lower() in kept else target.with_name(target.name + ".png")


def _cut(image: Any, box: Sequence[float], margin: float = 0.15) -> Any:
    """Return the face with a margin, a share of the longer side, as far as the picture reaches."""
    x1, y1, x2, y2 = box
    pad = margin * max(x2 - x1, y2 - y1)
    height, width = image.shape[:2]
    left, top = max(int(x1 - pad), 0), max(int(y1 - pad), 0)
    right, bottom = min(int(x2 + pad) + 1, width), min(int(y2 + pad) + 1, height)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


@dataclass
class _Report:
    """Writes results as they come, counts them, and knows the exit code."""

    analyzer: FaceAnalyzer
    as_json: bool
    as_csv: bool
    many: bool
    done: int = 0
    failed: int = 0
    faces: int = 0
    shown: list[ImageResult | FailedItem] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        from mien.output import tables

        self._lines: tables.JsonLinesWriter | tables.CsvWriter | None = None
        if self.as_csv:
            self._lines = tables.CsvWriter(sys.stdout, self.analyzer.output.labels)
        elif self.as_json and self.many:
            self._lines = tables.JsonLinesWriter(sys.stdout)

    def add(self, item: ImageResult | FailedItem) -> None:
        """Take one result."""
        from mien.media.paths import shown
        from mien.output.tables import to_json
        from mien.results import FailedItem

        if isinstance(item, FailedItem):
            self.failed += 1
            named = item.path is None or shown(item.path) in item.message
            _shell.note(item.message if named else f"{item.path}: {item.message}")
        else:
            self.done += 1
            self.faces += len(item.faces)
            for warning in item.warnings:
                _shell.note(f"warning: {item.path or 'standard input'}: {warning}")
        if self._lines is not None:
            self._lines.write(item)
            sys.stdout.flush()
        elif self.as_json:
            _shell.write(to_json(item))
        else:
            self.shown.append(item)

    def close(self) -> int:
        """Write the table, if one is wanted, and return the exit code."""
        if self.shown and self.done:
            _shell.write_faces(self.shown)
        # A single failure has said all in its own line.
        if self.many and self.done + self.failed > 1:
            seconds = time.monotonic() - self.started
            counts = f"{self.done} pictures, {self.faces} faces, {self.failed} failed, {seconds:.1f} s"
            _shell.note(counts)
        if self.failed == 0:
            return 0
        return _shell.SOME_FAILED if self.done else _shell.FAILED
