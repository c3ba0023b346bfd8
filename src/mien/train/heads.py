"""The heads' weights as a file of their own, from which class activation maps are made without reading the graph."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.face.explain import class_maps
from mien.models.runtime import Session
from mien.train.nets.base import FaceNet

__all__ = ["FILE", "heads_file"]

FILE = "model.heads.npz"
"""Name of the file in a run folder; its role in the record is ``heads``."""

_TOLERANCE = 1e-3  # of the largest logit: the sum over space runs in another order


def heads_file(net: FaceNet, session: Session, crops: NDArray[np.uint8]) -> bytes | None:
    """Return the content of the heads file of a net, or None where its heads are not linear in its last feature map.

    Whether they are is not declared but measured: the maps' means and the biases have to give the graph's logits.

    Parameters
    ----------
    net : FaceNet
        The trained net, on the CPU.
    session : mien.models.runtime.Session
        Its graph.
    crops : numpy.ndarray
        uint8 (n, S, S, 3), some images to measure it on.

    Returns
    -------
    bytes or None
        A ``.npz`` without pickles: ``weight_<head>`` and ``bias_<head>``, float32, as
        `mien.face.explain.class_maps` takes them, and ``cells``, float32 (2,), where the net says where the cells
        of its map look.
    """
    found = session.run({"crops": crops})
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, head in net.heads.items():
        weights = {key: value.detach().numpy().astype(np.float32) for key, value in head.state_dict().items()}
        if not _linear(found, name, weights):
            return None
        arrays |= {f"{key}_{name}": value for key, value in weights.items()}
    cells = net.cells()
    if cells is not None:
        arrays["cells"] = np.array(cells, dtype=np.float32)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return stream.getvalue()


def _linear(found: Mapping[str, NDArray[np.float32]], name: str, weights: Mapping[str, NDArray[np.float32]]) -> bool:
    features, logits = found["features"], found[f"logits_{name}"]
    if features.shape[2] * features.shape[3] == 1 or set(weights) != {"weight", "bias"}:
        return False  # on a single cell there is nothing to see
    try:
        maps = class_maps(features, weights["weight"], bias=weights["bias"])
    except ModelError:  # a layer between map and heads, of another width
        return False
    return bool(np.abs(maps.mean(axis=(2, 3)) - logits).max() <= _TOLERANCE * max(1.0, float(np.abs(logits).max())))
