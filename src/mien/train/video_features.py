"""What a trained face net says of every frame: computed once, before nets for clips are trained on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.evaluate.calibration import softmax
from mien.labels import LabelSet, mapping
from mien.models import registry, runtime
from mien.train.corpus import fitted

__all__ = ["FrameReader", "frames_averaged"]

_BATCH = 128


class FrameReader:
    """A face net, and how its outputs are laid side by side.

    Parameters
    ----------
    model : str
        Name of a shipped face model, or the path of its record or run folder.
    threads : int, optional
        Threads of its runtime.

    Raises
    ------
    InputError
        If the model is not for faces.
    ModelError
        If there is no such model, or it cannot be loaded.
    """

    def __init__(self, model: str, *, threads: int | None = None) -> None:
        self.spec = registry.get(model)
        if self.spec.task != "face-emotion" or self.spec.input is None:
            raise InputError(f"clips are read by a face model, but {model!r} is one for {self.spec.task}")
        self._session = runtime.load(self.spec, threads=threads)
        if "embedding" not in self._session.output_names:
            raise InputError(f"clips are read by a face model with an embedding, which {model!r} does not have")
        self.size = self.spec.input.size
        self.answers = sum(len(output.labels) for output in self.spec.outputs)
        """Entries of all distributions together."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the net says of faces.

        Parameters
        ----------
        images : numpy.ndarray
            uint8 (n, S, S), gray faces.

        Returns
        -------
        numpy.ndarray
            float32 (n, answers + embedding): the distributions of all outputs in the record's order, at its
            temperatures, then the embedding.
        """
        crops = np.repeat(fitted(images, self.size)[..., None], 3, axis=3)
        return np.concatenate([self._some(crops[at : at + _BATCH]) for at in range(0, len(crops), _BATCH)])

    def _some(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensors = [output.tensor for output in self.spec.outputs]
        found = self._session.run({"crops": crops}, [*tensors, "embedding"])
        shares = [softmax(found[o.tensor].astype(np.float64) / o.temperature) for o in self.spec.outputs]
        return np.concatenate([*shares, found["embedding"]], axis=1).astype(np.float32)


def frames_averaged(
    features: NDArray[np.float32], mask: NDArray[np.float32], model: str, labels: LabelSet
) -> NDArray[np.float64]:
    """Return the mean over the frames of what a face model says, without any training.

    Parameters
    ----------
    features, mask : numpy.ndarray
        See `mien.train.video_corpus.VideoCorpus`.
    model : str
        The face model that the features are from; its default output answers, to plain frames.
    labels : LabelSet
        Labels to answer in.

    Returns
    -------
    numpy.ndarray
        float64 (n, classes).
    """
    at = 0
    for output in registry.get(model).outputs:
        if output.default:
            break
        at += len(output.labels)
    shares = features[:, 0, :, at : at + len(output.labels)].astype(np.float64)
    mean = (shares * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None]
    return mapping(output.labels, labels).apply(mean)
