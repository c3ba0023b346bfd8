"""Predictions averaged with those of the mirror image, and predictions of both heads together."""

from __future__ import annotations

import numpy as np
import pytest

from mien import FaceAnalyzer
from mien.face.track import TrackedDetection
from mien.models.emotion import output_logits
from mien.options import ModelOptions
from mien.results import Face
from mien.video.analyzer import VideoAnalyzer


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


def test_flipped_logits_are_means_of_a_face_and_its_mirror_image(crops: np.ndarray) -> None:
    plain, flipped = FaceAnalyzer(threads=1), FaceAnalyzer(threads=1, flip=True)
    found = flipped.logits(crops)
    for name, logits in plain.logits(crops).items():
        head = plain.spec.output(name)
        if not head.mean_of:
            assert found[name] == pytest.approx((logits + plain.logits(crops[:, :, ::-1])[name]) / 2, abs=1e-5)
        assert flipped.logits(crops[:, :, ::-1])[name] == pytest.approx(found[name], abs=1e-4)
    heads = {head.tensor: found[head.name] for head in plain.spec.heads}
    assert found["both"] == pytest.approx(output_logits(plain.spec, heads)["both"], abs=1e-5)


def test_flip_reaches_videos_by_their_options() -> None:
    assert VideoAnalyzer.from_options(ModelOptions(flip=True)).faces.options.flip
    assert not VideoAnalyzer.from_options(ModelOptions()).faces.options.flip


def test_a_frame_of_a_video_is_answered_like_its_crop(crops: np.ndarray) -> None:
    image = np.pad(crops[0], ((40, 40), (40, 40), (0, 0)), constant_values=128)
    box = np.array([40, 40, 40 + crops[0].shape[1], 40 + crops[0].shape[0]], np.float32)
    found = TrackedDetection(1, box, None, 1.0, True)
    for flip in (False, True):
        videos = VideoAnalyzer(threads=1, flip=flip)
        (row,), _ = videos.predict(image, [found])
        crop = videos.faces.crops(image, [Face(tuple(box.tolist()), 1.0)])
        assert row == pytest.approx(videos.faces.classify(crop)[0].to_array(), abs=1e-6)
        assert videos.output.name == "both"


def test_an_image_and_its_mirror_image_get_one_answer_for_the_same_crop(crops: np.ndarray) -> None:
    analyzer = FaceAnalyzer(threads=1, flip=True, output="both")
    one, other = analyzer.classify([crops[0], crops[0][:, ::-1]])
    assert one.to_array() == pytest.approx(other.to_array(), abs=1e-4)


def test_both_heads_are_explained_together(crops: np.ndarray) -> None:
    from mien.face.explain import explain

    analyzer = FaceAnalyzer(threads=1)
    (both,) = explain(analyzer, crops[:1], emotion="fear", output="both")
    parts = [explain(analyzer, crops[:1], emotion="fear", output=name)[0] for name in ("ferplus8", "fer7")]
    scales = [analyzer.spec.output(part.output).temperature for part in parts]
    expected = sum(part.map / scale for part, scale in zip(parts, scales, strict=True)) / 2
    assert (both.output, both.emotion, both.method) == ("both", "fear", "cam")
    assert both.map == pytest.approx(expected, abs=1e-5)
    (contempt,) = explain(analyzer, crops[:1], emotion="contempt", output="both")
    assert contempt.map == pytest.approx(
        explain(analyzer, crops[:1], emotion="contempt", output="ferplus8")[0].map / scales[0], abs=1e-5
    )
    (hidden,) = explain(analyzer, crops[:1], output="both", method="occlusion")
    assert hidden.emotion == analyzer.spec.output("both").labels.emotions[analyzer.logits(crops[:1])["both"].argmax()]
