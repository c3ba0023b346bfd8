"""JSON, CSV and tables, with the names that real disks hold."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mien.errors import InputError
from mien.labels import FER7, FERPLUS8
from mien.output.console import face_table
from mien.output.tables import CsvWriter, JsonLinesWriter, to_json
from mien.results import FailedItem, ImageResult

NAMES = [
    "a.jpg",
    'comma, "quote".jpg',
    "two\nlines.jpg",
    "re\rturn.jpg",
    "=1+1.jpg",
    "面 😀.jpg",
    "raw\udcff\udcfe.jpg",
]


@pytest.fixture
def result(make_face: Any) -> ImageResult:
    faces = (make_face((1, 2, 33.333, 44)), make_face((5, 6, 20, 22), "fear", 0.3, warnings=("small",)))
    return ImageResult(
        100, 80, (*faces, make_face((50, 50, 60, 60), None)), "a.jpg", "m", "d", ("the file is truncated",)
    )


def with_name(result: ImageResult, name: str | None) -> ImageResult:
    return ImageResult(result.width, result.height, result.faces, name, result.model, result.detector, result.warnings)


def test_json_of_one_and_of_many(result: ImageResult) -> None:
    failed = FailedItem("b.jpg", "DecodeError", "b.jpg is empty")
    assert ImageResult.from_dict(json.loads(to_json(result))) == result
    many = json.loads(to_json(iter([result, failed]), indent=None))
    assert many == [result.to_dict(), failed.to_dict()]
    assert json.loads(to_json([])) == []
    with pytest.raises(InputError, match="expected an ImageResult, a SpeechResult or a FailedItem, but got 3"):
        to_json([3])  # type: ignore[list-item]


@pytest.mark.parametrize("name", NAMES)
def test_json_keeps_every_name(result: ImageResult, name: str, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with target.open("w", encoding="ascii") as stream:
        writer = JsonLinesWriter(stream)
        writer.write(with_name(result, name))
        writer.write(FailedItem(name, "DecodeError", f"{name} is empty"))
    lines = target.read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [name, name]
    assert json.loads(to_json(with_name(result, name)))["path"] == name


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_rows(result: ImageResult) -> None:
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream, "ferplus8")
    writer.write(result)
    writer.write(ImageResult(5, 5, (), "empty.jpg"))
    writer.write(FailedItem("bad.jpg", "DecodeError", "bad.jpg is empty"))
    rows = read_csv(stream.getvalue())
    assert tuple(rows[0]) == writer.columns
    assert len(rows) == 5
    assert [row["face"] for row in rows] == ["1", "2", "3", "", ""]
    assert [row["emotion"] for row in rows] == ["happiness", "fear", "", "", ""]
    assert [row["unsure"] for row in rows] == ["false", "true", "", "", ""]
    assert (rows[0]["x1"], rows[0]["x2"], rows[0]["happiness"]) == ("1.00", "33.33", "0.900000")
    assert rows[1]["warnings"] == "the file is truncated; small"
    assert (rows[3]["path"], rows[3]["error"]) == ("empty.jpg", "")
    assert (rows[4]["error"], rows[4]["message"]) == ("DecodeError", "bad.jpg is empty")
    assert sum(float(rows[0][name]) for name in FERPLUS8.emotions) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_csv_keeps_every_name(result: ImageResult, name: str) -> None:
    stream = io.StringIO(newline="")
    CsvWriter(stream, FERPLUS8).write(with_name(result, name))
    assert [row["path"] for row in read_csv(stream.getvalue())] == [name] * 3


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_csv_writes_what_the_encoding_lacks_as_escapes(result: ImageResult, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    writer = CsvWriter(stream, FERPLUS8)
    for name in NAMES:
        writer.write(with_name(result, name))
    stream.flush()
    rows = read_csv(raw.getvalue().decode(encoding))
    assert len(rows) == 3 * len(NAMES)
    assert rows[-1]["path"] == "raw\\udcff\\udcfe.jpg"


def test_csv_refuses_other_labels(result: ImageResult) -> None:
    with pytest.raises(InputError, match="the table has the labels fer7, but a face has ferplus8"):
        CsvWriter(io.StringIO(), FER7).write(result)


def shown(table: Any, encoding: str = "utf-8", width: int = 140) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    Console(file=stream, width=width, force_terminal=True, color_system="truecolor").print(table)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_table_for_people(result: ImageResult) -> None:
    text = shown(
        face_table([result, ImageResult(5, 5, (), "none.jpg"), FailedItem("x.jpg", "DecodeError", "x.jpg is empty")])
    )
    for words in (
        "a.jpg",
        "happiness",
        "90%",
        "█████████",
        "fear",
        "30%",
        "unsure",
        "truncated",
        "no face",
        "x.jpg is empty",
    ):
        assert words in text
    assert "\x1b[38;2;240;228;66m" in text  # the yellow of happiness


@pytest.mark.parametrize("name", [*NAMES, "\x1b[2J\x1b]0;title\x07.jpg", "[red]markup[/red].jpg", "", None])
def test_table_shows_any_name_without_harm(result: ImageResult, name: str | None) -> None:
    text = shown(face_table(with_name(result, name)), width=200)
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    if name and name.startswith("[red]"):
        assert name in text
    assert shown(face_table(with_name(result, name), ascii_only=True), encoding="ascii")


def test_names_of_real_files_that_are_not_utf8(result: ImageResult) -> None:
    name = os.fsdecode(b"\xff.jpg")
    assert "\\xff" in shown(face_table(with_name(result, name))) or "\\udcff" in shown(
        face_table(with_name(result, name))
    )
