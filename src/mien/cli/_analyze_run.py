"""One call of ``mien analyze``: what is read, what reads it, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from mien.cli import _shell
from mien.cli._analyze_faces import PictureFiles, maps
from mien.cli._analyze_options import Options
from mien.cli._analyze_places import Guard
from mien.cli._analyze_report import Report
from mien.cli._analyze_sources import Plan, Source, Stdin, iter_sources
from mien.cli._analyze_speech import Hearing, RecordingFiles, failed, hear_many
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.labels import LabelSet
    from mien.results import FailedItem, SpeechResult

__all__ = ["Run"]

_NEEDED = {False: ("face-emotion", "pictures"), True: ("speech-emotion", "recordings")}
"""The task of the models for recordings or not, and what these are called."""


class Models:
    """The analyzers, each loaded when it is needed.

    Parameters
    ----------
    options : Options
        Which, and how they answer.
    plan : Plan
        What there is.

    Raises
    ------
    click.UsageError
        If a model is for nothing that there is, or two are for the same.
    MienError
        If there is no such model, or its record is wrong.
    """

    def __init__(self, options: Options, plan: Plan) -> None:
        from mien.models import registry

        self._options = options
        self.threads = 1 if plan.many else options.threads
        self._specs: dict[bool, Any] = {}
        self._made: dict[bool, Any] = {}
        there = {False: plan.pictures > 0, True: plan.recordings > 0}
        # Where nothing is found, no model is wrong, and the errors are told.
        there = there if any(there.values()) else dict.fromkeys(there, True)
        for name in options.models:
            spec = registry.get(name)
            sound = next((key for key, needed in _NEEDED.items() if needed[0] == spec.task), None)
            if sound is None or not there[sound]:
                wanted = [f"{_NEEDED[key][1]} needs one for {_NEEDED[key][0]}" for key in there if there[key]]
                raise click.UsageError(f"model {spec.name!r} is for {spec.task}: reading {' and '.join(wanted)}")
            if sound in self._specs:
                raise click.UsageError(f"two models for {spec.task}: {self._specs[sound].name!r} and {spec.name!r}")
            self._specs[sound] = spec

    @property
    def first(self) -> bool:
        """Which kind the first model is for: that of recordings, or of pictures."""
        return next(iter(self._specs), False)

    def labels(self, sound: bool) -> LabelSet:
        """Return the emotions of voices or of faces."""
        analyzer = self.get(sound)
        found: LabelSet = analyzer.labels if sound else analyzer.output.labels
        return found

    def get(self, sound: bool) -> Any:
        """Return the analyzer of recordings or of pictures."""
        if sound not in self._made:
            self._made[sound] = self._speech() if sound else self._face()
        return self._made[sound]

    def _face(self) -> Any:
        from mien.analyzers import FaceAnalyzer

        return FaceAnalyzer(
            self._specs.get(False, "face-base"),
            detector=self._options.detector,
            output=self._options.labels_as,
            min_face_px=self._options.min_face,
            # Many pictures: one thread each.  One picture: all threads for it.
            threads=self.threads,
            device=self._options.device,
        )

    def _speech(self) -> Any:
        from mien.analyzers import SpeechAnalyzer

        return SpeechAnalyzer(
            self._specs.get(True, "speech-base"),
            output=self._options.labels_as,
            window_s=self._options.window,
            hop_s=self._options.hop,
            threads=self.threads,
            device=self._options.device,
        )


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
        kinds = [sound for sound, count in ((False, plan.pictures), (True, plan.recordings)) if count]
        self._labels = {sound: self._models.labels(sound) for sound in kinds or [self._models.first]}
        for folder in (options.out, options.save_faces):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        places = [place for place in (options.out, options.save_faces, options.plot, options.save_audio) if place]
        guard = Guard(paths, places)
        self._pictures = PictureFiles(options.out, options.save_faces, guard)
        self._recordings = RecordingFiles(options, guard)

    def run(self) -> int:
        """Analyze everything, and return the exit code."""
        plan, options = self._plan, self._options
        if options.explained:
            self._pictures.maps = maps(self._models.get(False), options.explain_by or "auto")
        report = Report(
            as_json=options.as_json,
            as_csv=options.as_csv,
            parquet=options.parquet,
            many=plan.many,
            faces=self._labels.get(False),
            speech=self._labels.get(True),
        )
        with report:
            with self._progress() as advance:
                sources = iter_sources(self._paths, self._stdin, whole=self._recordings.rereads)
                try:
                    for sound, group in groupby(sources, key=lambda source: source.sound):
                        (self._hear if sound else self._see)(group, report, advance)
                except KeyboardInterrupt:
                    report.close()
                    raise
            return report.close()

    def _progress(self) -> AbstractContextManager[Callable[[int], None]]:
        plan = self._plan
        if plan.many:
            unit = "files" if plan.pictures and plan.recordings else "recordings" if plan.recordings else "pictures"
            return _shell.progress(plan.total, "analyzing", unit=unit)
        return _shell.progress(None, "analyzing", unit="s") if plan.recordings else nullcontext(_nothing)

    def _see(self, group: Iterator[Source], report: Report, advance: Callable[[int], None]) -> None:
        """Analyze pictures."""
        from mien.api import analyze_images

        def fitting() -> Iterator[Any]:
            for source in group:
                refused = report.refused(source)
                if refused is not None:
                    report.add(refused, sound=False)
                    continue
                self._pictures.place(source.data, source.name)
                yield source.data

        results = analyze_images(
            fitting(),
            analyzer=self._models.get(False),
            workers=self._workers,
            max_pixels=self._options.max_pixels,
            seen=self._pictures.write if self._pictures.wanted else None,
        )
        for result in results:
            report.add(result, sound=False)
            advance(1)

    def _hear(self, group: Iterator[Source], report: Report, advance: Callable[[int], None]) -> None:
        """Analyze recordings: one after the other with its spans as they come, or several at a time."""
        if self._plan.many and self._workers > 1:
            jobs = hear_many(self._fitting(group, report), self._heard, workers=self._workers)
            with closing(jobs) as heard:
                for item in heard:
                    report.add(item, sound=True)
                    advance(1)
            return
        for source in self._fitting(group, report):
            report.add(self._heard_live(source, report, advance), sound=True, live=True)
            if self._plan.many:
                advance(1)

    def _fitting(self, group: Iterator[Source], report: Report) -> Iterator[Source]:
        for source in group:
            refused = report.refused(source)
            if refused is not None:
                report.add(refused, sound=True)
                continue
            self._recordings.place(source)
            yield source

    def _heard(self, source: Source, heard: Callable[[float], None]) -> SpeechResult | FailedItem:
        """Analyze a recording in a thread of its own."""
        try:
            hearing = Hearing(source, self._models.get(True), drawn=self._options.plot is not None)
            hearing.run(_nothing, heard)
            self._recordings.write(hearing, hearing.result)
        except MienError as error:
            return failed(source, error)
        return hearing.result

    def _heard_live(self, source: Source, report: Report, advance: Callable[[int], None]) -> SpeechResult | FailedItem:
        """Analyze a recording, and write its spans as they are settled."""
        hearing: Hearing | None = None

        def told(span: Any) -> None:
            assert hearing is not None
            report.span(hearing.path, len(hearing.spans), span)

        def heard(seconds: float) -> None:
            # Many recordings are counted by the piece.
            if not self._plan.many:
                advance(round(seconds))

        try:
            hearing = Hearing(source, self._models.get(True), drawn=self._options.plot is not None)
            try:
                hearing.run(told, heard)
            except KeyboardInterrupt:
                result = hearing.interrupted(told)
                report.add(result, sound=True, live=True)
                self._recordings.write(hearing, result, sound=False)
                raise
            self._recordings.write(hearing, hearing.result)
        except MienError as error:
            return failed(source, error)
        return hearing.result


def _nothing(_: Any) -> None:
    return None
