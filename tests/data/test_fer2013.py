from __future__ import annotations

import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_tables import Row, make_rows, pixels_of, table_text, write_table
from mien.data import Samples
from mien.data.fer2013 import open_table, read_fer2013
from mien.errors import DatasetError
from mien.labels import FER7

USAGES = ["Training", "Training", "PublicTest", "Training", "PrivateTest", "PublicTest", "Training", "Training"]
ROWS = make_rows(USAGES)


def check_all(data: Samples, rows: list[Row] = ROWS) -> None:
    assert data.name == "fer2013"
    assert data.label_set is FER7
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(data.images, pixels_of(rows))
    assert data.labels.tolist() == [int(row.emotion) for row in rows]
    assert data.splits.tolist() == [row.usage for row in rows]
    assert data.rows.tolist() == list(range(len(rows)))


@pytest.mark.parametrize(
    "name", ["fer2013.csv", "fer2013.csv.xz", "fer2013.csv.gz", "fer2013.csv.zip", "fer2013.zip", "other name.csv"]
)
def test_every_compression(tmp_path: Path, name: str) -> None:
    check_all(read_fer2013(write_table(tmp_path / name, table_text(ROWS))))
    if name.startswith("fer2013"):
        check_all(read_fer2013(tmp_path))


def test_compression_is_told_by_content(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv.xz", table_text(ROWS))
    check_all(read_fer2013(path.rename(tmp_path / "plain.csv")))


def test_icml_face_data_has_another_order_and_leading_blanks(tmp_path: Path) -> None:
    text = table_text(ROWS, ("emotion", " Usage", " pixels"))
    assert text.startswith("emotion, Usage, pixels\n")
    check_all(read_fer2013(write_table(tmp_path / "icml_face_data.csv", text)))
    check_all(read_fer2013(str(tmp_path)))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "\ufeff" + t,
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.rstrip("\n"),
        lambda t: t.replace(",Training", ", Training "),
        lambda t: t.replace("emotion,pixels,Usage", "emotion,pixels,Usage,note").replace("est\n", "est,x\n"),
    ],
    ids=["BOM", "CRLF", "blank lines", "no last line end", "blanks around values", "more columns"],
)
def test_harmless_differences(tmp_path: Path, change: object) -> None:
    text = change(table_text(ROWS))  # type: ignore[operator]
    data = read_fer2013(write_table(tmp_path / "fer2013.csv", text))
    np.testing.assert_array_equal(data.images, pixels_of(ROWS))
    assert data.splits.tolist() == USAGES


def test_one_split_keeps_its_place_in_the_published_order(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv", table_text(ROWS))
    data = read_fer2013(path, split="PublicTest")
    assert data.rows.tolist() == [2, 5]
    assert data.split_names() == ["PublicTest"]
    np.testing.assert_array_equal(data.images, pixels_of(ROWS)[[2, 5]])


def test_a_file_may_hold_one_split_only(tmp_path: Path) -> None:
    rows = make_rows(["PrivateTest"] * 3, seed=1)
    path = write_table(tmp_path / "exam.csv", table_text(rows))
    check_all(read_fer2013(path), rows)
    check_all(read_fer2013(path, split="PrivateTest"), rows)
    with pytest.raises(DatasetError, match=r"exam\.csv has no split 'Training'"):
        read_fer2013(path, split="Training")


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="fer2013 has the splits Training, PublicTest, PrivateTest, but got 'test'"):
        read_fer2013(tmp_path, split="test")


