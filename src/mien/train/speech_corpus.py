"""What a speech net learns from: the spectrograms of a corpus with their labels and speakers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.prepare.augment_audio import MEL_CNN_CHANGES
from mien.data.registry import load_dataset
from mien.data.samples import Samples
from mien.data.splits import folds
from mien.errors import DatasetError
from mien.speech.activity import PAD_S, speech_bounds
from mien.speech.features import Settings, log_mel, peak_normalized
from mien.speech.warp import add_noise, pitch_shift, time_stretch
from mien.train.corpus import TRAINING, VALIDATION, Rows
from mien.train.nets import SpeechNet, build_speech
from mien.train.recipe import Recipe

__all__ = ["COPIES", "SpeechCorpus", "load_speech", "prepared", "split_speech", "with_copies"]

_MARGIN_S = 0.1
"""Sound that is kept beyond what nets are given at use, so that training can move the edges."""

Spectrogram = NDArray[np.float32]
COPIES = ("stretch", "pitch", "noise")
"""Kinds of system A's changed copies of a recording (see `mien.data.prepare.augment_audio`): one of each is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechCorpus(Rows):
    """Spectrograms with labels.

    Parameters
    ----------
    clips : Samples
        What the corpus says about each recording.
    settings : Settings
        How the spectrograms were made.
    sounds : tuple of numpy.ndarray
        A float32 (mels, frames) a recording, in dB under its peak, with some sound beyond its speech on both sides.
    edges : numpy.ndarray
        int64 (n, 2): frames that are left out before and after at use.
    """

    clips: Samples
    settings: Settings
    sounds: tuple[Spectrogram, ...]
    edges: NDArray[np.int64]

    def _taken(self, index: NDArray[Any]) -> dict[str, Any]:
        chosen = np.arange(len(self))[index]
        sounds = tuple(self.sounds[row] for row in chosen)
        return Rows._taken(self, index) | {
            "clips": self.clips.take(chosen),
            "sounds": sounds,
            "edges": self.edges[chosen],
        }


def load_speech(recipe: Recipe, path: str | Path) -> SpeechCorpus:
    """Read everything of a corpus but its examination, as the recipe's net takes it.

    Parameters
    ----------
    recipe : Recipe
        Names corpus and net.
    path : str or pathlib.Path
        Folder of the corpus.

    Raises
    ------
    DatasetError
        If the corpus is missing or wrong, or nothing of it is for training.
    """
    clips = load_dataset(recipe.dataset, path, **recipe.dataset_options)
    known = (clips.labels >= 0) & np.isin(clips.splits, ("", *TRAINING, *VALIDATION))
    if not known.any():
        raise DatasetError(f"{path}: no recording with a label is for training")
    return _speech(clips.take(known), recipe)


def _speech(clips: Samples, recipe: Recipe) -> SpeechCorpus:
    head = clips.label_set.name
    net = build_speech(recipe.net, {head: len(clips.label_set)}, **recipe.net_options)
    waves = (clips.read_audio(row, net.settings.rate_hz) for row in range(len(clips)))
    made = [_spectrogram(wave, net) for wave in waves]
    return SpeechCorpus(
        name=clips.name,
        targets={head: np.eye(len(clips.label_set), dtype=np.float32)[clips.labels]},
        truth={head: clips.labels},
        group=clips.groups(),
        splits=clips.splits,
        subjects=clips.subjects if (clips.subjects != "").any() else None,
        clips=clips,
        settings=net.settings,
        sounds=tuple(sound for sound, _ in made),
        edges=np.array([edge for _, edge in made], dtype=np.int64).reshape(-1, 2),
    )


def prepared(wave: NDArray[np.float32], net: SpeechNet) -> NDArray[np.float32]:
    """Cut a recording as the net takes it at use: to its speech, and no shorter than the net can take.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,) at the net's rate.
    net : SpeechNet
        Says whether silence is cut away, and how long a recording must be.
    """
    rate_hz = net.settings.rate_hz
    begin, end = speech_bounds(wave, rate_hz=rate_hz) if net.trimmed else (0, len(wave))
    return _padded(wave[begin:end], round(net.least_s * rate_hz))


