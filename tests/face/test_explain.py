"""Maps of what spoke for an emotion: closed forms, planted places, fall-back, hostile files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError, ModelError, WeightsError
from mien.face.analyzer import FaceAnalyzer
from mien.face.explain import HEADS, Explanation, choose_method, class_maps, explain
from mien.io.image import read_image
from mien.labels import FER7, FERPLUS8
from mien.models import registry
from mien.samples import astronaut_path

onnx = pytest.importorskip("onnx")

CELLS, SIDE = 6, 48


def linear_graph(weight: np.ndarray, bias: np.ndarray) -> bytes:
    """Features: the mean colors of 8 x 8 blocks (3, 6, 6); logits: a linear head on their average."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["crops"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["features"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["features"], ["embedding"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["embedding", "w", "b"], ["logits_ferplus8"], transB=1),
        helper.make_node("Slice", ["logits_ferplus8", "from", "to", "axis"], ["logits_fer7"]),
    ]
    tensors = [
        numpy_helper.from_array(weight, "w"),
        numpy_helper.from_array(bias, "b"),
        *(numpy_helper.from_array(np.array([v]), n) for n, v in (("from", 0), ("to", 7), ("axis", 1))),
    ]
    outputs = [("logits_ferplus8", [8]), ("logits_fer7", [7]), ("embedding", [3]), ("features", [3, CELLS, CELLS])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]) for name, shape in outputs],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def weights() -> tuple[np.ndarray, np.ndarray]:
    """Return a head for which red speaks for class 1 (happiness), green for class 3, blue for class 4."""
    weight = np.zeros((8, 3), np.float32)
    weight[1, 0], weight[3, 1], weight[4, 2] = 0.5, 0.5, 0.5
    return weight, np.linspace(-0.3, 0.3, 8).astype(np.float32)


def packed(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def write_model(folder: Path, *, heads: bytes | None) -> Path:
    from planted import RECORD

    folder.mkdir(parents=True)
    graph = linear_graph(*weights())
    (folder / "model.onnx").write_bytes(graph)
    record = RECORD.format(sha256=hashlib.sha256(graph).hexdigest(), bytes=len(graph))
    if heads is not None:
        (folder / "model.heads.npz").write_bytes(heads)
        digest = hashlib.sha256(heads).hexdigest()
        entry = f'[[files]]\nrole = "heads"\nfile = "model.heads.npz"\nsha256 = "{digest}"\nbytes = {len(heads)}\n\n'
        record = record.replace("[[outputs]]", entry + "[[outputs]]", 1)
    (folder / "model.toml").write_text(record)
    return folder


def good_heads(**more: np.ndarray) -> bytes:
    weight, bias = weights()
    arrays = {"weight_ferplus8": weight, "bias_ferplus8": bias, "weight_fer7": weight[:7], "bias_fer7": bias[:7]}
    return packed(**{**arrays, **more})


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory: pytest.TempPathFactory) -> FaceAnalyzer:
    folder = tmp_path_factory.mktemp("linear") / "run"
    return FaceAnalyzer(write_model(folder, heads=good_heads()), threads=1)


@pytest.fixture(scope="module")
def without_heads(tmp_path_factory: pytest.TempPathFactory) -> FaceAnalyzer:
    folder = tmp_path_factory.mktemp("plain") / "run"
    return FaceAnalyzer(write_model(folder, heads=None), threads=1)


def spot(row: int, column: int, channel: int = 0, size: int = SIDE) -> np.ndarray:
    """Return a dark crop with one bright 8 x 8 block of one color."""
    crop = np.full((size, size, 3), 10, np.uint8)
    crop[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, channel] = 250
    return crop


