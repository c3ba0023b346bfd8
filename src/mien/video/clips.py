"""Networks for clips at use: one prediction for a person in a video, from faces evenly spaced over it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError, ModelError
from mien.face.align import Crop, fit_crop
from mien.labels import LabelSet, mapping
from mien.models import ModelSpec, registry, runtime
from mien.models.emotion import EmotionModel, output_logits, softmax
from mien.models.spec import ClipInput
from mien.options import ModelOptions
from mien.results import Emotion

__all__ = ["ClipFrames", "ClipModel", "FaceFeatures", "average_frames", "choose_frames"]

_BATCH = 128
_LEAST = 1e-30
"""Of a probability whose logarithm is taken."""


def choose_frames(n: int, count: int | None = None, every: int = 1) -> list[int]:
    """Return the numbers of the frames to take of ``n``, in order.

    Parameters
    ----------
    n : int
        Frames of the video.
    count : int, optional
        So many, evenly spaced from the first to the last; all where the video has no more. The k-th of c is
        ``k (n - 1) / (c - 1)``, rounded to the nearest (halves up); a single one is the middle, ``(n - 1) // 2``.
    every : int
        Without a count: frames 0, ``every``, 2 ``every`` and so on.
    """
    check_integer(every, "every", low=1)
    if count is None:
        return list(range(0, n, every))
    check_integer(count, "count", low=1)
    if count >= n:
        return list(range(n))
    if count == 1:
        return [(n - 1) // 2]
    gaps = count - 1
    return [(2 * k * (n - 1) + gaps) // (2 * gaps) for k in range(count)]


class FaceFeatures:
    """A face model whose outputs are laid side by side.

    Parameters
    ----------
    model : str, os.PathLike or ModelSpec
        A shipped face model, or the path of its record or run folder.
    threads, device, engine
        See `mien.models.runtime.load`.

    Raises
    ------
    InputError
        If the model is not for faces, or has no embedding.
    ModelError
        If there is no such model, or it cannot be loaded.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec,
        *,
        threads: int | None = None,
        device: str = "cpu",
        engine: str = "onnxruntime",
    ) -> None:
        self.spec = registry.get(model)
        if self.spec.task != "face-emotion" or self.spec.input is None:
            raise InputError(f"clips need a face model, but {self.spec.name!r} is for {self.spec.task}")
        self._session = runtime.load(self.spec, threads=threads, device=device, engine=engine)
        if "embedding" not in self._session.output_names:
            raise InputError(f"clips need a face model with an embedding, which {self.spec.name!r} does not have")
        self.size = self.spec.input.size
        self.answers = sum(len(head.labels) for head in self.spec.heads)
        """Probabilities of all outputs together."""
        black = np.zeros((1, self.size, self.size, 3), np.uint8)
        self.embedding = self(black).shape[1] - self.answers
        """Length of the embedding."""

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of faces.

        Parameters
        ----------
        crops : numpy.ndarray
            uint8 (n, S, S, 3), RGB, of the model's size.

        Returns
        -------
        numpy.ndarray
            float32 (n, answers + embedding): the probabilities of all outputs in the record's order, at its
            temperatures, then the embedding.
        """
        parts = [self._run(crops[at : at + _BATCH]) for at in range(0, len(crops), _BATCH)]
        return np.concatenate(parts).astype(np.float32)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        tensors = [head.tensor for head in self.spec.heads]
        found = self._session.run({"crops": crops}, [*tensors, "embedding"])
        shares = [softmax(found[head.tensor], head.temperature) for head in self.spec.heads]
        return np.concatenate([*shares, found["embedding"]], axis=1)


def average_frames(
    features: NDArray[np.float32], mask: NDArray[np.float32], model: str | ModelSpec, labels: LabelSet
) -> NDArray[np.float64]:
    """Return the mean over the frames of a face model's predictions, without any training.

    Parameters
    ----------
    features : numpy.ndarray
        float32 (n, T, D), as `FaceFeatures` gives them.
    mask : numpy.ndarray
        float32 (n, T): 1 for frames that are there.
    model : str or ModelSpec
        The face model that the features are from; its default output is averaged.
    labels : LabelSet
        Labels of the result.

    Returns
    -------
    numpy.ndarray
        float64 (n, classes).
    """
    at, logits = 0, {}
    spec = registry.get(model)
    for head in spec.heads:
        shares = features[:, :, at : at + len(head.labels)]
        logits[head.tensor] = np.log(np.maximum(shares, _LEAST)) * np.float32(head.temperature)
        at += len(head.labels)
    output = spec.default_output
    answers = softmax(output_logits(spec, logits)[output.name], output.temperature)
    mean = (answers * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None]
    return mapping(output.labels, labels).apply(mean)


class ClipModel(EmotionModel):
    """A model that predicts the emotion of a clip from the faces of one person.

    It is loaded with its first use; it pickles as its options.

    Parameters
    ----------
    model : str, os.PathLike or ModelSpec
        A run folder of ``mien train`` with a recipe for clips, or the path of its record.
    threads, device, engine
        See `mien.models.runtime.load`.

    Raises
    ------
    ModelError
        If there is no such model, or it is not for clips.
    """

    task = "video-emotion"
    subject = "clips"
    option = "model"
    input: ClipInput

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec,
        *,
        threads: int | None = 1,
        device: str = "cpu",
        engine: str = "onnxruntime",
    ) -> None:
        self._configure(ModelOptions(model=model, threads=threads, device=device, engine=engine))

    def _configure(self, options: ModelOptions, *_more: Any) -> None:
        super()._configure(options)
        assert self.spec.clip is not None  # as every record for this task
        self.input = self.spec.clip

    @cached_property
    def crop(self) -> Crop:
        """How faces are cut for it."""
        return Crop.from_dict(self.spec.crop)

    @cached_property
    def _faces(self) -> FaceFeatures:
        options = self.options
        found = FaceFeatures(
            self.input.face_model, threads=options.threads, device=options.device, engine=options.engine
        )
        if found.spec.file().sha256 != self.input.face_sha256:
            raise ModelError(
                f"model {self.spec.name!r} was trained with another {self.input.face_model}: train it again"
            )
        return found

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of one clip.

        Parameters
        ----------
        crops : numpy.ndarray
            uint8 (n, S, S, 3), RGB, or gray (n, S, S): the faces of one person in order, at least one; of more than
            the model takes, some are chosen, evenly spaced.

        Returns
        -------
        numpy.ndarray
            float32 (classes,).

        Raises
        ------
        ModelError
            If it cannot be loaded, or the face model whose features it takes is another one than in training.
        """
        size, frames = self.input.size, self.input.frames
        chosen = [fit_crop(crops[at], size) for at in choose_frames(len(crops), frames)]
        n = len(chosen)
        feed: dict[str, NDArray[np.uint8] | NDArray[np.float32]] = {}
        if self.input.crops:
            feed["crops"] = np.zeros((1, frames, size, size, 3), np.uint8)
            feed["crops"][0, :n] = chosen
        if self.input.face_model:
            faces = np.stack([fit_crop(crop, self._faces.size) for crop in chosen])
            both = self._faces(np.concatenate([faces, faces[:, :, ::-1]]))
            feed["features"] = np.zeros((1, frames, both.shape[1]), np.float32)
            feed["features"][0, :n] = np.stack([both[:n], both[n:]], axis=1).mean(axis=1)
        feed["mask"] = (np.arange(frames) < n).astype(np.float32)[None]
        tensor = self.output.tensor
        return np.asarray(self.session.run(feed, [tensor])[tensor][0], np.float32)

    def predict(self, crops: NDArray[np.uint8]) -> Emotion:
        """Return the emotion of one clip, at the record's temperature; see `logits`."""
        shares = softmax(self.logits(crops)[None], self.output.temperature)
        return Emotion(self.labels, tuple(shares[0].tolist()))


class ClipFrames:
    """Faces of one person, evenly spaced over a video of unknown length, in bounded memory.

    Parameters
    ----------
    count : int
        Frames that a clip model takes; four times as many are kept at most.
    """

    def __init__(self, count: int) -> None:
        self._capacity = 4 * count
        self._step, self._seen = 1, 0
        self._frames: dict[int, NDArray[np.uint8]] = {}

    def append(self, frame: int, crop: NDArray[np.uint8]) -> None:
        """Add the face of a frame, given by its number, which rises."""
        if self._seen % self._step == 0:
            self._frames[frame] = crop
            self._thin()
        self._seen += 1

    def merge(self, other: ClipFrames) -> None:
        """Add the faces of a track that turned out to be of the same person."""
        self._step, self._seen = max(self._step, other._step), 0
        self._frames = dict(sorted({**other._frames, **self._frames}.items()))
        self._thin()

    def _thin(self) -> None:
        while len(self._frames) > self._capacity:
            self._step *= 2
            self._frames = dict(list(self._frames.items())[::2])

    def crops(self) -> Sequence[NDArray[np.uint8]]:
        """Return the faces that were kept, in order."""
        return list(self._frames.values())
