from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mien.data import Samples, dataset_names, load_dataset
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8
from video_corpora import baum_frames, baum_videos, image, level, levels, text, touch, video

WORDS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


def told(clips: Samples) -> list[tuple[str, str, str]]:
    return [(str(clips.clips[i]), clips.emotion(i), str(clips.subjects[i])) for i in range(len(clips))]


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
    assert told(videos) == told(images) == [("happy/a_1", "happiness", "a")]
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
    assert told(clips.take(clips.labels > 0)) == told(clips)[:2]
    assert told(clips.take(np.array([2, 0]))) == [told(clips)[2], told(clips)[0]]
    with pytest.raises(DatasetError, match="has no split 'train': it has none"):
        clips.split("train")
    touch(tmp_path / "own", ["train/happy/a_1.mp4", "test/sad/b_1.mp4", "sad/c_1.mp4"])
    own = load_dataset("video_folder", tmp_path / "own")
    assert told(own.split("test")) == [("test/sad/b_1", "sadness", "b")]
    with pytest.raises(DatasetError, match="no split 'val': it has test, train"):
        own.split("val")


@pytest.mark.parametrize("options", [{"count": 0}, {"count": 1.5}, {"size": 0}, {"size": "x"}])
def test_options_of_frames_are_checked(clips: Samples, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} must be an integer"):
        clips.read_frames(0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"junk", b"half"])
def test_a_image_that_cannot_be_read_is_named(clips: Samples, content: bytes) -> None:
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


@pytest.mark.parametrize("name", dataset_names("video"))
@pytest.mark.parametrize("where", ["nothing", "no\nfolder", "y" * 300, "zero\0byte", "file", "empty"])
def test_a_place_without_clips_is_named(name: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text(tmp_path / "file", b"x")
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, tmp_path / where)
    assert str(caught.value).isprintable()
    assert ascii(where)[1:-1] in str(caught.value)


def test_unknown_names_and_options_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown dataset 'baum': expected one of "):
        load_dataset("baum", tmp_path)
    with pytest.raises(InputError, match="dataset 'baum2' has no option 'labels': it takes form"):
        load_dataset("baum2", tmp_path, labels="fer7")


def test_both_trees_of_baum2_tell_the_same(tmp_path: Path) -> None:
    codes = {f"S{code // 3:03d}/{code:03d}": code for code in range(8)}
    videos = load_dataset("baum2", baum_videos(tmp_path / "a", codes))
    frames = load_dataset("baum2", baum_frames(tmp_path / "b", codes, inner=""))
    assert told(videos) == told(frames) == [(clip, WORDS[code], clip[:4]) for clip, code in codes.items()]
    assert videos.label_set is frames.label_set is BAUM8
    assert not any(videos.frames)
    assert videos.files[4] == "S001/avi/004.avi"
    assert frames.frames[4] == ("S001/004/0.png", "S001/004/1.png", "S001/004/2.png")
    assert videos.problems == frames.problems == ()


def test_two_trees_in_one_folder_need_a_choice(tmp_path: Path) -> None:
    baum_videos(tmp_path, {"S001/001": 1})
    baum_frames(tmp_path, {"S002/001": 2, "S001/002": 3})
    with pytest.raises(DatasetError, match=r"both videos \(S001/avi\) and extracted frames .* option form must say"):
        load_dataset("baum2", tmp_path)
    assert told(load_dataset("baum2", tmp_path, form="videos")) == [("S001/001", "anger", "S001")]
    assert [clip for clip, _, _ in told(load_dataset("baum2", tmp_path, form="frames"))] == ["S001/002", "S002/001"]
    with pytest.raises(InputError, match="form must be videos or frames, but got 'x'"):
        load_dataset("baum2", tmp_path, form="x")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (None, "the file is missing"),
        (b"", "expected a code 0..7, but got ''"),
        (b"8", "expected a code 0..7, but got '8'"),
        (b"1.5", "expected a code 0..7, but got '1.5'"),
        (b"nan", "expected a code 0..7, but got 'nan'"),
        (b"happy", "expected a code 0..7, but got 'happy'"),
        (b"\xff\xfe7", r"expected a code 0..7, but got '\\xff\\xfe7'"),
    ],
)
@pytest.mark.parametrize("tree", ["videos", "frames"])
def test_a_missing_or_odd_code_is_named(tmp_path: Path, tree: str, label: bytes | None, said: str) -> None:
    lay, where = (baum_videos, "S001/emotion/002.txt") if tree == "videos" else (baum_frames, "S001/002/emotion.txt")
    lay(tmp_path, {"S001/001": 1, "S001/002": 2})
    (tmp_path / where).unlink()
    if label is not None:
        text(tmp_path / where, label)
    clips = load_dataset("baum2", tmp_path)
    assert told(clips) == [("S001/001", "anger", "S001")]
    assert clips.problems == (f"{where}: {said}",)


