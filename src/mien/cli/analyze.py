"""``mien analyze``: the emotions of the faces in images and videos, and of the voices in videos and audio files."""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from mien.api.pipeline import KINDS, Analyzers, Item, Pipeline, Progress, Result
from mien.api.sources import KindName, Pipe, Source, find_sources, is_several, kind_of_path
from mien.cli import shell
from mien.cli._analyze_output import STDIN, ItemFiles, Report, is_one_file
from mien.cli._options import (
    GroupedCommand,
    PathType,
    add_options,
    choose_specs,
    flag_of,
    models_option,
    only_option,
    option,
)
from mien.errors import MediaNotFoundError, MienError, UnsupportedMediaError
from mien.io.paths import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    expand_home,
    format_path,
    iter_media_paths,
)
from mien.options import AudioOptions, ModelOptions, VideoOptions, frame_step_s, make_options
from mien.output.registry import FORMATS, Context, Format
from mien.results import FailedItem, VideoResult

if TYPE_CHECKING:
    from mien.face.analyzer import FaceAnalyzer
    from mien.labels import LabelSet

__all__ = ["command"]

FIRST_LOOK = 10_000
"""So many files are looked at before the first is read: a folder of a million takes seconds, on a slow disk minutes."""

_FILE_SUFFIXES = (
    IMAGE_SUFFIXES | VIDEO_SUFFIXES | AUDIO_SUFFIXES | {".csv", ".htm", ".html", ".json", ".pdf", ".svg", ".txt"}
)
"""What the name of a folder hardly ends in."""

_STDIN_NAMES: dict[KindName, str] = {"image": "stdin.png", "audio": "stdin.wav", "video": "stdin.mp4"}

_TABLES = ("csv", "parquet")
"""Formats whose columns are those of the kinds that are expected."""

_OUTPUT, _FACES, _VIDEOS, _AUDIO, _MODELS = "Output", "Faces", "Videos", "Audio", "Models and limits"

_EXAMPLES = (
    "mien analyze team.jpg",
    "mien analyze photos/ --csv > faces.csv",
    "mien analyze team.jpg --out drawn/ --save-faces faces/",
    "mien analyze interview.mp4",
    "mien analyze interview.mp4 --html interview.html --out annotated.mp4",
    "mien analyze call.wav --plot call.png",
)


def _formats_by_flag() -> dict[str, list[Format]]:
    """Return the formats that have options, by these."""
    by_flag: dict[str, list[Format]] = {}
    for name in FORMATS.known():
        if FORMATS[name].flag is not None:
            by_flag.setdefault(str(FORMATS[name].flag), []).append(FORMATS[name])
    return by_flag


def _format_options(group: str) -> Callable[[Any], Any]:
    """Add the options of all formats under a heading to a command."""

    def decorate(command: Any) -> Any:
        for flag, (form, *_) in reversed(_formats_by_flag().items()):
            if group == (form.group if form.group in (_FACES, _VIDEOS, _AUDIO) else _OUTPUT):
                command = _format_option(flag, form)(command)
        return command

    return decorate


def _format_option(flag: str, form: Format) -> Callable[[Any], Any]:
    more: dict[str, Any] = {"is_flag": True} if form.target == "stream" else {"type": _PATH}
    return option(flag, _key(flag), group=form.group, metavar=form.metavar, help=form.help, **more)


class _Command(GroupedCommand):
    """Looks for the formats of other packages only where an option is not one of mien's own: that takes time."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add options where they may be needed, and parse."""
        known = {name for param in self.params for name in param.opts}
        if any(word.startswith("-") and word.partition("=")[0] not in known for word in args):
            FORMATS.names()
            for flag, (form, *_) in _formats_by_flag().items():
                if flag not in known:
                    _format_option(flag, form)(self)
        return super().parse_args(ctx, args)


def _key(flag: str) -> str:
    return f"format_{flag.removeprefix('--').replace('-', '_')}"


_NAMED_FILES = 3
"""Names of skipped files that the note at the end has."""

_PATH = PathType()