GOOD = " ".join(["7"] * 2304)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((" ".join(["7"] * 2303), "0", "Training"), "row 1: expected 2304 pixels, but got 2303"),
        ((" ".join(["7"] * 2305), "0", "Training"), "row 1: expected 2304 pixels, but got 2305"),
        (("", "0", "Training"), "row 1: expected 2304 pixels, but got 0"),
        ((" ".join(["7"] * 2303 + ["256"]), "0", "Training"), r"row 1: pixels must be 0\.\.255, but got 7\.\.256"),
        ((" ".join(["7"] * 2303 + ["-1"]), "0", "Training"), r"row 1: pixels must be 0\.\.255, but got -1\.\.7"),
        ((" ".join(["7"] * 2303 + ["9" * 30]), "0", "Training"), "row 1: pixels must be"),
        ((" ".join(["7"] * 2303 + ["x"]), "0", "Training"), "row 1: pixels must be integers, but got '7 7 7"),
        ((" ".join(["7"] * 2303 + ["1.5"]), "0", "Training"), "row 1: pixels must be integers"),
        ((" ".join(["7"] * 2303 + ["٣x"]), "0", "Training"), "row 1: pixels must be integers"),
        ((GOOD, "7", "Training"), "row 1: emotion must be a code from 0 to 6, but got '7'"),
        ((GOOD, "-1", "Training"), "row 1: emotion must be a code from 0 to 6, but got '-1'"),
        ((GOOD, "", "Training"), "row 1: emotion must be a code from 0 to 6, but got ''"),
        ((GOOD, "9" * 5000, "Training"), "row 1: emotion must be a code from 0 to 6, but got '999"),
        ((GOOD, "happy", "Training"), "row 1: emotion must be a code from 0 to 6, but got 'happy'"),
        (
            (GOOD, "0", "Trainning"),
            "row 1: Usage must be one of Training, PublicTest, PrivateTest, but got 'Trainning'",
        ),
        ((GOOD, "0", ""), "row 1: Usage must be one of"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: tuple[str, str, str], message: str) -> None:
    pixels, emotion, usage = row
    rows = [Row("0", GOOD, "Training"), Row(emotion, pixels, usage)]
    path = write_table(tmp_path / "fer2013.csv", table_text(rows))
    with pytest.raises(DatasetError, match=message) as caught:
        read_fer2013(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column emotion, pixels, Usage: it has none"),
        ("emotion,pixels\n0,1\n", "lacks the column Usage: it has emotion, pixels"),
        ("emotion,pixels,Usage\n", "has no rows"),
        ("emotion,pixels,Usage\n0,1 2\n", "row 0: expected 3 columns, but got 2"),
        ('emotion,pixels,Usage\n0,"' + "1 " * 70_000, "line 2: field larger than field limit"),
    ],
)
def test_a_wrong_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_fer2013(write_table(tmp_path / "fer2013.csv", text))


@pytest.mark.parametrize("suffix", ["xz", "gz", "zip"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.95])
def test_truncated_archives(tmp_path: Path, suffix: str, keep: float) -> None:
    path = write_table(tmp_path / f"fer2013.csv.{suffix}", table_text(ROWS))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DatasetError, match="is damaged or truncated"):
        read_fer2013(path)


