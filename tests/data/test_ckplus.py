from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import load_dataset, load_images
from mien.data.ckplus import list_ckplus, list_ckplus48
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import BAUM8
from video_corpora import describe, image, levels, text, touch


def sequence(images: Path, name: str, frames: int, *, first: int = 1) -> None:
    """Write frames whose gray value is their number."""
    subject, clip = name.split("/")
    folder = images / subject / clip
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + frames):
        Image.new("L", (64, 49), number).save(folder / f"{subject}_{clip}_{number:08}.png")


def label(labels: Path, name: str, last: int, content: str) -> Path:
    subject, clip = name.split("/")
    folder = labels / subject / clip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{subject}_{clip}_{last:08}_emotion.txt"
    path.write_text(content, "utf-8")
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    sequence(tmp_path / "cohn-kanade-images", "S010/006", 12)
    label(tmp_path / "Emotion", "S010/006", 12, "   3.0000000e+00\n")
    return tmp_path


def words(data: object) -> list[str]:
    return [BAUM8.emotions[i] for i in data.labels]  # type: ignore[attr-defined]


def test_takes_the_peak_and_the_first_frame(published: Path) -> None:
    data = load_images("ckplus", published)
    assert data.images[:, 0, 0].tolist() == [1, 10, 11, 12]
    assert words(data) == ["neutral", "disgust", "disgust", "disgust"]
    assert set(data.subjects.tolist()) == {"S010"}
    assert set(data.clips.tolist()) == {"S010/006"}


@pytest.mark.parametrize("code", range(8))
def test_knows_the_codes(code: int, published: Path) -> None:
    label(published / "Emotion", "S010/006", 12, f"   {code:.7e}\n")
    order = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
    assert words(list_ckplus(published, neutral=0)) == [order[code]] * 3


@pytest.mark.parametrize(
    ("frames", "peak", "neutral", "chosen"),
    [
        (12, 1, 0, "12"),
        (12, 0, 2, "1n 2n"),
        (4, 3, 1, "1n 2 3 4"),
        (3, 3, 1, "1n 2 3"),
        (3, 3, 5, "1n 2n 3"),
        (1, 3, 1, "1"),
        (1, 0, 1, "1n"),
        (2, 9, 0, "1 2"),
    ],
)
def test_chooses_frames(frames: int, peak: int, neutral: int, chosen: str, tmp_path: Path) -> None:
    sequence(tmp_path, "S010/006", frames)
    label(tmp_path / "Emotion", "S010/006", frames, "5")
    data = load_images("ckplus", tmp_path, peak=peak, neutral=neutral)
    found = zip(data.images[:, 0, 0], words(data), strict=True)
    assert " ".join(f"{number}{'n' if word == 'neutral' else ''}" for number, word in found) == chosen


@pytest.mark.parametrize(("peak", "neutral"), [(-1, 1), (3, -1), (0, 0), (1.5, 1), (True, 1)])
def test_wrong_counts_are_named(peak: int, neutral: int, published: Path) -> None:
    with pytest.raises(InputError, match=r"(peak|neutral) must be an integer"):
        list_ckplus(published, peak=peak, neutral=neutral)


def test_finds_the_folders_by_the_publishers_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "CK+" / "extended-cohn-kanade-images" / "cohn-kanade-images"
    sequence(deep, "S010/006", 5)
    label(tmp_path / "CK+" / "Emotion_labels" / "Emotion", "S010/006", 5, "1")
    for path in (tmp_path / "CK+", deep.parent, deep):
        listed = list_ckplus(path)
        assert listed.files[0] == "S010/006/S010_006_00000001.png"
        assert listed.problems == ()
    monkeypatch.chdir(deep)
    assert len(list_ckplus(".")) == 4


def test_takes_labels_from_elsewhere(tmp_path: Path) -> None:
    sequence(tmp_path / "frames", "S010/006", 5)
    label(tmp_path / "elsewhere", "S010/006", 5, "1")
    with pytest.raises(DatasetError, match=r"no folder Emotion beside .*frames: .* the option labels names another"):
        list_ckplus(tmp_path / "frames")
    assert len(list_ckplus(tmp_path / "frames", labels=tmp_path / "elsewhere")) == 4
    with pytest.raises(DatasetError, match=r"expected a folder with labels of CK\+ \(Emotion\) at .*nowhere"):
        list_ckplus(tmp_path / "frames", labels=tmp_path / "nowhere")