# --- class activation maps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["average", "flat", "convolution"])
def test_maps_average_to_the_logits(kind: str) -> None:
    generator = np.random.default_rng(0)
    n, c, h, w, k = 3, 5, 4, 6, 7
    features = generator.normal(size=(n, c, h, w)).astype(np.float32)
    bias = generator.normal(size=k).astype(np.float32)
    if kind == "average":
        weight = generator.normal(size=(k, c)).astype(np.float32)
        logits = features.mean(axis=(2, 3)) @ weight.T + bias
    elif kind == "flat":
        weight = generator.normal(size=(k, c * h * w)).astype(np.float32)
        logits = features.reshape(n, -1) @ weight.T + bias
    else:
        from scipy.signal import correlate2d

        weight = generator.normal(size=(k, c, 3, 3)).astype(np.float32)
        planes = [
            [sum(correlate2d(x[i], own[i], mode="same") for i in range(c)) for own in weight.astype(np.float64)]
            for x in features.astype(np.float64)
        ]
        np.testing.assert_allclose(class_maps(features, weight), planes, atol=1e-4)
        logits = np.mean(planes, axis=(2, 3)) + bias
    found = class_maps(features, weight)
    assert found.shape == (n, k, h, w)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=(2, 3)) + bias, logits, atol=1e-4)
    np.testing.assert_allclose(class_maps(features, weight, bias=bias).mean(axis=(2, 3)), logits, atol=1e-4)


def test_shapes_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(ModelError, match=r"no class maps of features \(5, 4, 6\) with head weights \(7, 9\)"):
        class_maps(np.zeros((1, 5, 4, 6), np.float32), np.zeros((7, 9), np.float32))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 4), (5, 1)])
def test_the_map_is_brightest_where_the_evidence_was_planted(with_heads: FaceAnalyzer, row: int, column: int) -> None:
    (found,) = explain(with_heads, [spot(row, column)])
    assert (found.emotion, found.output, found.method) == ("happiness", "ferplus8", "cam")
    expected = np.full((CELLS, CELLS), 0.5 * 10)
    expected[row, column] = 0.5 * 250
    np.testing.assert_allclose(found.map, expected, atol=1e-3)
    logit = with_heads.logits([spot(row, column)])["ferplus8"][0, 1]
    assert found.map.mean() + weights()[1][1] == pytest.approx(logit, abs=1e-3)
    assert np.unravel_index(found.on_crop().argmax(), (SIDE, SIDE)) in {
        (y, x) for y in range(8 * row, 8 * row + 8) for x in range(8 * column, 8 * column + 8)
    }


def test_the_shipped_model_is_explained_by_its_own_features() -> None:
    analyzer = FaceAnalyzer("face-base", threads=1)
    image = read_image(astronaut_path()).pixels
    faces = analyzer.analyze(image).faces
    (found,) = analyzer.explain(image, faces)
    assert (found.method, found.emotion, found.map.shape) == ("cam", "happiness", (6, 6))
    # Strides keep the first of eight pixels, so the cells look at the upper left of their shares.
    assert found.cells == (0.5, 8.0)
    x, y = found.matrix @ [24, 24, 1]
    x1, y1, x2, y2 = faces[0].box
    assert x1 < x < x2
    assert y1 < y < y2


def test_any_emotion_and_output_can_be_asked_for(with_heads: FaceAnalyzer) -> None:
    crops = [spot(1, 1, 0), spot(2, 2, 1)]
    answers = [e.emotion for e in explain(with_heads, crops)]
    assert answers == [FERPLUS8.emotions[1], FERPLUS8.emotions[3]]
    assert [e.emotion for e in explain(with_heads, crops, emotion="sad")] == ["sadness", "sadness"]
    second = explain(with_heads, crops, output="fer7")
    assert [(e.output, e.emotion) for e in second] == [("fer7", FER7.emotions[1]), ("fer7", FER7.emotions[3])]
    with pytest.raises(InputError, match="fer7 has no 'contempt'"):
        explain(with_heads, crops, output="fer7", emotion="contempt")
    with pytest.raises(ModelError, match="has no output 'fer9'"):
        explain(with_heads, crops, output="fer9")


