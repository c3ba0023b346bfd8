from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.data import Samples, load_images
from mien.data.images import list_folder_images
from mien.errors import DatasetError, MienWarning
from mien.labels import FER7, FERPLUS8, RAVDESS8


def image(path: Path, value: int = 0, size: tuple[int, int] = (6, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, size, dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def tree(root: Path, files: Sequence[str]) -> Path:
    for value, name in enumerate(files):
        image(root / name, value)
    return root


def manifest(root: Path, text: str) -> None:
    (root / "manifest.csv").write_text(text, encoding="utf-8")


def emotions(found: Samples) -> dict[str, str]:
    return {
        file: found.label_set.emotions[label] if label >= 0 else ""
        for file, label in zip(found.files, found.labels, strict=True)
    }


def test_emotions_are_folders_in_any_word_and_case(tmp_path: Path) -> None:
    tree(tmp_path, ["Happy/b.png", "Happy/a.PNG", "JOY/c.png", "sad/deep/er/d.png", "surprised/e.png"])
    found = list_folder_images(tmp_path)
    assert emotions(found) == {
        "Happy/a.PNG": "happiness",
        "Happy/b.png": "happiness",
        "JOY/c.png": "happiness",
        "sad/deep/er/d.png": "sadness",
        "surprised/e.png": "surprise",
    }
    assert found.files.tolist() == sorted(found.files.tolist())
    assert (found.name, found.source, found.label_set, found.problems) == ("folder", str(tmp_path), FER7, ())
    assert set(found.splits) == set(found.subjects) == set(found.clips) == {""}
    assert found.where(0) == str(tmp_path / "Happy" / "a.PNG")


def test_splits_keep_their_names_and_may_stand_beside_emotions(tmp_path: Path) -> None:
    tree(tmp_path, ["Train/happy/a.png", "my test/fear/x/b.png", "anger/c.png"])
    found = list_folder_images(tmp_path)
    assert dict(zip(found.files, found.splits, strict=True)) == {
        "Train/happy/a.png": "Train",
        "my test/fear/x/b.png": "my test",
        "anger/c.png": "",
    }
    loaded = load_images("folder", tmp_path, split="my test", size=6)
    np.testing.assert_array_equal(loaded.images[0], cv2.imread(str(tmp_path / "my test/fear/x/b.png"), 0))
    with pytest.raises(DatasetError, match="has no split 'val': it has Train, my test"):
        load_images("folder", tmp_path, split="val")


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (("anger", "happy"), FER7),
        (("contempt", "happy"), FERPLUS8),
        (("calm", "happy"), RAVDESS8),
        (FER7.emotions, FER7),
    ],
)
def test_the_label_set_is_the_smallest_that_has_all(tmp_path: Path, words: tuple[str, ...], labels: object) -> None:
    assert list_folder_images(tree(tmp_path, [f"{word}/a.png" for word in words])).label_set is labels


def test_what_is_left_out_is_one_line_each(tmp_path: Path) -> None:
    tree(tmp_path, ["happy/a.png", "sad/b.png", "train/fear/c.png", "train/bored/d.png", "cats/e.png", "f.png"])
    for name in ("happy/notes\nx.txt", "train/list.txt", "README.md", "happy/.DS_Store", ".hidden/g.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    image(tmp_path / "happy" / ".ipynb_checkpoints" / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "happy" / "more").symlink_to(tmp_path)
    found = list_folder_images(tmp_path)
    assert tuple(found.files.tolist()) == ("happy/a.png", "sad/b.png", "train/fear/c.png")
    assert set(found.problems) == {
        "'happy/notes\\nx.txt': not an image (by its name)",
        "happy/more: a linked folder is not entered",
        "train/bored: not an emotion that mien knows",
        "train/list.txt: a file beside the folders of emotions has no emotion",
        "cats: neither an emotion nor a split with folders of emotions",
        "empty: neither an emotion nor a split with folders of emotions",
        "f.png: an image beside the folders of emotions has no emotion",
    }
    assert len(found.problems) == 7
    with pytest.warns(MienWarning, match=r"left out cats: neither .* \(and 6 more: `mien data inspect` lists them\)"):
        assert len(load_images("folder", tmp_path)) == 3


def test_useless_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected a folder with <emotion>/<file> .* there is no such folder"):
        list_folder_images(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"but embedded null byte|but there is no such folder"):
        list_folder_images("a\0b")
    with pytest.raises(DatasetError, match=r"at .*a\.png, but it is a file"):
        list_folder_images(image(tmp_path / "a.png"))
    with pytest.raises(
        DatasetError, match=r"emotions such as anger, .*, but has nothing that fits: a\.png: an image beside"
    ):
        list_folder_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="but has nothing that fits"):
        list_folder_images(tmp_path / "empty")
    (tmp_path / "no" / "happy").mkdir(parents=True)
    with pytest.raises(DatasetError, match="must hold images of known emotions, but has nothing that fits"):
        list_folder_images(tmp_path / "no")
    with pytest.raises(DatasetError, match="must have images of at least two emotions, but it has only happiness"):
        list_folder_images(tree(tmp_path / "one", ["happy/a.png", "joy/b.png"]))
    with pytest.raises(DatasetError, match="has both contempt and calm, which no label set has together"):
        list_folder_images(tree(tmp_path / "two", ["calm/a.png", "contempt/b.png"]))


