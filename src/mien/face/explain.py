"""Where in a face the model found an emotion: a map over the crop, from the model's own last features or by hiding.

A map shows what the model looked at, not whether it was right to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, ModelError
from mien.models import store

if TYPE_CHECKING:
    from mien.face.analyzer import FaceAnalyzer
    from mien.models import ModelSpec, Output

__all__ = ["HEADS", "METHODS", "Explanation", "choose_method", "class_maps", "explain"]

METHODS = ("auto", "cam", "occlusion")
"""``cam`` where the model has a heads file, else ``occlusion``; or one of them."""

HEADS = "heads"
"""Role of the file with the heads' weights: ``weight_<output>``, ``bias_<output>`` and ``cells``, all float32."""

_TOLERANCE = 1e-2  # of a logit, relative to the largest: float32 sums in another order stay far below
_SQUARES = 4  # a square of a quarter of the crop's side, 12 of 48 pixels, hides an eye or half of a mouth
_OVERLAP = 3  # each step is a third of a square, so that nothing is always on an edge

Crops = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What parts of one face spoke for an emotion.

    Parameters
    ----------
    emotion : str
        The emotion that is explained.
    output : str
        The model's output that is explained.
    method : {"cam", "occlusion"}
        How the map was made; see `explain`.
    map : numpy.ndarray
        float32 (h, w).  ``cam``: contributions to the logit, whose mean and the head's bias add up to it.
        ``occlusion``: how far the logarithm of the odds falls when a square there is hidden; the probability itself
        hardly moves where the model is sure.  Negative values speak against the emotion.
    cells : tuple of float
        Middle of the first cell and distance to the next, in pixels of the crop (pixel i covers i to i + 1).
    size : int
        Side of the crop in pixels.
    matrix : numpy.ndarray
        float64 (2, 3), from the crop's coordinates to those of the image that it was cut from.
    """

    emotion: str
    output: str
    method: str
    map: NDArray[np.float32]
    cells: tuple[float, float]
    size: int
    matrix: Matrix

    def on_crop(self, size: int | None = None) -> NDArray[np.float32]:
        """Return the map over the whole crop, float32 (size, size), bilinear between the cells; the crop's own size."""
        side = self.size if size is None else size
        rows, columns = (_between(count, self.cells, self.size, side) for count in self.map.shape)
        spread: NDArray[np.float32] = (rows @ self.map @ columns.T).astype(np.float32)
        return spread


def explain(
    analyzer: FaceAnalyzer,
    crops: Crops,
    *,
    emotion: str | None = None,
    output: str | None = None,
    method: str = "auto",
    matrices: Sequence[Matrix] | None = None,
) -> list[Explanation]:
    """Show where in each ready crop the model found an emotion.

    Parameters
    ----------
    analyzer : FaceAnalyzer
        The model.
    crops : sequence of numpy.ndarray, or numpy.ndarray
        As for `FaceAnalyzer.classify`.
    emotion : str, optional
        What to explain; by default what the model predicts for each crop.
    output : str, optional
        Which of the model's outputs; by default the analyzer's.
    method : {"auto", "cam", "occlusion"}
        ``cam``: class activation maps, for models whose heads are linear in the last feature map.  ``occlusion``: a
        square of the crop's mean color slides over it, and the fall of the log odds is the map; for any model, at the
        cost of some hundred predictions a crop.  ``auto``: the first where it is possible.
    matrices : sequence of numpy.ndarray, optional
        For each crop the map from its coordinates to its image's; by default the crop itself is the image.

    Returns
    -------
    list of Explanation
        One a crop.

    Raises
    ------
    InputError
        If a crop is no image, the output has no such emotion, or there is no such method.
    ModelError
        If the model has no such output, or the method is not possible with it.

    References
    ----------
    Zhou et al. 2016, Learning deep features for discriminative localization, arXiv:1512.04150 (cam).
    Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv:1311.2901 (occlusion).
    """
    head = analyzer.output if output is None else analyzer.spec.output(output)
    chosen = choose_method(analyzer.spec, method)
    target = None if emotion is None else head.labels.index(emotion)
    ready = analyzer.prepare_crops(crops)
    if not len(ready):
        return []
    own = matrices if matrices is not None else [_stretch(crop, analyzer.size) for crop in crops]
    work = _cam if chosen == "cam" else _occlusion
    return work(analyzer, ready, head, target, own)


