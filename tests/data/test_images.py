from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.data import Samples, load_dataset, load_images
from mien.data.images import list_folder_images, list_iefdb, list_jaffe
from mien.errors import DatasetError, InputError, MienWarning, MissingExtraError
from mien.labels import FER7, FERPLUS8, RAVDESS8
from planted_faces import portrait

openpyxl = pytest.importorskip("openpyxl")

# --- any folder ------------------------------------------------------------------------------------


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


def test_own_classes_are_the_folders_where_none_is_an_emotion(tmp_path: Path) -> None:
    tree(tmp_path, ["train/Bored/a.png", "train/engaged/b.png", "val/bored/c.png", "val/engaged/d.png"])
    found = list_folder_images(tmp_path)
    assert found.label_set.emotions == ("bored", "engaged")
    assert emotions(found)["train/Bored/a.png"] == "bored"
    assert emotions(found)["val/engaged/d.png"] == "engaged"
    assert found.splits.tolist() == ["train", "train", "val", "val"]
    assert list_folder_images(tmp_path / "train").label_set == found.label_set
    other = list_folder_images(tmp_path, classes="engaged,bored:tired")
    assert emotions(other)["val/bored/c.png"] == "tired"
    assert other.label_set.name != found.label_set.name
    manifest(tmp_path, "file,emotion\ntrain/Bored/a.png,Bored\ntrain/engaged/b.png,engaged\n")
    assert emotions(list_folder_images(tmp_path))["train/Bored/a.png"] == "bored"


def test_own_classes_and_emotions_together_need_the_option(tmp_path: Path) -> None:
    tree(tmp_path, ["happy/a.png", "sad/b.png", "bored/c.png"])
    assert len(list_folder_images(tmp_path)) == 2
    found = list_folder_images(tmp_path, classes="happy,sad,bored")
    assert found.label_set.emotions == ("bored", "happiness", "sadness")
    with pytest.raises(InputError, match="classes must name at least two"):
        list_folder_images(tmp_path, classes="happy")


def test_numbers_mean_what_the_option_says(tmp_path: Path) -> None:
    tree(tmp_path, [f"train/{number}/{number}.png" for number in range(1, 8)])
    with pytest.raises(DatasetError, match=r"the classes are numbers .*: the option classes must say what they mean"):
        list_folder_images(tmp_path)
    found = list_folder_images(tmp_path, classes="raf-db")
    order = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    assert [emotions(found)[f"train/{n}/{n}.png"] for n in range(1, 8)] == list(order)
    assert found.label_set == FER7
    two = list_folder_images(tmp_path, classes="4:happy,5:sad")
    assert emotions(two) == {"train/4/4.png": "happiness", "train/5/5.png": "sadness"}


def test_subjects_are_found_by_a_pattern(tmp_path: Path) -> None:
    tree(tmp_path, ["happy/s01_1.png", "happy/s02_1.png", "sad/s01_2.png", "sad/x.png"])
    assert not list_folder_images(tmp_path).has("subject")
    found = list_folder_images(tmp_path, subject=r"(s\d+)_")
    assert found.subjects.tolist() == ["s01", "s02", "s01", ""]
    assert list_folder_images(tmp_path, subject=r"s\d+").subjects.tolist() == ["s01", "s02", "s01", ""]
    with pytest.raises(InputError, match="subject must be a regular expression"):
        list_folder_images(tmp_path, subject="(")
    manifest(tmp_path, "file,emotion,subject\nhappy/s01_1.png,happy,Ann\nsad/x.png,sad,Ben\n")
    with pytest.raises(InputError, match="names the subjects: subject must not be given"):
        list_folder_images(tmp_path, subject=r"s\d+")


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
    steps: list[int] = []
    data = load_images("folder", tmp_path, size=4, progress=steps.append)
    wide = cv2.imread(str(tmp_path / "happy" / "a.png"), 0).astype(float)
    np.testing.assert_allclose(data.images[0], wide.reshape(4, 2, 4, 2).mean(axis=(1, 3)), atol=0.51)
    np.testing.assert_array_equal(data.images[1], cv2.imread(str(tmp_path / "sad" / "b.png"), 0))
    assert (data.images.dtype, sum(steps), data.labels.tolist()) == (np.uint8, 2, [3, 4])
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