def _padded(wave: NDArray[np.float32], least: int) -> NDArray[np.float32]:
    missing = max(least - len(wave), 0)
    return np.pad(wave, (missing // 2, missing - missing // 2))


def _spectrogram(wave: NDArray[np.float32], net: SpeechNet) -> tuple[Spectrogram, tuple[int, int]]:
    """Return a spectrogram with its margins, and how many frames they have."""
    settings = replace(net.settings, top_db=None)
    if not net.trimmed:
        return _made(prepared(wave, net), settings), (0, 0)
    begin, end = speech_bounds(wave, rate_hz=settings.rate_hz, pad_s=PAD_S)
    margin = round(_MARGIN_S * settings.rate_hz / settings.hop)
    # Margins of whole hops, so that the frames between them are those of the recording at use.
    before = min(margin, begin // settings.hop)
    after = min(margin, (len(wave) - end) // settings.hop)
    wide = wave[begin - before * settings.hop : end + after * settings.hop]
    least = round(net.least_s * settings.rate_hz)
    if len(wide) < least:
        return _made(_padded(wide, least), settings), (0, 0)
    return _made(wide, settings), (before, after)


def _made(wave: NDArray[np.float32], settings: Settings) -> Spectrogram:
    return np.ascontiguousarray(log_mel(peak_normalized(wave), settings))


def with_copies(corpus: SpeechCorpus, recipe: Recipe) -> SpeechCorpus:
    """Return a corpus with changed copies of all its recordings behind them, in the groups of their originals.

    Parameters
    ----------
    corpus : SpeechCorpus
        The originals.
    recipe : Recipe
        Its net and seed.
    """
    head = next(iter(corpus.heads))
    net = build_speech(recipe.net, {head: corpus.heads[head]}, **recipe.net_options)
    sounds, edges, methods = list(corpus.sounds), [corpus.edges], [corpus.clips.column("method")]
    for number, method in enumerate(COPIES):
        own: list[tuple[int, int]] = []
        for row in range(len(corpus)):
            rng = np.random.default_rng((recipe.seed, number, row))
            wave = _changed(corpus.clips.read_audio(row, corpus.settings.rate_hz), method, corpus.settings.rate_hz, rng)
            sound, edge = _spectrogram(wave, net)
            sounds.append(sound)
            own.append(edge)
        edges.append(np.array(own, dtype=np.int64))
        methods.append(np.full(len(corpus), method))
    every = corpus.take(np.tile(np.arange(len(corpus)), 1 + len(COPIES)))
    clips = every.clips.with_columns(method=np.concatenate(methods))
    return replace(every, clips=clips, sounds=tuple(sounds), edges=np.concatenate(edges))


def _changed(wave: NDArray[np.float32], method: str, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if method == "stretch":
        return time_stretch(wave, float(rng.choice(MEL_CNN_CHANGES.stretch)), rate_hz=rate_hz)
    if method == "pitch":
        return pitch_shift(wave, float(rng.choice(MEL_CNN_CHANGES.pitch)), rate_hz=rate_hz)
    low, high = MEL_CNN_CHANGES.noise
    return add_noise(wave, float(rng.uniform(low, high)), rng)


def split_speech(corpus: SpeechCorpus, recipe: Recipe, source: str) -> tuple[SpeechCorpus, SpeechCorpus]:
    """Divide recordings into those for training and those for choosing; no speaker is on both sides.

    A split of the corpus's own is taken; without one, a share of the speakers is held out.  Copies choose nothing.

    Parameters
    ----------
    corpus : SpeechCorpus
        All recordings.
    recipe : Recipe
        Names the share.
    source : str
        Where they come from, for messages.

    Raises
    ------
    DatasetError
        If a side would be empty.
    """
    chosen = np.isin(corpus.splits, VALIDATION)
    if not chosen.any():
        parts = max(round(1 / recipe.validation_share), 2)
        parts = max(min(parts, len(np.unique(corpus.group))), 2)
        chosen = folds(corpus.clips, parts, seed=recipe.seed) == 0
    training, validation = corpus.take(~chosen), corpus.take(chosen & (corpus.clips.column("method") == ""))
    if not len(training) or not len(validation):
        raise DatasetError(f"{source} needs recordings both for training and for validation, but one side is empty")
    return training, validation
