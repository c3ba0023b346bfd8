from __future__ import annotations

import csv
import gzip
import lzma
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.data import Samples, load_images, table
from mien.data.fer2013 import read_fer2013
from mien.data.table import read_table
from mien.errors import DatasetError, InputError, MissingExtraError
from mien.labels import BAUM8, FER7, FERPLUS8, LabelSet

FORMS = ["faces.csv", "faces.parquet", "faces"]
TABLES = FORMS[:2]


def rows(n: int = 8, *, side: int = 48, labels: LabelSet = FER7, color: bool = False) -> list[table.Face]:
    generator = np.random.default_rng(0)
    shape = (side, side, 3) if color else (side, side)
    return [
        table.Face(
            pixels=generator.integers(0, 256, shape, dtype=np.uint8),
            emotion=labels.emotions[i % len(labels)],
            split=("Training", "PublicTest")[i % 2],
            subject=f"S{i:02d}",
            clip=f"clip {i // 2}",
            source=f'x "{i}", y',
            box="1.0 2.0 30.5 40.0",
        )
        for i in range(n)
    ]


def read(path: Path, side: int = 48) -> Samples:
    return load_images("folder", path, size=side) if path.is_dir() else load_images("table", path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("side", "labels"), [(48, FER7), (1, FER7), (33, FERPLUS8)])
def test_what_is_written_is_read(form: str, side: int, labels: LabelSet, tmp_path: Path) -> None:
    written = rows(side=side, labels=labels)
    assert table.write(tmp_path / "new" / form, iter(written), labels) == 8
    data = read(tmp_path / "new" / form, side)
    np.testing.assert_array_equal(data.images, np.stack([row.pixels for row in written]))
    assert [data.label_set.emotions[label] for label in data.labels] == [row.emotion for row in written]
    assert data.label_set.name == labels.name
    assert data.splits.tolist() == [row.split for row in written]
    assert data.subjects.tolist() == [row.subject for row in written]
    assert data.clips.tolist() == [row.clip for row in written]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [form]


@pytest.mark.parametrize("form", TABLES)
def test_color_is_read_as_luma(form: str, tmp_path: Path) -> None:
    written = rows(3, side=20, color=True)
    table.write(tmp_path / form, written, FER7)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    wanted = np.stack([row.pixels for row in written]) @ weights
    assert np.abs(read(tmp_path / form).images - wanted).max() <= 0.51


