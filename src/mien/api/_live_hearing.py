"""What the microphone hears beside live pictures, and what voice and face say together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from mien.analyzers.speech import SpeechAnalyzer
from mien.errors import MienError
from mien.fusion.experts import ExpertWeights, experts, shipped_weights
from mien.labels import FER7, LabelSet, mapping
from mien.media._live_microphone import Microphone
from mien.results import Emotion, SpeechSpan, TrackedFace, VideoFrame

__all__ = ["LiveHearing"]

_HOLDS_S = 4.0
"""What a voice said counts for so long after it was answered: answers come about a window of 3 s apart."""


class LiveHearing:
    """Listens in a thread of its own; a context manager.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        What answers.
    labels : LabelSet
        Of the faces: fusion has weights for each kind of face model.
    told : callable
        Gets messages for people.

    Raises
    ------
    MissingExtraError, MediaError
        If there is no microphone to listen to.
    """

    def __init__(self, analyzer: SpeechAnalyzer, labels: LabelSet, *, told: Callable[[str], None]) -> None:
        self._told = told
        self._microphone = Microphone()
        self._stream = analyzer.stream(rate_hz=self._microphone.rate_hz)
        self._to_face, self._to_voice = mapping(labels, FER7), mapping(analyzer.labels, FER7)
        self._weights: ExpertWeights = shipped_weights(labels.name)
        self._lock = threading.Lock()
        self._spans: list[SpeechSpan] = []
        self._last: tuple[float, SpeechSpan] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="mien-live-hearing", daemon=True)

    def __enter__(self) -> LiveHearing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._microphone.close()

    def spans(self) -> list[SpeechSpan]:
        """Return the spans that were settled since the last call; times count from the first sound."""
        with self._lock:
            spans, self._spans = self._spans, []
        return spans

    def now(self, frame: VideoFrame | None) -> tuple[Emotion | None, Emotion | None]:
        """Return what the voice sounds like, and what it and the largest face say together.

        Parameters
        ----------
        frame : VideoFrame or None
            The newest result of the pictures.

        Returns
        -------
        (Emotion or None, Emotion or None)
            None where nobody spoke lately; the second, in `mien.labels.FER7`, also where no face is seen.
        """
        with self._lock:
            last = self._last
        if last is None or time.monotonic() - last[0] > _HOLDS_S:
            return None, None
        span = last[1]
        faces = () if frame is None else frame.faces
        if not faces or span.emotion is None:
            return span.emotion, None
        return span.emotion, self._together(max(faces, key=lambda face: face.face.width_px * face.face.height_px), span)

    def _together(self, face: TrackedFace, span: SpeechSpan) -> Emotion:
        assert span.emotion is not None
        seen = self._to_face.apply(face.smoothed.to_array()[None])
        heard = self._to_voice.apply(span.emotion.to_array()[None])
        sharpness = np.nan if face.sharpness is None else face.sharpness
        ratio = np.nan if span.snr_db is None else span.snr_db
        fused = experts(
            seen / seen.sum(),
            heard / heard.sum(),
            weights=self._weights,
            face_quality={"width_px": [face.face.width_px], "sharpness": [sharpness]},
            voice_quality={"speech_s": [span.duration_s], "snr_db": [ratio]},
        )
        return Emotion(FER7, tuple(fused.probabilities[0].tolist()))

    def _listen(self) -> None:
        try:
            while (block := self._microphone.read(self._stop)) is not None:
                spans = self._stream.push(block)
                with self._lock:
                    self._spans = [*self._spans[-1000:], *spans]
                    for span in spans:
                        if span.emotion is not None:
                            self._last = (time.monotonic(), span)
        except MienError as error:
            self._told(str(error))
