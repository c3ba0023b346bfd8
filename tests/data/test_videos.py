from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mien.data import Samples, load_dataset
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import FER7, FERPLUS8, RAVDESS8
from video_corpora import baum_frames, describe, image, levels, text, touch, video

# --- which frames ---------------------------------------------------------------------------------


# --- clips ----------------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path) -> Samples:
    baum_frames(tmp_path, {"S001/001": 5, "S001/002": 1, "S002/001": 0}, frames=12)
    return load_dataset("baum2", tmp_path)


def test_frames_come_in_the_order_of_their_numbers(clips: Samples) -> None:
    assert clips.frames[0][-2:] == ("S001/001/frames/10.png", "S001/001/frames/11.png")
    assert levels(clips.read_frames(0)) == list(range(12))
    assert levels(clips.read_frames(1, 4)) == [0, 4, 7, 11]
    assert levels(clips.read_frames(2, 1)) == [5]
    assert levels(clips.read_frames(0, 100, size=5)) == list(range(12))
    frames = clips.read_frames(0, 3, size=20)
    assert (frames.shape, frames.dtype) == ((3, 20, 20), np.uint8)
    assert [(number, image.shape) for number, image in clips.iter_frames(0, every=5)] == [
        (0, (12, 12, 3)), (5, (12, 12, 3)), (10, (12, 12, 3))
    ]  # fmt: skip


def test_a_video_gives_the_same_frames_as_its_images(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "happy" / "a_1.mp4", 12)
    for number in range(12):
        image(tmp_path / "images" / "happy" / "a_1" / f"{number}.png", number)
    videos, images = (load_dataset("video_folder", tmp_path / name) for name in ("videos", "images"))
    assert [len(frames) for frames in videos.frames + images.frames] == [0, 12]
    assert describe(videos) == describe(images) == [("happy/a_1", "happiness", "a")]
    for count in (None, 1, 5, 12, 99):
        assert levels(videos.read_frames(0, count)) == levels(images.read_frames(0, count))
    assert [number for number, _ in videos.iter_frames(0, every=5)] == [0, 5, 10]
    assert videos.where(0) == str(tmp_path / "videos" / "happy" / "a_1.mp4")
    assert images.where(0) == str(tmp_path / "images" / "happy" / "a_1")


def test_all_clips_as_one_data_set_of_faces(clips: Samples) -> None:
    steps: list[int] = []
    data = clips.faces(10, count=4, progress=steps.append)
    assert data.images.shape == (12, 10, 10)
    assert data.clips.tolist() == [name for name in ("S001/001", "S001/002", "S002/001") for _ in range(4)]
    assert data.subjects.tolist() == ["S001"] * 8 + ["S002"] * 4
    assert data.labels.tolist() == [5] * 4 + [1] * 4 + [0] * 4
    assert data.where(3) == str(Path(clips.source) / "S001/001/frames/11.png")
    assert data.rows.tolist() == list(range(12))
    assert sum(steps) == 3


def test_groups_keep_subjects_together(clips: Samples) -> None:
    assert clips.groups().tolist() == [0, 0, 1]


def test_clips_are_taken_by_mask_and_by_split(clips: Samples, tmp_path: Path) -> None:
    assert describe(clips.take(clips.labels > 0)) == describe(clips)[:2]
    assert describe(clips.take(np.array([2, 0]))) == [describe(clips)[2], describe(clips)[0]]
    with pytest.raises(DatasetError, match="has no split 'train': it has none"):
        clips.split("train")
    touch(tmp_path / "own", ["train/happy/a_1.mp4", "test/sad/b_1.mp4", "sad/c_1.mp4"])
    own = load_dataset("video_folder", tmp_path / "own")
    assert describe(own.split("test")) == [("test/sad/b_1", "sadness", "b")]
    with pytest.raises(DatasetError, match="no split 'val': it has test, train"):
        own.split("val")


@pytest.mark.parametrize("options", [{"count": 0}, {"count": 1.5}, {"size": 0}, {"size": "x"}])
def test_options_of_frames_are_checked(clips: Samples, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} must be an integer"):
        clips.read_frames(0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"junk", b"half"])
def test_an_image_that_cannot_be_read_is_named(clips: Samples, content: bytes) -> None:
    bad = Path(clips.source) / clips.frames[1][5]
    bad.write_bytes(bad.read_bytes()[:50] if content == b"half" else content)
    with pytest.raises(DatasetError, match=re.escape(str(bad))):
        clips.read_frames(1)
    assert len(clips.read_frames(0)) == 12
    assert len(clips.read_frames(1, 2)) == 2, "a frame that is not asked for is not read"
    with pytest.raises(DatasetError, match=re.escape(str(bad))):
        clips.faces(count=None)
    with pytest.warns(MienWarning, match=re.escape(bad.name)):
        data = clips.faces(count=None, problems="skip")
    assert set(data.clips) == {"S001/001", "S002/001"}
    with pytest.raises(InputError, match="problems must be raise or skip, but got 'x'"):
        clips.faces(problems="x")


