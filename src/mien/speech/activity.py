"""Where somebody speaks.

A small net (Silero VAD, shipped as ``silero-vad``) says for every 32 ms how likely it is speech; rules with memory turn
that into segments.  What it does not do: tell one speaker from another, or the one in front from voices behind: other
people's talk is speech, too.  Whispering is found, a scream without words sometimes is not.

Silence, white noise, hum and music give no segment; ``python benchmarks/speech.py`` measures precision and recall on
mixtures with noise and voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, check_wave
from mien.io.resample import Resampler
from mien.models import registry, runtime

__all__ = ["FRAME_S", "PAD_S", "Activity", "Rules", "speech_bounds", "speech_segments"]

Wave = NDArray[np.float32]
Marks = NDArray[np.bool_]

RATE_HZ, FRAME, CONTEXT, STATE = 16000, 512, 64, 128
"""What the net takes: 512 samples at 16 kHz, after the last 64 of the frame before; and the size of its memory
(``sequence_vad.py`` of the package silero-vad 6.2.3, MIT license)."""

FRAME_S = FRAME / RATE_HZ
"""Length of a frame: 32 ms."""

PAD_S = 0.25
"""Sound that a recording of one utterance keeps before and after its speech: breath and the fading of a vowel tell."""

TARGET_RMS = 0.03
"""Root mean square of a frame to which faint sound is raised, -30 dB of full scale.  Louder sound stays as it is."""

MAX_GAIN = 100.0
"""Highest gain, 40 dB: more would make speech of the rounding of 16-bit samples."""

LOOKAHEAD = 16
"""Frames that are looked ahead for the loudest, half a second: the room before a word is raised no more than the word,
and the net does not take the word for its end."""

RELEASE_DB_S = 3.0
"""The loudest frame counts for less by so much a second, so that the gain rises slowly behind loud speech: pauses
within a conversation stay pauses.  ``benchmarks/speech.py --only activity,levels`` measures what that finds."""

_FRAMES_TOGETHER = 512
"""Frames of one call of the net: bounds the memory."""

_ZEROS_READ = 1875
"""Of digital silence, the net reads the first minute: its memory takes more than ten seconds to settle."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How probabilities become speech.

    The values were chosen on mixtures of actors 1 to 10 of RAVDESS (see ``benchmarks/speech.py``).

    Parameters
    ----------
    begin : float
        Speech begins where the probability reaches this.
    end : float
        It goes on while the probability stays above this; at most ``begin``.
    least_speech_s : float
        Anything shorter is a click or a cough, no speech.
    least_pause_s : float
        Shorter pauses belong to the speech around them.
    pad_s : float
        What is added before and after: soft consonants are missed otherwise.
    least_cut_s : float, optional
        Pauses within speech that last so long are left out of it, too, though it goes on; by default none are.
    """

    begin: float = 0.5
    end: float = 0.35
    least_speech_s: float = 0.19
    least_pause_s: float = 0.25
    pad_s: float = 0.03
    least_cut_s: float | None = None

    def __post_init__(self) -> None:
        check_number(self.begin, "begin", low=0, high=1)
        check_number(self.end, "end", low=0, high=self.begin)
        for name in ("least_speech_s", "least_pause_s", "pad_s"):
            check_number(getattr(self, name), name, low=0, high=60)
        if self.least_cut_s is not None:
            check_number(self.least_cut_s, "least_cut_s", low=0, high=60)


class Activity:
    """Tell, while sound comes in, for every 32 ms whether somebody speaks.

    Decisions follow the sound with a delay of at most three quarters of a second and a frame (with the default rules):
    a pause is one only when it has lasted, and the gain looks ahead.  The sizes of the blocks make no difference.

    Parameters
    ----------
    rate_hz : int
        Samples per second of what will be pushed; others than 16 kHz are resampled.
    rules : Rules, optional
        How probabilities become speech.

    Raises
    ------
    InputError
        If the rate makes no sense.
    ModelError
        If the net is missing or damaged.
    """

    def __init__(self, rate_hz: int, *, rules: Rules | None = None) -> None:
        check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
        self._resampler = Resampler(rate_hz, RATE_HZ)
        self._session = _session()
        self._kept = np.zeros(0, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._zeros = 0
        self._memory = np.zeros((1, 1, STATE), np.float32), np.zeros((1, 1, STATE), np.float32)
        self._level = 0.0  # of the loudest frame of the last seconds
        self._decide = _Decisions(rules or Rules())

    def push(self, wave: Wave) -> Marks:
        """Take a block of any length; return the decisions that are settled by it, bool (k,), one each 32 ms.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,), follows what came before without a gap.

        Raises
        ------
        InputError
            If the block is no wave.
        """
        return self._decide.push(self._probabilities(self._resampler.push(check_wave(wave))))

    def flush(self) -> Marks:
        """Return the decisions that are still open; the last frame is filled up with silence.  Push nothing after."""
        rest = self._resampler.flush()
        missing = -(len(self._kept) + len(rest)) % FRAME
        marks = self._decide.push(self._probabilities(np.pad(rest, (0, missing)), last=True))
        return np.concatenate([marks, self._decide.flush()])

    def _probabilities(self, wave: Wave, *, last: bool = False) -> list[float]:
        self._kept = np.concatenate([self._kept, wave])
        ready = len(self._kept) // FRAME
        count = max(ready if last else ready - LOOKAHEAD, 0)
        frames = self._kept[: ready * FRAME].reshape(ready, FRAME)
        gains = self._gains(frames, count)
        frames, self._kept = frames[:count], self._kept[count * FRAME :]
        found: list[float] = []
        skipped = self._skipped(frames)
        edges = [0, *(np.flatnonzero(np.diff(skipped)) + 1).tolist(), count]
        for first, until in pairwise(edges if count else []):
            if skipped[first]:
                found += [0.0] * (until - first)
                continue
            for top in range(first, until, _FRAMES_TOGETHER):
                part = frames[top : min(top + _FRAMES_TOGETHER, until)]
                before = np.concatenate([self._context[None], part[:-1, -CONTEXT:]])
                self._context = part[-1, -CONTEXT:].copy()
                hidden, cell = self._memory
                leveled = np.concatenate([before, part], axis=1) * gains[top : top + len(part), None]
                result = self._session.run({"input": leveled, "h": hidden, "c": cell})
                self._memory = result["hn"], result["cn"]
                found += result["speech_probs"].reshape(-1).tolist()
        return found

    def _gains(self, frames: Wave, count: int) -> Wave:
        """Return the gains of the first frames, float32 (count,): the net misses faint speech, calm voices most."""
        powers = np.pad(np.einsum("nk,nk->n", frames, frames, dtype=np.float64) / FRAME, (0, LOOKAHEAD))
        levels = np.zeros(count)
        if count:
            levels = np.sqrt(sliding_window_view(powers, LOOKAHEAD + 1).max(axis=1))[:count]
        fall = 10 ** (-RELEASE_DB_S * FRAME_S / 20)
        for row, level in enumerate(levels.tolist()):
            self._level = levels[row] = max(level, self._level * fall)
        return np.clip(TARGET_RMS / np.maximum(levels, TARGET_RMS / MAX_GAIN), 1, None).astype(np.float32)

    def _skipped(self, frames: Wave) -> Marks:
        """Return which frames, float32 (n, FRAME), are deep in digital silence, and need no net."""
        numbers = np.arange(len(frames))
        last_sound = np.maximum.accumulate(np.where(frames.any(axis=1), numbers, -1 - self._zeros))
        zeros = numbers - last_sound
        self._zeros = int(zeros[-1]) if len(frames) else self._zeros
        return zeros > _ZEROS_READ


class _Decisions:
    """The rules, frame by frame; what is given out is never taken back."""

    def __init__(self, rules: Rules) -> None:
        self._on, self._off = rules.begin, rules.end
        self._least, self._pause, self._pad = (
            max(low, round(seconds / FRAME_S))
            for low, seconds in ((1, rules.least_speech_s), (1, rules.least_pause_s), (0, rules.pad_s))
        )
        cut_s = rules.least_pause_s if rules.least_cut_s is None else rules.least_cut_s
        self._cut = max(1, round(cut_s / FRAME_S))
        self._speaking = False
        self._begin = -1  # first frame of what may be speech; -1 in a pause
        self._last = 0  # one after its last frame
        self._heard = self._given = 0
        self._closed: list[tuple[int, int]] = []  # segments that reach beyond what was given out
        self._cuts: list[tuple[int, int]] = []  # pauses within them

    def push(self, probabilities: list[float]) -> Marks:
        for probability in probabilities:
            self._speaking = probability >= (self._off if self._speaking else self._on)
            self._heard += 1
            if self._speaking:
                if self._begin < 0:
                    self._begin = self._heard - 1
                elif self._heard - 1 - self._last >= self._cut:
                    self._cuts.append((self._last + self._pad, self._heard - 1 - self._pad))
                self._last = self._heard
            elif self._begin >= 0 and self._heard - self._last >= self._pause:
                self._close()
        return self._settled(self._horizon())

    def flush(self) -> Marks:
        if self._begin >= 0:
            self._close()
        return self._settled(self._heard)

    def _close(self) -> None:
        if self._last - self._begin >= self._least:
            self._closed.append((self._begin - self._pad, self._last + self._pad))
        self._begin = -1

    def _horizon(self) -> int:
        """Return up to which frame nothing can change any more."""
        if self._begin < 0:
            return self._heard - self._pad
        if self._last - self._begin < self._least:
            return self._begin - self._pad
        return min(self._heard, self._last + self._pad)

    def _settled(self, horizon: int) -> Marks:
        first, self._given = self._given, max(self._given, horizon)
        marks = np.zeros(self._given - first, bool)
        open_segment = [(self._begin - self._pad, self._last + self._pad)] if self._begin >= 0 else []
        for begin, end in self._closed + open_segment:
            marks[max(begin - first, 0) : max(end - first, 0)] = True
        for begin, end in self._cuts:
            marks[max(begin - first, 0) : max(end - first, 0)] = False
        self._closed = [segment for segment in self._closed if segment[1] > self._given]
        self._cuts = [cut for cut in self._cuts if cut[1] > self._given]
        return marks


def speech_segments(wave: Wave, *, rate_hz: int, rules: Rules | None = None) -> list[tuple[float, float]]:
    """Find where somebody speaks.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, in [-1, 1]; may be empty.
    rate_hz : int
        Samples per second.
    rules : Rules, optional
        How probabilities become speech.

    Returns
    -------
    list of (float, float)
        Segments [start, end) in seconds, in order, with pauses between them; empty when nobody speaks.

    Raises
    ------
    InputError
        If the wave or the rate makes no sense.
    ModelError
        If the net is missing or damaged.

    References
    ----------
    Silero Team, Silero VAD (MIT license), see ``weights/silero-vad.toml``.
    """
    activity = Activity(rate_hz, rules=rules)
    marks = np.concatenate([activity.push(wave), activity.flush()])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8))).tolist()
    duration_s = len(wave) / rate_hz
    return [(begin * FRAME_S, min(end * FRAME_S, duration_s)) for begin, end in list(pairwise(edges))[::2]]


def speech_bounds(wave: Wave, *, rate_hz: int, pad_s: float = PAD_S, rules: Rules | None = None) -> tuple[int, int]:
    """Find where the speech of a recording of one utterance begins and ends.

    What a speech net learns from, is measured on and reads as a whole is cut here, so that all three are cut
    alike.  Pauses between the first and the last word stay.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, in [-1, 1]; may be empty.
    rate_hz : int
        Samples per second.
    pad_s : float
        What is kept before and after, as far as there is any.
    rules : Rules, optional
        How probabilities become speech.

    Returns
    -------
    begin, end : int
        Samples ``wave[begin:end]``; the whole where nobody speaks.

    Raises
    ------
    InputError
        If an argument makes no sense.
    """
    pad = round(check_number(pad_s, "pad_s", low=0) * rate_hz)
    segments = speech_segments(wave, rate_hz=rate_hz, rules=rules)
    if not segments:
        return 0, len(wave)
    return max(round(segments[0][0] * rate_hz) - pad, 0), min(round(segments[-1][1] * rate_hz) + pad, len(wave))


@lru_cache(maxsize=1)
def _session() -> runtime.Session:
    return runtime.load(registry.get("silero-vad"), threads=1)