@click.command(name="analyze", cls=_Command, examples=_EXAMPLES)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_format_options(_OUTPUT)
@_format_options(_FACES)
@option("--explain", group=_FACES, is_flag=True, help="Overlay each drawn face with a map of what led to its emotion.")
@option(
    "--explain-by",
    group=_FACES,
    type=click.Choice(("cam", "occlusion")),
    help="Class activation maps, or occlusion.  [default: cam if the model supports it]",
)
@add_options(ModelOptions, "detector", "min_face_px", group=_FACES)
@only_option(_VIDEOS)
@add_options(VideoOptions, "step_s", group=_VIDEOS)
@option("--fps", group=_VIDEOS, type=float, metavar="N", help="The same, as frames per second.")
@add_options(VideoOptions, "from_s", "to_s", "max_faces", "min_seen_s", "smooth_s", group=_VIDEOS)
@add_options(VideoOptions, "method", "fusion", "clip_model", "baseline", "baseline_strength", group=_VIDEOS)
@option(
    "--table",
    group=_VIDEOS,
    type=click.Choice(VideoResult.tables),
    help=f"Table to write with --csv and --parquet.  [default: {VideoResult.tables[0]}]",
)
@_format_options(_VIDEOS)
@add_options(AudioOptions, "channel", "window_s", "hop_s", group=_AUDIO)
@_format_options(_AUDIO)
@option(
    "--audio-rate",
    group=_AUDIO,
    type=click.IntRange(1000, 384_000),
    metavar="HZ",
    help="Sampling rate of the saved sound.  [default: that of the source]",
)
@option("--audio-float", group=_AUDIO, is_flag=True, help="Save floats instead of 16-bit integers.")
@models_option(_MODELS)
@add_options(ModelOptions, "output", "flip", "threads", "device", "engine", "precision", "max_pixels", group=_MODELS)
@click.pass_context
def command(ctx: click.Context, /, paths: tuple[str, ...], **values: Any) -> int:
    """Read the emotions of the faces in images and videos, and of the voices in videos and audio files.

    PATH is an image, a video, an audio file, a folder (with all its subfolders), a pattern such as 'photos/*.jpg', or -
    for standard input.  The kind of a file is detected from its content.  A file that cannot be read becomes a row with
    its error, and the rest is still analyzed; the exit code is then 3, or 1 if nothing could be read.
    """
    paths = tuple(map(expand_home, paths))
    given = frozenset(name for name in values if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT)
    choices = _Choices(values, given)
    choices.check()
    stdin = Pipe(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)) if STDIN in paths else None
    plan = _plan(paths, stdin, choices.only, at_most=None if choices.needs_kinds else FIRST_LOOK)
    choices.fit(plan)
    return _Run(paths, stdin, plan, choices).run()