def test_clips_of_which_none_can_be_read(clips: Samples) -> None:
    only = clips.take(np.array([0]))
    (Path(clips.source) / clips.frames[0][0]).unlink()
    with pytest.warns(MienWarning, match="left out"), pytest.raises(DatasetError, match="no videos that can be read"):
        only.faces(problems="skip")
    with pytest.raises(DatasetError, match=r"has no videos$"):
        clips.take(np.array([], dtype=np.int64)).faces()


@pytest.mark.parametrize("content", [b"", b"junk" * 100, None], ids=["empty", "junk", "missing"])
def test_a_video_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = video(tmp_path / "happy" / "a_1.mp4")
    clips = load_dataset("video_folder", tmp_path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a_1\.mp4"):
        clips.read_frames(0)


def test_a_video_that_is_cut_off_gives_what_is_there_and_an_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    from fractions import Fraction

    from planted_videos import write_video

    path = tmp_path / "happy" / "a_1.mkv"
    path.parent.mkdir()
    noise = (rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(20))
    write_video(path, ((image, Fraction(n, 10)) for n, image in enumerate(noise)), rate=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clips = load_dataset("video_folder", tmp_path)
    came: list[int] = []
    with pytest.raises(DatasetError, match=r"a_1\.mkv"):
        came.extend(number for number, _ in clips.iter_frames(0))
    assert came == list(range(len(came)))
    assert 0 < len(came) < 20


def test_packets_that_show_nothing_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video(tmp_path / "happy" / "a_1.mp4", 8)
    clips = load_dataset("video_folder", tmp_path)
    monkeypatch.setattr("mien.io.video.count_frames", lambda _: 10)
    assert levels(clips.read_frames(0)) == list(range(8))
    assert levels(clips.read_frames(0, 4)) == [0, 3, 6]


# --- the corpora ----------------------------------------------------------------------------------


def test_videos_of_ravdess_are_read_by_their_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            *(f"Actor_12/01-01-0{code}-01-02-01-12.mp4" for code in range(1, 9)),
            *("Actor_12/02-01-05-01-02-01-12.mp4", "Actor_12/01-02-05-01-02-01-12.mp4", "Actor_12/holiday.mp4"),
            *("Actor_12/01-01-09-01-02-01-12.mp4", "Actor_11/01-01-03-01-02-01-12.mp4", "Actor_11/x.wav"),
        ],
    )
    clips = load_dataset("ravdess_videos", tmp_path)
    assert clips.label_set is RAVDESS8
    assert [emotion for _, emotion, _ in describe(clips)] == list(RAVDESS8.emotions)
    assert describe(clips)[4] == ("01-05-01-02-01-12", "anger", "12")
    assert clips.problems == (
        "Actor_11/01-01-03-01-02-01-12.mp4: the name says actor 12, the folder 11",
        "Actor_12/01-01-09-01-02-01-12.mp4: expected an emotion from 01 to 08, but the name says 09",
        "Actor_12/holiday.mp4: expected videos named like 01-01-05-02-01-01-12.mp4",
        "1 left out: songs",
        "1 left out: second copies of a recording",
    )
    assert len(load_dataset("ravdess_videos", tmp_path, channel="song")) == 1
    assert len(load_dataset("ravdess_videos", tmp_path, channel="both")) == 9
    with pytest.raises(InputError, match="channel must be speech, song or both, but got 'x'"):
        load_dataset("ravdess_videos", tmp_path, channel="x")


def test_a_folder_of_videos_says_emotions_and_subjects(tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            *("Happy/anna_1.mp4", "Happy/anna_2.AVI", "Happy/bob.mov", "Happy/.hidden_1.mp4", "Happy/notes.txt"),
            *("carl/angry/x.mp4", "carl/angry/x.mkv", "group/dora/fear/1/2.webm", "train/sad/emil_1.mp4"),
            *("surprise/fay/1.mp4", "loose.mp4", "poster.jpg", "Happy/poster.png"),
        ],
    )
    clips = load_dataset("video_folder", tmp_path)
    assert clips.label_set is FER7
    assert describe(clips) == [
        ("Happy/anna_1", "happiness", "anna"),
        ("Happy/anna_2", "happiness", "anna"),
        ("Happy/bob", "happiness", ""),
        ("carl/angry/x.mkv", "anger", "carl"),
        ("carl/angry/x.mp4", "anger", "carl"),
        ("group/dora/fear/1/2", "fear", "dora"),
        ("surprise/fay/1", "surprise", "fay"),
        ("train/sad/emil_1", "sadness", "emil"),
    ]
    assert clips.problems == ("loose.mp4: expected a folder named by an emotion above it",)
    by_pattern = load_dataset("video_folder", tmp_path, subject=r"([a-z]+)_\d")
    assert [subject for _, _, subject in describe(by_pattern)] == ["anna", "anna", "", "", "", "", "", "emil"]
    with pytest.raises(InputError, match="subject must be a regular expression"):
        load_dataset("video_folder", tmp_path, subject="(")


