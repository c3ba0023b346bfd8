"""The heads file: written where the closed form holds, and only there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.face.analyzer import FaceAnalyzer  # noqa: E402
from mien.face.explain import explain  # noqa: E402
from mien.models import registry, store  # noqa: E402
from mien.train.heads import heads_file  # noqa: E402
from mien.train.init import init_net  # noqa: E402
from mien.train.nets import FaceNet, build  # noqa: E402
from mien.train.nets.base import Deployed  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}


class InPlaceOfTheGraph:
    """Answers as the net's graph would, without an export."""

    def __init__(self, net: FaceNet) -> None:
        self.net = Deployed(net).eval()

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            answers = self.net(torch.from_numpy(feeds["crops"]))
        names = [*(f"logits_{head}" for head in HEADS), "embedding", "features"]
        return {name: value.numpy() for name, value in zip(names, answers, strict=True)}


def heads_of(name: str, **options: Any) -> tuple[FaceNet, bytes | None]:
    torch.manual_seed(0)
    net = build(name, HEADS, **options).train()
    with torch.no_grad():
        net(torch.rand(8, 1, net.size, net.size) * 255)
    crops = np.random.default_rng(0).integers(0, 256, (6, net.size, net.size, 3), dtype=np.uint8)
    return net, heads_file(net.eval(), InPlaceOfTheGraph(net), crops)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "shape", "cells"),
    [
        ("face_resnet", {"widths": [6, 8], "strides": [4, 2]}, (8,), (0.5, 8.0)),
        ("dexpression", {}, (272 * 36,), (0.5, 8.0)),
        ("mini_xception", {}, (128, 3, 3), (2.5, 16.0)),
    ],
)
def test_linear_heads_are_written_as_they_are(
    name: str, options: dict[str, Any], shape: tuple[int, ...], cells: tuple[float, float]
) -> None:
    net, content = heads_of(name, **options)
    assert content is not None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert set(arrays.files) == {f"{part}_{head}" for head in HEADS for part in ("weight", "bias")} | {"cells"}
        for head, classes in HEADS.items():
            assert arrays[f"weight_{head}"].shape == (classes, *shape)
            assert arrays[f"weight_{head}"].dtype == arrays[f"bias_{head}"].dtype == np.float32
            np.testing.assert_array_equal(arrays[f"weight_{head}"], net.heads[head].weight.detach().numpy())
        assert tuple(arrays["cells"]) == cells
    assert heads_of(name, **options)[1] == content  # the same bytes, so the same digest


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg16", {}),  # 512 units behind 512 channels: the shapes alone would fit
        ("vgg16", {"dense": 64}),
        ("cnn", {"dense": 128}),
        ("mlp", {}),
    ],
)
def test_heads_behind_a_dense_layer_have_no_maps(name: str, options: dict[str, Any]) -> None:
    assert heads_of(name, **options)[1] is None


def test_a_run_is_explained_by_its_own_heads_and_starts_another(finished: Path) -> None:
    spec = registry.get(finished)
    store.verify(spec)
    assert [entry.role for entry in spec.files] == ["graph", "heads"]
    analyzer = FaceAnalyzer(finished, threads=1)
    crops = np.random.default_rng(0).integers(0, 256, (3, analyzer.size, analyzer.size, 3), dtype=np.uint8)
    assert [found.method for found in explain(analyzer, crops)] == ["cam"] * 3
    from mien.train.folder import load_net

    net = load_net(finished)
    fresh = type(net)(heads=HEADS, stem=4, widths=[8], strides=[4], dropout=0.0)
    init_net(fresh, str(finished))
    for key, value in net.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value)
