"""Emotions of speech over time: where somebody speaks, predictions of windows over it, segments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, check_wave
from mien._threads import defer_signals
from mien.errors import InputError, ModelError
from mien.io.resample import Resampler, resample
from mien.labels import mapping
from mien.models import ModelSpec
from mien.models.emotion import EmotionModel, softmax
from mien.models.spec import SoundInput
from mien.options import AudioOptions, ModelOptions
from mien.results import Emotion, SpeechResult, SpeechSegment
from mien.speech.activity import FRAME_S, Activity, Rules, speech_bounds
from mien.speech.quality import SnrMeter
from mien.speech.windows import WindowAverager, WindowSegment, merge_neighbors

__all__ = ["PAUSE_S", "SHORT_S", "SpeechAnalyzer", "SpeechStream"]

PAUSE_S = 0.5
"""Shorter pauses belong to what is said around them: a sentence has one emotion, not one a word."""

CUT_S = 0.13
"""No window reaches over a longer pause, so that a change of emotion is found where a sentence ends.  Chosen on
clips of RAVDESS that were joined with gaps of 0.2 to 1 s (``benchmarks/speech.py --only timeline``)."""

LEAST_CUT_S = 1.0
"""Speech is cut at a short pause only when it has lasted for so long: of less, the answer says little."""

SHORT_S = 0.5
"""Less speech says little about an emotion; nets are not trained on less."""

RULES = Rules(least_pause_s=PAUSE_S, least_cut_s=CUT_S)
"""What is speech, and where it is cut."""

_OFFSET = 0.02
"""A mean further from zero than 2 % of full scale is an offset of the recorder, and taken away."""

_NOISY_DB = 10.0
"""Speech less than this above the noise is read much worse: the curve of the model's card falls from there on."""

_LONGEST_S = 600.0

_BLOCK_S = 0.5
"""Sound is worked on in blocks of this length, whatever comes in: how many samples are resampled together shows in
their last bits, and callers may use their own blocks again."""

Wave = NDArray[np.float32]