def test_a_folder_keeps_color_and_says_where_images_come_from(tmp_path: Path) -> None:
    written = rows(3, side=20, color=True)
    table.write(tmp_path / "faces", written, FER7)
    with (tmp_path / "faces" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        manifest = list(csv.DictReader(stream))
    assert tuple(manifest[0]) == table.MANIFEST_COLUMNS
    assert [row["source"] for row in manifest] == [row.source for row in written]
    assert {row["box"] for row in manifest} == {"1.0 2.0 30.5 40.0"}
    for row, one in zip(manifest, written, strict=True):
        assert row["file"].startswith(f"{one.split}/{one.emotion}/")
        image = cv2.imread(str(tmp_path / "faces" / row["file"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image[..., ::-1], one.pixels)


def test_fer2013_reads_what_is_written_with_its_labels_and_splits(tmp_path: Path) -> None:
    written = rows(14)
    table.write(tmp_path / "faces.csv", written, FER7)
    data = read_fer2013(tmp_path / "faces.csv")
    np.testing.assert_array_equal(data.images, np.stack([row.pixels for row in written]))
    assert data.labels.tolist() == [*range(7), *range(7)]
    assert read_fer2013(tmp_path / "faces.csv", split="PublicTest").rows.tolist() == list(range(1, 14, 2))
    assert load_images("table", tmp_path / "faces.csv", split="PublicTest").rows.tolist() == list(range(1, 14, 2))


def test_emotions_are_codes_of_fer2013_or_words(tmp_path: Path) -> None:
    for labels, first in ((FER7, "0"), (BAUM8, "neutral")):
        table.write(tmp_path / f"{labels.name}.csv", rows(2, labels=labels), labels)
        with (tmp_path / f"{labels.name}.csv").open(newline="", encoding="utf-8") as stream:
            row = next(csv.DictReader(stream))
        assert (row["emotion"], row["labels"]) == (first, labels.name)


@pytest.mark.parametrize("form", TABLES)
def test_shares_and_what_is_not_known(form: str, tmp_path: Path) -> None:
    shares = tuple(np.float32([0.1, 0.2, 0.3, 0.4, 0, 0, 0, 0]))
    square = np.zeros((4, 4), np.uint8)
    written = [table.Face(square, "neutral", shares=shares), table.Face(square, ""), table.Face(square, "fear")]
    table.write(tmp_path / form, written, FERPLUS8, shares=True)
    data = read(tmp_path / form)
    assert data.labels.tolist() == [0, -1, 6]
    assert (data.has("subject"), data.has("clip"), data.splits.tolist()) == (False, False, [""] * 3)
    assert data.distribution is not None
    np.testing.assert_array_equal(data.distribution, np.float32([shares, [0] * 8, [0] * 8]))


def test_images_without_emotion_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    square = np.zeros((4, 4), np.uint8)
    words = [("anger", "a/../b"), ("fear", ".."), ("", "")]
    table.write(tmp_path / "faces", [table.Face(square, emotion, split) for emotion, split in words], FER7)
    data = read(tmp_path / "faces", 4)
    assert data.labels.tolist() == [0, 2, -1]
    assert data.splits.tolist() == [split for _, split in words]
    assert data.files.tolist() == ["a_.._b/anger/0000001.png", "_/fear/0000002.png", "unlabeled/0000003.png"]


@pytest.mark.parametrize("form", FORMS)
def test_odd_words_are_kept_in_one_piece(form: str, tmp_path: Path) -> None:
    square = np.zeros((4, 4), np.uint8)
    odd = 'a,"b"\n\u3042 \udcff'
    table.write(tmp_path / form, [table.Face(square, e, "x", odd, odd, odd) for e in ("fear", "anger")], FER7)
    data = read(tmp_path / form, 4)
    assert data.subjects[1] == 'a,"b"\n\u3042 \\udcff'


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_packed_table_is_read(suffix: str, pack: object, tmp_path: Path) -> None:
    table.write(tmp_path / "faces.csv", rows(), FER7)
    packed = tmp_path / f"faces.csv{suffix}"
    packed.write_bytes(pack((tmp_path / "faces.csv").read_bytes()))  # type: ignore[operator]
    np.testing.assert_array_equal(read(packed).images, read(tmp_path / "faces.csv").images)


def test_images_larger_than_fields_of_csv(tmp_path: Path) -> None:
    written = rows(2, side=300)
    before = csv.field_size_limit()
    table.write(tmp_path / "faces.csv", written, FER7)
    np.testing.assert_array_equal(read(tmp_path / "faces.csv").images[1], written[1].pixels)
    assert csv.field_size_limit() == before


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_over_and_a_failure_leaves_nothing(form: str, tmp_path: Path) -> None:
    def failing() -> object:
        yield rows(1)[0]
        raise RuntimeError("stop")

    target = tmp_path / form
    with pytest.raises(RuntimeError, match="stop"):
        table.write(target, failing(), FER7)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    with pytest.raises(DatasetError, match=r"will not write over .*faces"):
        table.write(target, rows(), FER7)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_where_nothing_can_be_written(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DatasetError, match=r"cannot write .*faces.*: "):
        table.write(tmp_path / "file" / form, rows(), FER7)


def test_another_suffix_or_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"written as \.csv, \.parquet or a folder without suffix, but got .*a\.txt"):
        table.write(tmp_path / "a.txt", rows(), FER7)
    table.write(tmp_path / "a.parquet", rows(), FER7)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'reading Parquet needs pyarrow: pip install "mien\[parquet\]"'):
        read_table(tmp_path / "a.parquet")
    with pytest.raises(MissingExtraError, match="writing Parquet needs pyarrow"):
        table.write(tmp_path / "b.parquet", rows(), FER7)


@pytest.mark.parametrize("shape", [(4, 5), (4, 4, 1), (4, 4, 4), (4,)])
def test_images_that_are_no_squares(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be squares of one size, but got"):
        table.write(tmp_path / "a.csv", [table.Face(np.zeros(shape, np.uint8), "fear")], FER7)
    assert list(tmp_path.iterdir()) == []


def test_images_of_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"squares of one size, but got \(5, 5\) after \(4, 4\)"):
        table.write(tmp_path / "a.csv", [*rows(1, side=4), *rows(1, side=5)], FER7)


FOUR = "1 2 3 4"
BAD = [
    ("emotion,Usage\n0,Training\n", "lacks the column pixels: it has emotion, Usage"),
    ("emotion,pixels,Usage,Usage\n", "has the column 'Usage' twice"),
    ("emotion,pixels,Usage\n", "has no rows"),
    (f"emotion,pixels,Usage\n0,{FOUR},a\n1,{FOUR}\n", "row 3: expected 3 columns, but got 2"),
    (f"emotion,pixels,Usage\n7,{FOUR},a\n", r"row 2: emotion must be one of anger.* from 0 to 6.*but got '7'"),
    (f"emotion,pixels,Usage\nbored,{FOUR},a\n", "row 2: emotion must be one of anger.*but got 'bored'"),
    (f"emotion,pixels,Usage\n\u00b2,{FOUR},a\n", "row 2: emotion must be one of anger"),
    ("emotion,pixels,Usage\n0,1 2 x 4,a\n", "row 2: pixels must be integers, but got '1 2 x 4'"),
    ("emotion,pixels,Usage\n0,,a\n", "row 2: pixels must be integers, but got ''"),
    ("emotion,pixels,Usage\n0,1 2 3 nan,a\n", "row 2: pixels must be integers"),
    ("emotion,pixels,Usage\n0,1 2 3 256,a\n", r"row 2: pixels must be 0\.\.255, but got 1\.\.256"),
    ("emotion,pixels,Usage\n0,1 2 3 -4,a\n", r"row 2: pixels must be 0\.\.255, but got -4\.\.3"),
    ("emotion,pixels,Usage\n0,1 2 3 4 5,a\n", "row 2: expected a square of pixels, but got 5 values"),
    (f"emotion,pixels,Usage\n0,{FOUR},a\n0,1,a\n", "row 3: expected 2 x 2 of pixels, but got 1 values"),
    (f"emotion,pixels,Usage,labels\n0,{FOUR},a,six\n", "row 2: unknown label set 'six'"),
    (
        f"emotion,pixels,Usage,labels\n0,{FOUR},a,fer7\n0,{FOUR},a,ferplus8\n",
        "row 3: labels must be fer7 throughout, but got 'ferplus8'",
    ),
    (f"emotion,pixels,Usage,p_anger\n0,{FOUR},a,1\n", "must have all of p_anger, p_disgust, .*, or none"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_wrong_row_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=f"faces.csv.*{message}"):
        read_table(tmp_path / "faces.csv")


@pytest.mark.parametrize("share", ["-0.5", "nan", "inf", "2", "x"])
def test_shares_that_are_no_distribution(share: str, tmp_path: Path) -> None:
    head = ",".join(f"p_{emotion}" for emotion in FER7.emotions)
    text = f"emotion,pixels,Usage,{head}\n0,{FOUR},a,{share},0,0,0,0,0,0\n"
    (tmp_path / "faces.csv").write_text(text, "utf-8")
    with pytest.raises(DatasetError, match="row 2: shares must be at least 0 and sum to 1, or all be 0"):
        read_table(tmp_path / "faces.csv")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    table.write(tmp_path / "a.parquet", rows(), FER7)
    whole = (tmp_path / "a.parquet").read_bytes()
    for content in (b"", b"junk", whole[:-20], whole[: len(whole) // 2], whole[:200] + bytes(900) + whole[1100:]):
        (tmp_path / "bad.parquet").write_bytes(content)
        with pytest.raises(DatasetError, match=r"bad\.parquet is no Parquet file, or damaged"):
            read_table(tmp_path / "bad.parquet")
    with pytest.raises(DatasetError, match=r"no file .*gone\.parquet"):
        read_table(tmp_path / "gone.parquet")
    with pytest.raises(DatasetError, match=r"no file .*gone\.csv"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(DatasetError, match=r"is a folder: a table is a \.csv or \.parquet file"):
        read_table(tmp_path)


def test_parquet_of_other_types(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"emotion": ["fear", None], "pixels": [FOUR, "5 6 7 8"], "Usage": [None, "a"]}
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    data = read_table(tmp_path / "a.parquet")
    assert (data.labels.tolist(), data.splits.tolist(), data.images[1].tolist()) == (
        [2, -1],
        ["", "a"],
        [[5, 6], [7, 8]],
    )
    parquet.write_table(arrow.table({**columns, "pixels": [4, 5]}), tmp_path / "b.parquet")
    with pytest.raises(DatasetError, match="row 2: pixels must be integers, but got '4'"):
        read_table(tmp_path / "b.parquet")