def choose_method(spec: ModelSpec, method: str = "auto") -> str:
    """Return how a model is explained: ``"cam"`` or ``"occlusion"``.

    Raises
    ------
    InputError
        If there is no such method.
    ModelError
        If the method is not possible with this model.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, but got {method!r}")
    has_heads = any(entry.role == HEADS for entry in spec.files)
    if method == "cam" and not has_heads:
        raise ModelError(
            f"model {spec.name!r} has no heads file, because its heads are not linear in its last feature map: "
            "explain it by occlusion"
        )
    return method if method != "auto" else "cam" if has_heads else "occlusion"


def class_maps(
    features: NDArray[np.float32], weight: NDArray[np.float32], *, bias: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return class activation maps: the logits before they are averaged over space.

    Parameters
    ----------
    features : numpy.ndarray
        float32 (n, C, h, w), the last feature map.
    weight : numpy.ndarray
        float32, of a head on the map's average (k, C), on the flat map (k, C h w), or of a 3 x 3 convolution, padded
        with zeros and averaged over space, (k, C, 3, 3).
    bias : numpy.ndarray, optional
        float32 (k,): added to every cell.

    Returns
    -------
    numpy.ndarray
        float32 (n, k, h, w).  The mean over space is the logit without, or with, its bias.

    Raises
    ------
    ModelError
        If the shapes do not belong together.
    """
    n, channels, height, width = features.shape
    if weight.shape[1:] == (channels,):
        maps = np.einsum("kc,nchw->nkhw", weight, features)
    elif weight.shape[1:] == (channels * height * width,):
        parts = weight.reshape(len(weight), channels, height, width)
        maps = np.einsum("kchw,nchw->nkhw", parts, features) * np.float32(height * width)
    elif weight.shape[1:] == (channels, 3, 3):
        padded = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
        maps = np.zeros((n, len(weight), height, width), np.float32)
        for row, column in np.ndindex(3, 3):
            part = padded[:, :, row : row + height, column : column + width]
            maps += np.einsum("kc,nchw->nkhw", weight[:, :, row, column], part)
    else:
        raise ModelError(f"no class maps of features {features.shape[1:]} with head weights {weight.shape}")
    if bias is not None:
        maps = maps + bias[:, None, None]
    return np.asarray(maps, dtype=np.float32)


def _stretch(crop: Any, size: int) -> Matrix:
    height, width = np.shape(crop)[:2]
    return np.array([[width / size, 0, 0], [0, height / size, 0]], dtype=np.float64)


def _between(count: int, cells: tuple[float, float], size: int, side: int) -> NDArray[np.float64]:
    """Return weights (side, count) of cells for the middles of pixels; beyond the outermost cells they are repeated."""
    first, step = cells
    at = np.clip(((np.arange(side) + 0.5) * (size / side) - first) / step, 0, count - 1)
    low = np.minimum(at.astype(np.intp), max(count - 2, 0))
    weights = np.zeros((side, count))
    weights[np.arange(side), np.minimum(low + 1, count - 1)] = at - low
    weights[np.arange(side), low] += 1 - (at - low)
    return weights


def _cam(
    analyzer: FaceAnalyzer, ready: NDArray[np.uint8], head: Output, target: int | None, matrices: Sequence[Matrix]
) -> list[Explanation]:
    if head.mean_of:
        return _mean_cam(analyzer, ready, head, target, matrices)
    arrays = _heads(analyzer, head)
    found = analyzer.tensors(ready, ["features", head.tensor])
    maps = class_maps(found["features"], arrays["weight"])
    logits = found[head.tensor]
    missed = float(np.abs(maps.mean(axis=(2, 3)) + arrays["bias"] - logits).max())
    if not missed <= _TOLERANCE * max(1.0, float(np.abs(logits).max())):
        raise ModelError(
            f"model {analyzer.spec.name!r}: its heads file gives other logits than its graph (by {missed:.2g})"
        )
    share = analyzer.size / maps.shape[2]
    cells = tuple(map(float, arrays["cells"])) if "cells" in arrays else (share / 2, share)
    explained = []
    for row, own, matrix in zip(logits, maps, matrices, strict=True):
        index = int(row.argmax()) if target is None else target
        emotion = head.labels.emotions[index]
        explained.append(Explanation(emotion, head.name, "cam", own[index], cells, analyzer.size, matrix))  # type: ignore[arg-type]  # two numbers
    return explained