@pytest.mark.parametrize(
    ("words", "labels"), [(("calm", "sad"), RAVDESS8), (("contempt", "sad"), FERPLUS8), (("sad",), FER7)]
)
def test_the_smallest_label_set_that_fits(tmp_path: Path, words: tuple[str, ...], labels: object) -> None:
    touch(tmp_path, [f"{word}/a_1.mp4" for word in words])
    assert load_dataset("video_folder", tmp_path).label_set is labels
    left = load_dataset("video_folder", tmp_path, labels="fer7")
    assert describe(left)[-1] == ("sad/a_1", "sadness", "a")
    if len(words) > 1:
        assert left.problems == (f"{words[0]}/a_1.mp4: {words[0]} is not in fer7",)


def test_images_in_folders_are_clips_too(tmp_path: Path) -> None:
    for number in range(11):
        image(tmp_path / f"happy/anna_1/frame{number}.jpg", number)
        image(tmp_path / f"happy/loose{number}.jpg", number)
    clips = load_dataset("video_folder", tmp_path)
    assert describe(clips) == [("happy/anna_1", "happiness", "anna")]
    assert clips.frames[0][-1] == "happy/anna_1/frame10.jpg"
    assert clips.problems == ("happy: expected a folder named by an emotion above it",)


def test_a_table_says_emotions_and_subjects(tmp_path: Path) -> None:
    touch(tmp_path, ["videos/1.mp4", "videos/2.mp4", "videos/3.mp4", "videos/4.mp4", "other/2.avi", "videos/6.mp4"])
    rows = [
        "file;emotion;subject;note",
        "videos/1.mp4;Happy;anna;",
        "videos/2.mp4;sad;bob;x",
        "3;fear;anna;",
        "9.mp4;fear;anna;",
        "videos/4.mp4;bored;anna;",
        "videos/1.mp4;happiness;anna;",
        ";sad;;",
        "videos/6.mp4;sad;;",
        "videos/6.mp4;anger;;",
    ]
    text(tmp_path / "manifest.csv", "\n".join(rows).encode())
    clips = load_dataset("video_folder", tmp_path)
    assert describe(clips) == [
        ("videos/1", "happiness", "anna"), ("videos/2", "sadness", "bob"), ("videos/3", "fear", "anna")
    ]  # fmt: skip
    assert clips.problems == (
        "manifest.csv, row 5: 9.mp4: there is no such clip",
        "manifest.csv, row 6: unknown emotion 'bored' of videos/4.mp4",
        "manifest.csv, row 7: videos/1.mp4 is listed twice, first in manifest.csv, row 2",
        "manifest.csv, row 8: it has no file",
        "manifest.csv, row 10: videos/6.mp4 is anger, but sadness in manifest.csv, row 9: neither counts",
        "other/2.avi: no usable row in manifest.csv",
        "videos/4.mp4: no usable row in manifest.csv",
        "videos/6.mp4: no usable row in manifest.csv",
    )
    with pytest.raises(InputError, match=r"manifest\.csv names the subjects: subject must not be given"):
        load_dataset("video_folder", tmp_path, subject="x")


def test_a_table_of_other_columns_and_place(tmp_path: Path) -> None:
    touch(tmp_path / "videos", ["a/1.mp4", "b/1.mp4"])
    own = text(tmp_path / "own.csv", b"Video,What,Who\na/1,happy,x\n1.mp4,sad,y\nb/1.mp4,sad,y\n")
    with pytest.raises(DatasetError, match=r"no column has a common name for the emotion; the option emotion_column"):
        load_dataset("video_folder", tmp_path / "videos", table=own)
    clips = load_dataset("video_folder", tmp_path / "videos", table=own, emotion_column="what", subject_column="Who")
    assert describe(clips) == [("a/1", "happiness", "x"), ("b/1", "sadness", "y")]
    assert clips.problems == ("own.csv, row 3: 1.mp4: could be any of a/1.mp4, b/1.mp4",)
    with pytest.raises(DatasetError, match=r"no table .*none\.csv"):
        load_dataset("video_folder", tmp_path / "videos", table="none.csv")


@pytest.mark.parametrize("odd", ["two words", "gesicht_ü_顔", "line\nbreak", "quote's \"", "%s{0}", "x" * 200])
def test_odd_names(tmp_path: Path, odd: str) -> None:
    touch(tmp_path / odd, [f"happy/{odd}.mp4", f"{odd}/sad/1.mp4", f"{odd}/nothing/1.mp4"])
    clips = load_dataset("video_folder", tmp_path / odd)
    assert len(clips) == 2
    assert all(Path(clips.where(i)).is_file() for i in range(2))
    assert all(line.isprintable() for line in clips.problems)
    with pytest.raises(DatasetError) as caught:
        clips.read_frames(0)
    assert str(caught.value).isprintable()
