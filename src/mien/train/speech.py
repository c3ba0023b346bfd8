"""Training on recordings of speech: spectrograms, cut as at use but for some room to move the edges."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.data import load_dataset
from mien.data.cache import cache_computed
from mien.data.prepare.augment_audio import MEL_CNN_CHANGES
from mien.data.samples import Samples
from mien.data.splits import TRAINING, is_split
from mien.errors import InputError
from mien.models import runtime
from mien.speech.activity import PAD_S, speech_bounds
from mien.speech.features import Settings, log_mel, peak_normalized
from mien.speech.warp import add_noise, pitch_shift, time_stretch
from mien.train.corpus import Corpus
from mien.train.data import Augment
from mien.train.export import Deployed, deploy, export_graph, round_weights
from mien.train.init import BODY, init_network
from mien.train.kinds import Kind, Logits, build_for
from mien.train.nets import SpeechNetwork
from mien.train.recipe import Recipe
from mien.train.views import VIEWS_VERSION, speech_views

__all__ = ["COPIES", "Speech", "cut_recording"]

COPIES = ("stretch", "pitch", "noise")
"""Changed copies of each recording in the folds ``copies``: one of each kind of `mien.data.prepare.augment_audio`."""

_MARGIN_S = 0.1
"""Sound that is kept beyond the cut at use, so that training can move the edges."""

_SILENCE_DB = -100.0
"""The floor of `mien.speech.features.log_mel`."""

_WINDOW_S, _HOP_S = 3.0, 1.5
"""Window and hop over long speech: about the length of the sentences that networks learn from, and half of it."""


class Speech(Kind[SpeechNetwork]):
    """Recordings of speech.

    The inputs of a corpus are ``spectrograms``, float32 (mels, frames) each, in dB under its peak, and ``edges``, int64
    (n, 2): the frames that are left out before and after at use.  Where the body stays as it starts, the ``embeddings``
    of each recording and of changed copies of it, float32 (n, 1 + views, D), are there, too.
    """

    noun = "recordings"
    batch = 60

    def read_inputs(self, recipe: Recipe, samples: Samples) -> dict[str, NDArray[Any]]:
        """Read the recordings and return their spectrograms with margins."""
        net = build_for(recipe, {samples.label_set.name: len(samples.label_set)})
        if net.views:
            return {"embeddings": self._embeddings(recipe, net, samples, net.views)}
        return _spectrograms((samples.read_audio(row, net.settings.rate_hz) for row in range(len(samples))), net)

    def extend(
        self, recipe: Recipe, training: Corpus, folder: Path, *, report: Callable[[str], object] = str
    ) -> Corpus:
        """Return the rows for training with those of the recipe's second dataset.

        Where it is larger, the first dataset's rows are repeated until there are about as many.
        """
        del folder  # nothing is kept there
        domain = recipe.domain
        if recipe.distillation.fixed:
            raise InputError(f"recipe {recipe.name!r}: distillation.fixed is for images, not {recipe.kind}")
        other = load_dataset(domain.dataset, domain.path).labeled()
        other = other.take(is_split(other.splits, ("", *TRAINING))).with_present_classes()
        report(f"{len(other)} {self.noun} of {domain.dataset}: {', '.join(other.label_set.emotions)}")
        first = np.arange(len(training)).repeat(max(round(domain.repeat * len(other) / len(training)), 1))
        second = np.arange(len(training), len(training) + len(other)).repeat(domain.repeat)
        net = build_for(recipe, training.heads)
        if net.views:
            # Voices are many there: one copy of each, as often as there are others of the first dataset's.
            embeddings = self._embeddings(recipe, net, other, 1)
            inputs = {"embeddings": embeddings[:, np.arange(1 + net.views) % 2]}
        else:
            inputs = self.read_inputs(recipe, other)
        joined = training.with_domain(other, inputs, smoothing=recipe.loss.label_smoothing)
        return joined.take(np.concatenate([first, second]))

    def prepare(self, net: SpeechNetwork, corpus: Corpus) -> None:
        """Give the network the statistics of the embeddings of the training recordings."""
        if "embeddings" in corpus.inputs:
            net.set_statistics(torch.from_numpy(corpus.inputs["embeddings"]).flatten(0, 1))

    def augment(self, recipe: Recipe, net: SpeechNetwork, corpus: Corpus) -> Augment:
        """Move the edges, cut to the length of training, and change how it was recorded; or draw one of the views."""
        if "embeddings" in corpus.inputs:
            embeddings = torch.from_numpy(corpus.inputs["embeddings"])

            def draw(_epoch: int, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
                view = torch.randint(0, embeddings.shape[1], index.shape, generator=generator)
                return (embeddings[index, view],)

            return draw
        recordings = corpus.inputs["spectrograms"]
        augmentation, rate = recipe.sound, net.settings.rate_hz / net.settings.hop
        loose = int(augmentation.edges_s * rate) if net.trim else 0

        def augment(_epoch: int, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
            spectrograms = recordings[index.numpy()]
            parts = [_move_edges(part, loose, net.frames, generator) for part in spectrograms]
            db, lengths = _stack(parts, net.frames)
            db, lengths = augmentation.sound(db, lengths, generator, frames_per_s=rate)
            mask = _mask(lengths, net.frames)
            return augmentation.masks(net.level(db, mask), lengths, generator), mask

        return augment

    def inputs(self, net: SpeechNetwork, corpus: Corpus, index: Tensor) -> tuple[Tensor, ...]:
        """Return whole leveled spectrograms with their masks, padded to the longest, float32 (N, 1, M, T), (N, T).

        Where there are embeddings, those of the recordings as they are, (N, D).
        """
        at = index.numpy()
        if "embeddings" in corpus.inputs:
            return (torch.from_numpy(corpus.inputs["embeddings"][at, 0]),)
        recordings = corpus.inputs
        edges = recordings["edges"][at].tolist()
        parts = [
            spectrogram[:, before : spectrogram.shape[1] - after]
            for spectrogram, (before, after) in zip(recordings["spectrograms"][at], edges, strict=True)
        ]
        frames = max(part.shape[1] for part in parts)
        db, lengths = _stack(parts, frames)
        mask = _mask(lengths, frames)
        return net.level(db, mask), mask

    def _embeddings(self, recipe: Recipe, net: SpeechNetwork, samples: Samples, views: int) -> NDArray[np.float32]:
        """Return the embeddings of recordings and of changed copies of each, float32 (n, 1 + views, D)."""
        if BODY not in recipe.freeze or not recipe.init:
            raise InputError(f'recipe {recipe.name!r}: net_options.views needs init and freeze = ["{BODY}"]')
        init_network(net, recipe.init)
        deployed = deploy(round_weights(net.eval()))
        digest = hashlib.sha256()
        for name, values in sorted(net.state_dict().items()):
            if not name.startswith("heads."):
                digest.update(name.encode() + values.numpy().tobytes())
        stamp = f"{VIEWS_VERSION} {views} {recipe.seed} {digest.hexdigest()} {samples.fingerprint()}"
        rate_hz = net.settings.rate_hz

        def make() -> dict[str, NDArray[Any]]:
            session = runtime.Session(
                export_graph(deployed), name="the graph", threads=runtime.default_threads(), device="cpu"
            )
            rows: dict[int, NDArray[np.float32]] = {}
            for row, waves in speech_views(samples, views, rate_hz=rate_hz, seed=recipe.seed):
                found = [session.run({"wave": cut_recording(wave, net)[None]}, ["embedding"]) for wave in waves]
                rows[row] = np.concatenate([one["embedding"] for one in found])
            return {"embeddings": np.stack([rows[row] for row in range(len(samples))])}

        return np.asarray(cache_computed("embeddings", stamp, make)["embeddings"], np.float32)

    def graph_inputs(self, deployed: Deployed, corpus: Corpus) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield ``wave``, float32 (1, n): the recordings, read again and cut as at use."""
        net = deployed.net
        assert isinstance(net, SpeechNetwork)
        for row in range(len(corpus)):
            yield {"wave": cut_recording(corpus.samples.read_audio(row, net.settings.rate_hz), net)[None]}

    def predict(self, net: SpeechNetwork, corpus: Corpus) -> Logits:
        """Return logits of whole recordings by the graph, on files cut as at use, so they are what users get.

        Of changed copies that are in no file, the network's own on their spectrograms; and of embeddings, which a
        graph computed, what the heads make of them.
        """
        if "embeddings" in corpus.inputs or (corpus.samples.column("method") != "").any():
            return super().predict(net, corpus)
        deployed = deploy(net)
        return self.predict_by_graph(deployed, self.export_graph(deployed, corpus)[1], corpus)

    def record(self, recipe: Recipe, deployed: Deployed) -> dict[str, Any]:
        """Return task, and how recordings are cut."""
        net = deployed.net
        assert isinstance(net, SpeechNetwork)
        is_whole = net.min_s > _WINDOW_S
        return {
            "task": "speech-emotion",
            "sound": {
                "rate_hz": net.settings.rate_hz,
                "min_s": round(net.min_s, 6),
                "window_s": round(net.min_s, 6) if is_whole else _WINDOW_S,
                "hop_s": round(net.min_s / 2, 6) if is_whole else _HOP_S,
                "pad_s": PAD_S,
                "trim": net.trim,
                "layout": "NT",
                "dtype": "float32",
            },
        }

    def with_copies(self, recipe: Recipe, corpus: Corpus) -> tuple[Corpus, Recipe]:
        """Make `COPIES` of each recording; there are as many steps as without them."""
        net = build_for(recipe, corpus.heads)
        if net.views:
            raise InputError(f"recipe {recipe.name!r}: with net_options.views there is no way 'copies'")
        rate_hz, rows = net.settings.rate_hz, range(len(corpus))
        waves = (
            _change(corpus.samples.read_audio(row, rate_hz), method, rate_hz, (recipe.seed, number, row))
            for number, method in enumerate(COPIES)
            for row in rows
        )
        epochs = math.ceil(recipe.epochs / (1 + len(COPIES)))
        return corpus.with_copies(COPIES, _spectrograms(waves, net)), replace(recipe, epochs=epochs)


