"""Graphs of trained networks, and the heads file beside them: written where the closed form holds, and only there."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from mien.data import Samples  # noqa: E402
from mien.errors import ModelError  # noqa: E402
from mien.face.analyzer import FaceAnalyzer  # noqa: E402
from mien.face.explain import explain  # noqa: E402
from mien.labels import FER7, FERPLUS8  # noqa: E402
from mien.models import registry, store  # noqa: E402
from mien.models.runtime import Session  # noqa: E402
from mien.train import kinds  # noqa: E402
from mien.train.corpus import Corpus  # noqa: E402
from mien.train.export import OPSET, PARITY, DeployedFace, deploy, export_graph, heads_file, parity  # noqa: E402
from mien.train.folder import load_network  # noqa: E402
from mien.train.init import init_network  # noqa: E402
from mien.train.nets import FaceNetwork, build_network  # noqa: E402
from mien.train.recipe import Recipe  # noqa: E402
from mien.train.record import export_run  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def net() -> FaceNetwork:
    """Return a net whose norms have seen something, so that folding them wrongly would show."""
    torch.manual_seed(0)
    made = build_network("face_resnet", HEADS, stem=4, widths=[8], strides=[4], dropout=0.3)
    assert isinstance(made, FaceNetwork)
    made.train()
    with torch.no_grad():
        for _ in range(5):
            made(torch.rand(16, 1, 48, 48) * 255)
    return made.eval()


@pytest.fixture(scope="module")
def graph(net: FaceNetwork) -> bytes:
    return export_graph(net)


def crops(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [1, 2, 33])
def test_network_and_graph_agree(net: FaceNetwork, graph: bytes, n: int) -> None:
    session = Session(graph, name="tiny", threads=1, device="cpu")
    images = crops(n, n)
    found = session.run({"crops": images})
    with torch.no_grad():
        answers = DeployedFace(net).eval()(torch.from_numpy(images))
    assert session.output_names == ("logits_ferplus8", "logits_fer7", "embedding", "features")
    for name, expected in zip(session.output_names, answers, strict=True):
        np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-4)
        assert found[name].dtype == np.float32
    assert parity(net, session, [{"crops": images}]) <= 1e-4


def test_extreme_crops_agree_too(net: FaceNetwork, graph: bytes) -> None:
    session = Session(graph, name="tiny", threads=1, device="cpu")
    flat = np.stack([np.full((48, 48, 3), v, np.uint8) for v in (0, 128, 255)])
    checker = np.zeros((1, 48, 48, 3), np.uint8)
    checker[:, ::2, 1::2] = 255
    assert parity(net, session, [{"crops": np.concatenate([flat, checker])}]) <= 1e-4
    for values in session.run({"crops": flat}).values():
        assert np.isfinite(values).all()


def test_only_n_is_dynamic(graph: bytes) -> None:
    proto = onnx.load_from_string(graph)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes == {
        "crops": ["N", 48, 48, 3],
        "logits_ferplus8": ["N", 8],
        "logits_fer7": ["N", 7],
        "embedding": ["N", 8],
        "features": ["N", 8, 12, 12],
    }
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", OPSET)]


def test_initializers_keep_the_names_of_the_parameters(net: FaceNetwork, graph: bytes) -> None:
    held = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load_from_string(graph).graph.initializer}
    for name, values in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(held[f"net.{name}"], values.numpy())


def test_the_file_holds_nothing_about_this_machine(graph: bytes) -> None:
    lower = graph.lower()
    for word in (str(Path.home()), str(ROOT), str(Path.cwd()), sys.prefix, "site-packages", ".py", "traceback"):
        assert os.fsencode(word).lower() not in lower, word
    proto = onnx.load_from_string(graph)
    assert not proto.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


def test_exporting_again_gives_the_same_bytes_and_leaves_the_network(net: FaceNetwork, graph: bytes) -> None:
    assert not net.training
    assert export_graph(net) == graph


def test_a_graph_that_differs_raises(
    net: FaceNetwork, graph: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = onnx.load_from_string(graph)
    bias = next(i for i in proto.graph.initializer if i.name == "net.heads.fer7.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.01, bias.name))
    monkeypatch.setattr(kinds, "export_graph", lambda _: proto.SerializeToString())
    n = 14
    classes = np.arange(n) % 7
    corpus = Corpus(
        samples=Samples(name="own", kind="image", source="x", labels=classes, label_set=FERPLUS8),
        inputs={"images": crops(n)[..., 0].copy()},
        targets={name: np.eye(k, dtype=np.float32)[classes] for name, k in HEADS.items()},
        truth=dict.fromkeys(HEADS, classes),
        label_sets={"ferplus8": FERPLUS8, "fer7": FER7},
        group=np.arange(n),
    )
    with pytest.raises(
        ModelError, match=rf"network and graph differ by 0\.01, more than {PARITY:g}: the export is wrong"
    ):
        export_run(tmp_path, Recipe(name="tiny"), net, corpus, corpus)
    assert not (tmp_path / "model.toml").exists()


# --- the heads file ---------------------------------------------------------------------------------


class FakeSession:
    """Has the outputs of a network's graph, without an export."""

    def __init__(self, net: FaceNetwork) -> None:
        self.net = deploy(net)

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            answers = self.net(torch.from_numpy(feeds["crops"]))
        names = [*(f"logits_{head}" for head in HEADS), "embedding", "features"]
        return {name: value.numpy() for name, value in zip(names, answers, strict=True)}


def heads_of(name: str, **options: Any) -> tuple[FaceNetwork, bytes | None]:
    torch.manual_seed(0)
    net = build_network(name, HEADS, **options).train()
    assert isinstance(net, FaceNetwork)
    with torch.no_grad():
        net(torch.rand(8, 1, net.size, net.size) * 255)
    crops = np.random.default_rng(0).integers(0, 256, (6, net.size, net.size, 3), dtype=np.uint8)
    return net, heads_file(net.eval(), FakeSession(net), crops)  # type: ignore[arg-type]


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
    net = load_network(finished)
    fresh = type(net)(heads=HEADS, stem=4, widths=[8], strides=[4], dropout=0.0)
    init_network(fresh, str(finished))
    for key, value in net.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value)
