from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mien.data import load_images
from mien.data.ckplus import list_ckplus
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import BAUM8


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
def test_refuses_counts(peak: int, neutral: int, published: Path) -> None:
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
def test_refuses_other_codes(content: str, published: Path) -> None:
    label(published / "Emotion", "S010/006", 12, content)
    with pytest.raises(
        DatasetError, match=r"must hold labeled sequences.*_emotion\.txt: expected a code 0\.\.7, but got"
    ):
        list_ckplus(published)


def test_frames_after_the_labeled_one_do_not_count(published: Path) -> None:
    label(published / "Emotion", "S010/006", 12, "1").unlink()
    label(published / "Emotion", "S010/006", 7, "1")
    assert load_images("ckplus", published, peak=2, neutral=0).images[:, 0, 0].tolist() == [6, 7]
