from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from mien.errors import ModelError  # noqa: E402
from mien.models.runtime import Session  # noqa: E402
from mien.train import export  # noqa: E402
from mien.train.corpus import Corpus  # noqa: E402
from mien.train.export import OPSET, export_graph, export_run, parity  # noqa: E402
from mien.train.nets import FaceNet, build  # noqa: E402
from mien.train.nets.base import Deployed  # noqa: E402
from mien.train.recipe import Recipe  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def net() -> FaceNet:
    """Return a net whose norms have seen something, so that folding them wrongly would show."""
    torch.manual_seed(0)
    made = build("face_resnet", HEADS, stem=4, widths=[8], strides=[4], dropout=0.3)
    made.train()
    with torch.no_grad():
        for _ in range(5):
            made(torch.rand(16, 1, 48, 48) * 255)
    return made.eval()


@pytest.fixture(scope="module")
def graph(net: FaceNet) -> bytes:
    return export_graph(net)


def crops(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [1, 2, 33])
def test_net_and_graph_agree(net: FaceNet, graph: bytes, n: int) -> None:
    session = Session(graph, name="tiny", threads=1, device="cpu")
    images = crops(n, n)
    found = session.run({"crops": images})
    with torch.no_grad():
        answers = Deployed(net).eval()(torch.from_numpy(images))
    assert session.output_names == ("logits_ferplus8", "logits_fer7", "embedding", "features")
    for name, expected in zip(session.output_names, answers, strict=True):
        np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-4)
        assert found[name].dtype == np.float32
    assert parity(net, session, images) <= 1e-4


def test_extreme_crops_agree_too(net: FaceNet, graph: bytes) -> None:
    session = Session(graph, name="tiny", threads=1, device="cpu")
    flat = np.stack([np.full((48, 48, 3), v, np.uint8) for v in (0, 128, 255)])
    checker = np.zeros((1, 48, 48, 3), np.uint8)
    checker[:, ::2, 1::2] = 255
    assert parity(net, session, np.concatenate([flat, checker])) <= 1e-4
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


def test_initializers_keep_the_names_of_the_parameters(net: FaceNet, graph: bytes) -> None:
    held = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load_from_string(graph).graph.initializer}
    for name, values in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(held[f"net.{name}"], values.numpy())


def test_the_file_tells_nothing_about_this_machine(graph: bytes) -> None:
    lower = graph.lower()
    for word in (str(Path.home()), str(ROOT), str(Path.cwd()), sys.prefix, "site-packages", ".py", "traceback"):
        assert os.fsencode(word).lower() not in lower, word
    proto = onnx.load_from_string(graph)
    assert not proto.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


def test_exporting_again_gives_the_same_bytes_and_leaves_the_net(net: FaceNet, graph: bytes) -> None:
    assert not net.training
    assert export_graph(net) == graph


def test_a_graph_that_answers_otherwise_is_refused(
    net: FaceNet, graph: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = onnx.load_from_string(graph)
    bias = next(i for i in proto.graph.initializer if i.name == "net.heads.fer7.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.01, bias.name))
    monkeypatch.setattr(export, "export_graph", lambda _: proto.SerializeToString())
    n = 14
    classes = np.arange(n) % 7
    corpus = Corpus(
        name="own",
        images=crops(n)[..., 0].copy(),
        targets={name: np.eye(k, dtype=np.float32)[classes] for name, k in HEADS.items()},
        truth=dict.fromkeys(HEADS, classes),
        group=np.arange(n),
        splits=np.full(n, "PublicTest"),
    )
    with pytest.raises(
        ModelError, match=rf"net and graph differ by 0\.01, more than {export.PARITY:g}: the export is wrong"
    ):
        export_run(tmp_path, Recipe(name="tiny"), net, corpus)
    assert not (tmp_path / "model.toml").exists()
