"""Faces end to end on a model whose answers are planted: the first pixels of a crop are its logits."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import shutil
import threading
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mien.errors import InputError, MienWarning, ModelError, UnknownModelError, WeightsError
from mien.face.align import fit_crop
from mien.face.analyzer import SMALL_FACE_PX, FaceAnalyzer
from mien.io.image import read_image
from mien.labels import BAUM8, FER7, FERPLUS8, LabelSet
from mien.models import registry
from mien.models.spec import parse_record
from mien.options import ModelOptions
from mien.results import ImageResult
from mien.samples import astronaut_path
from planted import RECORD, TEMPERATURE


@pytest.fixture(scope="module")
def analyzer(planted_model: Path) -> FaceAnalyzer:
    return FaceAnalyzer(planted_model, threads=1)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return read_image(astronaut_path()).pixels


@pytest.fixture
def own_model(planted_model: Path, tmp_path: Path) -> Path:
    """Return a copy of the model's folder, to be spoilt."""
    return Path(shutil.copytree(planted_model, tmp_path / "model"))


def edit(folder: Path, before: str, after: str) -> None:
    record = folder / "model.toml"
    text = record.read_text("utf-8")
    assert before in text
    record.write_text(text.replace(before, after), "utf-8")


def random_crops(n: int, size: int = 48) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def planted(crops: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the graph answers to crops of the right size, in closed form."""
    red = crops[:, 0, :, 0].astype(np.float32)
    return {"fer7": red[:, :7], "ferplus8": red[:, 8:16]}


def shares(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits.astype(np.float64) / TEMPERATURE)
    return raised / raised.sum(axis=1, keepdims=True)


# --- images -------------------------------------------------------------------------------------


def test_the_sample_has_one_face(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    result = analyzer.analyze(astronaut)
    assert (result.width, result.height, result.path) == (512, 512, None)
    assert (result.model, result.detector, result.warnings) == ("planted", "mtcnn", ())
    (face,) = result.faces
    # Where a person would draw it: the face lies around (222, 115).
    x1, y1, x2, y2 = face.box
    assert x1 < 222 < x2
    assert y1 < 115 < y2
    assert 60 < face.width_px < 160
    assert face.landmarks is not None
    left, right, nose, *mouth = face.landmarks
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < min(y for _, y in mouth)
    assert face.warnings == ()


def test_a_face_gets_the_answer_to_its_crop(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    (face,) = analyzer.analyze(astronaut).faces
    (crop,) = analyzer.crops(astronaut, [face])
    assert crop.shape == (analyzer.size, analyzer.size, 3)
    assert set(face.outputs) == {"fer7", "ferplus8"}
    for name, logits in planted(crop[None]).items():
        assert face.outputs[name].to_array() == pytest.approx(shares(logits)[0], abs=1e-6)
    assert face.emotion == face.outputs["ferplus8"]
    assert analyzer.classify([crop]) == [face.emotion]


def test_gray_and_any_memory_layout_give_the_same_faces(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    gray = astronaut.mean(axis=2).astype(np.uint8)
    expected = analyzer.analyze(np.repeat(gray[..., None], 3, axis=2))
    fortran = np.asfortranarray(gray)
    fortran.setflags(write=False)
    assert analyzer.analyze(fortran) == analyzer.analyze(gray[..., None]) == expected
    assert len(expected.faces) == 1


def test_no_face_is_no_error(analyzer: FaceAnalyzer) -> None:
    for shape in ((64, 64, 3), (1, 1, 3), (3, 500), (500, 2, 3)):
        result = analyzer.analyze(np.full(shape, 128, np.uint8))
        assert result.faces == ()
        assert (result.height, result.width) == shape[:2]


def test_haar_works_without_points(planted_model: Path, astronaut: np.ndarray) -> None:
    own = FaceAnalyzer(planted_model, detector="haar", threads=1)
    assert own.detector == "haar"
    (face,) = own.analyze(astronaut).faces
    assert face.box[0] < 222 < face.box[2]
    assert own.classify(own.crops(astronaut, [face])) == [face.emotion]


def test_largest_face_first(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    small = astronaut[::2, ::2]
    image = np.zeros((512, 768, 3), np.uint8)
    image[:256, :256] = small
    image[:, 256:] = astronaut
    faces = analyzer.analyze(image).faces
    widths = [face.width_px for face in faces]
    assert len(faces) == 2
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (2, 2), (16, 3), (2, None)])
def test_many_images_give_what_each_gives_alone(
    analyzer: FaceAnalyzer, astronaut: np.ndarray, batch: int, workers: int | None
) -> None:
    images = [astronaut[::2, ::2], np.zeros((40, 50, 3), np.uint8), astronaut[40:220, 120:320]]
    alone = [analyzer.analyze(image) for image in images]
    assert list(analyzer.analyze_many(images, batch=batch, workers=workers)) == alone
    assert [len(result.faces) for result in alone] == [1, 0, 1]
    assert list(analyzer.analyze_many([], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_many_images_are_read_as_they_are_needed_and_not_kept(analyzer: FaceAnalyzer, workers: int) -> None:
    taken: list[weakref.ref[np.ndarray]] = []

    def make_images() -> Iterator[np.ndarray]:
        while True:  # an endless source: reading ahead without end would never come back
            image = np.zeros((24, 24, 3), np.uint8)
            taken.append(weakref.ref(image))
            yield image

    held, ahead = (1, 0) if workers == 1 else (3 * workers, 3 * workers + 5)
    results = analyzer.analyze_many(make_images(), batch=5, workers=workers)
    assert taken == []
    for done in range(1, 42):
        assert isinstance(next(results), ImageResult)
        assert len(taken) <= 5 * -(-done // 5) + ahead
        # One more is in the hands of the source.
        assert sum(image() is not None for image in taken) <= held + 1


def test_a_bad_image_among_many_ends_them_and_their_threads(analyzer: FaceAnalyzer) -> None:
    before = set(threading.enumerate())
    good = np.zeros((24, 24, 3), np.uint8)
    results = analyzer.analyze_many([good, good, good[0, 0], good], batch=2, workers=2)
    assert [next(results).width, next(results).width] == [24, 24]
    with pytest.raises(InputError, match=r"image must be uint8 of shape \(H, W, 3\), but got uint8 of shape \(3,\)"):
        next(results)
    results = analyzer.analyze_many([good] * 9, batch=2, workers=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


def test_two_threads_on_one_analyzer_get_what_one_gets(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    images = [astronaut[:300, 60:360], astronaut[::2, ::2]] * 3
    alone = [analyzer.analyze(image) for image in images]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(analyzer.analyze, images)) == alone


# --- ready crops ----------------------------------------------------------------------------------


def test_logits_are_the_graphs(analyzer: FaceAnalyzer) -> None:
    crops = random_crops(5)
    found = analyzer.logits(crops)
    for name, expected in planted(crops).items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], expected)


def test_classify_is_the_softmax_at_the_records_temperature(analyzer: FaceAnalyzer) -> None:
    crops = random_crops(5)
    emotions = analyzer.classify(crops)
    assert {emotion.labels for emotion in emotions} == {FERPLUS8}
    found = np.stack([emotion.to_array() for emotion in emotions])
    np.testing.assert_allclose(found, shares(planted(crops)["ferplus8"]), atol=1e-9)


def test_another_output_answers_when_asked(planted_model: Path) -> None:
    crops = random_crops(3)
    own = FaceAnalyzer(planted_model, output="fer7", threads=1)
    emotions = own.classify(crops)
    assert {emotion.labels for emotion in emotions} == {FER7}
    found = np.stack([emotion.to_array() for emotion in emotions])
    np.testing.assert_allclose(found, shares(planted(crops)["fer7"]), atol=1e-9)
    assert [e.top for e in emotions] == [FER7.emotions[i] for i in planted(crops)["fer7"].argmax(1)]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_the_answer_to_a_crop_does_not_depend_on_its_batch(analyzer: FaceAnalyzer, n: int) -> None:
    crops = random_crops(200)
    all_of_them = analyzer.logits(crops)
    some = analyzer.logits(crops[:n])
    alone = analyzer.logits(crops[n - 1 : n])
    for name in all_of_them:
        np.testing.assert_array_equal(some[name], all_of_them[name][:n])
        np.testing.assert_array_equal(alone[name], all_of_them[name][n - 1 : n])


@settings(max_examples=30, deadline=None)
@given(
    crop=st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([None, 1, 3])).flatmap(
        lambda s: arrays(np.uint8, s[:2] if s[2] is None else s, elements=st.integers(0, 255), fill=st.just(9))
    )
)
def test_crops_of_any_size_are_fitted(analyzer: FaceAnalyzer, crop: np.ndarray) -> None:
    fitted = fit_crop(crop, analyzer.size)
    found = analyzer.logits([crop])
    for name, expected in planted(fitted[None]).items():
        np.testing.assert_array_equal(found[name], expected)


def test_every_way_to_hand_in_crops_gives_the_same(analyzer: FaceAnalyzer) -> None:
    gray = random_crops(4)[..., 0]
    expected = analyzer.classify([np.repeat(crop[..., None], 3, axis=2) for crop in gray])
    strided = np.repeat(gray, 2, axis=2)[:, :, ::2]
    strided.setflags(write=False)
    for way in (gray, list(gray), tuple(gray), gray[..., None], np.repeat(gray[..., None], 3, axis=3), strided):
        assert analyzer.classify(way) == expected
    assert analyzer.classify(iter(list(gray))) == expected  # type: ignore[arg-type]
    sizes = [np.full((h, w, 3), 40, np.uint8) for h, w in ((48, 48), (96, 50), (7, 9))]
    assert analyzer.classify(sizes) == [analyzer.classify([sizes[0]])[0]] * 3


def test_no_crops_have_no_answers(analyzer: FaceAnalyzer) -> None:
    for nothing in ([], np.zeros((0, 48, 48, 3), np.uint8), np.zeros((0, 20, 20), np.uint8)):
        assert analyzer.classify(nothing) == []
        assert {name: values.shape for name, values in analyzer.logits(nothing).items()} == {
            "ferplus8": (0, 8),
            "fer7": (0, 7),
        }


@pytest.mark.parametrize("shape", [(48, 48, 3), (100, 80, 3)])
def test_one_image_passed_for_many_gives_the_hint(analyzer: FaceAnalyzer, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"which looks like one image: pass \[crop\]"):
        analyzer.classify(np.zeros(shape, np.uint8))
    assert len(analyzer.classify([np.zeros(shape, np.uint8)])) == 1


@pytest.mark.parametrize(
    ("crops", "message"),
    [
        (np.zeros((48, 48), np.uint8), r"crops must be a sequence of images or an array \(n, H, W\[, 3\]\)"),
        (np.uint8(3), r"crops must be a sequence of images, but got an object of type uint8"),
        (3, "crops must be a sequence of images, but got 3"),
        (None, "crops must be a sequence of images, but got None"),
        ("face.png", "crops must be a sequence of images, but got 'face.png'"),
        (
            np.zeros((2, 48, 48, 3), np.float32),
            r"crop must be uint8 .* got float32 of shape \(48, 48, 3\): values in 0",
        ),
        (np.full((2, 48, 48), np.nan), "crop must be uint8 .* with NaN or infinite values"),
        ([np.zeros((48, 48, 2), np.uint8)], r"crop must be uint8 .* got uint8 of shape \(48, 48, 2\)"),
        ([np.zeros((0, 48, 3), np.uint8)], "crop must not be empty"),
        (["face.png"], "crop must be a uint8 array .* but got 'face.png'"),
        (np.zeros((1, 2, 48, 48, 3), np.uint8), r"crop must be uint8 .* of shape \(2, 48, 48, 3\)"),
    ],
)
def test_what_is_no_crop_is_refused(analyzer: FaceAnalyzer, crops: object, message: str) -> None:
    for ask in (analyzer.classify, analyzer.logits):
        with pytest.raises(InputError, match=message):
            ask(crops)  # type: ignore[operator]


# --- warnings and bad input -----------------------------------------------------------------------


def test_a_blue_face_is_asked_about(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    reversed_channels = astronaut[..., ::-1]
    with pytest.warns(MienWarning, match="is the array BGR") as caught:
        result = analyzer.analyze(reversed_channels)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert result.warnings == ("the skin is bluer than it is red: is the array BGR? mien takes RGB",)
    with pytest.warns(MienWarning, match="is the array BGR") as caught:
        (again,) = analyzer.analyze_many([reversed_channels])
    assert (again, len(caught)) == (result, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert analyzer.analyze(reversed_channels, quiet=True) == result
        assert list(analyzer.analyze_many([reversed_channels], quiet=True)) == [result]
        assert analyzer.analyze(astronaut).warnings == ()


def test_a_small_face_says_that_it_is_small(planted_model: Path, astronaut: np.ndarray) -> None:
    own = FaceAnalyzer(planted_model, min_face_px=12, threads=1)
    step = 6
    small = astronaut[: 510 // step * step, : 510 // step * step].reshape(510 // step, step, 510 // step, step, 3)
    (face,) = own.analyze(small.mean(axis=(1, 3)).astype(np.uint8)).faces
    assert face.width_px < SMALL_FACE_PX
    assert face.warnings == (f"the face is only {face.width_px:.0f} px wide: under 24 px the answer is a guess",)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20, 3)), "image must be uint8 .* values in 0..1 become an image by"),
        (np.full((20, 20, 3), np.nan), "image must be uint8 .* with NaN or infinite values"),
        (np.zeros((20, 20, 2), np.uint8), r"image must be uint8 of shape \(H, W, 3\), but got uint8 of shape"),
        (np.zeros((0, 20, 3), np.uint8), "image must not be empty"),
        ("face.png", "image must be a uint8 array of shape .* but got 'face.png'"),
    ],
)
def test_what_is_no_image_is_refused(analyzer: FaceAnalyzer, image: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyzer.analyze(image)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        list(analyzer.analyze_many([image]))  # type: ignore[list-item]
    with pytest.raises(InputError, match=message):
        analyzer.crops(image, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [0, 1.5, None])
def test_a_batch_is_a_whole_number(analyzer: FaceAnalyzer, batch: object) -> None:
    with pytest.raises(InputError, match="batch must be an integer"):
        list(analyzer.analyze_many([], batch=batch))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="workers must be an integer of at least 1, but got 0"):
        list(analyzer.analyze_many([], workers=0))


# --- models ---------------------------------------------------------------------------------------


def test_a_model_is_taken_by_folder_record_and_spec(planted_model: Path) -> None:
    crops = random_crops(2)
    answers = [
        FaceAnalyzer(way, threads=1).classify(crops)
        for way in (planted_model, str(planted_model), planted_model / "model.toml", registry.get(planted_model))
    ]
    assert answers == [answers[0]] * 4


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"model": "face-bass"}, UnknownModelError, "unknown model 'face-bass'"),
        ({"model": 3}, InputError, "a model must be a name or a path, but got an object of type int"),
        ({"model": "mtcnn"}, ModelError, "model 'mtcnn' is for face-detection: .* needs one for face-emotion"),
        ({"output": "fer9"}, ModelError, "model 'planted' has no output 'fer9': it has ferplus8, fer7"),
        ({"detector": "eyes"}, InputError, "unknown detector 'eyes': expected one of mtcnn"),
        ({"min_face_px": 0}, InputError, "min_face_px must be a number of at least 1, but got 0"),
        ({"threads": 0}, InputError, "threads must be an integer"),
        ({"device": "tpu"}, InputError, "device must be 'cpu', 'cuda'"),
    ],
)
def test_wrong_options_are_named(
    planted_model: Path, options: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        FaceAnalyzer(**{"model": planted_model, **options})  # type: ignore[arg-type]


def test_an_output_is_mapped_to_a_label_set(planted_model: Path, analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    mapped = FaceAnalyzer(planted_model, output="baum8", threads=1)
    (face,), (expected,) = mapped.analyze(astronaut).faces, analyzer.analyze(astronaut).faces
    assert mapped.labels == BAUM8
    assert expected.emotion is not None
    assert face.emotion == expected.emotion.to(BAUM8)
    assert face.outputs == expected.outputs


def test_an_analyzer_pickles_as_its_options(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    content = pickle.dumps(analyzer)
    assert len(content) < 2000
    first, second = pickle.loads(content), pickle.loads(content)
    assert "session" not in vars(first)
    assert first is second  # a process loads its model once
    assert first.options == analyzer.options
    assert first.analyze(astronaut) == analyzer.analyze(astronaut)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(analyzer.analyze, astronaut).result() == analyzer.analyze(astronaut)


def test_options_make_the_same_analyzer(planted_model: Path, analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    own = FaceAnalyzer.from_options(ModelOptions(model=planted_model, threads=1))
    assert own.analyze(astronaut) == analyzer.analyze(astronaut)


def write_float_model(folder: Path, *, channels: int, head: str) -> Path:
    """Write a model of float NCHW input and three moods, whose logits are the mean of the left, middle and right."""
    import onnx
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, channels * 48, 3, 16])
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["image", "shape"], ["parts"]),
            helper.make_node("ReduceMean", ["parts"], ["logits"], axes=[1, 3], keepdims=0),
        ],
        "moods",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, 48, 48])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content = bytes(model.SerializeToString())
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    record = RECORD.format(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    record = record.replace('layout = "NHWC"\ndtype = "uint8"\ncolor = "RGB"', head)
    outputs = """[[outputs]]
name = "moods"
tensor = "logits"
labels = "moods"
emotions = ["bored", "happiness", "tired"]
temperature = 1.0
default = true
"""
    (folder / "model.toml").write_text(record[: record.index("[[outputs]]")] + outputs)
    return folder


@pytest.mark.parametrize(
    ("color", "mean", "std"),
    [
        ("RGB", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("BGR", [0.0, 0.1, 0.2], [1.0, 0.5, 0.25]),
        ("gray", [0.5], [0.5]),
    ],
)
def test_a_float_model_of_ones_own_words(
    tmp_path: Path, astronaut: np.ndarray, color: str, mean: list[float], std: list[float]
) -> None:
    head = f'layout = "NCHW"\ndtype = "float32"\ncolor = "{color}"\nmean = {mean}\nstd = {std}'
    own = FaceAnalyzer(write_float_model(tmp_path / "moods", channels=len(mean), head=head), threads=1)
    result = own.analyze(astronaut)
    (face,) = result.faces
    (crop,) = own.crops(astronaut, result.faces)
    image = Image.fromarray(crop)
    pixels = {"RGB": crop, "BGR": crop[..., ::-1], "gray": np.asarray(image.convert("L"))[..., None]}[color]
    scaled = (pixels / 255 - np.array(mean)) / np.array(std)
    logits = [part.mean() for part in np.split(scaled, 3, axis=1)]
    expected = np.exp(logits) / np.exp(logits).sum()
    assert face.emotion is not None
    assert face.emotion.labels == LabelSet("moods", ("bored", "happiness", "tired"))
    assert face.emotion.to_array() == pytest.approx(expected, abs=5e-3 if color == "gray" else 1e-5)
    assert [column for column in result.rows()[0] if column in ("bored", "tired")] == ["bored", "tired"]
    assert ImageResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert parse_record(own.spec.to_dict(), own.spec.path) == own.spec


def test_a_crop_of_another_size_than_the_input_is_refused(own_model: Path) -> None:
    edit(own_model, "[crop]\nsize = 48", "[crop]\nsize = 64")
    with pytest.raises(ModelError, match="model 'planted': its crop is 64 px, but its input is 48 px"):
        FaceAnalyzer(own_model)


def test_damaged_and_missing_weights_are_refused(own_model: Path) -> None:
    graph = own_model / "model.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"not those of its record: .* should have sha256"):
        FaceAnalyzer(own_model)
    graph.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match=r"are damaged: .* should have"):
        FaceAnalyzer(own_model)
    graph.unlink()
    with pytest.raises(WeightsError, match="the weights of model 'planted' are missing: expected"):
        FaceAnalyzer(own_model)


def test_a_crop_that_nobody_can_cut_is_refused(own_model: Path) -> None:
    edit(own_model, "points = [[15.0, 18.44], ", "points = [[15.0, nan], ")
    with pytest.raises(InputError, match="points of the crop must be finite numbers"):
        FaceAnalyzer(own_model)


def test_the_shipped_model_reads_the_sample(astronaut: np.ndarray) -> None:
    shipped = registry.names("face-emotion")
    assert shipped
    for name in shipped:
        own = FaceAnalyzer(name, threads=1)
        (face,) = own.analyze(astronaut).faces
        assert face.emotion is not None
        assert face.emotion.top == "happiness"  # a broad smile
        assert not face.emotion.unsure
        assert set(face.outputs) == {output.name for output in own.spec.outputs} >= {"ferplus8", "fer7"}
        crops = random_crops(70)
        together, alone = own.logits(crops), own.logits(crops[69:])
        for output in together:
            np.testing.assert_allclose(together[output][69:], alone[output], atol=1e-3)


@pytest.mark.parametrize("shape", [(48, 48, 3), (90, 60), (33, 70, 3)])
def test_without_a_detector_each_image_is_one_face(planted_model: Path, shape: tuple[int, ...]) -> None:
    analyzer = FaceAnalyzer(planted_model, detector="none", threads=1)
    crop = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    (face,) = analyzer.analyze(crop, quiet=True).faces
    assert (face.box, face.score, face.landmarks) == ((0, 0, shape[1], shape[0]), 1, None)
    assert face.emotion == analyzer.classify([crop])[0]
    np.testing.assert_array_equal(analyzer.crops(crop, [face])[0], fit_crop(crop, analyzer.size))