def test_a_heads_file_may_say_where_cells_look(tmp_path: Path) -> None:
    cells = np.array([0.5, 8.0], np.float32)
    told = FaceAnalyzer(write_model(tmp_path / "run", heads=good_heads(cells=cells)), threads=1)
    (found,) = explain(told, [spot(2, 3)])
    assert found.cells == (0.5, 8.0)
    assert np.unravel_index(found.on_crop(96).argmax(), (96, 96)) in {(y, x) for y in (32, 33) for x in (48, 49)}


# --- hiding -----------------------------------------------------------------------------------------------------------


def test_without_a_heads_file_parts_are_hidden(without_heads: FaceAnalyzer) -> None:
    crop = spot(3, 4)
    (found,) = explain(without_heads, [crop])
    assert (found.method, found.emotion) == ("occlusion", "happiness")
    assert found.map.shape == (10, 10)
    assert found.cells == (6.0, 4.0)
    y, x = np.unravel_index(found.on_crop().argmax(), (SIDE, SIDE))
    assert (y // 8, x // 8) == (3, 4)


def test_the_fall_is_that_of_the_log_odds_in_closed_form(without_heads: FaceAnalyzer) -> None:
    crop = spot(0, 0)
    (found,) = explain(without_heads, [crop])
    hidden = crop.copy()
    hidden[:12, :12] = np.rint(crop.mean(axis=(0, 1)))
    temperature = without_heads.output.temperature
    odds = []
    for own in (crop, hidden):
        logits = without_heads.logits([own])["ferplus8"][0].astype(np.float64) / temperature
        p = np.exp(logits) / np.exp(logits).sum()
        odds.append(np.log(p[1] / (1 - p[1])))
    assert found.map[0, 0] == pytest.approx(odds[0] - odds[1], abs=1e-4)


def test_a_sure_answer_does_not_drown_in_the_probability(without_heads: FaceAnalyzer) -> None:
    crop = spot(3, 3)
    crop[:, :, 0] = np.maximum(crop[:, :, 0], 200)  # happiness everywhere: its probability is one to six digits
    assert without_heads.classify([crop])[0].confidence > 0.999
    (found,) = explain(without_heads, [crop])
    assert found.map.max() > 0.01


def test_a_flat_crop_falls_nowhere(without_heads: FaceAnalyzer) -> None:
    (found,) = explain(without_heads, [np.full((48, 48, 3), 77, np.uint8)])
    assert np.abs(found.map).max() < 1e-5


def test_the_method_can_be_chosen(with_heads: FaceAnalyzer, without_heads: FaceAnalyzer) -> None:
    assert choose_method(with_heads.spec) == "cam"
    assert choose_method(without_heads.spec) == "occlusion"
    assert [e.method for e in explain(with_heads, [spot(1, 1)], method="occlusion")] == ["occlusion"]
    with pytest.raises(ModelError, match="has no heads file, because its heads are not linear"):
        explain(without_heads, [spot(1, 1)], method="cam")
    with pytest.raises(InputError, match="method must be one of auto, cam, occlusion, but got 'lime'"):
        explain(with_heads, [spot(1, 1)], method="lime")


# --- from the map to the image --------------------------------------------------------------------------------------


def test_between_cells_the_map_is_bilinear() -> None:
    values = np.array([[0, 4], [8, 12]], np.float32)
    one = Explanation("anger", "fer7", "cam", values, (2.0, 4.0), 8, np.eye(2, 3))
    middles = np.arange(8) + 0.5
    share = np.clip((middles - 2) / 4, 0, 1)
    np.testing.assert_allclose(one.on_crop(), 8 * share[:, None] + 4 * share[None, :], atol=1e-6)
    np.testing.assert_allclose(one.on_crop(4)[0], [0, 1, 3, 4], atol=1e-6)


def test_a_map_of_one_cell_is_flat() -> None:
    one = Explanation("anger", "fer7", "cam", np.array([[3.0]], np.float32), (4.0, 8.0), 8, np.eye(2, 3))
    np.testing.assert_array_equal(one.on_crop(), np.full((8, 8), 3, np.float32))


def test_crops_of_any_size_keep_their_own_coordinates(with_heads: FaceAnalyzer) -> None:
    crop = np.zeros((96, 24, 3), np.uint8)
    (found,) = explain(with_heads, [crop])
    np.testing.assert_allclose(found.matrix, [[0.5, 0, 0], [0, 2, 0]])


def test_no_crops_and_no_faces_are_no_maps(with_heads: FaceAnalyzer) -> None:
    assert explain(with_heads, []) == []
    assert with_heads.explain(np.zeros((50, 50, 3), np.uint8), []) == []


def test_what_is_no_crop_is_refused(with_heads: FaceAnalyzer) -> None:
    for wrong in ("team.jpg", np.zeros((48, 48, 3), np.uint8), [np.zeros((4, 4), np.float64)]):
        with pytest.raises(InputError, match="crop"):
            explain(with_heads, wrong)  # type: ignore[arg-type]


def test_tensors_are_what_the_graph_gives(with_heads: FaceAnalyzer) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (70, 48, 48, 3), dtype=np.uint8)  # more than one run holds
    found = with_heads.tensors(crops, ["embedding"])
    np.testing.assert_allclose(found["embedding"], crops.mean(axis=(1, 2)), rtol=1e-4)
    with pytest.raises(ModelError, match="outputs logits_ferplus8, logits_fer7, embedding, features, but got maps"):
        with_heads.tensors(crops, ["maps"])
    with pytest.raises(InputError, match="at least one image"):
        with_heads.tensors([], ["embedding"])


