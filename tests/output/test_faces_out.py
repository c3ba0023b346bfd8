"""Faces of videos as files: which, where, how called, and what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MediaError
from mien.output.faces_out import FaceSaver, cut_face
from mien.results import Face, TrackedFace, VideoFrame
from planted_video import distribution, make_images, planted_video


def frame_of(time_s: float, *boxes: tuple[float, float, float, float]) -> VideoFrame:
    emotion = distribution("anger")
    faces = (TrackedFace(k, Face(box, 0.9, None, emotion), emotion) for k, box in enumerate(boxes, 1))
    return VideoFrame(time_s, 320, 240, tuple(faces))


def ramp() -> Any:
    """Return an image whose pixels tell where they are."""
    rows, columns = np.mgrid[:240, :320]
    return np.stack([rows, columns % 256, columns // 256], axis=2).astype(np.uint8)


def test_each_person_has_a_folder_and_each_face_its_time(tmp_path: Path) -> None:
    video = planted_video([("anger", 1.0)], [(None, 0.4), ("happiness", 0.6)])
    saver = FaceSaver(tmp_path / "faces")
    for image, frame in make_images(video):
        saver.save(image, frame)
    names = sorted(path.relative_to(tmp_path / "faces").as_posix() for path in tmp_path.rglob("*.png"))
    tenths = [("01", k) for k in (0, 2, 4, 6, 8)] + [("02", k) for k in (4, 6, 8)]
    assert names == [f"person-{person}/000000.{tenth}00.png" for person, tenth in tenths]
    assert saver.saved == 8


def test_a_face_is_cut_with_its_margin(tmp_path: Path) -> None:
    saver = FaceSaver(tmp_path)
    saver.save(ramp(), frame_of(12.4, (100.2, 50.2, 140.4, 100.6)))
    saved = np.asarray(Image.open(tmp_path / "person-01" / "000012.400.png"))
    # 15 % of 50.4 px on each side, whole pixels.
    assert (saved == ramp()[42:109, 92:148]).all()


@pytest.mark.parametrize("box", [(-40, -40, 20, 20), (300, 200, 400, 300), (400, 300, 500, 400), (-90, -90, -50, -50)])
def test_faces_at_and_beyond_the_edges(box: tuple[float, float, float, float]) -> None:
    cut = cut_face(ramp(), box)
    assert cut.shape[0] >= 1
    assert cut.shape[1] >= 1
    assert cut.shape[:2] <= (240, 320)


def test_a_step_leaves_out_what_comes_too_soon(tmp_path: Path) -> None:
    saver = FaceSaver(tmp_path, every_s=0.5)
    for k in range(21):
        saver.save(ramp(), frame_of(k / 10, (100, 50, 140, 100), (10, 10, 40, 50)))
    names = [path.name for path in sorted((tmp_path / "person-02").iterdir())]
    assert names == ["000000.000.png", "000000.500.png", "000001.000.png", "000001.500.png", "000002.000.png"]
    assert saver.saved == 10


def test_names_hold_apart_what_a_millisecond_does_not(tmp_path: Path) -> None:
    saver = FaceSaver(tmp_path)
    for time_s in (0.0001, 0.0002, 0.0003, 3600.0):
        saver.save(ramp(), frame_of(time_s, (100, 50, 140, 100)))
    assert len(list(tmp_path.rglob("*.png"))) == saver.saved == 4
    assert (tmp_path / "person-01" / "003600.000.png").exists()


def test_nothing_is_made_without_a_face(tmp_path: Path) -> None:
    FaceSaver(tmp_path / "faces").save(ramp(), frame_of(0.0))
    assert not (tmp_path / "faces").exists()


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every_s must be a number of at least 0"):
        FaceSaver(tmp_path, every_s=-1)
    with pytest.raises(InputError, match="margin must be a number from 0 to 2"):
        FaceSaver(tmp_path, margin=float("nan"))
    with pytest.raises(InputError, match="belongs to an image of 320 x 240 pixels, but got uint8 of shape"):
        FaceSaver(tmp_path).save(ramp()[:100], frame_of(0.0))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("a file")
    with pytest.raises(MediaError, match=r"cannot make the folder .*person-01"):
        FaceSaver(tmp_path / "faces").save(ramp(), frame_of(0.0, (100, 50, 140, 100)))