@pytest.mark.parametrize("suffix", ["xz", "gz", "zip"])
def test_damaged_archives_never_crash(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"fer2013.csv.{suffix}", table_text(ROWS))
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = data.copy()
        damaged[int(generator.integers(6, len(data)))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            check_all(read_fer2013(path))
        except DatasetError:
            refused += 1
    assert refused > 30


def test_truncated_plain_table(tmp_path: Path) -> None:
    text = table_text(ROWS)
    with pytest.raises(DatasetError, match="row 7: expected"):
        read_fer2013(write_table(tmp_path / "fer2013.csv", text[:-5000]))


def test_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file .*nowhere"):
        read_fer2013(tmp_path / "nowhere.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(DatasetError, match="is not a table: invalid start byte"):
        read_fer2013(tmp_path / "image.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DatasetError, match="lacks the column"):
        read_fer2013(tmp_path / "empty.csv")
    (tmp_path / "empty.csv.xz").write_bytes(lzma.compress(b""))
    with pytest.raises(DatasetError, match="lacks the column"):
        read_fer2013(tmp_path / "empty.csv.xz")


def test_zips(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "y")
    with pytest.raises(DatasetError, match=r"must hold one table, but holds a\.csv, b\.csv"):
        read_fer2013(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(DatasetError, match="must hold one table, but holds none"):
        read_fer2013(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example_submission.csv", "x")
        archive.writestr("icml_face_data.csv", table_text(ROWS))
    check_all(read_fer2013(path))


def test_encrypted_zip(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.zip", table_text(ROWS))
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1  # general purpose bit 0: encrypted
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"cannot unpack .*password required"):
        read_fer2013(path)


def write_tree(root: Path) -> list[tuple[str, str, np.ndarray]]:
    generator = np.random.default_rng(2)
    written = []
    files = [
        ("train/angry/Training_1.png", "anger", "Training"),
        ("train/angry/Training_2.png", "anger", "Training"),
        ("train/happy/Training_0.png", "happiness", "Training"),
        ("test/neutral/PrivateTest_7.png", "neutral", "PrivateTest"),
        ("test/surprise/PublicTest_5.png", "surprise", "PublicTest"),
    ]
    for name, emotion, usage in files:
        pixels = generator.integers(0, 256, (48, 48), dtype=np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
        written.append((emotion, usage, pixels))
    return sorted(written, key=lambda entry: entry[1] == "Training")  # test before train, as the alphabet has it


def test_folder_tree(tmp_path: Path) -> None:
    written = write_tree(tmp_path)
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "angry" / "._Training_1.png").write_bytes(b"finder")
    (tmp_path / "train" / "angry" / "notes.txt").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    data = read_fer2013(tmp_path)
    assert [FER7.emotions[label] for label in data.labels] == [emotion for emotion, _, _ in written]
    assert data.splits.tolist() == [usage for _, usage, _ in written]
    np.testing.assert_array_equal(data.images, np.stack([pixels for _, _, pixels in written]))
    part = read_fer2013(tmp_path, split="Training")
    assert part.rows.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(part.images, data.images[2:])
    with pytest.raises(DatasetError, match="holds neither"):
        read_fer2013(tmp_path / "train")


def test_folder_tree_of_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(48), 2 * np.arange(48)).astype(np.uint8)
    (tmp_path / "train" / "fear").mkdir(parents=True)
    Image.fromarray(smooth).save(tmp_path / "train" / "fear" / "Training_9.jpg", quality=95)
    data = read_fer2013(tmp_path)
    assert data.images.shape == (1, 48, 48)
    assert np.abs(data.images[0].astype(int) - smooth).max() < 12
    assert data.labels.tolist() == [2]


def test_wrong_trees(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds neither fer2013\.csv nor a tree"):
        read_fer2013(tmp_path)
    write_tree(tmp_path)
    file = tmp_path / "test" / "surprise" / "PublicTest_5.png"
    nameless = file.rename(file.with_name("5.png"))
    with pytest.raises(DatasetError, match="must be named PublicTest_<id> or PrivateTest_<id>"):
        read_fer2013(tmp_path)
    nameless.rename(file)
    Image.new("L", (47, 48)).save(file)
    with pytest.raises(DatasetError, match=r"PublicTest_5\.png: expected 48 x 48 pixels, but got 47 x 48"):
        read_fer2013(tmp_path)
    file.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"PublicTest_5\.png: "):
        read_fer2013(tmp_path)
    file.unlink()
    (tmp_path / "train" / "bored").mkdir()
    with pytest.raises(DatasetError, match="bored: unknown emotion 'bored'"):
        read_fer2013(tmp_path)


@pytest.mark.data
def test_the_published_table(fer2013_dir: Path) -> None:
    path = fer2013_dir / "fer2013.csv.xz"
    with open_table(path) as text:
        head = [next(text) for _ in range(201)]
    counts = np.zeros(7, dtype=int)
    for line in head[1:]:
        counts[int(line[0])] += 1
    assert head[0].strip() == "emotion,pixels,Usage"
    assert counts.sum() == 200
    assert (counts[[3, 6]] > counts[1]).all()