def test_a_folder_that_may_not_be_opened_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, ["happy/a.png", "sad/b.png", "sad/c/d.png"])
    scandir = os.scandir

    def closed(path: Path) -> object:
        if path == tmp_path / "sad" / "c":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)  # the file's mode would not stop root
    found = list_folder_images(tmp_path)
    assert tuple(found.files.tolist()) == ("happy/a.png", "sad/b.png")
    assert found.problems == ("sad/c: cannot open the folder: Permission denied",)


def test_images_become_gray_squares_of_the_size_asked_for(tmp_path: Path) -> None:
    image(tmp_path / "happy" / "a.png", 1, (8, 8))
    image(tmp_path / "sad" / "b.png", 2, (4, 4))
    told: list[int] = []
    data = load_images("folder", tmp_path, size=4, progress=told.append)
    wide = cv2.imread(str(tmp_path / "happy" / "a.png"), 0).astype(float)
    np.testing.assert_allclose(data.images[0], wide.reshape(4, 2, 4, 2).mean(axis=(1, 3)), atol=0.51)
    np.testing.assert_array_equal(data.images[1], cv2.imread(str(tmp_path / "sad" / "b.png"), 0))
    assert (data.images.dtype, sum(told), data.labels.tolist()) == (np.uint8, 2, [3, 4])
    assert load_images("folder", tmp_path).images.shape == (2, 48, 48)


def test_the_manifest_decides_and_keeps_its_order(tmp_path: Path) -> None:
    tree(tmp_path, ["sad/b.png", "happy/a.png", "all/c.png", "d.png"])
    manifest(
        tmp_path,
        "\ufefffile,subject,emotion,clip,split,source\n"
        "./d.png,s2,Angry,c2,val,web\n"
        "sad/b.png,s1,fear,c1,train,web\n"
        "happy/a.png,s1,happiness,,train,\n"
        "all/c.png,,,,,\n",
    )
    found = list_folder_images(tmp_path)
    assert tuple(found.files.tolist()) == ("d.png", "sad/b.png", "happy/a.png", "all/c.png")
    assert emotions(found) == {"d.png": "anger", "sad/b.png": "fear", "happy/a.png": "happiness", "all/c.png": ""}
    assert found.labels[3] == -1
    assert found.subjects.tolist() == ["s2", "s1", "s1", ""]
    assert found.clips.tolist() == ["c2", "c1", "", ""]
    assert found.splits.tolist() == ["val", "train", "train", ""]
    assert found.problems == ()


def test_without_its_columns_splits_come_from_the_folders(tmp_path: Path) -> None:
    tree(tmp_path, ["train/happy/a.png", "sad/b.png"])
    manifest(tmp_path, "emotion,file\nhappy,train/happy/a.png\nsad,sad/b.png\n")
    found = list_folder_images(tmp_path)
    assert (found.splits.tolist(), found.subjects.tolist()) == (["train", ""], ["", ""])


def test_what_folder_and_manifest_do_not_agree_on_is_one_line_each(tmp_path: Path) -> None:
    tree(tmp_path / "set", ["happy/a.png", "sad/b.png", "sad/c.png", "sad/d.png"])
    image(tmp_path / "outside.png")
    (tmp_path / "set" / "rejected.csv").write_text("file,reason\n")
    rows = ["happy/a.png,happy", "sad/b.png,sad", "happy/a.png,sad", "gone.png,sad", "sad/c.png,bored"]
    manifest(tmp_path / "set", "\n".join(["file,emotion", *rows, "../outside.png,sad"]))
    found = list_folder_images(tmp_path / "set")
    assert tuple(found.files.tolist()) == ("happy/a.png", "sad/b.png")
    assert found.problems == (
        "manifest.csv, row 4: happy/a.png is listed twice",
        "manifest.csv, row 5: there is no image gone.png",
        "manifest.csv, row 6: unknown emotion 'bored' of sad/c.png",
        "manifest.csv, row 7: there is no image ../outside.png",
        "sad/d.png: not listed in manifest.csv",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"manifest\.csv lacks the column file: it has none"),
        (b"file,label\na.png,happy\n", r"lacks the column emotion: it has file, label"),
        (b"file,emotion\nhappy/a.png,happy,more\n", r"manifest\.csv, row 2: expected 2 values, but got 3"),
        (b"file,emotion\nhappy/a.png\n", r"row 2: expected 2 values, but got 1"),
        (b"file,emotion\n\xff\xfe,happy\n", r"row 2: there is no image '.udcff.udcfe'"),
        (b"file,emotion\n" + b"x" * 200_000 + b",happy\n", r"cannot be read as a table: field larger"),
        (b"file,emotion\n", r"must hold images of known emotions, .*: happy/a\.png: not listed in manifest\.csv"),
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    tree(tmp_path, ["happy/a.png", "sad/b.png"])
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        list_folder_images(tmp_path)