# --- options --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What is to come, as far as names and the first bytes of single files say.

    Parameters
    ----------
    counts : dict of str to int
        How many there are of each kind; kinds that there are none of are left out.
    missing : int
        Arguments that name nothing.
    videos : int
        Files that are videos, however they are read.
    is_many : bool
        Whether several items are read.
    is_whole : bool
        Whether all was looked at; otherwise there is more, of any kind.
    """

    counts: dict[KindName, int]
    missing: int
    videos: int
    is_many: bool
    is_whole: bool = True

    @property
    def kinds(self) -> tuple[KindName, ...]:
        """The kinds that there are, images first."""
        return tuple(kind for kind in KINDS if kind in self.counts)

    @property
    def total(self) -> int | None:
        """How many items there are, if that is known."""
        return sum(self.counts.values()) + self.missing if self.is_whole else None


def _plan(paths: tuple[str, ...], stdin: Pipe | None, only: Any, *, at_most: int | None) -> _Plan:
    """Count what there is, or the first of it.  Files of folders are counted by their names: opening takes minutes."""

    def kinds(argument: str) -> Iterator[tuple[KindName, bool] | None]:
        if argument == STDIN and stdin is not None:
            yield stdin.kind(only), stdin.is_video
            return
        look = not is_several(argument)
        for path in _files(argument):
            yield None if path is None else kind_of_path(path, only=only, look=look)

    counts: Counter[KindName] = Counter()
    missing = videos = 0
    every = chain.from_iterable(map(kinds, paths))
    for found in islice(every, at_most):
        if found is None:
            missing += 1
        else:
            counts[found[0]] += 1
            videos += found[1]
    end = object()
    is_whole = at_most is None or next(every, end) is end
    return _Plan(dict(counts), missing, videos, len(paths) > 1 or is_several(paths[0]), is_whole)


def _files(argument: str) -> Iterator[str | None]:
    """Yield the files of an argument, or None where there is no file."""
    try:
        yield from iter_media_paths([argument])
    except MediaNotFoundError:
        yield None


class _Choices:
    """The options, and which fit each other and what there is to read.

    Parameters
    ----------
    values : dict
        By the names of the parameters.
    given : frozenset of str
        Which the user gave.
    """

    def __init__(self, values: dict[str, Any], given: frozenset[str]) -> None:
        self.values, self._given = values, given
        self.only = values["only"]
        self.table: str | None = values["table"]
        self.formats = [form for flag, forms in _formats_by_flag().items() if values[_key(flag)] for form in forms]

    @property
    def is_explained(self) -> bool:
        """Whether maps are laid over the drawn faces."""
        return self.values["explain"] or self.values["explain_by"] is not None

    @property
    def has_tables(self) -> bool:
        """Whether columns are fixed before the first row."""
        return any(form.name in _TABLES for form in self.formats)

    @property
    def needs_kinds(self) -> bool:
        """Whether it must be known what kinds there are before the first is read: for columns, and what fits them."""
        names = {"only", "models", "output", "precision", *(name for name, _, _ in self._fitting())}
        return self.has_tables or bool(names & self._given)

    def place(self, form: Format) -> Path:
        """Return where a format goes."""
        path: Path = self.values[_key(str(form.flag))]
        return path

    def _fitting(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield options that do nothing for some kinds: parameter, flag, and the kinds that they are for."""
        for flag, forms in _formats_by_flag().items():
            kinds = tuple(kind for kind in KINDS if any(kind in form.kinds for form in forms))
            if kinds != tuple(KINDS):
                yield _key(flag), flag, kinds
        yield "explain", "--explain", ("image",)
        yield "explain_by", "--explain-by", ("image",)
        yield "table", "--table", ("video",)
        yield "fps", "--fps", ("video",)
        for options, default in ((ModelOptions, None), (VideoOptions, ("video",)), (AudioOptions, ("audio", "video"))):
            for entry in fields(options):
                kinds = entry.metadata.get("kinds", default)
                if kinds is not None and entry.name in self.values:
                    yield entry.name, flag_of(entry), kinds

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if sum(form.target == "stream" for form in self.formats) > 1:
            raise click.UsageError("choose one of --json, --jsonl and --csv")
        flags = {form.flag for form in self.formats}
        if self.is_explained and "--out" not in flags:
            raise click.UsageError("--explain draws on the images: say with --out where they go")
        if (self.values["audio_rate"] or self.values["audio_float"]) and "--save-audio" not in flags:
            raise click.UsageError("--audio-rate and --audio-float say how --save-audio writes: say where")
        if self.table is not None and not self.has_tables:
            raise click.UsageError("--table says what --csv and --parquet write: give one of them")
        self._check_times()

    def _check_times(self) -> None:
        values, given = self.values, self._given
        for name in ("step_s", "fps", "min_seen_s", "smooth_s"):
            value, flag = values[name], f"--{name.removesuffix('_s').replace('_', '-')}"
            if name in given and not (math.isfinite(value) and value >= 0 and (value > 0 or name != "fps")):
                least = "more than 0" if name == "fps" else "at least 0"
                raise click.UsageError(f"{flag} must be {least}, but got {value:g}")
        if {"step_s", "fps"} <= given:
            raise click.UsageError("give --step or --fps, not both")
        from_s, to_s, method = values["from_s"], values["to_s"], values["method"]
        if to_s is not None and to_s <= from_s:
            raise click.UsageError(f"--to must be after --from, but got {from_s:g} to {to_s:g} s")
        if method != "timeline":
            for name in ("step_s", "fps", "from_s", "to_s", "min_seen_s", "smooth_s"):
                if name in given:
                    flag = f"--{name.removesuffix('_s').replace('_', '-')}"
                    message = f"--method {method} chooses frames of the whole video, each by itself: leave out {flag}"
                    raise click.UsageError(message)

    def fit(self, plan: _Plan) -> None:
        """Refuse options that do nothing for what there is."""
        counts = plan.counts
        if self.only is not None and counts and not plan.videos:
            raise click.UsageError("--only says what is read of videos, but there are none")
        for name, flag, kinds in self._fitting():
            if name in self._given and counts and not any(kind in counts for kind in kinds):
                message = f"{flag} is for {_and(kinds)}, but there are only {_and(plan.kinds)}"
                if self.only == "voice":
                    message += ": of videos only the sound is read"
                elif "video" in counts and "audio" in kinds:
                    message += ": with --only voice the sound of videos is read"
                raise click.UsageError(message)
        if self.only == "face" and "audio" not in counts:
            for name, flag in (("window_s", "--window"), ("hop_s", "--hop"), ("fusion", "--fusion")):
                if name in self._given:
                    raise click.UsageError(f"{flag} is about voices: leave out --only face")
            if self.table in ("speech", "fused"):
                raise click.UsageError(f"--table {self.table} needs the voice: leave out --only face")
        if "video" in counts and len(counts) > 1 and self.has_tables:
            raise click.UsageError(
                "videos have tables of their own: name them and other files in two calls, or use --json or --jsonl"
            )
        self._fit_places(plan)

    def _fit_places(self, plan: _Plan) -> None:
        """Refuse a file for many things, and names of files that would become folders."""
        for form in self.formats:
            if form.target not in ("each", "folder") or not any(kind in plan.counts for kind in form.kinds):
                continue
            place = self.place(form)
            if is_one_file(form, place):
                if plan.is_many:
                    message = f"{form.flag} {place} is one file, but there are several to read: name a folder"
                    raise click.UsageError(message)
            elif not place.is_dir() and (place.exists() or place.suffix.lower() in _FILE_SUFFIXES):
                files = f"a file that ends in {', '.join(form.suffixes)}, or " if form.target == "each" else ""
                raise click.UsageError(f"{form.flag} {format_path(place)}: expected {files}a folder")

    def video_options(self) -> VideoOptions:
        """Return what is read of videos."""
        step_s = self.values["step_s"] if "step_s" in self._given else None
        values = {**self.values, "step_s": frame_step_s(step_s, self.values["fps"]), "voice": self.only is None}
        return make_options(VideoOptions, values)

    def model_options(self, plan: _Plan) -> ModelOptions:
        """Return which models read what there is.

        Raises
        ------
        click.UsageError
            If a model is for nothing that there is, or two are for the same.
        MienError
            If there is no such model, or its record is wrong.
        """
        # Where nothing is found, every model fits, and the errors are shown.
        needed: dict[str, str] = {}
        for kind in (KINDS[name] for name in plan.kinds or ("image", "audio")):
            for task in kind.tasks if self.only is None else kind.tasks[:1]:
                needed[task] = f"{needed[task]} and {kind.many}" if task in needed else kind.many

        def check(spec: Any) -> None:
            if spec.task not in needed:
                wanted = " and ".join(f"{what} needs one for {task}" for task, what in needed.items())
                raise click.UsageError(f"model {spec.name!r} is for {spec.task}: reading {wanted}")

        chosen: dict[str, Any] = {
            place: spec for place, (_, spec) in choose_specs(self.values["models"], check).items()
        }
        return replace(make_options(ModelOptions, dict(self.values)), **chosen)


