"""What the microphone hears beside live images, and what voice and face say together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from mien.errors import MienError
from mien.fusion.experts import ExpertWeights, experts, shipped_weights
from mien.io.microphone import Microphone
from mien.labels import FER7, LabelSet, mapping
from mien.results import Emotion, SpeechSegment, TrackedFace, VideoFrame
from mien.speech.analyzer import SpeechAnalyzer

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
        self._segments: list[SpeechSegment] = []
        self._last: tuple[float, SpeechSegment] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="mien-live-hearing", daemon=True)

    def __enter__(self) -> LiveHearing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._microphone.close()

    def segments(self) -> list[SpeechSegment]:
        """Return the segments that were settled since the last call; times count from the first sound."""
        with self._lock:
            segments, self._segments = self._segments, []
        return segments

    def now(self, frame: VideoFrame | None) -> tuple[Emotion | None, Emotion | None]:
        """Return what the voice sounds like, and what it and the largest face say together.

        Parameters
        ----------
        frame : VideoFrame or None
            The newest result of the images.

        Returns
        -------
        (Emotion or None, Emotion or None)
            None where nobody spoke lately; the second, in `mien.labels.FER7`, also where no face is seen.
        """
        with self._lock:
            last = self._last
        if last is None or time.monotonic() - last[0] > _HOLDS_S:
            return None, None
        segment = last[1]
        faces = () if frame is None else frame.faces
        if not faces or segment.emotion is None:
            return segment.emotion, None
        return segment.emotion, self._together(
            max(faces, key=lambda face: face.face.width_px * face.face.height_px), segment
        )

    def _together(self, face: TrackedFace, segment: SpeechSegment) -> Emotion:
        assert segment.emotion is not None
        seen = self._to_face.apply(face.smoothed.to_array()[None])
        heard = self._to_voice.apply(segment.emotion.to_array()[None])
        sharpness = np.nan if face.sharpness is None else face.sharpness
        ratio = np.nan if segment.snr_db is None else segment.snr_db
        fused = experts(
            seen / seen.sum(),
            heard / heard.sum(),
            weights=self._weights,
            face_quality={"width_px": [face.face.width_px], "sharpness": [sharpness]},
            voice_quality={"speech_s": [segment.duration_s], "snr_db": [ratio]},
        )
        return Emotion(FER7, tuple(fused.probabilities[0].tolist()))

    def _listen(self) -> None:
        try:
            while (block := self._microphone.read(self._stop)) is not None:
                segments = self._stream.push(block)
                with self._lock:
                    self._segments = [*self._segments[-1000:], *segments]
                    for segment in segments:
                        if segment.emotion is not None:
                            self._last = (time.monotonic(), segment)
        except MienError as error:
            self._told(str(error))
