"""One call of ``mien analyze``: what is read, what reads it, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mien._extras import import_extra
from mien.cli import _shell
from mien.cli._analyze_faces import ImageFiles, maps
from mien.cli._analyze_kinds import Kind
from mien.cli._analyze_models import Models
from mien.cli._analyze_options import Options
from mien.cli._analyze_places import Guard, Target
from mien.cli._analyze_report import Report
from mien.cli._analyze_sources import Plan, Source, Stdin, count_beside, iter_sources
from mien.cli._analyze_speech import Hearing, RecordingFiles, failed, hear_many
from mien.cli._analyze_video import OneVideo, VideoFiles, Watching
from mien.cli._analyze_voice import VideoVoice
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.results import FailedItem, SpeechResult, VideoResult

__all__ = ["Run"]


class Run:
    """What `Options` ask for.

    Parameters
    ----------
    paths : tuple of str
        The arguments.
    stdin : Stdin or None
        Standard input, if it is named.
    plan : Plan
        What there is.
    options : Options
        How it is read and written.
    """

    def __init__(self, paths: tuple[str, ...], stdin: Stdin | None, plan: Plan, options: Options) -> None:
        from mien.models.runtime import default_threads

        self._paths, self._stdin, self._plan, self._options = paths, stdin, plan, options
        self._models = Models(options, plan)
        self._workers = (options.threads or default_threads()) if plan.many else 1
        # Whatever is wrong with a model is told before anything is written.
        self._expected = {kind: self._models.labels(kind) for kind in plan.kinds or [self._models.first]}
        folders = [options.save_faces, None if plan.kinds == (Kind.VIDEO,) else options.out]
        for folder in folders:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        places = [options.out, options.save_faces, options.plot, options.html, options.save_audio]
        self._guard = Guard(paths, [place for place in places if place is not None])
        self._plot = None if options.plot is None else Target(options.plot, ".png")
        if self._plot is not None:
            import_extra("matplotlib.figure", extra="plot", purpose="drawing charts")
        self._images = ImageFiles(options.out, options.save_faces, self._guard)
        self._recordings = RecordingFiles(options, self._plot, self._guard)
        if Kind.VIDEO in plan.kinds:
            self._videos  # noqa: B018 - makes the folders now

    @cached_property
    def _videos(self) -> VideoFiles:
        return VideoFiles(self._options, self._plot, self._guard, many=self._plan.many)

    def run(self) -> int:
        """Analyze everything, and return the exit code."""
        options = self._options
        if options.explained:
            self._images.maps = maps(self._models.images, options.explain_by or "auto")
        read = {Kind.IMAGE: self._see, Kind.RECORDING: self._hear, Kind.VIDEO: self._watch}
        with _shell.terminable(), Report(options, self._expected, many=self._plan.many) as report:
            with self._progress() as advance, self._counting(advance):
                sources = iter_sources(self._paths, self._stdin, options.only, twice=self._twice)
                try:
                    for kind, group in groupby(sources, key=lambda source: source.kind):
                        read[kind](group, report, advance)
                except KeyboardInterrupt:
                    report.close()
                    raise
            return report.close()

    def _twice(self, kind: Kind) -> bool:
        """Return whether things of a kind are read more than once."""
        if kind is Kind.VIDEO:
            return self._videos.twice
        return kind is Kind.RECORDING and self._recordings.rereads

    def _progress(self) -> AbstractContextManager[_shell.Advance]:
        plan = self._plan
        if plan.many:
            unit = plan.kinds[0].many if len(plan.kinds) == 1 else "files" if plan.kinds else "images"
            return _shell.progress(plan.total, "analyzing", unit=unit)
        if Kind.RECORDING in plan.kinds:
            return _shell.progress(None, "analyzing", unit="s")
        # A single image is done at once; a video shows how far it is by itself.
        return nullcontext(_shell.Advance())

    @contextmanager
    def _counting(self, advance: _shell.Advance) -> Iterator[None]:
        """Count beside the work what is to come, where that is not known yet."""
        if self._plan.whole:
            yield
            return
        over = count_beside(self._paths, advance.expect)
        try:
            yield
        finally:
            over.set()

    def _see(self, group: Iterator[Source], report: Report, advance: _shell.Advance) -> None:
        """Analyze images."""
        from mien.api import analyze_images

        def placed() -> Iterator[Any]:
            for source in self._fitting(group, report):
                self._images.place(source.data, source.name)
                yield source.data

        results = analyze_images(
            placed(),
            analyzer=self._models.images,
            workers=self._workers,
            max_pixels=self._options.max_pixels,
            seen=self._images.write if self._images.wanted else None,
        )
        for result in results:
            report.add(result, Kind.IMAGE)
            advance(1)

    def _hear(self, group: Iterator[Source], report: Report, advance: _shell.Advance) -> None:
        """Analyze recordings: one after the other with its segments as they come, or several at a time."""

        def placed() -> Iterator[Source]:
            for source in self._fitting(group, report):
                self._recordings.place(source)
                yield source

        if self._plan.many and self._workers > 1:
            jobs = hear_many(placed(), self._heard, workers=self._workers)
            with closing(jobs) as heard:
                for item in heard:
                    report.add(item, Kind.RECORDING)
                    advance(1)
            return
        for source in placed():
            report.add(self._heard_live(source, report, advance), Kind.RECORDING)
            if self._plan.many:
                advance(1)

    def _fitting(self, group: Iterator[Source], report: Report) -> Iterator[Source]:
        for source in group:
            refused = report.refused(source)
            if refused is None:
                yield source
            else:
                report.add(refused, source.kind)

    def _heard(self, source: Source, heard: Callable[[float], None]) -> SpeechResult | FailedItem:
        """Analyze a recording in a thread of its own."""
        try:
            hearing = Hearing(source, self._models.speech, drawn=self._options.plot is not None)
            hearing.run(_nothing, heard)
            self._recordings.write(hearing, hearing.result)
        except MienError as error:
            return failed(source, error)
        return hearing.result

    def _heard_live(self, source: Source, report: Report, advance: _shell.Advance) -> SpeechResult | FailedItem:
        """Analyze a recording, and write its segments as they are settled."""
        hearing: Hearing | None = None

        def told(segment: Any) -> None:
            assert hearing is not None
            report.segment(hearing.path, len(hearing.segments), segment)

        def heard(seconds: float) -> None:
            # Many recordings are counted by the piece.
            if not self._plan.many:
                advance(round(seconds))

        try:
            hearing = Hearing(source, self._models.speech, drawn=self._options.plot is not None)
            try:
                hearing.run(told, heard)
            except KeyboardInterrupt:
                result = hearing.interrupted(told)
                report.add(result, Kind.RECORDING)
                self._recordings.write(hearing, result, sound=False)
                raise
            self._recordings.write(hearing, hearing.result)
        except MienError as error:
            return failed(source, error)
        return hearing.result

    def _watch(self, group: Iterator[Source], report: Report, advance: _shell.Advance) -> None:
        """Analyze videos, one after the other: each keeps several cores busy."""
        for source in self._fitting(group, report):
            with advance.paused():
                self._watch_one(source, report)
            if self._plan.many:
                advance(1)

    def _watch_one(self, source: Source, report: Report) -> None:
        of = f"/{self._plan.total}" if self._plan.whole else ""
        place = f"{report.done + report.failed + 1}{of} " if self._plan.many else ""
        try:
            files = self._videos.begin(source)
            watching = Watching(source, self._models.videos, self._options, files, report.frame)
            voice = VideoVoice(source, lambda: self._models.voices, self._options) if self._options.voices else None
            try:
                video = watching.run(f"{place}{source.told}")
                if voice is not None and watching.has_sound:
                    video = voice.add(video, f"{place}hearing {source.told}")
            except KeyboardInterrupt:
                part = _part(watching, voice)
                if part is not None:
                    self._told(part, files, report)
                files.not_drawn()
                raise
        except MienError as error:
            report.add(failed(source, error), Kind.VIDEO)
            return
        self._told(video, files, report, drawn=f"{place}drawing {source.told}")

    def _told(self, video: VideoResult, files: OneVideo, report: Report, *, drawn: str | None = None) -> None:
        """Write what a video became: first the result, so that nothing that goes wrong after loses it."""
        report.add(video, Kind.VIDEO)
        try:
            files.write(video, self._models.videos.spec)
            if drawn is not None:
                files.draw(video, drawn)
        except MienError as error:
            report.trouble(str(error))


def _part(watching: Watching, voice: VideoVoice | None) -> VideoResult | None:
    """Return what was read of a video until Ctrl-C."""
    if voice is not None and voice.interrupted is not None:
        return voice.interrupted
    video = watching.interrupted()
    return voice.add_quickly(video) if video is not None and voice is not None and watching.has_sound else video


def _nothing(_: Any) -> None:
    return None
