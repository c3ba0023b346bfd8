"""Graphs in int8: what is in int8 and what is not, how near the outputs stay, and that nothing changes outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from mien.errors import ModelError  # noqa: E402
from mien.models import runtime  # noqa: E402
from mien.train.export import export_graph  # noqa: E402
from mien.train.nets import build_network  # noqa: E402
from mien.train.quantize import LEVELS, quantize  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
Array = np.ndarray[Any, Any]


def crops(count: int, seed: int) -> Array:
    """Bright bands under noise: something for a net to tell apart."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 120, (count, 48, 48))
    for image in images:
        top, left = random.integers(0, 36, 2)
        image[top : top + 12] += random.integers(0, 130)
        image[:, left : left + 8] += random.integers(0, 60)
    return np.repeat(np.minimum(images, 255).astype(np.uint8)[..., None], 3, axis=3)


def lively(net: Any) -> Any:
    """Give the norms statistics as training leaves them: each channel another mean and spread."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            size = module.num_features
            module.running_mean.copy_(torch.randn(size) * 0.3)
            module.running_var.copy_(torch.rand(size) + 0.5)
            module.weight.data.copy_(torch.rand(size) + 0.5)
            module.bias.data.copy_(torch.randn(size) * 0.2)
    return net.eval()


@pytest.fixture(scope="module")
def graph() -> bytes:
    torch.manual_seed(0)
    options = {"stem": 8, "widths": [16, 24, 24], "strides": [4, 2, 1], "dropout": 0.0}
    return export_graph(lively(build_network("face_resnet", HEADS, **options)))


@pytest.fixture(scope="module")
def small(graph: bytes) -> bytes:
    return quantize(graph, crops(128, 1))


def session(content: bytes, engine: str = "onnxruntime") -> runtime.Session:
    return runtime.Session(content, name="test", threads=1, device="cpu", engine=engine)


def weights(content: bytes) -> dict[str, Array]:
    return {part.name: onnx.numpy_helper.to_array(part) for part in onnx.load_from_string(content).graph.initializer}


@pytest.mark.parametrize("engine", runtime.ENGINES)
def test_outputs_stay_near_and_keep_their_names_and_shapes(graph: bytes, small: bytes, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    before, after = session(graph), session(small, engine)
    assert (after.input_names, after.output_names) == (before.input_names, before.output_names)
    for count in (1, 50):
        shown = {"crops": crops(count, 2)}
        for name, values in before.run(shown).items():
            found = after.run(shown)[name]
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            # Eight bits leave a relative error of about a hundredth after a few layers.
            assert np.sqrt(np.square(found - values).mean()) < 0.05 * np.sqrt(np.square(values).mean()), name


def test_convolutions_are_int8_and_preprocessing_stem_and_heads_are_as_they_were(graph: bytes, small: bytes) -> None:
    had, has = weights(graph), weights(small)
    integers = [values for values in has.values() if values.dtype == np.int8 and values.ndim == 4]
    kernels = [values for name, values in had.items() if values.ndim == 4 and values.shape[1] >= 8]
    assert sorted(v.shape for v in integers) == sorted(v.shape for v in kernels)
    assert max(np.abs(values).max() for values in integers) == LEVELS
    for head in HEADS:
        for part in ("weight", "bias"):
            np.testing.assert_array_equal(has[f"net.heads.{head}.{part}"], had[f"net.heads.{head}.{part}"])
    # The stem has its norm folded in, and is still float32.
    assert [v.dtype for v in has.values() if v.shape == (8, 1, 3, 3)] == [np.float32]
    first, last = onnx.load_from_string(graph).graph.node, onnx.load_from_string(small).graph.node
    stem = next(number for number, node in enumerate(first) if node.op_type == "Conv")
    assert [node.SerializeToString() for node in last[:stem]] == [node.SerializeToString() for node in first[:stem]]


def test_what_lies_between_convolutions_is_in_integers_too(small: bytes, tmp_path: Any) -> None:
    module = runtime.onnxruntime()
    options = module.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    # It warns that the file is for this kind of processor.
    options.log_severity_level = 3
    module.InferenceSession(small, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "optimized.onnx")).graph.node]
    # Three blocks of two convolutions, two of them with a skip.  The second sum goes on unchanged to the third, which
    # goes to the heads: both are float32.
    assert kinds.count("QLinearConv") == 8
    assert kinds.count("QLinearAdd") == 1
    assert kinds.count("QuantizeLinear") == 2  # behind the stem, and behind the norm after the second sum
    assert "Relu" not in kinds[kinds.index("QLinearConv") : kinds.index("QLinearAdd")]


def test_the_heads_are_linear_in_the_features(small: bytes) -> None:
    has, found = weights(small), session(small).run({"crops": crops(5, 3)})
    np.testing.assert_allclose(found["features"].mean(axis=(2, 3)), found["embedding"], atol=1e-5)
    for head in HEADS:
        logits = found["embedding"] @ has[f"net.heads.{head}.weight"].T + has[f"net.heads.{head}.bias"]
        np.testing.assert_allclose(logits, found[f"logits_{head}"], atol=1e-4)


def test_the_file_is_small_and_the_same_again(graph: bytes, small: bytes) -> None:
    assert quantize(graph, crops(128, 1)) == small
    assert quantize(graph, crops(128, 7)) != small
    floats = sum(values.nbytes for values in weights(graph).values())
    assert sum(values.nbytes for values in weights(small).values()) < 0.35 * floats


def test_a_network_with_convolutions_of_single_channels_stays_near() -> None:
    torch.manual_seed(0)
    before = export_graph(lively(build_network("mini_xception", HEADS)))
    shown = {"crops": crops(40, 2)}
    expected = session(before).run(shown)["logits_fer7"]
    found = session(quantize(before, crops(64, 1))).run(shown)["logits_fer7"]
    assert np.sqrt(np.square(found - expected).mean()) < 0.1 * expected.std()


def test_a_network_without_convolutions_raises() -> None:
    with pytest.raises(ModelError, match="the graph has no convolution of 8 channels or more: nothing can be int8"):
        quantize(export_graph(build_network("mlp", HEADS).eval()), crops(8, 1))