# --- hostile heads files ----------------------------------------------------------------------------------------------

WEIGHT, BIAS = weights()


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        (b"no archive", WeightsError, "model.heads.npz is no .npz of plain arrays"),
        (good_heads()[:200], WeightsError, "model.heads.npz is no .npz of plain arrays"),
        (packed(weight_ferplus8=np.array([{}], dtype=object)), WeightsError, "is no .npz of plain arrays"),
        (packed(weight_fer7=WEIGHT), ModelError, "has no weight_ferplus8, float32, of 8 classes"),
        (good_heads(bias_ferplus8=BIAS[:5]), ModelError, "has no bias_ferplus8, float32, of 8 classes"),
        (good_heads(bias_ferplus8=np.float32(1)), ModelError, "has no bias_ferplus8, float32, of 8 classes"),
        (good_heads(bias_ferplus8=BIAS[:, None]), ModelError, "has no bias_ferplus8, float32, of 8 classes"),
        (good_heads(weight_ferplus8=WEIGHT.astype(str)), ModelError, "has no weight_ferplus8, float32, of 8 classes"),
        (good_heads(cells=np.float32([1])), ModelError, "cells of its heads file must be first and step"),
        (good_heads(cells=np.float32([1, 0])), ModelError, "cells of its heads file must be first and step"),
        (good_heads(weight_ferplus8=WEIGHT[:, :2]), ModelError, "no class maps of features"),
        (good_heads(weight_ferplus8=WEIGHT * 3), ModelError, "gives other logits than its graph"),
        (good_heads(bias_ferplus8=BIAS * np.nan), ModelError, "gives other logits than its graph"),
    ],
)
def test_a_heads_file_that_is_none_is_one_error(
    heads: bytes, error: type[Exception], message: str, tmp_path: Path
) -> None:
    analyzer = FaceAnalyzer(write_model(tmp_path / "run", heads=heads), threads=1)
    with pytest.raises(error, match=message):
        explain(analyzer, [spot(1, 1)])


def test_a_heads_file_that_is_gone_is_said_so(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "run", heads=good_heads())
    analyzer = FaceAnalyzer(folder, threads=1)
    (folder / "model.heads.npz").unlink()
    with pytest.raises(WeightsError, match=r"are missing: expected .*model\.heads\.npz"):
        explain(analyzer, [spot(1, 1)])
    assert analyzer.classify([spot(1, 1)])[0].top == "happiness"  # only the explanation needs it


def test_the_shipped_heads_file_is_small() -> None:
    assert registry.get("face-base").file(HEADS).bytes < 50_000