# --- JAFFE -----------------------------------------------------------------------------------------


def save(path: Path, gray: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (256, 256), gray).save(path)
    return path


def test_jaffe_is_read_by_its_names(tmp_path: Path) -> None:
    letters = ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
    for gray, code in enumerate(letters):
        save(tmp_path / f"K{code[0]}.{code}1.{39 + gray}.tiff", 10 * gray)
    data = load_images("jaffe", tmp_path)
    words = [FER7.emotions[label] for label in data.labels]
    assert words == ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    assert data.images[:, 24, 24].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert data.subjects.tolist() == ["KA", "KD", "KF", "KH", "KN", "KS", "KS"]
    assert data.images.shape == (7, 48, 48)
    assert data.split_names() == [""]


def test_jaffe_in_other_formats_and_folders(tmp_path: Path) -> None:
    save(tmp_path / "jaffe" / "KA.AN1.39.jpg")
    save(tmp_path / "jaffe" / "km.su3.14.PNG")
    listed = list_jaffe(tmp_path)
    assert tuple(listed.files.tolist()) == ("jaffe/KA.AN1.39.jpg", "jaffe/km.su3.14.PNG")
    assert listed.subjects.tolist() == ["KA", "KM"]
    assert listed.problems == ()


def test_jaffe_says_what_does_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "KA.AN1.39.tiff")
    save(tmp_path / "KA.AN1.39.png")
    save(tmp_path / "KA.XX1.40.tiff")
    save(tmp_path / "portrait.tiff")
    (tmp_path / "README_FIRST.txt").write_text("about", "utf-8")
    listed = list_jaffe(tmp_path)
    assert tuple(listed.files.tolist()) == ("KA.AN1.39.png",)
    assert listed.problems == (
        "KA.AN1.39.tiff: the same image as KA.AN1.39.png",
        "KA.XX1.40.tiff: expected one of AN, DI, FE, HA, NE, SA, SU in the name, but got XX",
        "README_FIRST.txt: not an image (by its name)",
        "portrait.tiff: the name is not of the form KA.AN1.39",
    )
    with pytest.warns(MienWarning, match=r"left out KA\.AN1\.39\.tiff: the same image .* \(and 3 more"):
        assert len(load_images("jaffe", tmp_path)) == 1


def test_jaffe_says_why_there_is_nothing(tmp_path: Path) -> None:
    save(tmp_path / "portrait.tiff")
    with pytest.raises(
        DatasetError,
        match=r"must hold images named like KA\.AN1\.39\.tiff, but has nothing that fits: portrait\.tiff: the name",
    ):
        list_jaffe(tmp_path)


def test_gray_of_16_bits_and_of_three_channels_is_the_same(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 257 * 77, dtype=np.uint16)).save(tmp_path / "KA.AN1.39.tiff")
    Image.new("RGB", (9, 9), (77, 77, 77)).save(tmp_path / "KA.AN2.40.tiff")
    assert (load_images("jaffe", tmp_path, size=9).images == 77).all()


# --- IEFDB -----------------------------------------------------------------------------------------


def make_images(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 80).save(path)
    return root


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_and_encoding_are_detected(delimiter: str, encoding: str, tmp_path: Path) -> None:
    make_images(tmp_path, "چهره.png", "b.png")
    rows = (("Image Name", "Emotion", "Remark"), ("چهره.png", "Happy", "1,5"), ("b.png", "sad", '"a; b"'))
    write(tmp_path / "labels.csv", "\r\n".join(delimiter.join(row) for row in rows), encoding)
    if delimiter == ",":
        write(tmp_path / "labels.csv", "\r\n".join(delimiter.join(row[:2]) for row in rows), encoding)
    listed = list_iefdb(tmp_path)
    assert emotions(listed) == {"چهره.png": "happiness", "b.png": "sadness"}
    assert listed.problems == ()
    assert listed.subjects.tolist() == ["", ""]


@pytest.mark.parametrize(
    "name",
    ["a/one.jpg", "a/one", "one.jpg", "one", "ONE.JPG", r"a\one.jpg", "./a/one.jpg", "C:/data/a/one.jpg", "a/one.png"],
)
def test_finds_files_however_they_are_named(name: str, tmp_path: Path) -> None:
    make_images(tmp_path, "a/one.jpg", "a/two.jpg")
    write(tmp_path / "t.csv", f"file,emotion\n{name},fear\ntwo,anger\n")
    listed = list_iefdb(tmp_path)
    assert emotions(listed) == {"a/one.jpg": "fear", "a/two.jpg": "anger"}
    assert listed.problems == ()


