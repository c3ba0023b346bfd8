"""YuNet beyond the contract of test_detectors_contract.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from mien.errors import ModelError, WeightsError
from mien.face.align import Crop, crop_matrix
from mien.face.detect import get_detector
from mien.face.detect.yunet import COARSER, LONG_PX, SCORE, YunetDetector
from mien.models import registry

FACE = np.array((180, 65, 267, 173))
"""The astronaut's, forehead to chin, marked by hand."""


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def yunet(yunet_there: Path) -> YunetDetector:
    assert yunet_there.is_file()
    return YunetDetector()


def enlarged(image: np.ndarray, times: float) -> np.ndarray:
    how = cv2.INTER_AREA if times < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, None, fx=times, fy=times, interpolation=how), dtype=np.uint8)


def test_without_its_file_it_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(ModelError, match=r"'yunet' are missing: .*; get them by: mien models get yunet"):
        get_detector("yunet")


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE_DIR", str(tmp_path))
    spec = registry.get("yunet")
    spec.path.parent.mkdir()
    (spec.path.parent / spec.file().file).write_bytes(bytes(spec.size_bytes))
    with pytest.raises(WeightsError, match="are not those of its record"):
        get_detector("yunet")


@pytest.mark.data
@pytest.mark.parametrize("times", [0.25, 0.5, 1, 2, 3, 4, 8, 12])
def test_faces_of_all_sizes_are_found_once(yunet: YunetDetector, astronaut: np.ndarray, times: float) -> None:
    found = yunet.detect(enlarged(astronaut, times))
    assert len(found) == 1
    assert np.abs(found.boxes[0] / times - FACE).max() < 10
    assert found.scores[0] > SCORE


@pytest.mark.data
@pytest.mark.parametrize("times", [2, 4])
def test_small_and_large_faces_in_one_image(yunet: YunetDetector, astronaut: np.ndarray, times: int) -> None:
    """A face of over 200 or 400 px beside one of 40 px, with and without a wish for small ones."""
    image = enlarged(astronaut[20:220, 120:320], times)
    wide = np.full((image.shape[0], image.shape[1] + 100, 3), 127, np.uint8)
    wide[:, :-100] = image
    wide[100:180, -90:-10] = enlarged(astronaut[20:220, 120:320], 0.4)
    found = get_detector("yunet", min_face_px=20).detect(wide)
    assert len(found) == 2
    assert found.boxes[0, 2] < image.shape[1] < found.boxes[1, 0]
    assert len(get_detector("yunet", min_face_px=60).detect(wide)) == 1


@pytest.mark.data
def test_at_full_size_it_is_what_opencv_says(yunet_there: Path, astronaut: np.ndarray) -> None:
    """Where nothing is scaled, the box, landmarks and score are those of the net alone."""
    image = np.ascontiguousarray(astronaut[:LONG_PX, :LONG_PX])
    net = cv2.FaceDetectorYN.create(str(yunet_there), "", (LONG_PX, LONG_PX), SCORE)
    (row,) = net.detect(image[..., ::-1].copy())[1]
    found = get_detector("yunet", min_face_px=YunetDetector.searched_px).detect(image)
    assert found.boxes[0] == pytest.approx([*row[:2], *(row[:2] + row[2:4])], abs=0.01)
    assert found.landmarks[0].ravel() == pytest.approx(row[4:14], abs=0.01)
    assert found.scores[0] == pytest.approx(row[14], abs=1e-5)


@pytest.mark.data
def test_its_landmarks_cut_the_face_as_those_of_mtcnn_do(yunet: YunetDetector, astronaut: np.ndarray) -> None:
    geometry = Crop.from_dict(registry.get("face-base").crop)
    maps = []
    for detector in (yunet, get_detector("mtcnn")):
        found = detector.detect(astronaut)
        maps.append(crop_matrix(found.boxes[0], found.landmarks[0], geometry, detector.name))
    corners = np.array([(0, 0, 1), (geometry.size, 0, 1), (0, geometry.size, 1)]).T
    apart = np.abs(maps[0] @ corners - maps[1] @ corners).max()
    assert apart < 0.08 * 110  # of the face's height


@pytest.mark.data
def test_a_huge_image_is_bounded(yunet_there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for tiny faces in 24 megapixels, it looks at what `MAX_SEARCHED_PIXELS` allows."""
    assert yunet_there.is_file()
    detector, sizes, resize = YunetDetector(min_face_px=1), [], cv2.resize

    def recorded(image: np.ndarray, size: tuple[int, int], **options: int) -> np.ndarray:
        sizes.append(size)
        return np.asarray(resize(image, size, **options))

    monkeypatch.setattr(cv2, "resize", recorded)
    assert len(detector.detect(np.zeros((4000, 6000, 3), np.uint8))) == 0
    assert sizes[0] == (2121, 1414)
    assert sizes[1] == (round(2121.32 / COARSER), round(1414.21 / COARSER))
    assert max(sizes[-1]) <= LONG_PX


@pytest.mark.parametrize("shape", [(23, 300), (300, 23), (20, 20)])
def test_narrow_images_show_nothing_of_the_memory_around(
    yunet_there: Path, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.face.detect.yunet.SCORE", 0.0)  # everything that the net says
    random = np.random.default_rng(0)
    image = cv2.GaussianBlur(random.integers(0, 256, (*shape, 3), dtype=np.uint8), (0, 0), 3)
    found = set()
    for _ in range(60):
        used = [random.normal(size=int(random.integers(1000, 400_000))).astype(np.float32) for _ in range(20)]
        del used  # what the net's maps are made of next
        result = YunetDetector().detect(image)
        found.add((result.boxes.tobytes(), result.scores.tobytes()))
    assert len(found) == 1
