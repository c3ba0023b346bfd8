"""The models of ``mien analyze``: chosen by task, loaded when something of their kind comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mien.cli._analyze_kinds import FACES, SPEECH, Kind
from mien.cli._analyze_options import Options
from mien.cli._analyze_sources import Plan
from mien.labels import FER7

if TYPE_CHECKING:
    from mien.face.analyzer import FaceAnalyzer
    from mien.labels import LabelSet
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["Models"]


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
        self._threads = 1 if plan.many else options.threads
        self._specs: dict[str, Any] = {}
        self._made: dict[str, Any] = {}
        # Where nothing is found, no model is wrong, and the errors are told.
        needed: dict[str, str] = {}
        for kind in plan.kinds or (Kind.IMAGE, Kind.RECORDING):
            for task in (kind.task, SPEECH) if kind is Kind.VIDEO and options.voices else (kind.task,):
                needed[task] = f"{needed[task]} and {kind.many}" if task in needed else kind.many
        for name in options.models:
            spec = registry.get(name)
            if spec.task not in needed:
                wanted = " and ".join(f"{what} needs one for {task}" for task, what in needed.items())
                raise click.UsageError(f"model {spec.name!r} is for {spec.task}: reading {wanted}")
            if spec.task in self._specs:
                first = self._specs[spec.task].name
                raise click.UsageError(f"two models for {spec.task}: {first!r} and {spec.name!r}")
            self._specs[spec.task] = spec

    @property
    def first(self) -> Kind:
        """A kind that the first model is for."""
        return Kind.RECORDING if next(iter(self._specs), FACES) == SPEECH else Kind.IMAGE

    def labels(self, kind: Kind) -> LabelSet:
        """Return the emotions of what is read, and of videos those of the table that is written."""
        if kind is Kind.RECORDING:
            return self.speech.labels
        if kind is Kind.VIDEO and self._options.table == "speech":
            return self.voices.labels
        if kind is Kind.VIDEO and self._options.table == "fused":
            return FER7
        return (self.images if kind is Kind.IMAGE else self.videos).output.labels

    @property
    def images(self) -> FaceAnalyzer:
        """What reads images."""
        found: FaceAnalyzer = self._once("images", self._face)
        return found

    @property
    def videos(self) -> VideoAnalyzer:
        """What reads videos."""
        found: VideoAnalyzer = self._once("videos", self._video)
        return found

    @property
    def speech(self) -> SpeechAnalyzer:
        """What reads recordings."""
        found: SpeechAnalyzer = self._once("speech", self._speech)
        return found

    @property
    def voices(self) -> SpeechAnalyzer:
        """What reads the voices of videos."""
        found: SpeechAnalyzer = self._once("voices", self._voices)
        return found

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def _face(self) -> FaceAnalyzer:
        from mien.face.analyzer import FaceAnalyzer

        return FaceAnalyzer(
            self._specs.get(FACES, "face-base"),
            detector=self._options.detector,
            output=self._options.labels_as,
            min_face_px=self._options.min_face,
            # Many images: one thread each.  One image: all threads for it.
            threads=self._threads,
            device=self._options.device,
            engine=self._options.engine,
            precision=self._options.precision,
        )

    def _video(self) -> VideoAnalyzer:
        from mien.video.analyzer import SMOOTH_S, VideoAnalyzer

        return VideoAnalyzer(
            self._specs.get(FACES, "face-base"),
            detector=self._options.detector,
            output=self._options.labels_as,
            min_face_px=self._options.min_face,
            max_faces=self._options.max_faces,
            smooth_s=SMOOTH_S if self._options.smooth is None else self._options.smooth,
            # Decoding takes a thread of its own.
            threads=self._options.threads or 1,
            device=self._options.device,
            engine=self._options.engine,
            precision=self._options.precision,
        )

    def _speech(self) -> SpeechAnalyzer:
        return self._hearing(self._options.labels_as, self._threads, self._options.precision)

    def _voices(self) -> SpeechAnalyzer:
        from mien.models import registry, runtime

        # An output of the model of faces is no matter of the voice; the common labels are one of both.
        spec = self._specs.setdefault(SPEECH, registry.get("speech-base"))
        known = {FER7.name, *(output.name for output in spec.outputs)}
        name = self._options.labels_as
        precision = runtime.closest_precision(spec, self._options.precision)
        return self._hearing(name if name in known else None, self._options.threads or 1, precision)

    def _hearing(self, output: str | None, threads: int | None, precision: str) -> SpeechAnalyzer:
        from mien.speech.analyzer import SpeechAnalyzer

        return SpeechAnalyzer(
            self._specs.get(SPEECH, "speech-base"),
            output=output,
            window_s=self._options.window,
            hop_s=self._options.hop,
            threads=threads,
            device=self._options.device,
            engine=self._options.engine,
            precision=precision,
        )
