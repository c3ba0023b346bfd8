from __future__ import annotations

import contextlib
import io
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mien.data.images import list_iefdb
from mien.errors import DatasetError, InputError, MissingExtraError

openpyxl = pytest.importorskip("openpyxl")


def make_images(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 80).save(path)
    return root


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def told(listed: object) -> dict[str, str]:
    return {
        file: listed.label_set.emotions[label]  # type: ignore[attr-defined]
        for file, label in zip(listed.files, listed.labels, strict=True)  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tells_delimiter_and_encoding(delimiter: str, encoding: str, tmp_path: Path) -> None:
    make_images(tmp_path, "چهره.png", "b.png")
    rows = (("Image Name", "Emotion", "Remark"), ("چهره.png", "Happy", "1,5"), ("b.png", "sad", '"a; b"'))
    write(tmp_path / "labels.csv", "\r\n".join(delimiter.join(row) for row in rows), encoding)
    if delimiter == ",":
        write(tmp_path / "labels.csv", "\r\n".join(delimiter.join(row[:2]) for row in rows), encoding)
    listed = list_iefdb(tmp_path)
    assert told(listed) == {"چهره.png": "happiness", "b.png": "sadness"}
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
    assert told(listed) == {"a/one.jpg": "fear", "a/two.jpg": "anger"}
    assert listed.problems == ()


def test_composed_and_decomposed_letters_are_the_same(tmp_path: Path) -> None:
    make_images(tmp_path, "e\u0301.jpg", "b.jpg")
    write(tmp_path / "t.csv", "file,emotion\n\u00e9.jpg,fear\nb,anger\n")
    assert list_iefdb(tmp_path).problems == ()


def test_another_folder_is_another_file(tmp_path: Path) -> None:
    make_images(tmp_path, "happy/1.jpg", "sad/1.jpg", "sad/2.jpg")
    write(tmp_path / "t.csv", "file,emotion\nhappy/1.jpg,happy\nsad/1,sad\nhappy/2.jpg,happy\n1.jpg,sad\n")
    listed = list_iefdb(tmp_path)
    assert told(listed) == {"happy/1.jpg": "happiness", "sad/1.jpg": "sadness"}
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
    assert told(listed) == {"a.jpg": "anger", "d.jpg": "fear"}
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
    assert told(list_iefdb(tmp_path)) == {"2.jpg": "sadness", "1.jpg": "sadness"}
    listed = list_iefdb(tmp_path, file_column="Bild", emotion_column="gefühl", subject_column="Who")
    assert told(listed) == {"1.jpg": "fear", "2.jpg": "anger"}
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
    assert told(list_iefdb(tmp_path, table="u.csv")) == {"a.jpg": "fear"}
    assert told(list_iefdb(tmp_path, table=tmp_path / "t.csv")) == {"a.jpg": "anger"}
    with pytest.raises(DatasetError, match=r"no table v\.csv"):
        list_iefdb(tmp_path, table="v.csv")
    with pytest.raises(DatasetError, match="cannot read the table"):
        list_iefdb(tmp_path, table=tmp_path)


def test_the_table_itself_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(make_images(tmp_path, "a.jpg") / "t.csv", "file,emotion\na,anger\n")
    monkeypatch.chdir(tmp_path)
    assert list_iefdb(".", table=tmp_path / "t.csv").problems == ()
    assert list_iefdb(tmp_path, table="t.csv").problems == ()


def test_contempt_needs_a_set_that_has_it(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path / "t.csv", "file,emotion\na,contempt\nb,neutral\n")
    assert told(list_iefdb(tmp_path)) == {"b.jpg": "neutral"}
    assert told(list_iefdb(tmp_path, label_set="ferplus8")) == {"a.jpg": "contempt", "b.jpg": "neutral"}
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
def test_refuses_what_is_no_table(content: bytes, message: str, tmp_path: Path) -> None:
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
    assert told(listed) == {"1.jpg": "happiness", "b.jpg": "sadness"}
    assert listed.subjects.tolist() == ["12", "w2"]
    assert listed.problems == ()
    other = list_iefdb(tmp_path, sheet="More")
    assert told(other) == {"b.jpg": "fear"}
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
def test_refuses_a_truncated_workbook(share: float, tmp_path: Path) -> None:
    path = workbook(make_images(tmp_path, "1.jpg") / "labels.xlsx")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DatasetError, match=r"labels\.xlsx is no XLSX file, or a damaged one: "):
        list_iefdb(tmp_path)


@pytest.mark.parametrize("member", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("content", [b"", b"<broken", b"<x/>"])
def test_refuses_a_workbook_with_damaged_parts(member: str, content: bytes, tmp_path: Path) -> None:
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