def _and(kinds: tuple[str, ...]) -> str:
    return " and ".join(KINDS[kind].many for kind in KINDS if kind in kinds)


# --- the run ----------------------------------------------------------------------------------------------------------


class _Run:
    """One call: the pipeline with what is written of it, and how far it is."""

    def __init__(self, paths: tuple[str, ...], stdin: Pipe | None, plan: _Plan, choices: _Choices) -> None:
        from mien.models.runtime import default_threads

        self._paths, self._stdin, self._plan, self._choices = paths, stdin, plan, choices
        models, video = choices.model_options(plan), choices.video_options()
        audio = make_options(AudioOptions, dict(choices.values))
        self._analyzers = Analyzers(models, video, audio, are_shared=plan.is_many)
        workers = (models.threads or default_threads()) if plan.is_many else 1
        self._pipeline = Pipeline(self._analyzers, workers=workers)
        # Whatever is wrong with a model is said before anything is written.
        speech_is_first = not isinstance(models.speech_model, str) and isinstance(models.model, str)
        expected = plan.kinds or (("audio",) if speech_is_first else ("image",))
        self._labels: dict[str, LabelSet] = {kind: self._analyzers.labels(kind, choices.table) for kind in expected}
        each = [form for form in choices.formats if form.target in ("each", "folder")]
        if any(form.name == "plot" for form in each):
            shell.set_matplotlib_cache()
        fits_all = plan.is_many or not plan.kinds
        targets = [(form, choices.place(form)) for form in each if fits_all or set(plan.kinds) & set(form.kinds)]
        self._context = Context(
            labels=self._labels,
            table=choices.table,
            many=plan.is_many,
            sample_rate_hz=choices.values["audio_rate"],
            sample_type="float32" if choices.values["audio_float"] else "int16",
        )
        self._targets = targets
        self._files = ItemFiles(targets, paths, many=plan.is_many)
        self._skipped: list[str] = []
        self._skipped_count = 0
        self._range: tuple[float, float] = (0.0, 0.0)
        self._drawn_s: float | None = None

    def run(self) -> int:
        """Analyze everything, and return the exit code."""
        choices, plan, files = self._choices, self._plan, self._files
        if choices.is_explained:
            explain = _explainer(self._analyzers.faces, choices.values["explain_by"] or "auto")
            self._context = replace(self._context, explain=explain)
        streams = [form for form in choices.formats if form.target == "stream"]
        tables = [(form, choices.place(form)) for form in choices.formats if form.target == "file"]
        needs = {form.needs for form, _ in self._targets}
        with shell.terminable(), Report(streams, tables, self._context) as report, ExitStack() as stack:
            self._report, self._display = report, _Display(stack, plan)
            if not plan.is_whole:
                stack.callback(_count_beside(self._paths, self._display.expect).set)
            items = self._pipeline.run(
                self._sources(),
                on_image=files.add_image if "images" in needs else None,
                on_audio=files.add_audio if "audio" in needs else None,
                on_frame=report.add_frame,
                on_segment=report.add_segment,
                on_progress=self._show,
                on_result=self._write_beside,
            )
            try:
                for item in stack.enter_context(closing(cast("Any", items))):
                    self._add(item)
            except KeyboardInterrupt:
                self._display.end_item()
                report.close()
                raise
        if self._skipped_count:
            more = ", ..." * (self._skipped_count > len(self._skipped))
            why = "not named as an image, video or audio file, or a linked folder"
            shell.note(f"{self._skipped_count} skipped ({why}): {', '.join(self._skipped)}{more}")
        return report.close()

    def _skip(self, path: str) -> None:
        """Count a file that is not read, and keep the names of the first."""
        self._skipped_count += 1
        if self._skipped_count <= _NAMED_FILES:
            self._skipped.append(format_path(path))

    def _sources(self) -> Iterator[Source]:
        """Yield what is read, with its files begun."""
        inputs = (self._stdin_source() if path == STDIN else path for path in self._paths)
        for source in find_sources(inputs, only=self._choices.only, on_skipped=self._skip):
            if source.error is None and self._choices.has_tables and source.kind not in self._labels:
                expected = _and(tuple(self._labels))
                message = (
                    f"{source.label} is {KINDS[source.kind].one}, but its name was taken for that of {expected}, whose "
                    "columns the table has: name it outright, or use --json"
                )
                yield replace(source, error=UnsupportedMediaError(message, path=source.path))
                continue
            try:
                if source.error is None:
                    self._files.open(source, self._context_of(source))
            except MienError as error:
                yield replace(source, error=error)
            else:
                yield source

    def _stdin_source(self) -> Source:
        """Return standard input: as it comes, unless it is read twice or cannot be read from front to back."""
        stdin = self._stdin
        assert stdin is not None
        kind = stdin.kind(self._choices.only)
        is_read_twice = any(form.needs == "source" and kind in form.kinds for form, _ in self._targets)
        if kind == "video" and self._choices.values["method"] != "timeline":
            is_read_twice = True
        data = stdin.rest() if kind == "image" or is_read_twice or stdin.needs_seeking else stdin
        return Source(data, kind, _STDIN_NAMES[kind], "standard input")

    def _context_of(self, source: Source) -> Context:
        context = replace(self._context, source=source.data)
        if source.kind != "video":
            return context
        return replace(context, spec=self._analyzers.videos.spec, on_progress=lambda at_s: self._draw(source, at_s))

    def _write_beside(self, source: Source, result: Result) -> None:
        # In the thread that read the item; of videos after their result, so that nothing that goes wrong loses it.
        if source.kind != "video":
            self._files.write(source, result)

    def _add(self, item: Item) -> None:
        """Write an item, and its files where that is not done yet."""
        self._display.end_item()
        source, result = item.source, item.result
        self._report.add(item)
        if isinstance(result, FailedItem):
            self._files.discard(source, result)
        elif source.kind == "video" or not item.is_complete:
            if isinstance(result, VideoResult):
                self._range, self._drawn_s = (result.start_s, result.end_s), None
            drawn = self._files.targets_of(source, "source")
            try:
                self._files.write(source, result, is_complete=item.is_complete)
            except MienError as error:
                self._report.add_failure(str(error))
            except KeyboardInterrupt:
                for target in drawn if self._drawn_s is not None else ():
                    shell.note(f"{format_path(target)}: drawn only up to {self._drawn_s:.1f} s")
                raise
            finally:
                self._display.end_item()
        self._display.advance()

    def _show(self, progress: Progress) -> None:
        """Show how far a video is, or a single audio file; many are counted."""
        source = progress.source
        if source.kind == "video" or not self._plan.is_many:
            what = "sound of " if source.kind == "video" and progress.stage == "sound" else ""
            self._display.show(
                f"{self._number()}{what}{source.label}", progress.time_s, progress.start_s, progress.end_s
            )

    def _draw(self, source: Source, time_s: float) -> None:
        self._drawn_s = time_s
        start_s, end_s = self._range
        self._display.show(f"{self._number()}drawing {source.label}", time_s, start_s, end_s)

    def _number(self) -> str:
        """Return which of many items is read."""
        if not self._plan.is_many:
            return ""
        total = f"/{self._plan.total}" if self._plan.is_whole else ""
        return f"{self._report.done + self._report.failed + 1}{total} "