def test_composed_and_decomposed_letters_are_the_same(tmp_path: Path) -> None:
    make_images(tmp_path, "e\u0301.jpg", "b.jpg")
    write(tmp_path / "t.csv", "file,emotion\n\u00e9.jpg,fear\nb,anger\n")
    assert list_iefdb(tmp_path).problems == ()


def test_another_folder_is_another_file(tmp_path: Path) -> None:
    make_images(tmp_path, "happy/1.jpg", "sad/1.jpg", "sad/2.jpg")
    write(tmp_path / "t.csv", "file,emotion\nhappy/1.jpg,happy\nsad/1,sad\nhappy/2.jpg,happy\n1.jpg,sad\n")
    listed = list_iefdb(tmp_path)
    assert emotions(listed) == {"happy/1.jpg": "happiness", "sad/1.jpg": "sadness"}
    assert listed.problems == (
        "t.csv, row 4: happy/2.jpg: there is no such image",
        "t.csv, row 5: 1.jpg: could be any of happy/1.jpg, sad/1.jpg",
        "sad/2.jpg: no usable row in t.csv",
    )


def test_says_which_rows_and_files_do_not_fit(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    (tmp_path / "notes.txt").write_text("", "utf-8")
    rows = [
        "file,emotion",
        "a,anger",
        "",
        "b,bored",
        "x,anger",
        "c",
        ",anger",
        "d,fear",
        "d.jpg,fear",
        "e,fear",
        "e,sad",
    ]
    write(tmp_path / "t.csv", "\n".join([*rows, "a,calm"]))
    listed = list_iefdb(tmp_path)
    assert emotions(listed) == {"a.jpg": "anger", "d.jpg": "fear"}
    assert listed.problems == (
        "notes.txt: not an image (by its name)",
        "t.csv, row 4: unknown emotion 'bored' of b",
        "t.csv, row 5: x: there is no such image",
        "t.csv, row 6: it has no emotion",
        "t.csv, row 7: it has no file",
        "t.csv, row 9: d.jpg is listed twice, first in t.csv, row 8",
        "t.csv, row 11: e.jpg is sadness, but fear in t.csv, row 10: neither counts",
        "t.csv, row 12: calm of a is not in fer7",
        "b.jpg: no usable row in t.csv",
        "c.jpg: no usable row in t.csv",
        "e.jpg: no usable row in t.csv",
    )


def test_columns_by_common_names_or_by_option(tmp_path: Path) -> None:
    make_images(tmp_path, "1.jpg", "2.jpg")
    write(tmp_path / "t.csv", "Nr,Who,Bild,file_name,Gefühl,label\n1,x,1,2,fear,sad\n2,y,2,1,anger,sad\n")
    assert emotions(list_iefdb(tmp_path)) == {"2.jpg": "sadness", "1.jpg": "sadness"}
    listed = list_iefdb(tmp_path, file_column="Bild", emotion_column="gefühl", subject_column="Who")
    assert emotions(listed) == {"1.jpg": "fear", "2.jpg": "anger"}
    assert listed.subjects.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("a,emotion", {}, "no column has a common name for the file; the option file_column names it. Columns: a, em"),
        ("file,b", {}, "no column has a common name for the emotion; the option emotion_column names it. Columns: fi"),
        ("file,emotion,label", {}, "emotion, label could all be the emotion; the option emotion_column says which"),
        ("file,emotion,file", {}, "file, file could all be the file"),
        ("file,emotion", {"emotion_column": "mood"}, "has no column 'mood' for the emotion. Columns: file, emotion"),
        ("file,emotion", {"subject_column": 3}, "has no column '3' for the subject. Columns: file, emotion"),
        ("file,emotion,subject,actor", {}, "subject, actor could all be the subject"),
    ],
)
def test_says_which_column_it_cannot_tell(header: str, options: dict[str, str], message: str, tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    write(tmp_path / "t.csv", f"{header}\na,anger,x,y\n")
    with pytest.raises(DatasetError) as caught:
        list_iefdb(tmp_path, **options)
    assert message in str(caught.value)


def test_says_which_table_it_cannot_tell(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    with pytest.raises(DatasetError, match=r"must hold one table \(\.csv, \.tsv, \.xlsx\), but holds none: name it by"):
        list_iefdb(tmp_path)
    write(tmp_path / "t.csv", "file,emotion\na,anger\n")
    write(tmp_path / "u.csv", "file,emotion\na,fear\n")
    with pytest.raises(DatasetError, match=r"but holds t\.csv, u\.csv: name it by the option table"):
        list_iefdb(tmp_path)
    assert emotions(list_iefdb(tmp_path, table="u.csv")) == {"a.jpg": "fear"}
    assert emotions(list_iefdb(tmp_path, table=tmp_path / "t.csv")) == {"a.jpg": "anger"}
    with pytest.raises(DatasetError, match=r"no table v\.csv"):
        list_iefdb(tmp_path, table="v.csv")
    with pytest.raises(DatasetError, match="cannot read the table"):
        list_iefdb(tmp_path, table=tmp_path)


def test_the_table_itself_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(make_images(tmp_path, "a.jpg") / "t.csv", "file,emotion\na,anger\n")
    monkeypatch.chdir(tmp_path)
    assert list_iefdb(".", table=tmp_path / "t.csv").problems == ()
    assert list_iefdb(tmp_path, table="t.csv").problems == ()


def test_a_table_of_numbers_or_own_classes_needs_the_option(tmp_path: Path) -> None:
    tree(tmp_path, ["1.png", "2.png"])
    (tmp_path / "labels.csv").write_text("file,label\n1.png,4\n2.png,7\n")
    with pytest.raises(DatasetError, match=r"the emotions are numbers .*: the option classes must say what they mean"):
        list_iefdb(tmp_path)
    assert list(emotions(list_iefdb(tmp_path, classes="raf-db")).values()) == ["happiness", "neutral"]
    assert list_iefdb(tmp_path, classes="4:bored,7:engaged").label_set.emotions == ("bored", "engaged")


def test_contempt_needs_a_set_that_has_it(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path / "t.csv", "file,emotion\na,contempt\nb,neutral\n")
    assert emotions(list_iefdb(tmp_path)) == {"b.jpg": "neutral"}
    assert emotions(list_iefdb(tmp_path, label_set="ferplus8")) == {"a.jpg": "contempt", "b.jpg": "neutral"}
    with pytest.raises(InputError, match="unknown label set 'eight'"):
        list_iefdb(tmp_path, label_set="eight")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"file,emotion\n", "t.csv names, but has nothing that fits"),
        (b"file,emotion\n\xff\xfe,x\n", "is not UTF-8 text: invalid start byte at byte 13"),
        (b"\xff\xfef", "is not UTF-16 text: truncated data at byte 2"),
        (b"file,emotion\na,\0\n", "is no table: it holds zero bytes"),
        (b'file,emotion\n"' + b"a" * 200_000, "line 2: field larger than field limit"),
        (b"file\na\n", "no column has a common name for the emotion"),
    ],
    ids=["nothing", "blank lines", "header only", "latin", "half utf-16", "zero bytes", "long field", "one column"],
)
def test_what_is_no_table_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        list_iefdb(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


# --- XLSX -----------------------------------------------------------------------------------------


def workbook(path: Path) -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Labels"
    for row in (("Image", "Emotion", "Subject"), (1, "happy", 12), (None, None, None), ("b.jpg", "sad", "w2")):
        book.active.append(row)
    book.create_sheet("More").append(("image", "label"))
    book["More"].append(("b", "fear"))
    book.save(path)
    return path


def test_reads_a_workbook(tmp_path: Path) -> None:
    workbook(make_images(tmp_path, "1.jpg", "b.jpg") / "labels.xlsx")
    listed = list_iefdb(tmp_path)
    assert emotions(listed) == {"1.jpg": "happiness", "b.jpg": "sadness"}
    assert listed.subjects.tolist() == ["12", "w2"]
    assert listed.problems == ()
    other = list_iefdb(tmp_path, sheet="More")
    assert emotions(other) == {"b.jpg": "fear"}
    with pytest.raises(DatasetError, match=r"labels\.xlsx has no sheet 'Most': it has Labels, More"):
        list_iefdb(tmp_path, sheet="Most")


def test_rows_of_a_workbook_have_the_numbers_that_it_shows(tmp_path: Path) -> None:
    workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    assert list_iefdb(tmp_path).problems == ("labels.xlsx, row 4: b.jpg: there is no such image",)


def test_a_csv_has_no_sheets(tmp_path: Path) -> None:
    write(make_images(tmp_path, "a.jpg") / "t.csv", "file,emotion\na,anger\n")
    with pytest.raises(DatasetError, match=r"t\.csv is no XLSX file: it has no sheet 'More'"):
        list_iefdb(tmp_path, sheet="More")


def edited(path: Path, member: str, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[member]
    parts[member] = parts[member].replace(old, new, 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_wrong_size_of_the_sheet_cuts_nothing(tmp_path: Path) -> None:
    path = workbook(make_images(tmp_path, "1.jpg", "b.jpg") / "labels.xlsx")
    edited(path, "xl/worksheets/sheet1.xml", b'<dimension ref="A1:C4"', b'<dimension ref="A1"')
    assert len(list_iefdb(tmp_path)) == 2


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_workbook(share: float, tmp_path: Path) -> None:
    path = workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DatasetError, match=r"labels\.xlsx is no XLSX file, or a damaged one: "):
        list_iefdb(tmp_path)


@pytest.mark.parametrize("member", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("content", [b"", b"<broken", b"<x/>"])
def test_a_workbook_with_damaged_parts(member: str, content: bytes, tmp_path: Path) -> None:
    path = workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    with zipfile.ZipFile(path) as archive:
        whole = archive.read(member)
    edited(path, member, whole, content)
    with pytest.raises(DatasetError, match=r"labels\.xlsx"):
        list_iefdb(tmp_path)


def test_any_damaged_byte_gives_an_answer_or_one_error(tmp_path: Path) -> None:
    path = workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    whole = path.read_bytes()
    for at in range(0, len(whole), 61):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(DatasetError):
            list_iefdb(tmp_path)


def test_an_archive_that_is_no_workbook(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "nothing")
    (make_images(tmp_path, "a.jpg") / "t.xlsx").write_bytes(stream.getvalue())
    with pytest.raises(DatasetError, match="is no XLSX file, or a damaged one"):
        list_iefdb(tmp_path)


def test_names_the_extra_for_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r'reading XLSX tables needs openpyxl: pip install "mien\[xlsx\]"'):
        list_iefdb(tmp_path)


# --- photographs ------------------------------------------------------------------------------------------------------


def test_photographs_are_split_by_person(tmp_path: Path) -> None:
    people = ["Ann", "Bob", "Cleo", "Dan"]
    (tmp_path / "images").mkdir()
    lines = ["image,emotion,person"]
    for number, person in enumerate(people * 2):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{number}.jpg")
        lines.append(f"{number}.jpg,{'anger' if number % 2 else 'neutral'},{person}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = load_dataset("photographs", tmp_path)
    assert data.subjects.tolist() == people * 2
    for person, split in zip(data.subjects, data.splits, strict=True):
        last = int(hashlib.sha256(person.encode()).hexdigest()[-1], 16)  # a digest and its last digit agree modulo 4
        assert split == ("training" if last % 4 < 2 else "validation")


def test_of_a_photograph_the_face_is_read_as_at_use(tmp_path: Path) -> None:
    photograph = np.full((400, 400, 3), 90, np.uint8)
    photograph[60:, 20:360] = portrait()[:340, 40:380]
    Image.fromarray(photograph).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("image,emotion,person\na.png,anger,Ann\n")
    analyzer = mien.FaceAnalyzer("face-base")
    (face,) = analyzer.analyze(photograph).faces
    (crop,) = analyzer.crops(photograph, [face])
    read = load_images("photographs", tmp_path).images
    assert np.abs(read[0] - cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(int)).max() <= 1
    # The same points in a larger crop: made as small, it shows the same.
    larger = load_images("photographs", tmp_path, size=96).images[0]
    assert np.corrcoef(cv2.resize(larger, (48, 48), interpolation=cv2.INTER_AREA).ravel(), read[0].ravel())[0, 1] > 0.98
