"""Segments as JSON, CSV, Parquet and tables; hostile names, and images in the same table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from rich.console import Console

from mien.errors import InputError, MediaNotFoundError
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet
from mien.output import CsvWriter, JsonLinesWriter, ParquetWriter, speech_summary, speech_table, to_json
from mien.results import Emotion, FailedItem, ImageResult, SpeechResult, SpeechSegment

NAMES = [
    "a.wav",
    'comma, "quote".wav',
    "two\nlines.wav",
    "re\rturn.wav",
    "=1+1.wav",
    "面 😀.wav",
    "raw\udcff\udcfe.wav",
]


def emotion(top: str, share: float = 0.8, labels: LabelSet = RAVDESS8) -> Emotion:
    rest = (1 - share) / (len(labels) - 1)
    return Emotion(labels, tuple(share if name == top else rest for name in labels.emotions))


def heard(name: str | None = "call.wav", *, warnings: tuple[str, ...] = (), scale: float = 1.0) -> SpeechResult:
    segments = (
        SpeechSegment(0.0, 1.5 * scale, False),
        SpeechSegment(1.5 * scale, 4.5 * scale, True, emotion("anger")),
        SpeechSegment(4.5 * scale, 5.5 * scale, True, emotion("calm", 0.4), ("only 0.3 s of speech",)),
        SpeechSegment(5.5 * scale, 6.0 * scale, False),
    )
    return SpeechResult(6.0 * scale, segments, name, "m", warnings)


FAILED = FailedItem("b.wav", "DecodeError", "b.wav is empty")


def rows_of(*items: Any, **labels: Any) -> list[dict[str, str]]:
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream, **labels)
    for item in items:
        writer.write(item)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))


def shown(table: Any, *, width: int = 160, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    Console(file=stream, width=width).print(table)
    stream.flush()
    return raw.getvalue().decode(encoding)


# --- JSON, CSV ------------------------------------------------------------------------------------------------------


def test_json_comes_back() -> None:
    result = heard(warnings=("the file is truncated",))
    assert SpeechResult.from_dict(json.loads(to_json(result))) == result
    assert json.loads(to_json(result))["summary"] == result.summary.to_dict()
    stream = io.StringIO()
    for item in (result, FAILED):
        JsonLinesWriter(stream).write(item)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [result.to_dict(), FAILED.to_dict()]


@pytest.mark.parametrize("name", NAMES)
def test_csv_is_one_row_a_segment(name: str) -> None:
    result = heard(name)
    rows = rows_of(result, speech="ravdess8")
    assert len(rows) == len(result.segments)
    for row, expected in zip(rows, result.rows(), strict=True):
        assert row["path"] == name.encode("utf-8", "backslashreplace").decode()
        assert row["segment"] == str(expected["segment"])
        assert (float(row["start_s"]), float(row["end_s"])) == (expected["start_s"], expected["end_s"])
        assert row["speech"] == str(expected["speech"]).lower()
        assert row["emotion"] == (expected["emotion"] or "")
        for label in RAVDESS8.emotions:
            assert row[label] == (f"{expected[label]:.6f}" if expected["emotion"] else "")
    assert [row["warnings"] for row in rows] == ["", "", "only 0.3 s of speech", ""]


def test_what_is_odd_about_a_recording_and_errors_have_rows_of_their_own() -> None:
    rows = rows_of(heard(warnings=("is clipped", "is truncated")), FAILED, SpeechResult(0.0, path="z"), speech=RAVDESS8)
    assert [row["segment"] for row in rows] == ["1", "2", "3", "4", "", "", ""]
    assert rows[4]["warnings"] == "is clipped; is truncated"
    assert (rows[5]["path"], rows[5]["error"], rows[5]["message"]) == ("b.wav", "DecodeError", "b.wav is empty")
    assert rows[6]["path"] == "z"


def test_segments_written_as_they_come_are_the_same_rows() -> None:
    whole, parts = io.StringIO(), io.StringIO()
    result = heard(warnings=("is clipped",))
    CsvWriter(whole, speech=RAVDESS8).write(result)
    writer = CsvWriter(parts, speech=RAVDESS8)
    for number, segment in enumerate(result.segments, 1):
        writer.write_segment(result.path, number, segment)
    writer.write_warnings(result.path, result.warnings)
    writer.write_warnings(result.path, ())
    assert parts.getvalue() == whole.getvalue()


def image(make_face: Any) -> ImageResult:
    return ImageResult(100, 80, (make_face((1, 2, 33, 44)),), "a.jpg")


def test_images_and_recordings_share_a_table(make_face: Any) -> None:
    rows = rows_of(image(make_face), heard(), labels=FERPLUS8, speech=RAVDESS8)
    columns = list(rows[0])
    assert columns[:7] == ["path", "face", "x1", "y1", "x2", "y2", "score"]
    assert columns[7:12] == ["segment", "start_s", "end_s", "speech", "emotion"]
    assert {*FERPLUS8.emotions, *RAVDESS8.emotions} < set(columns)
    assert len(columns) == len(set(columns))
    assert (rows[0]["face"], rows[0]["segment"], rows[0]["calm"], rows[0]["contempt"] != "") == ("1", "", "", True)
    assert (rows[2]["face"], rows[2]["segment"], rows[2]["contempt"], rows[2]["calm"] != "") == ("", "2", "", True)


def test_what_has_no_columns_is_refused(make_face: Any) -> None:
    with pytest.raises(InputError, match="the table has no columns for a segment"):
        rows_of(heard(), labels="fer7")
    with pytest.raises(InputError, match="the table has no columns for a face"):
        rows_of(image(make_face), speech="fer7")
    with pytest.raises(InputError, match="the table has the labels fer7, but a segment has ravdess8"):
        rows_of(heard(), speech="fer7")


# --- Parquet --------------------------------------------------------------------------------------------------------


def test_parquet_holds_the_same_rows_with_types(tmp_path: Path, make_face: Any) -> None:
    path = tmp_path / "x.parquet"
    items = [image(make_face), heard("raw\udcff.wav", warnings=("odd",)), FAILED]
    with ParquetWriter(path, FERPLUS8, speech=RAVDESS8) as writer:
        for item in items:
            writer.write(item)
    assert writer.rows == 7
    table = parquet.read_table(path)
    plain = rows_of(*items, labels=FERPLUS8, speech=RAVDESS8)
    assert table.column_names == list(plain[0])
    for row, text in zip(table.to_pylist(), plain, strict=True):
        for name, value in row.items():
            if value is None:
                assert text[name] == ""
            elif isinstance(value, bool):
                assert text[name] == str(value).lower()
            elif isinstance(value, float):
                assert float(text[name]) == pytest.approx(value, abs=5e-3)
            else:
                assert text[name] == str(value)
    types = {name: str(table.schema.field(name).type) for name in ("path", "segment", "start_s", "speech", "anger")}
    assert types == {"path": "string", "segment": "int32", "start_s": "double", "speech": "bool", "anger": "double"}


def test_many_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.output.parquet._GROUP_ROWS", 10)
    with ParquetWriter(tmp_path / "x.parquet", speech=RAVDESS8) as writer:
        for _ in range(6):
            writer.write(heard())
    assert parquet.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 2
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 24


def test_after_an_error_the_older_table_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"older")
    with pytest.raises(InputError, match="labels fer7"), ParquetWriter(path, speech=FER7) as writer:
        writer.write(heard())
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.parquet"]
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet, but got 'x\.csv'"):
        ParquetWriter(tmp_path / "x.csv")
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        ParquetWriter(tmp_path / "no" / "x.parquet")


# --- for people -----------------------------------------------------------------------------------------------------


def test_a_table_for_people() -> None:
    lines = shown(speech_table([heard(warnings=("is clipped",)), FAILED])).splitlines()
    body = [line.split() for line in lines if line.strip()][2:]
    assert body[0][:5] == ["call.wav", "0.00", "1.50", "no", "speech"]
    assert body[0][-2:] == ["is", "clipped"]
    assert body[1] == ["1.50", "4.50", "anger", "████████", "80%", "neutral", "3%"]
    assert body[2][:5] == ["4.50", "5.50", "calm", "████", "40%"]
    assert "unsure; only 0.3 s of speech" in lines[5]
    assert body[4][:2] == ["b.wav", "error"]


def test_long_recordings_have_minutes_and_hours() -> None:
    assert "12:00.0" in shown(speech_table(heard(scale=160)))
    assert "1:30:00.0" in shown(speech_table(heard(scale=1200)))


@pytest.mark.parametrize("name", [*NAMES, "\x1b[31mred", None])
def test_no_name_steers_the_terminal(name: str | None) -> None:
    text = shown(speech_table(heard(name), ascii_only=True), encoding="ascii")
    text += speech_summary(heard(name), ascii_only=True)
    assert "\x1b" not in text
    assert "\r" not in text
    assert len(text.splitlines()) == len((shown(speech_table(heard("a")), width=200) + "x").splitlines())


def test_a_line_sums_up() -> None:
    assert speech_summary(heard()) == "call.wav: 4.0 s of speech in 6.0 s: anger 75%, calm 25%"
    assert speech_summary(heard(None, scale=1000)) == "1 h 6 min 40 s of speech in 1 h 40 min 0 s: anger 75%, calm 25%"
    assert speech_summary(heard(scale=60)).startswith("call.wav: 4 min 0 s of speech in 6 min 0 s: ")
    silent = SpeechResult(2.0, (SpeechSegment(0.0, 2.0, False),))
    assert speech_summary(silent) == "no speech in 2.0 s"
    assert "no sound" in shown(speech_table(SpeechResult(0.0, path="z")))