def cut_recording(wave: NDArray[np.float32], net: SpeechNetwork) -> NDArray[np.float32]:
    """Cut a recording as at use: to its speech, and no shorter than the network takes.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,) at the network's rate.
    net : SpeechNetwork
        Says whether silence is cut away, and how long a recording must be.
    """
    rate_hz = net.settings.rate_hz
    begin, end = speech_bounds(wave, rate_hz=rate_hz) if net.trim else (0, len(wave))
    return _pad(wave[begin:end], round(net.min_s * rate_hz))


def _pad(wave: NDArray[np.float32], least: int) -> NDArray[np.float32]:
    missing = max(least - len(wave), 0)
    return np.pad(wave, (missing // 2, missing - missing // 2))


def _spectrograms(waves: Iterator[NDArray[np.float32]], net: SpeechNetwork) -> dict[str, NDArray[Any]]:
    made = [_spectrogram(wave, net) for wave in waves]
    # One by one, because numpy would make a cube of spectrograms that happen to have one length.
    spectrograms = np.empty(len(made), dtype=object)
    for row, (spectrogram, _) in enumerate(made):
        spectrograms[row] = spectrogram
    edges = np.array([edge for _, edge in made], dtype=np.int64).reshape(-1, 2)
    return {"spectrograms": spectrograms, "edges": edges}


def _spectrogram(wave: NDArray[np.float32], net: SpeechNetwork) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return a spectrogram with its margins, and how many frames they have."""
    settings = replace(net.settings, top_db=None)
    if not net.trim:
        return _log_mel(cut_recording(wave, net), settings), (0, 0)
    begin, end = speech_bounds(wave, rate_hz=settings.rate_hz, pad_s=PAD_S)
    margin = round(_MARGIN_S * settings.rate_hz / settings.hop)
    # Margins of whole hops, so that the frames between them are those of the recording at use.
    before = min(margin, begin // settings.hop)
    after = min(margin, (len(wave) - end) // settings.hop)
    wide = wave[begin - before * settings.hop : end + after * settings.hop]
    least = round(net.min_s * settings.rate_hz)
    if len(wide) < least:
        return _log_mel(_pad(wide, least), settings), (0, 0)
    return _log_mel(wide, settings), (before, after)


def _log_mel(wave: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    return np.ascontiguousarray(log_mel(peak_normalized(wave), settings))


def _change(wave: NDArray[np.float32], method: str, rate_hz: int, seed: tuple[int, ...]) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    if method == "stretch":
        return time_stretch(wave, float(rng.choice(MEL_CNN_CHANGES.stretch)), rate_hz=rate_hz)
    if method == "pitch":
        return pitch_shift(wave, float(rng.choice(MEL_CNN_CHANGES.pitch)), rate_hz=rate_hz)
    low, high = MEL_CNN_CHANGES.noise
    return add_noise(wave, float(rng.uniform(low, high)), rng)


def _move_edges(
    spectrogram: NDArray[np.float32], loose: int, frames: int, generator: torch.Generator
) -> NDArray[np.float32]:
    """Cut up to ``loose`` frames off each side, then a stretch of at most ``frames`` out of the rest."""
    before, after, at = torch.rand(3, generator=generator).tolist()
    length = spectrogram.shape[1]
    loose = min(loose, length // 4)
    part = spectrogram[:, round(before * loose) : length - round(after * loose)]
    over = part.shape[1] - frames
    return part[:, round(at * over) :][:, :frames] if over > 0 else part


def _stack(parts: Sequence[NDArray[np.float32]], frames: int) -> tuple[Tensor, Tensor]:
    """Return spectrograms of one length, (N, 1, M, frames), padded behind, and their own lengths, (N,)."""
    db = torch.full((len(parts), 1, parts[0].shape[0], frames), _SILENCE_DB)
    for row, part in enumerate(parts):
        db[row, 0, :, : part.shape[1]] = torch.from_numpy(part)
    return db, torch.tensor([part.shape[1] for part in parts])


def _mask(lengths: Tensor, frames: int) -> Tensor:
    return (torch.arange(frames)[None] < lengths[:, None]).to(torch.float32)
