from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.data import Samples, load_dataset, load_images
from mien.data.prepare.faces import Settings
from mien.data.prepare.frames import FrameSettings, frames_to
from mien.errors import DatasetError, InputError
from mien.face.align import eye_distance_crop
from mien.face.detect import get_detector
from mien.face.prepare import FaceCut
from mien.io.image import read_image
from mien.samples import astronaut_path
from planted_videos import write_video
from video_corpora import baum_frames, text, video


@cache
def portrait(angle: float = 0, shift: int = 0) -> NDArray[np.uint8]:
    """Return a portrait of 160 x 160 pixels, turned and moved."""
    whole = read_image(astronaut_path()).pixels
    turn = cv2.getRotationMatrix2D((225, 130), angle, 0.5)
    turn[:, 2] += (80 - 225 + shift, 80 - 130)
    return np.asarray(cv2.warpAffine(whole, turn, (160, 160), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


WALL = np.full((160, 160, 3), 120, np.uint8)


def lay(root: Path, clips: dict[str, list[NDArray[np.uint8]]], codes: dict[str, int]) -> Samples:
    """Lay the extracted tree with whole frames in it."""
    for clip, frames in clips.items():
        text(root / clip / "emotion.txt", f"{codes[clip]}".encode())
        for number, frame in enumerate(frames):
            path = root / clip / "frames" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(frame).save(path)
    return load_dataset("baum2", root)


@pytest.fixture
def clips(tmp_path: Path) -> Samples:
    turned = [portrait(angle) for angle in (-20, -10, 0, 10, 20)]
    faces = {"S001/001": turned, "S001/002": [portrait(), WALL, portrait()], "S002/001": [WALL, WALL]}
    return lay(tmp_path / "corpus", faces, {"S001/001": 5, "S001/002": 1, "S002/001": 0})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_tree_is_read_back(clips: Samples, tmp_path: Path) -> None:
    told: list[int] = []
    out = tmp_path / "faces"
    done = frames_to(out, clips, FrameSettings(3), progress=told.append)
    assert (done.clips, done.used, done.faces, done.rejected, done.resumed, done.notes) == (
        3, 2, 5, {"no_face": 3}, 0, ()
    )  # fmt: skip
    assert sum(told) == 3
    back = load_dataset("baum2", out)
    assert back.clips.tolist() == ["S001/001", "S001/002"]
    assert [back.emotion(i) for i in range(2)] == ["happiness", "anger"]
    assert back.problems == ()
    # 3 of 5 frames, evenly spaced; of three frames the one without a face is missing.
    assert back.frames == (
        ("S001/001/frames/000000.png", "S001/001/frames/000002.png", "S001/001/frames/000004.png"),
        ("S001/002/frames/000000.png", "S001/002/frames/000002.png"),
    )
    faces = back.read_frames(0)
    detector = get_detector("mtcnn", threads=1)
    for face, angle in zip(faces, (-20, 0, 20), strict=True):
        landmarks = detector.detect(portrait(angle)).landmarks
        assert landmarks is not None
        np.testing.assert_array_equal(face, eye_distance_crop(portrait(angle), landmarks[0]))
    # The head was turned by 40 degrees in all; upright again, the crops are nearly the same.
    assert np.corrcoef(faces[0].ravel(), faces[2].ravel())[0, 1] > 0.9
    one_by_one = load_images("baum2_frames", out)
    assert len(one_by_one) == 5
    assert set(one_by_one.clips) == {"S001/001", "S001/002"}
    with Image.open(out / back.frames[0][0]) as image:
        assert (image.mode, image.size) == ("L", (48, 48))
    assert (out / "S001/001/emotion.txt").read_bytes() == b"5\n"
    assert not (tmp_path / ".faces.mien-journal").exists()


def test_tables_tell_sources_and_reasons(clips: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    done = frames_to(out, clips, FrameSettings(2))
    assert done.rejected_file == str(out / "rejected.csv")
    first = rows(out / "manifest.csv")[0]
    assert len(first.pop("box").split()) == 4
    assert first == {
        "file": "S001/001/frames/000000.png",
        "emotion": "happiness",
        "subject": "S001",
        "clip": "S001/001",
        "split": "",
        "source": "baum2:S001/001/frames/0.png",
        "frame": "0",
    }
    assert [row["source"] for row in rows(out / "manifest.csv")[1:]] == [
        "baum2:S001/001/frames/4.png", "baum2:S001/002/frames/0.png", "baum2:S001/002/frames/2.png"
    ]  # fmt: skip
    lines = [(row["clip"], row["frame"], row["emotion"], row["kind"]) for row in rows(out / "rejected.csv")]
    assert lines == [("S002/001", "0", "neutral", "no_face"), ("S002/001", "1", "neutral", "no_face")]


def test_faces_by_emotion_are_read_as_a_folder(clips: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    done = frames_to(out, clips, FrameSettings(None, 2, "emotions", Settings(FaceCut(size=32, smooth=False))))
    assert (done.faces, done.used) == (5, 2)
    found = load_dataset("folder", out)
    assert tuple(found.files.tolist()) == (
        "happiness/S001/001_000000.png",
        "happiness/S001/001_000002.png",
        "happiness/S001/001_000004.png",
        "anger/S001/002_000000.png",
        "anger/S001/002_000002.png",
    )
    assert found.subjects.tolist() == ["S001"] * 5
    assert found.clips.tolist() == ["S001/001"] * 3 + ["S001/002"] * 2
    assert found.problems == ()
    assert found.read(0).shape == (32, 32, 3)


def test_several_processes_and_a_second_run_give_the_same(clips: Samples, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    frames_to(one, clips)
    frames_to(two, clips, workers=2)
    assert files(one) == files(two)
    with pytest.raises(DatasetError, match=r"will not write over .*one: choose another name"):
        frames_to(one, clips)


class StopError(Exception):
    pass


def stop_after(count: int) -> Callable[[int], None]:
    """Return a progress callback that ends the work after so many clips."""
    done = 0

    def progress(new: int) -> None:
        nonlocal done
        done += new
        if done >= count:
            raise StopError

    return progress


def test_work_goes_on_where_it_stopped(clips: Samples, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    frames_to(whole, clips)
    with pytest.raises(StopError):
        frames_to(out, clips, progress=stop_after(1))
    head, *entries = map(json.loads, (tmp_path / ".out.mien-journal").read_text("utf-8").splitlines())
    assert (head["what"], head["data"], head["count"]) == ("frames", "baum2", 16)
    assert [entry["i"] for entry in entries] == [0]
    with pytest.raises(DatasetError, match="is of a run with other count"):
        frames_to(out, clips, FrameSettings(3))
    steps: list[int] = []
    done = frames_to(out, clips, progress=steps.append)
    assert (done.resumed, steps) == (1, [1, 1, 1])
    assert files(out) == files(whole)


def test_what_was_removed_meanwhile_is_made_again(clips: Samples, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        frames_to(tmp_path / "out", clips, progress=stop_after(2))
    (tmp_path / "out/S001/002/frames/000000.png").unlink()
    assert frames_to(tmp_path / "out", clips).resumed == 1
    assert (tmp_path / "out/S001/002/frames/000000.png").is_file()


def test_images_that_cannot_be_read_are_listed_and_stop_nothing(clips: Samples, tmp_path: Path) -> None:
    Path(clips.source, clips.frames[0][2]).write_bytes(b"junk")
    Path(clips.source, clips.frames[1][0]).unlink()
    done = frames_to(tmp_path / "faces", clips)
    assert (done.faces, done.used) == (2, 1)
    assert done.rejected == {"damaged": 1, "unreadable": 1, "no_face": 2}
    listed = {row["kind"]: row for row in rows(tmp_path / "faces/rejected.csv")}
    assert (listed["damaged"]["clip"], listed["damaged"]["frame"]) == ("S001/001", "")
    assert "2.png" in listed["damaged"]["reason"]
    assert listed["unreadable"]["clip"] == "S001/002"


def test_without_any_face_there_are_only_the_tables(clips: Samples, tmp_path: Path) -> None:
    done = frames_to(tmp_path / "faces", clips.take(np.array([2])))
    assert (done.faces, done.used) == (0, 0)
    assert sorted(files(tmp_path / "faces")) == ["manifest.csv", "rejected.csv"]
    with pytest.raises(DatasetError, match="has no clips"):
        frames_to(tmp_path / "other", clips.take(np.array([], dtype=np.int64)))


def test_a_disk_that_takes_nothing_ends_the_work(clips: Samples, tmp_path: Path) -> None:
    text(tmp_path / "file", b"")
    with pytest.raises(DatasetError, match="cannot write"):
        frames_to(tmp_path / "file" / "faces", clips)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "count must be an integer from 1"),
        ({"every": 2}, "either count or every must be given, but got 16 and 2"),
        ({"count": None}, "either count or every must be given, but got None and None"),
        ({"layout": "x"}, "layout must be clips or emotions, but got 'x'"),
        ({"faces": Settings(FaceCut(gray=False))}, "faces must be gray"),
        ({"faces": Settings(all_faces=True)}, "faces must be gray, and the largest of a frame alone"),
    ],
)
def test_settings_are_checked(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        FrameSettings(**options)  # type: ignore[arg-type]


def test_other_corpora_get_numbers_and_codes(tmp_path: Path) -> None:
    for place in ("calm/zoe_1", "calm/ann_1", "happy/zoe_2", "happy/lonely"):
        (tmp_path / "corpus" / place).mkdir(parents=True)
        Image.fromarray(portrait()).save(tmp_path / "corpus" / place / "0.png")
    clips = load_dataset("video_folder", tmp_path / "corpus")
    done = frames_to(tmp_path / "faces", clips)
    assert done.notes == (
        "ravdess8 becomes baum8: calm counts as neutral",
        "subjects and clips get numbers: manifest.csv has their names",
        "clips whose subject is not known are those of S000",
    )
    back = load_dataset("baum2", tmp_path / "faces")
    told = {
        (row["clip"], row["subject"], row["emotion"], row["file"].rsplit("/", 2)[0])
        for row in rows(tmp_path / "faces/manifest.csv")
    }
    assert told == {
        ("calm/ann_1", "ann", "calm", "S001/001"),
        ("calm/zoe_1", "zoe", "calm", "S002/001"),
        ("happy/zoe_2", "zoe", "happiness", "S002/002"),
        ("happy/lonely", "", "happiness", "S000/001"),
    }
    assert [(str(clip), back.emotion(i)) for i, clip in enumerate(back.clips)] == [
        ("S000/001", "happiness"), ("S001/001", "neutral"), ("S002/001", "neutral"), ("S002/002", "happiness")
    ]  # fmt: skip


@pytest.mark.parametrize("odd", ["two words", "gesicht_ü_顔", "line\nbreak", "quote's \",", "ü" * 120, "a\udcffb"])
@pytest.mark.parametrize("layout", ["clips", "emotions"])
def test_odd_names(tmp_path: Path, odd: str, layout: str) -> None:
    for emotion in ("happy", "sad"):
        (tmp_path / odd / emotion / odd).mkdir(parents=True)
        Image.fromarray(portrait()).save(tmp_path / odd / emotion / odd / "0.png")
    clips = load_dataset("video_folder", tmp_path / odd)
    done = frames_to(tmp_path / "faces", clips, FrameSettings(layout=layout))
    assert (done.faces, done.rejected) == (2, {})
    found = (
        load_dataset("baum2", tmp_path / "faces") if layout == "clips" else load_dataset("folder", tmp_path / "faces")
    )
    assert (len(found), found.problems) == (2, ())
    assert {row["clip"] for row in rows(tmp_path / "faces" / "manifest.csv")} == {
        f"{emotion}/{odd}".encode("utf-8", "backslashreplace").decode() for emotion in ("happy", "sad")
    }
    assert all(found.faces().images.std(axis=(1, 2)) > 10)


# --- videos ----------------------------------------------------------------------------------------


def portraits(path: Path, frames: int, *, key_frames: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = (portrait(shift=number % 20) for number in range(frames))
    timed = ((image, Fraction(n, 10)) for n, image in enumerate(images))
    write_video(path, timed, rate=10, options={"g": str(key_frames)})
    return path


def test_the_published_tree_becomes_the_extracted_one(tmp_path: Path) -> None:
    for clip, code in (("001", 3), ("002", 7)):
        portraits(tmp_path / f"corpus/S004/avi/{clip}.avi", 25)
        text(tmp_path / f"corpus/S004/emotion/{clip}.txt", f"   {code:.7e}\r\n".encode())
    clips = load_dataset("baum2", tmp_path / "corpus")
    assert not any(clips.frames)
    done = frames_to(tmp_path / "faces", clips, FrameSettings(5), workers=2)
    assert (done.faces, done.rejected) == (10, {})
    back = load_dataset("baum2", tmp_path / "faces")
    assert [(str(clip), back.emotion(i)) for i, clip in enumerate(back.clips)] == [
        ("S004/001", "disgust"), ("S004/002", "surprise")
    ]  # fmt: skip
    assert [Path(file).stem for file in back.frames[0]] == ["000000", "000006", "000012", "000018", "000024"]
    # The face goes to the right, and so do the boxes: the frames are those that their names say.
    boxes = [float(row["box"].split()[0]) for row in rows(tmp_path / "faces" / "manifest.csv")[:5]]
    shifts = np.array([number % 20 for number in (0, 6, 12, 18, 24)])
    assert np.abs(np.array(boxes) - boxes[0] - shifts).max() < 3


def test_every_15th_frame_of_ravdess_by_emotion(tmp_path: Path) -> None:
    for code in ("05", "03"):
        portraits(tmp_path / "corpus" / "Actor_07" / f"01-01-{code}-01-01-01-07.mp4", 32)
    clips = load_dataset("ravdess_videos", tmp_path / "corpus")
    done = frames_to(tmp_path / "faces", clips, FrameSettings(None, 15, "emotions"))
    assert done.faces == 6
    found = load_dataset("folder", tmp_path / "faces")
    assert found.files[3:].tolist() == [f"anger/01-05-01-01-01-07_{number:06d}.png" for number in (0, 15, 30)]
    assert set(found.subjects) == {"07"}


def test_bad_videos_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    portraits(tmp_path / "videos" / "happy" / "a_1.mp4", 4)
    text(tmp_path / "videos" / "happy" / "a_2.mp4", b"")
    text(tmp_path / "videos" / "happy" / "a_3.avi", b"junk" * 99)
    whole = video(tmp_path / "videos" / "sad" / "a_4.mp4").read_bytes()
    text(tmp_path / "videos" / "sad" / "a_5.mp4", whole[: len(whole) // 2])
    clips = load_dataset("video_folder", tmp_path / "videos")
    done = frames_to(tmp_path / "faces", clips, FrameSettings(2))
    assert (done.faces, done.used) == (2, 1)
    listed = rows(tmp_path / "faces" / "rejected.csv")
    assert [(row["clip"], row["kind"]) for row in listed] == [
        ("happy/a_2", "unreadable"),
        ("happy/a_3", "unreadable"),
        ("sad/a_4", "no_face"),
        ("sad/a_4", "no_face"),
        ("sad/a_5", "unreadable"),
    ]
    for row in listed:
        assert row["reason"].isprintable()
        assert row["kind"] == "no_face" or Path(row["source"].split(":", 1)[1]).name in row["reason"]


def test_the_first_part_of_a_video_that_is_cut_off_is_kept(tmp_path: Path) -> None:
    path = portraits(tmp_path / "videos" / "happy" / "a_1.mkv", 40, key_frames=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    done = frames_to(tmp_path / "faces", load_dataset("video_folder", tmp_path / "videos"), FrameSettings(4))
    assert (done.faces, done.used, done.rejected) == (4, 1, {"damaged": 1})
    (row,) = rows(tmp_path / "faces" / "rejected.csv")
    assert (row["clip"], row["frame"], row["kind"]) == ("happy/a_1", "", "damaged")
    assert "a_1.mkv: the video is damaged: the video is truncated" in row["reason"]
    assert len(load_dataset("baum2", tmp_path / "faces").frames[0]) == 4


def test_the_extracted_tree_of_small_faces_is_not_a_corpus_to_extract_from(tmp_path: Path) -> None:
    # Faces that are cut already are too tight for a detector: every frame is said to have none.
    clips = load_dataset("baum2", baum_frames(tmp_path / "corpus", {"S001/001": 1}))
    done = frames_to(tmp_path / "faces", clips)
    assert (done.faces, done.rejected) == (0, {"no_face": 3})