def test_says_what_it_leaves_out(published: Path) -> None:
    images, labels = published / "cohn-kanade-images", published / "Emotion"
    sequence(images, "S011/001", 4)  # without a label, as 266 of the published are
    sequence(images, "S011/002", 4)
    label(labels, "S011/002", 4, "9.0000000e+00")
    sequence(images, "S011/003", 4)
    label(labels, "S011/003", 4, "")
    sequence(images, "S011/004", 4)  # cut short: the label is of frame 9
    label(labels, "S011/004", 9, "1")
    label(labels, "S011/005", 4, "1")
    sequence(images, "S011/006", 4)
    label(labels, "S011/006", 3, "1")
    label(labels, "S011/006", 4, "2")
    (labels / "notes.txt").write_text("", "utf-8")
    Image.new("L", (9, 9)).save(images / "S011" / "001" / "S012_001_00000001.png")
    Image.new("L", (9, 9)).save(images / "S010" / "006" / "S010_006_00000012.jpg")
    (images / "Landmarks").mkdir()
    listed = list_ckplus(published)
    assert set(listed.clips.tolist()) == {"S010/006"}
    assert sorted(listed.problems) == [
        "1 left out: sequences without a label",
        "Emotion/S011/002/S011_002_00000004_emotion.txt: expected a code 0..7, but got '9.0000000e+00'",
        "Emotion/S011/003/S011_003_00000004_emotion.txt: expected a code 0..7, but got ''",
        "Emotion/S011/005/S011_005_00000004_emotion.txt: there are no frames of S011/005",
        "Emotion/S011/006/S011_006_00000004_emotion.txt: another label of the same sequence",
        "Emotion/notes.txt: the name is not of the form S010_006_00000015_emotion.txt",
        "Landmarks: not the folder of a subject, such as S010",
        "S010/006/S010_006_00000012.png: the same frame as S010/006/S010_006_00000012.jpg",
        "S011/001/S012_001_00000001.png: the path is not of the form S010/006/S010_006_00000015.png",
        "S011/004: frame 9, for which its label is named, is missing",
    ]
    with pytest.warns(MienWarning, match="and 9 more"):
        assert len(load_images("ckplus", published)) == 4


@pytest.mark.parametrize("content", ["nan", "inf", "1.5", "-1", "8", "1 2", "x", "1" * 10_000])
def test_wrong_codes_are_named(content: str, published: Path) -> None:
    label(published / "Emotion", "S010/006", 12, content)
    with pytest.raises(
        DatasetError, match=r"must hold labeled sequences.*_emotion\.txt: expected a code 0\.\.7, but got"
    ):
        list_ckplus(published)


def test_frames_after_the_labeled_one_do_not_count(published: Path) -> None:
    label(published / "Emotion", "S010/006", 12, "1").unlink()
    label(published / "Emotion", "S010/006", 7, "1")
    assert load_images("ckplus", published, peak=2, neutral=0).images[:, 0, 0].tolist() == [6, 7]


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
    assert describe(clips) == [("S010/006", "disgust", "S010"), ("S011/001", "happiness", "S011")]
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


# --- CK+48 -----------------------------------------------------------------------------------------


def save(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_ckplus48_reads_the_seven_folders(tmp_path: Path) -> None:
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    # The archive holds the folder CK+48; the path may be either.
    pixels = [save(tmp_path / "CK+48" / name / f"S0{10 + i}_004_00000017.png", i) for i, name in enumerate(folders)]
    for path in (tmp_path, tmp_path / "CK+48"):
        data = load_images("ckplus48", path)
        # CK+'s own codes are 1..7 in this order; 0 is neutral, which CK+48 lacks.
        assert data.labels.tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert data.label_set == BAUM8
        np.testing.assert_array_equal(data.images, pixels)


def test_frames_of_a_sequence_and_a_subject_stay_together(tmp_path: Path) -> None:
    for number in (15, 16, 17):
        save(tmp_path / "anger" / f"S010_004_{number:08}.png", number)
    save(tmp_path / "happy" / "S010_006_00000015.png", 1)
    save(tmp_path / "happy" / "S011_006_00000013.png", 2)
    data = load_images("ckplus48", tmp_path)
    assert data.clips.tolist() == ["S010/004"] * 3 + ["S010/006", "S011/006"]
    assert data.groups().tolist() == [0, 0, 0, 0, 1]


def test_ckplus48_says_what_does_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "anger" / "S010_004_00000017.png")
    save(tmp_path / "anger" / "someone.png")
    save(tmp_path / "calm" / "S010_004_00000018.png")
    save(tmp_path / "S010_004_00000019.png")
    listed = list_ckplus48(tmp_path)
    assert tuple(listed.files.tolist()) == ("anger/S010_004_00000017.png",)
    assert listed.problems == (
        "S010_004_00000019.png: its folder is not named after an emotion of CK+",
        "anger/someone.png: the name is not of the form S010_004_00000017",
        "calm/S010_004_00000018.png: its folder is not named after an emotion of CK+",
    )


def test_ckplus48_says_why_there_is_nothing(tmp_path: Path) -> None:
    save(tmp_path / "S010_004_00000019.png")
    with pytest.raises(
        DatasetError, match=r"must hold folders anger, contempt, .*: S010_004_00000019\.png: its folder"
    ):
        load_images("ckplus48", tmp_path)
