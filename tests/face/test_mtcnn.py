"""MTCNN: its parts against slow oracles, and what it finds in real photographs."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from mien.face import detect
from mien.face.detect import mtcnn
from mien.face.detect.mtcnn import ImagePyramid, MtcnnDetector, bands, contained, non_maximum
from mien.io.image import read_image
from mien.models import runtime


def slow_suppression(boxes, scores, limit, *, smaller):
    """Greedy suppression, one pair at a time."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        x1, y1, x2, y2 = boxes[i]
        for j in kept:
            u1, v1, u2, v2 = boxes[j]
            common = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
            areas = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
            if common > limit * (min(areas) if smaller else sum(areas) - common):
                break
        else:
            kept.append(i)
    return kept


@settings(deadline=None, max_examples=40)
@given(n=st.integers(0, 40), seed=st.integers(0, 1000))
def test_suppression_meets_the_slow_one(n, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (n, 2))], axis=1).astype(np.float32)
    scores = rng.permutation(n).astype(np.float32) / max(n, 1) * 0.4 + 0.5
    assert non_maximum(boxes, scores, 0.5).tolist() == slow_suppression(boxes, scores, 0.5, smaller=False)
    assert contained(boxes, scores, 0.7).tolist() == slow_suppression(boxes, scores, 0.7, smaller=True)


def test_patches_keep_a_linear_ramp():
    """Bilinear sampling and halving of a linear image are exact, so a patch shows the ramp at its own places."""
    y, x = np.mgrid[:128, :128] + 0.5
    image = np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)
    square = np.array([[16, 32, 112, 128], [40.5, 20.5, 64.5, 44.5]], np.float32)
    patches = ImagePyramid(image).patches(square, 24).astype(float)
    for patch, (x1, y1, x2, _) in zip(patches, square, strict=True):
        places = (np.arange(24) + 0.5) * (x2 - x1) / 24
        inner = slice(1, -1)  # the border mixes with the gray beyond the image
        assert np.abs(patch[inner, inner, 0] - (x1 + places - 0.5)[None, inner]).max() <= 1.1
        assert np.abs(patch[inner, inner, 1] - (y1 + places - 0.5)[inner, None]).max() <= 1.1


def test_patches_beyond_the_image_are_gray():
    patch = ImagePyramid(np.zeros((50, 50, 3), np.uint8)).patches(np.array([[100, 100, 150, 150]], np.float32), 24)
    assert (patch == 127).all()


def test_a_huge_image_costs_no_more_than_its_bound(monkeypatch):
    sizes, limit, run = [], 200_000, runtime.Session.run

    def recorded(session, feeds, *outputs):
        sizes.append(feeds["image"].size / 3)
        return run(session, feeds, *outputs)

    monkeypatch.setattr(runtime.Session, "run", recorded)
    monkeypatch.setattr(detect, "MAX_SEARCHED_PIXELS", limit)
    detector, image = MtcnnDetector(min_face_px=1), np.full((1000, 1500, 3), 90, np.uint8)
    assert len(detector.detect(image)) == 0
    assert max(sizes) < 1.4 * mtcnn.BAND_PIXELS
    monkeypatch.setattr(mtcnn, "BAND_PIXELS", 10**9)
    sizes.clear()
    assert len(detector.detect(image)) == 0
    assert 0.9 * limit < max(sizes) < 1.1 * limit


@settings(max_examples=200, deadline=None)
@given(height=st.integers(12, 3000), width=st.integers(12, 3000))
def test_bands_make_up_the_level(height, width):
    def answers(rows):  # of a convolution of 3, a pooling of 2 that keeps what is left over, and two more of 3
        return (rows - 2 + 1) // 2 - 4

    found = bands(height, width)
    assert sum(answers(band.stop - band.start) for band in found) == answers(height)
    assert (found[0].start, found[-1].stop) == (0, height)
    for above, below in itertools.pairwise(found):
        assert below.start % 2 == 0
        assert below.start == 2 * answers(above.stop - above.start) + above.start
    assert len(found) == 1 or max(band.stop - band.start for band in found) * width <= max(80_000, 90 * width)


def test_bands_do_not_change_the_answers(monkeypatch):
    portrait = data.astronaut()
    image = np.full((601, 901, 3), 90, np.uint8)
    image[50:562, 100:612] = portrait
    image[301:601, 601:] = cv2.resize(portrait[:256, 96:352], (300, 300))
    detector = MtcnnDetector(min_face_px=20)
    found = []
    for pixels, rows in ((10**9, 64), (60_000, 64), (1, 2), (1, 13)):
        monkeypatch.setattr(mtcnn, "BAND_PIXELS", pixels)
        monkeypatch.setattr(mtcnn, "BAND_ROWS", rows)
        found.append(detector.detect(image))
    assert len(found[0]) == 2
    for other in found[1:]:
        for name in ("boxes", "scores", "landmarks"):
            np.testing.assert_array_equal(getattr(other, name), getattr(found[0], name))


def test_finds_a_face_that_fills_the_image():
    face = np.ascontiguousarray(data.astronaut()[50:190, 160:290])
    assert len(MtcnnDetector().detect(face)) == 1


def true_boxes(file):
    for image in ET.parse(file).getroot().iter("image"):
        sides = [[int(box.get(key)) for key in ("left", "top", "width", "height")] for box in image.iter("box")]
        yield file.parent / image.get("file"), [(x, y, x + width, y + height) for x, y, width, height in sides]


@pytest.mark.data
def test_recall_on_photographs(data_dir):
    detector, found, true, false = MtcnnDetector(), 0, 0, 0
    for path, boxes in true_boxes(data_dir / "face_boxes" / "training.xml"):
        detection = detector.detect(read_image(path).pixels)
        hit = sum(max((iou(box, one) for one in detection.boxes.tolist()), default=0) >= 0.4 for box in boxes)
        found, true, false = found + hit, true + len(boxes), false + len(detection) - hit
    assert true == 18
    assert found >= 0.85 * true
    assert false <= 2


@pytest.mark.data
def test_no_face_among_dogs(data_dir):
    assert len(MtcnnDetector().detect(read_image(data_dir / "face_boxes" / "dogs.jpg").pixels)) == 0


def iou(a, b):
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