class _Display:
    """How far the run is: items where there are many, and within a video or an audio file its time."""

    def __init__(self, stack: ExitStack, plan: _Plan) -> None:
        self._items = shell.Advance()
        if plan.is_many:
            unit = KINDS[plan.kinds[0]].many if len(plan.kinds) == 1 else "files" if plan.kinds else "images"
            self._items = stack.enter_context(shell.progress(plan.total, "analyzing", unit=unit))
        self._item = stack.enter_context(ExitStack())
        self._what = ""
        self._reach: Callable[[float], None] = lambda _: None
        self.expect, self._is_many = self._items.expect, plan.is_many

    def advance(self) -> None:
        """Count an item."""
        if self._is_many:
            self._items(1)

    def show(self, what: str, time_s: float, start_s: float, end_s: float | None) -> None:
        """Show that something has come to a time."""
        if what != self._what:
            self.end_item()
            self._item.enter_context(self._items.paused())
            self._reach = self._item.enter_context(shell.time_progress(what, start_s, end_s))
            self._what = what
        self._reach(time_s)

    def end_item(self) -> None:
        """Leave the place to results that go to the same terminal."""
        self._item.close()
        self._what = ""


def _count_beside(paths: tuple[str, ...], on_total: Callable[[int], None]) -> threading.Event:
    """Count in a thread what the arguments name, and call back with the number; setting the event ends it.

    The thread is not waited for: a slow disk must not hold up the end of the program.
    """
    over = threading.Event()

    def count() -> None:
        total = 0
        for argument in paths:
            for _ in [None] if argument == STDIN else _files(argument):
                if over.is_set():
                    return
                total += 1
        on_total(total)

    threading.Thread(target=count, name="mien-count", daemon=True).start()
    return over


def _explainer(analyzer: FaceAnalyzer, method: str) -> Callable[..., Any]:
    """Return what lays maps over the faces of an image, and say how they are made."""
    from mien.face.explain import choose_method
    from mien.output import heat

    chosen = choose_method(analyzer.spec, method)
    words = {"cam": "class activation maps", "occlusion": "hiding parts of the face (about 100 predictions a face)"}
    shell.note(f"explained by {words[chosen]}")
    return lambda image, faces: heat(image, analyzer.explain(image, faces, method=chosen))
