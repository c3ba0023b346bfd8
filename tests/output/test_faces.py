"""Faces cut out of images and videos: as files, and as thumbnails of moments."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MediaError
from mien.output import Context
from mien.output.faces import FaceWriter, Thumbnails, cut_face
from mien.results import Face, ImageResult, TrackedFace, VideoFrame, VideoResult
from planted_video import color_of, distribution, make_images, planted_video


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
    with FaceWriter(tmp_path / "faces", Context()) as writer:
        for image, frame in make_images(video):
            writer.add_image(image, frame)
        writer.write(video)
    names = sorted(path.relative_to(tmp_path / "faces").as_posix() for path in tmp_path.rglob("*.png"))
    tenths = [("01", k) for k in (0, 2, 4, 6, 8)] + [("02", k) for k in (4, 6, 8)]
    assert names == [f"person-{person}/000000.{tenth}00.png" for person, tenth in tenths]


def test_the_faces_of_an_image_are_numbered(tmp_path: Path) -> None:
    faces = (Face((100.2, 50.2, 140.4, 100.6), 0.9), Face((10, 10, 40, 50), 0.9))
    FaceWriter(tmp_path / "a.jpg", Context()).add_image(ramp(), ImageResult(320, 240, faces))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg_face1.png", "a.jpg_face2.png"]


def test_a_face_is_cut_with_its_margin(tmp_path: Path) -> None:
    FaceWriter(tmp_path, Context()).add_image(ramp(), frame_of(12.4, (100.2, 50.2, 140.4, 100.6)))
    saved = np.asarray(Image.open(tmp_path / "person-01" / "000012.400.png"))
    # 15 % of 50.4 px on each side, whole pixels.
    assert (saved == ramp()[42:109, 92:148]).all()


@pytest.mark.parametrize("box", [(-40, -40, 20, 20), (300, 200, 400, 300), (400, 300, 500, 400), (-90, -90, -50, -50)])
def test_faces_at_and_beyond_the_edges(box: tuple[float, float, float, float]) -> None:
    cut = cut_face(ramp(), box)
    assert cut.shape[0] >= 1
    assert cut.shape[1] >= 1
    assert cut.shape[:2] <= (240, 320)


def test_names_hold_apart_what_a_millisecond_does_not(tmp_path: Path) -> None:
    writer = FaceWriter(tmp_path, Context())
    for time_s in (0.0001, 0.0002, 0.0003, 3600.0):
        writer.add_image(ramp(), frame_of(time_s, (100, 50, 140, 100)))
    assert len(list(tmp_path.rglob("*.png"))) == 4
    assert (tmp_path / "person-01" / "003600.000.png").exists()


def test_nothing_is_made_without_a_face(tmp_path: Path) -> None:
    FaceWriter(tmp_path / "faces", Context()).add_image(ramp(), frame_of(0.0))
    assert not (tmp_path / "faces").exists()


def test_images_of_another_size_and_folders_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belongs to an image of 320 x 240 pixels, but got uint8 of shape"):
        FaceWriter(tmp_path, Context()).add_image(ramp()[:100], frame_of(0.0))
    (tmp_path / "faces").write_text("a file")
    with pytest.raises(MediaError, match=r"cannot make the folder .*person-01"):
        FaceWriter(tmp_path / "faces", Context()).add_image(ramp(), frame_of(0.0, (100, 50, 140, 100)))


# --- thumbnails -----------------------------------------------------------------------------------------------------


def video(**more: Any) -> VideoResult:
    return planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)], [("anger", 3.0)], **more)


def gather(result: VideoResult, **options: int) -> Thumbnails:
    thumbnails = Thumbnails(**options)
    for image, frame in make_images(result):
        thumbnails.add(image, frame)
    return thumbnails


def test_the_strongest_moments_are_pictured_when_they_are() -> None:
    result = video()
    picked = gather(result).pick(result)
    assert set(picked) == {1, 2}
    for track in result.tracks:
        assert {(m.emotion, round(m.time_s, 6)) for m, _ in picked[track.number]} == {
            (m.emotion, round(m.time_s, 6)) for m in track.moments
        }
        for moment, data in picked[track.number]:
            assert moment.probability == pytest.approx(0.95, abs=0.02)
            with Image.open(io.BytesIO(data)) as image:
                assert (image.format, image.size) == ("JPEG", (160, 160))
                middle = np.asarray(image)[60:100, 60:100].reshape(-1, 3).mean(axis=0)
            np.testing.assert_allclose(middle, color_of(track.number), atol=6)


def test_images_are_few_apart_and_in_order() -> None:
    result = planted_video([("fear", 5.0), ("anger", 5.0)] * 10)
    for count in (1, 4):
        moments = [moment for moment, _ in gather(result, count=count).pick(result)[1]]
        times = [moment.time_s for moment in moments]
        assert len(moments) == count
        assert times == sorted(times)
        assert (np.diff(times) >= 2).all()


@pytest.mark.parametrize("size", [(40, 30), (3, 200), (1920, 1080)])
def test_faces_at_the_edge_and_of_any_size_are_cut_square(size: tuple[int, int]) -> None:
    result = planted_video([("fear", 0.4)], size=size)
    ((_, data),) = gather(result, size=64).pick(result)[1][:1]
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (64, 64)


def test_faces_come_one_by_one_as_images_of_their_own() -> None:
    result, thumbnails = video(), Thumbnails()
    for image, frame in make_images(result):
        for face in frame.faces:
            one = type(frame)(frame.time_s, frame.width, frame.height, (face,))
            thumbnails.add(image, one)
    whole, parts = gather(result).pick(result), thumbnails.pick(result)
    assert whole == parts


def test_memory_does_not_grow_with_the_video() -> None:
    plan = [("fear", 3.0), ("anger", 3.0), ("surprise", 3.0), ("sadness", 3.0)]
    peaks = []
    for repeats in (2, 20):
        result = planted_video(plan * repeats)
        frames = list(result.frames())
        image = next(make_images(result))[0]
        thumbnails = Thumbnails(size=96)
        tracemalloc.start()
        for frame in frames:
            thumbnails.add(image, frame)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000
    assert peaks[1] < 4_000_000


def test_a_crowd_makes_room() -> None:
    plans = [[(None, 5.0 * k), ("fear", 2.0 if k == 0 else 1.0)] for k in range(250)]
    result = planted_video(*plans, step_s=1.0, size=(64, 48))
    image = np.zeros((48, 64, 3), np.uint8)
    thumbnails = Thumbnails(count=1, size=32)
    for frame in result.frames():
        thumbnails.add(image, frame)
    picked = thumbnails.pick(result)
    assert len(picked) == 200
    assert {1, 250} <= set(picked)


def test_wrong_options_of_thumbnails() -> None:
    with pytest.raises(InputError, match="count must be an integer from 1 to 12, but got 0"):
        Thumbnails(0)
    with pytest.raises(InputError, match="size must be an integer from 32 to 512, but got 10"):
        Thumbnails(size=10)
    _, frame = next(make_images(video()))
    with pytest.raises(InputError, match="image must be uint8"):
        Thumbnails().add(np.zeros((4, 4)), frame)
    assert Thumbnails().pick(video()) == {}