def _mean_cam(
    analyzer: FaceAnalyzer, ready: NDArray[np.uint8], output: Output, target: int | None, matrices: Sequence[Matrix]
) -> list[Explanation]:
    """Average the maps of the heads that know the emotion: logarithms of a geometric mean are means of logits."""
    top = analyzer.logits(ready)[output.name].argmax(axis=1) if target is None else np.full(len(ready), target)
    heads = [analyzer.spec.output(name) for name in output.mean_of]
    explained = []
    for row, matrix in enumerate(matrices):
        emotion = output.labels.emotions[top[row]]
        parts = [
            (_cam(analyzer, ready[row : row + 1], head, head.labels.index(emotion), [matrix])[0], head.temperature)
            for head in heads
            if emotion in head.labels
        ]
        maps = [part.map / np.float32(temperature) for part, temperature in parts]
        explained.append(replace(parts[0][0], output=output.name, map=np.mean(maps, axis=0)))
    return explained


def _heads(analyzer: FaceAnalyzer, head: Output) -> Mapping[str, NDArray[np.float32]]:
    spec = analyzer.spec
    arrays = store.read_arrays(spec, HEADS)
    names = {"weight": f"weight_{head.name}", "bias": f"bias_{head.name}"}
    for name in names.values():
        array = arrays.get(name, np.zeros(0))
        dimensions = array.ndim == 1 if name.startswith("bias") else array.ndim > 1
        if array.dtype != np.float32 or not dimensions or len(array) != len(head.labels):
            raise ModelError(
                f"model {spec.name!r}: its heads file has no {name}, float32, of {len(head.labels)} classes"
            )
    found = {key: arrays[name] for key, name in names.items()}
    if "cells" not in arrays:
        return found
    if arrays["cells"].shape != (2,) or not np.isfinite(arrays["cells"]).all() or arrays["cells"][1] <= 0:
        raise ModelError(f"model {spec.name!r}: cells of its heads file must be first and step, in pixels")
    return {**found, "cells": arrays["cells"]}


def _occlusion(
    analyzer: FaceAnalyzer, ready: NDArray[np.uint8], head: Output, target: int | None, matrices: Sequence[Matrix]
) -> list[Explanation]:
    side = max(analyzer.size // _SQUARES, 1)
    step = max(side // _OVERLAP, 1)
    starts = range(0, analyzer.size - side + 1, step)
    cells = (side / 2, float(step))
    explained = []
    for crop, matrix in zip(ready, matrices, strict=True):
        hidden = np.repeat(crop[None], 1 + len(starts) ** 2, axis=0)
        color = np.rint(crop.mean(axis=(0, 1)))
        for number, (top, left) in enumerate(((y, x) for y in starts for x in starts), 1):
            hidden[number, top : top + side, left : left + side] = color
        logits = analyzer.logits(hidden)[head.name].astype(np.float64) / head.temperature
        index = int(logits[0].argmax()) if target is None else target
        odds = _log_odds(logits, index)
        fall = (odds[0] - odds[1:]).reshape(len(starts), -1).astype(np.float32)
        emotion = head.labels.emotions[index]
        explained.append(Explanation(emotion, head.name, "occlusion", fall, cells, analyzer.size, matrix))
    return explained


def _log_odds(logits: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of a class for each row of logits, without leaving the logarithm."""
    others = np.delete(logits, index, axis=1)
    most = others.max(axis=1)
    odds: NDArray[np.float64] = logits[:, index] - most - np.log(np.exp(others - most[:, None]).sum(axis=1))
    return odds