class SpeechAnalyzer(EmotionModel):
    """Finds the speech in audio and reads its emotions over time.

    The model is loaded once.  Thread-safe: any number of threads may share one analyzer; a `SpeechStream` belongs to
    one of them.

    Parameters
    ----------
    model : str or os.PathLike or ModelSpec
        Name of a shipped model, a record, or a run folder.
    output : str, optional
        Which of the model's outputs is read, or a label set that its default output maps to (``"fer7"``); by default
        the one that its record names.
    channel : {"mix", "each", "left", "right"} or int
        Which channel of files is read by functions that take the analyzer, see `mien.AudioOptions`; waveforms have one.
    window_s, hop_s : float, optional
        Length of the windows over long speech, and the way from one to the next, in seconds; by default the record's
        (a hop of half the window, if only that is given).
    threads : int or None
        Threads within one call of the model, which takes a few milliseconds; None takes the cores of the process, at
        most four.
    device, engine, precision : str
        As for `mien.FaceAnalyzer`, which raises the same errors; speech is found by ONNX Runtime.
    """

    task, subject, option = "speech-emotion", "voices", "speech_model"

    sound: SoundInput
    """What the model takes."""

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec = "speech-base",
        *,
        output: str | None = None,
        channel: str | int = "mix",
        window_s: float | None = None,
        hop_s: float | None = None,
        threads: int | None = 1,
        device: str = "cpu",
        engine: str = "onnxruntime",
        precision: str = "float32",
    ) -> None:
        options = ModelOptions(
            speech_model=model, output=output, threads=threads, device=device, engine=engine, precision=precision
        )
        self._configure(options, AudioOptions(channel=channel, window_s=window_s, hop_s=hop_s))
        self.load()

    @classmethod
    def from_options(cls, options: ModelOptions, audio: AudioOptions | None = None) -> Self:
        """Return an analyzer of the options of an analysis, loaded; on one thread where they say nothing."""
        analyzer = cls._from(replace(options, threads=options.threads or 1), audio or AudioOptions())
        analyzer.load()
        return analyzer

    def _configure(self, options: ModelOptions, *more: AudioOptions) -> None:
        super()._configure(options)
        if self.spec.sound is None:
            raise ModelError(f"model {self.spec.name!r} has no [sound] in its record")
        (self.audio,) = more
        self.sound = self.spec.sound
        self.window_s, self.hop_s = _windows(self.sound, self.audio.window_s, self.audio.hop_s)
        self._mapping = mapping(self.output.labels, self.labels)

    def _pickled(self) -> tuple[Any, ...]:
        return (self.options, self.audio)

    def analyze(self, wave: Wave, *, rate_hz: int) -> SpeechResult:
        """Read the emotions of a waveform.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,), mono, in [-1, 1]; may be empty.
        rate_hz : int
            Samples per second.

        Returns
        -------
        SpeechResult
            Segments that cover it; speech has an emotion, everything else none.

        Raises
        ------
        InputError
            If the array is no waveform.
        """
        stream = self.stream(rate_hz=rate_hz)
        segments = (*stream.push(wave), *stream.close())
        return SpeechResult(stream.duration_s, segments, model=self.spec.name, labels=self.labels)

    def analyze_many(self, waves: Iterable[Wave], *, rate_hz: int) -> list[SpeechResult]:
        """Read the emotions of several waveforms; see `analyze`."""
        return [self.analyze(wave, rate_hz=rate_hz) for wave in waves]

    def stream(self, *, rate_hz: int) -> SpeechStream:
        """Begin a stream that comes in block by block, from a long file or a microphone.

        Parameters
        ----------
        rate_hz : int
            Samples per second.

        Raises
        ------
        InputError
            If the rate makes no sense.
        """
        return SpeechStream(self, rate_hz=rate_hz)

    def logits(self, wave: Wave) -> dict[str, NDArray[np.float32]]:
        """Return the model's logits for one cut of speech.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,) at the model's rate; padded with silence where it is shorter than the model takes.

        Returns
        -------
        dict of str to numpy.ndarray
            By output: float32 (k,).

        Raises
        ------
        InputError
            If the array is no waveform.
        """
        wave = check_wave(wave)
        missing = max(round(self.sound.min_s * self.sound.rate_hz) - len(wave), 0)
        if missing:
            wave = np.pad(wave, (missing // 2, missing - missing // 2))
        tensors = [output.tensor for output in self.spec.outputs]
        found = self.session.run({self.session.input_names[0]: wave[None]}, tensors)
        return {output.name: found[output.tensor][0] for output in self.spec.outputs}

    def clip_logits(self, wave: Wave, *, rate_hz: int) -> dict[str, NDArray[np.float32]]:
        """Return the model's logits for a whole recording of one utterance, from its first to its last speech.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,), mono, in [-1, 1].
        rate_hz : int
            Samples per second.

        Returns
        -------
        dict of str to numpy.ndarray
            By output: float32 (k,).

        Raises
        ------
        InputError
            If the array is no waveform.
        """
        if rate_hz != self.sound.rate_hz:
            check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
            wave = resample(check_wave(wave), rate_hz, self.sound.rate_hz)
        wave = check_wave(wave)
        if not self.sound.trim:
            return self.logits(wave)
        begin, end = speech_bounds(wave, rate_hz=self.sound.rate_hz, pad_s=self.sound.pad_s)
        return self.logits(wave[begin:end])

    def emotion(self, logits: NDArray[np.float32]) -> Emotion:
        """Return the distribution that the logits of `output` stand for, calibrated, in `labels`."""
        return Emotion(self.labels, tuple(self.mapped(logits).tolist()))

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the calibrated distribution that logits stand for, float64 (k,), in the labels of `output`."""
        return softmax(logits, self.output.temperature)

    def mapped(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the calibrated distribution that logits stand for, float64 (k,), in `labels`."""
        mapped = self._mapping.apply(self.probabilities(logits))
        return np.asarray(mapped / mapped.sum(), np.float64)


class SpeechStream:
    """The speech of one waveform while it comes in; made by `SpeechAnalyzer.stream`.

    Memory is constant: no more is kept than the windows that are still open.  The segments are the same, to the last
    bit, whatever the sizes of the blocks.  Each is returned as soon as nothing that follows can change it: about a
    window and a pause later.  Ctrl-C loses none: it ends a push between two blocks, and `close` returns what is left.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        The analyzer.
    rate_hz : int
        Samples per second.
    """

    def __init__(self, analyzer: SpeechAnalyzer, *, rate_hz: int) -> None:
        self._analyzer = analyzer
        own_hz = analyzer.sound.rate_hz
        self._rate_hz = check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
        self._resampler = Resampler(rate_hz, own_hz)
        self._activity = Activity(own_hz, rules=RULES)
        self._window, self._hop = round(analyzer.window_s * own_hz), round(analyzer.hop_s * own_hz)
        self._pad = round(analyzer.sound.pad_s * own_hz)
        self._long_pause = (PAUSE_S - 2 * RULES.pad_s) * own_hz
        self._meter = SnrMeter(own_hz)
        self._blocks = _Blocks(max(1, round(_BLOCK_S * rate_hz)))
        self._buffer = _Buffer()
        self._marks = np.zeros(0, bool)  # decisions whose surroundings are not all there yet
        self._frames = self._pushed = 0
        self._averager: WindowAverager | None = None
        self._lead = self._pad  # sound before the speech of the averager that is read along with it
        self._start = 0  # where the speech since the last long pause begins
        self._pause: int | None = None  # where a pause began that may become a long one
        self._pieces: list[WindowSegment] = []
        self._reported_s = 0.0
        self._settled: list[SpeechSegment] = []  # segments that were not returned yet
        self._closed = False

    @property
    def duration_s(self) -> float:
        """Seconds that came in so far."""
        return self._pushed / self._rate_hz

    @property
    def current(self) -> SpeechSegment | None:
        """The newest window of speech that has not ended yet, before its segment is settled.

        None while nobody speaks, and until the speech is as long as a window.
        """
        if self._averager is None:
            return None
        # After a short pause, what was said before it counts until there is a window again.
        window = self._averager.newest or (self._pieces[-1] if self._pieces else None)
        return None if window is None else self._to_segment(self._seconds(window.start), window)

    def push(self, wave: Wave) -> tuple[SpeechSegment, ...]:
        """Take a block of any length, and return the segments that it settles.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,), follows what came before without a gap; copied.

        Raises
        ------
        InputError
            If the block is no waveform, or the stream was closed.
        """
        if self._closed:
            raise InputError("the stream is closed: begin another one")
        checked, size = check_wave(wave), self._blocks.size
        for start in range(0, len(checked), size):
            with defer_signals():
                part = checked[start : start + size]
                self._pushed += len(part)
                for block in self._blocks.push(part):
                    self._process(block)
        return self._take()

    def close(self) -> tuple[SpeechSegment, ...]:
        """Return the segments that are left; they reach to the end of what came in.  Push nothing after."""
        with defer_signals():
            if not self._closed:
                self._closed = True
                self._end()
        return self._take()

    def _end(self) -> None:
        self._process(self._blocks.rest())
        rest = self._resampler.flush()
        self._buffer.add(rest)
        self._meter.push(rest)
        self._follow_activity(np.concatenate([self._activity.push(rest), self._activity.flush()]), last=True)
        self._end_speech(self._buffer.end if self._pause is None else self._pause)
        self._settle_silence(self.duration_s)

    def _take(self) -> tuple[SpeechSegment, ...]:
        settled, self._settled = self._settled, []
        return tuple(settled)

    def _process(self, block: Wave) -> None:
        offset = float(block.mean()) if len(block) else 0.0
        own = self._resampler.push(block - np.float32(offset) if abs(offset) > _OFFSET else block)
        self._buffer.add(own)
        self._meter.push(own)
        self._follow_activity(self._activity.push(own))

    def _follow_activity(self, marks: NDArray[np.bool_], *, last: bool = False) -> None:
        """Follow the decisions on speech, and settle what nothing can change any more."""
        joined = np.concatenate([self._marks, marks])
        # Where speech ends, what follows it is read, too: how much of that came in already must make no difference.
        frame = FRAME_S * self._analyzer.sound.rate_hz
        ready = len(joined) if last else max(int((self._buffer.end - self._pad) / frame) - self._frames, 0)
        marks, self._marks = joined[:ready], joined[ready:]
        edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), len(marks)] if len(marks) else []
        for first, until in pairwise(edges):
            if marks[first]:
                self._continue_speech(self._at(self._frames + first), self._at(self._frames + until))
            elif self._averager is not None:
                self._pause = self._at(self._frames + first) if self._pause is None else self._pause
                if self._at(self._frames + until) - self._pause >= self._long_pause:
                    self._end_speech(self._pause)
        self._frames += len(marks)
        if self._averager is None:
            self._buffer.drop(self._at(self._frames) - self._pad)

    def _at(self, frame: int) -> int:
        """Return the sample with which a frame begins, no later than the end of what is there."""
        return min(round(frame * FRAME_S * self._analyzer.sound.rate_hz), self._buffer.end)

    def _continue_speech(self, start: int, reached: int) -> None:
        """Go on with the speech, or begin it."""
        if reached <= start and self._averager is None:
            return
        if self._averager is None:
            self._settle_silence(self._seconds(start))
            self._start, self._lead = start, self._pad
            self._averager = WindowAverager(start, window=self._window, hop=self._hop)
        pause, self._pause = self._pause, None
        if pause is not None and pause - self._averager.start >= LEAST_CUT_S * self._analyzer.sound.rate_hz:
            # The sound of the pause is read on the side that it is nearer to, and shown with what was said before it.
            lead = min(self._pad, (start - pause) // 2)
            *pieces, last = self._close(pause, lead)
            self._settle_pieces([*pieces, replace(last, end=start)])
            self._lead, self._averager = lead, WindowAverager(start, window=self._window, hop=self._hop)
        averager = self._averager
        # A window that ends exactly here may be the last one, which gets what follows the speech.
        while averager.next_window[1] < reached:
            begin, end = averager.next_window
            averager.add(begin, end, self._predict(begin, end))
        self._settle_pieces(averager.pop_settled(reached))
        self._buffer.drop(min(averager.next_window[0], reached - self._window) - self._pad)

    def _end_speech(self, end: int) -> None:
        """End the speech, if there is any."""
        if self._averager is None:
            return
        self._settle_pieces(self._close(end, self._pad))
        self._averager = self._pause = None
        seconds = (end - self._start) / self._analyzer.sound.rate_hz
        self._settle((f"only {seconds:.1f} s of speech",) if seconds < SHORT_S else ())

    def _close(self, end: int, after: int) -> list[WindowSegment]:
        """Return the pieces that are left of the speech that ends here, read with some of the sound behind it."""
        averager = self._averager
        assert averager is not None
        for begin, stop in averager.remaining(end):
            averager.add(begin, stop, self._predict(begin, stop, after * (stop == end)))
        return averager.close(end)

    def _predict(self, begin: int, end: int, after: int = 0) -> NDArray[np.float64]:
        """Return the distribution of a window; at the ends of the speech it sees some of the sound beyond them."""
        assert self._averager is not None
        before = self._lead * (begin == self._averager.start)
        cut = self._buffer.slice(begin - before, end + after)
        # In the labels of the segments, so that neighbors are joined by what they are called there.
        return self._analyzer.mapped(self._analyzer.logits(cut)[self._analyzer.output.name])

    def _settle_silence(self, end_s: float) -> None:
        if end_s > self._reported_s:
            self._settled.append(SpeechSegment(self._reported_s, end_s, speech=False))
            self._reported_s = end_s

    def _settle_pieces(self, pieces: list[WindowSegment]) -> None:
        """Take settled pieces, and settle the segments that they end."""
        merged = merge_neighbors([*self._pieces, *pieces])
        self._pieces = merged[:-1]
        self._settle()
        self._pieces = merged[-1:]

    def _settle(self, warnings: tuple[str, ...] = ()) -> None:
        for piece in self._pieces:
            self._settled.append(self._to_segment(self._reported_s, piece, warnings))
            self._reported_s = self._settled[-1].end_s
        self._pieces = []

    def _to_segment(self, start_s: float, piece: WindowSegment, warnings: tuple[str, ...] = ()) -> SpeechSegment:
        end_s = self._seconds(piece.end)
        ratio = self._meter.snr_db(start_s, end_s) if end_s > start_s else None
        if ratio is not None and ratio < _NOISY_DB:
            warnings = (*warnings, f"noisy: {ratio:.0f} dB above the background")
        emotion = Emotion(self._analyzer.labels, tuple(piece.probabilities.tolist()))
        return SpeechSegment(start_s, end_s, True, emotion, warnings, ratio)

    def _seconds(self, sample: int) -> float:
        # Resampling rounds the length; no segment may reach beyond the sound.
        return min(sample / self._analyzer.sound.rate_hz, self.duration_s)


class _Blocks:
    """Makes blocks of one size of what comes in; each is a copy."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._block, self._have = np.empty(size, np.float32), 0

    def push(self, wave: Wave) -> Iterator[Wave]:
        taken = 0
        while taken < len(wave):
            part = wave[taken : taken + len(self._block) - self._have]
            self._block[self._have : self._have + len(part)] = part
            self._have += len(part)
            taken += len(part)
            if self._have == len(self._block):
                full, self._block, self._have = self._block, np.empty_like(self._block), 0
                yield full

    def rest(self) -> Wave:
        return self._block[: self._have]


class _Buffer:
    """The end of what came in, from as far back as it is needed."""

    def __init__(self) -> None:
        self._parts: list[Wave] = []
        self._first = 0
        self.end = 0

    def add(self, wave: Wave) -> None:
        self._parts.append(wave)
        self.end += len(wave)

    def drop(self, before: int) -> None:
        while self._parts and self._first + len(self._parts[0]) <= before:
            self._first += len(self._parts.pop(0))
        if self._parts and before > self._first:
            # A view: the whole is let go with the next block that is joined to it.
            self._parts[0] = self._parts[0][before - self._first :]
            self._first = before

    def slice(self, begin: int, end: int) -> Wave:
        begin, end = max(begin, self._first), min(end, self.end)
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        whole = self._parts[0]
        return whole[begin - self._first : end - self._first]


def _windows(sound: SoundInput, window_s: float | None, hop_s: float | None) -> tuple[float, float]:
    if window_s is None:
        window = sound.window_s
        hop = sound.hop_s if hop_s is None else hop_s
    else:
        window = check_number(window_s, "window_s", low=SHORT_S, high=_LONGEST_S)
        hop = window / 2 if hop_s is None else hop_s
    return window, check_number(hop, "hop_s", low=0.05, high=window)