def test_what_does_not_belong_into_baum2_is_one_line_each(tmp_path: Path) -> None:
    videos = baum_videos(tmp_path / "videos", {"S001/001": 1})
    touch(videos, ["S001/avi/001.mp4", "S001/avi/notes.txt", "S001/avi/.DS_Store", "S001/emotion/009.txt", "extra/x"])
    assert load_dataset("baum2", videos).problems == (
        "extra: a folder of a subject is named SNNN",
        "S001/avi/001.mp4: the same clip as S001/avi/001.avi",
        "S001/avi/notes.txt: not a video (by its name)",
        "S001/emotion/009.txt: there is no video 009",
    )
    frames = baum_frames(tmp_path / "frames", {"S001/001": 1})
    touch(frames, ["S001/x.txt", "S001/001/notes.txt", "manifest.csv"])
    text(frames / "S001/002/emotion.txt", b"1")
    assert load_dataset("baum2", frames).problems == (
        "S001/001/notes.txt: not an image (by its name)",
        "S001/002: the clip has no frame",
        "S001/x.txt: a file beside the folders of clips",
    )


def test_sequences_of_ckplus_run_from_neutral_to_the_labeled_frame(tmp_path: Path) -> None:
    def lay(sequence: str, frames: range, label: tuple[int, str] | None) -> None:
        name = sequence.replace("/", "_")
        for number in frames:
            image(tmp_path / f"cohn-kanade-images/{sequence}/{name}_{number:08d}.png", number)
        if label is not None:
            text(tmp_path / f"Emotion/{sequence}/{name}_{label[0]:08d}_emotion.txt", label[1].encode())

    lay("S010/006", range(1, 12), (11, "   3.0000000e+00\n"))
    lay("S010/007", range(1, 5), None)
    lay("S010/008", range(1, 5), None)
    lay("S011/001", range(2, 9), (7, "5"))
    lay("S011/002", range(1, 4), (9, "5"))
    lay("S011/003", range(1, 4), (3, "8"))
    lay("S012/001", range(0), (3, "1"))
    clips = load_dataset("ckplus_sequences", tmp_path)
    assert told(clips) == [("S010/006", "disgust", "S010"), ("S011/001", "happiness", "S011")]
    assert levels(clips.read_frames(0)) == list(range(1, 12))
    assert levels(clips.read_frames(1)) == list(range(2, 8)), "up to the frame that the label is named for"
    assert clips.problems == (
        "Emotion/S011/003/S011_003_00000003_emotion.txt: expected a code 0..7, but got '8'",
        "S011/002: frame 9, for which its label is named, is missing",
        "Emotion/S012/001/S012_001_00000003_emotion.txt: there are no frames of S012/001",
        "2 left out: sequences without a label",
    )
    with pytest.raises(DatasetError, match=r"must hold labeled sequences.*6 left out: sequences without a label"):
        load_dataset("ckplus_sequences", tmp_path, labels=touch(tmp_path / "none", ["readme.md"]))


def test_videos_of_ravdess_are_told_by_their_names(tmp_path: Path) -> None:
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
    assert [emotion for _, emotion, _ in told(clips)] == list(RAVDESS8.emotions)
    assert told(clips)[4] == ("01-05-01-02-01-12", "anger", "12")
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


def test_a_folder_of_videos_tells_emotions_and_subjects(tmp_path: Path) -> None:
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
    assert told(clips) == [
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
    assert [subject for _, _, subject in told(by_pattern)] == ["anna", "anna", "", "", "", "", "", "emil"]
    with pytest.raises(InputError, match="subject must be a regular expression"):
        load_dataset("video_folder", tmp_path, subject="(")


@pytest.mark.parametrize(
    ("words", "labels"), [(("calm", "sad"), RAVDESS8), (("contempt", "sad"), FERPLUS8), (("sad",), FER7)]
)
def test_the_smallest_label_set_that_fits(tmp_path: Path, words: tuple[str, ...], labels: object) -> None:
    touch(tmp_path, [f"{word}/a_1.mp4" for word in words])
    assert load_dataset("video_folder", tmp_path).label_set is labels
    left = load_dataset("video_folder", tmp_path, labels="fer7")
    assert told(left)[-1] == ("sad/a_1", "sadness", "a")
    if len(words) > 1:
        assert left.problems == (f"{words[0]}/a_1.mp4: {words[0]} is not in fer7",)


def test_images_in_folders_are_clips_too(tmp_path: Path) -> None:
    for number in range(11):
        image(tmp_path / f"happy/anna_1/frame{number}.jpg", number)
        image(tmp_path / f"happy/loose{number}.jpg", number)
    clips = load_dataset("video_folder", tmp_path)
    assert told(clips) == [("happy/anna_1", "happiness", "anna")]
    assert clips.frames[0][-1] == "happy/anna_1/frame10.jpg"
    assert clips.problems == ("happy: expected a folder named by an emotion above it",)


def test_a_table_tells_emotions_and_subjects(tmp_path: Path) -> None:
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
    assert told(clips) == [
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
    assert told(clips) == [("a/1", "happiness", "x"), ("b/1", "sadness", "y")]
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


@pytest.mark.data
def test_the_147_clips_of_baum2(data_dir: Path) -> None:
    clips = load_dataset("baum2", data_dir / "baum2_frames")
    assert (len(clips), len(set(clips.subjects.tolist())), clips.problems) == (147, 50, ())
    # Counted with `sort | uniq -c` over the files emotion.txt.
    assert np.bincount(clips.labels).tolist() == [26, 27, 10, 10, 8, 32, 21, 13]
    lengths = [len(clips.read_frames(i)) for i in range(len(clips))]
    assert (min(lengths), max(lengths), lengths.count(16)) == (5, 16, 121)
    assert level(0) == 4
