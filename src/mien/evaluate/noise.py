"""How much of a speech model is left in noise, over a telephone line, and in a room.

Noise is white, or the babble of others, at given ratios to the speech.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, check_number, describe
from mien.data.samples import Samples
from mien.errors import InputError, ModelError
from mien.evaluate.calibration import softmax
from mien.evaluate.evaluation import NoiseFigures, figures_of
from mien.evaluate.predictions import AudioModel, Predictions, mapping_to, resampling_groups
from mien.output import plots
from mien.speech.activity import speech_bounds
from mien.speech.channel import reverberate, telephone

__all__ = [
    "CHANNELS",
    "KINDS",
    "RATIOS_DB",
    "VOICES",
    "NoiseMaker",
    "Waves",
    "can_babble",
    "mix_noise",
    "model_noise_curve",
    "noise_chart",
    "noise_curve",
]

Wave = NDArray[np.float32]

KINDS = ("white", "babble")
"""White noise, and several other clips at once."""

CHANNELS = ("telephone", "reverberation")
"""A telephone line, and a room of `mien.speech.channel.ROOM_S`; without a ratio."""

RATIOS_DB = (20.0, 10.0, 5.0, 0.0)
"""Speech to noise, in decibels."""

VOICES = 6
"""Clips in a babble: enough that none of them is understood."""

_HELD_SAMPLES = 100_000_000
"""Bounds the memory of `Waves` to 400 MB: all of RAVDESS at 16 kHz."""


def noise_curve(
    predict: Callable[[Wave, int], ArrayLike],
    clips: Samples,
    waves: Sequence[Wave] | Callable[[int], Wave],
    *,
    rate_hz: int,
    kinds: Sequence[str] = KINDS,
    ratios_db: Sequence[float] = RATIOS_DB,
    seed: int = 0,
    resamples: int = 2000,
    progress: Callable[[int], None] | None = None,
) -> tuple[NoiseFigures, ...]:
    """Measure predictions for the same clips without noise and with more and more of it.

    Each clip gets one white noise and one babble, drawn by the seed and its place in the list, and the same at every
    ratio. A babble is made of `VOICES` clips (all there are, if fewer) of other subjects, each at the same power,
    repeated from a random place on. The ratio is that of mean powers over the part in which somebody speaks
    (`mien.speech.activity.speech_bounds`, without padding), so that silence around it does not count; the noise lies
    over the whole recording. A sum beyond full scale is turned down as a whole.

    Parameters
    ----------
    predict : callable
        Takes a noisy wave, float32 (n,), and the row of its clip; returns the probabilities (or anything whose largest
        value is the prediction) in the labels of the samples, shape (k,). Which model predicts which clip is its
        choice, such as the network of the clip's fold.
    clips : Samples
        The clips, all with a label.
    waves : sequence of numpy.ndarray, or callable
        The recordings, float32 (n,), not empty; or what returns one by its place.
    rate_hz : int
        Their samples per second.
    kinds : sequence of str
        Which of `KINDS` and `CHANNELS`.
    ratios_db : sequence of float
        From -60 to 100.
    seed, resamples : int
        Of the noise and the bootstrap; resamples of the bootstrap.
    progress : callable, optional
        Called with 1 after each clip.

    Returns
    -------
    tuple of NoiseFigures
        Clean first, then each kind in the order given, noise at each ratio.

    Raises
    ------
    InputError
        If an argument makes no sense, or babble is asked for where all clips are of one speaker.
    """
    read = _checked(clips, waves, kinds, ratios_db)
    check_integer(rate_hz, "rate_hz", low=1)
    noises = NoiseMaker(clips, read, rate_hz=rate_hz, seed=seed)
    cases: list[tuple[str, float | None]] = []
    for kind in kinds:
        cases += [(kind, None)] if kind in CHANNELS else [(kind, float(ratio)) for ratio in ratios_db]
    predicted = np.empty((1 + len(cases), len(clips)), dtype=np.int64)
    size = len(clips.label_set)
    for index in range(len(clips)):
        wave = read(index)
        begin, end = noises.bounds(index)
        predicted[0, index] = _top(predict(wave, index), size)
        made = {kind: noises.make(kind, index, len(wave)) for kind in kinds if kind in KINDS}
        for place, (kind, ratio) in enumerate(cases, start=1):
            if ratio is None:
                changed = _apply_channel(wave, kind, rate_hz, np.random.default_rng([seed, len(KINDS), index]))
            else:
                changed = mix_noise(wave, made[kind], ratio_db=ratio, part=slice(begin, end))
            predicted[place, index] = _top(predict(changed, index), size)
        if progress is not None:
            progress(1)
    groups, _ = resampling_groups(clips)
    named: list[tuple[str, float | None]] = [("clean", None), *cases]
    curve = []
    for (kind, ratio_db), row in zip(named, predicted, strict=True):
        figures = figures_of(clips, row, groups, resamples=resamples, seed=seed)
        values = {field.name: getattr(figures, field.name) for field in dataclasses.fields(figures)}
        curve.append(NoiseFigures(kind=kind, ratio_db=ratio_db, **values))
    return tuple(curve)


def _apply_channel(wave: Wave, kind: str, rate_hz: int, generator: np.random.Generator) -> Wave:
    if kind == "telephone":
        return telephone(wave, rate_hz=rate_hz)
    return reverberate(wave, rate_hz=rate_hz, generator=generator)


def can_babble(clips: Samples) -> bool:
    """Return whether there is a clip of somebody else for each clip."""
    return len(clips) > 0 and bool(clips.groups().max() > 0)


class Waves:
    """The recordings of clips at one rate, by their place; the last ones that were asked for stay in memory.

    Parameters
    ----------
    clips : Samples
        Where they lie.
    rate_hz : int
        Samples per second.
    """

    def __init__(self, clips: Samples, *, rate_hz: int) -> None:
        self._clips = clips
        self._rate_hz = rate_hz
        self._held: OrderedDict[int, Wave] = OrderedDict()
        self._samples = 0

    def __call__(self, index: int) -> Wave:
        """Return one recording as float32 (n,), or raise `DatasetError` where it cannot be read."""
        if index in self._held:
            self._held.move_to_end(index)
            return self._held[index]
        wave = self._held[index] = self._clips.read_audio(index, self._rate_hz)
        self._samples += len(wave)
        while self._samples > _HELD_SAMPLES and len(self._held) > 1:
            self._samples -= len(self._held.popitem(last=False)[1])
        return wave


def mix_noise(wave: Wave, noise: Wave, *, ratio_db: float, part: slice | None = None) -> Wave:
    """Return a wave with noise added at a ratio of mean powers over one part of it.

    Parameters
    ----------
    wave, noise : numpy.ndarray
        float32 (n,) each.
    ratio_db : float
        Power of the wave over that of the noise, in the part.
    part : slice, optional
        By default all.

    Returns
    -------
    numpy.ndarray
        float32 (n,), within [-1, 1]: the sum, turned down where it would go beyond. Where either is silent in the
        part there is no ratio, and the wave is returned as it is.
    """
    here = slice(None) if part is None else part
    speech, other = _power(wave[here]), _power(noise[here])
    if speech == 0 or other == 0:
        return wave
    gain = np.sqrt(speech / other) * 10.0 ** (-ratio_db / 20)
    total = wave.astype(np.float64) + gain * noise
    peak = float(np.abs(total).max())
    return np.asarray(total / peak if peak > 1 else total, dtype=np.float32)


def _power(wave: Wave) -> float:
    return float(np.mean(wave.astype(np.float64) ** 2)) if wave.size else 0.0


class NoiseMaker:
    """The noise of each clip.

    Parameters
    ----------
    clips : Samples
        The clips.
    read : callable
        Returns the wave of a clip by its row, float32 (n,).
    rate_hz, seed : int
        Their samples per second; seed of the noise.
    """

    def __init__(self, clips: Samples, read: Callable[[int], Wave], *, rate_hz: int, seed: int) -> None:
        self._read = read
        self._rate_hz = rate_hz
        self._seed = check_integer(seed, "seed", low=0)
        self._speaker = clips.groups()
        self._bounds: dict[int, tuple[int, int]] = {}

    def bounds(self, index: int) -> tuple[int, int]:
        """Return where the speech of a clip begins and ends."""
        if index not in self._bounds:
            self._bounds[index] = speech_bounds(self._read(index), rate_hz=self._rate_hz, pad_s=0.0)
        return self._bounds[index]

    def make(self, kind: str, index: int, length: int) -> Wave:
        """Return noise of one of `KINDS` for a clip, float32 (length,)."""
        # A generator for each clip and kind: a shorter list of kinds or ratios changes nothing.
        generator = np.random.default_rng([self._seed, KINDS.index(kind), index])
        if kind == "white":
            return generator.standard_normal(length, dtype=np.float32)
        others = np.flatnonzero(self._speaker != self._speaker[index])
        chosen = generator.choice(others, size=min(VOICES, len(others)), replace=False)
        total = np.zeros(length, dtype=np.float32)
        for other in chosen.tolist():
            voice = self._read(other)[slice(*self.bounds(other))]
            start = int(generator.integers(len(voice)))
            power = _power(voice)
            if power > 0:
                repeated = np.take(voice, np.arange(start, start + length), mode="wrap")
                total += repeated / np.float32(np.sqrt(power))
        return total


def _checked(
    clips: Samples, waves: Sequence[Wave] | Callable[[int], Wave], kinds: Sequence[str], ratios_db: Sequence[float]
) -> Callable[[int], Wave]:
    if not len(clips) or (clips.labels < 0).any():
        raise InputError(f"a noise curve needs clips that all have a label, but got {len(clips)} clips")
    unknown = [kind for kind in kinds if kind not in (*KINDS, *CHANNELS)]
    if unknown or not kinds:
        known = ", ".join((*KINDS, *CHANNELS))
        raise InputError(f"a kind of noise must be one of {known}, but got {', '.join(unknown) or 'none'}")
    for ratio in ratios_db:
        check_number(ratio, "ratios_db", low=-60, high=100)
    if "babble" in kinds and not can_babble(clips):
        raise InputError(f"babble needs clips of two speakers, but {clips.name} has one")
    if not callable(waves) and len(waves) != len(clips):
        raise InputError(f"waves must be one for each of {len(clips)} clips, but got {len(waves)}")

    def read(index: int) -> Wave:
        wave = waves(index) if callable(waves) else waves[index]
        if not isinstance(wave, np.ndarray) or wave.ndim != 1 or wave.dtype != np.float32 or not wave.size:
            raise InputError(f"wave {index} must be float32 of shape (n,) with n > 0, but got {describe(wave)}")
        return wave

    return read


def _top(scores: ArrayLike, size: int) -> int:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (size,) or np.isnan(values).any():
        raise InputError(f"a prediction must be {size} numbers, but got {describe(values)}")
    return int(values.argmax())


def model_noise_curve(
    model: AudioModel,
    predictions: Predictions,
    *,
    kinds: Sequence[str] = KINDS,
    ratios_db: Sequence[float] = RATIOS_DB,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[NoiseFigures, ...]:
    """Measure a model on the same clips again, in noise, with the output that was used before.

    Parameters
    ----------
    model : AudioModel
        The model.
    predictions : Predictions
        Its predictions without noise.
    kinds, ratios_db, seed, progress
        See `mien.evaluate.noise.noise_curve`.

    Returns
    -------
    tuple of NoiseFigures
        The curve.

    Raises
    ------
    ModelError
        If the model is none for speech.
    InputError
        See `mien.evaluate.noise.noise_curve`.
    """
    output = model.spec.output(predictions.output)
    mapped = mapping_to(output.labels, predictions.label_set)
    if model.spec.sound is None:
        raise ModelError(f"model {model.spec.name!r} is for {model.spec.task}, not for speech-emotion")
    rate_hz = model.spec.sound.rate_hz

    def predict(wave: Wave, index: int) -> NDArray[np.float64]:  # noqa: ARG001 - one model for all
        z = np.asarray(model.clip_logits(wave, rate_hz=rate_hz)[output.name], dtype=np.float64)
        return mapped.apply(softmax(z[None], temperature=output.temperature)).ravel()

    waves = Waves(predictions.samples, rate_hz=rate_hz)
    return noise_curve(
        predict,
        predictions.samples,
        waves,
        rate_hz=rate_hz,
        kinds=kinds,
        ratios_db=ratios_db,
        seed=seed,
        progress=progress,
    )


def noise_chart(figures: Sequence[NoiseFigures]) -> bytes:
    """Draw the figures of `mien.evaluate.noise.noise_curve` as `mien.output.plots.noise_curves` does."""
    kinds: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    clean = None
    for entry in figures:
        if entry.kind == "clean":
            clean = entry.uar
        elif entry.ratio_db is not None:
            ends = entry.intervals.get("uar", (None, None))
            kinds.setdefault(entry.kind, []).append((entry.ratio_db, entry.uar, *ends))
    return plots.noise_curves(kinds, clean=clean)
