"""JSON, CSV and Parquet: rows of all kinds of results, with the names that real disks hold, as they come."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from mien.errors import InputError, MediaNotFoundError
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet
from mien.output import FORMATS, Context, CsvWriter, JsonLinesWriter, ParquetWriter, to_json, write_json
from mien.results import TABLES, Column, FailedItem, ImageResult, Result, SpeechResult, VideoResult, columns
from planted_video import planted_video

NAMES = [
    "a.jpg",
    'comma, "quote".jpg',
    "two\nlines.jpg",
    "re\rturn.jpg",
    "面 😀.jpg",
    "raw\udcff\udcfe.jpg",
]
LABELS = {"image": FERPLUS8, "audio": RAVDESS8}


def video_labels(table: str) -> LabelSet:
    return {"speech": RAVDESS8, "fused": FER7}.get(table, FERPLUS8)


def csv_text(*items: Result, labels: Mapping[str, LabelSet] = LABELS, table: str | None = None) -> str:
    stream = io.StringIO(newline="")
    with CsvWriter(stream, Context(labels=labels, table=table)) as writer:
        for item in items:
            writer.write(item)
    return stream.getvalue()


def csv_rows(*items: Result, **options: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(*items, **options), newline="")))


def video_rows(*items: Result, table: str = "frames") -> list[dict[str, str]]:
    return csv_rows(*items, labels={"video": video_labels(table)}, table=table)


def lines_of(*items: Result) -> list[dict[str, Any]]:
    stream = io.StringIO()
    writer = JsonLinesWriter(stream)
    for item in items:
        writer.write(item)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_comes_back(image: ImageResult, speech: SpeechResult, video: VideoResult, failed: FailedItem) -> None:
    assert ImageResult.from_dict(json.loads(to_json(image))) == image
    assert SpeechResult.from_dict(json.loads(to_json(speech))) == speech
    document = json.loads(to_json(video))
    again = VideoResult.from_dict(document)
    assert (document, again.to_dict()["frames"]) == (video.to_dict(), document["frames"])
    assert again.rows("segments") == video.rows("segments")
    items = [image, speech, video, failed]
    assert json.loads(to_json(iter(items), indent=None)) == [item.to_dict() for item in items]
    assert json.loads(to_json([])) == []
    with pytest.raises(InputError, match="expected a result, such as an ImageResult or a FailedItem, but got 3"):
        to_json([3])  # type: ignore[list-item]


@pytest.mark.parametrize("name", NAMES)
def test_json_keeps_every_name(image: ImageResult, name: str, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with target.open("w", encoding="ascii") as stream:
        writer = JsonLinesWriter(stream)
        writer.write(replace(image, path=name))
        writer.write(FailedItem(name, "DecodeError", f"{name} is empty"))
    lines = target.read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [name, name]
    assert json.loads(to_json(replace(image, path=name)))["path"] == name


def test_a_video_written_frame_by_frame_is_the_same_document(video: VideoResult) -> None:
    for result in (video, planted_video()):
        stream = io.StringIO()
        write_json(result, stream)
        assert stream.getvalue() == to_json(result) + "\n"


def test_lines_of_a_video_name_their_kind_and_hold_all_of_it(video: VideoResult, failed: FailedItem) -> None:
    result = replace(video, path="raw\udcff\n.mp4")
    lines = lines_of(result, replace(failed, kind="video"))
    kinds = [line.pop("kind") for line in lines]
    speech, fused = len(result.speech.segments), len(result.fused.segments)  # type: ignore[union-attr]
    expected = {"frame": 50, "track": 2, "segment": 3, "speech": speech, "fused": fused, "video": 1, "failed": 1}
    assert kinds == [kind for kind, count in expected.items() for _ in range(count)]
    assert {line["path"] for line in lines[:-1]} == {result.path}
    parts: dict[str, list[dict[str, Any]]] = {kind: [] for kind in expected}
    for kind, line in zip(kinds, lines, strict=True):
        parts[kind].append(line)
    document = result.to_dict()
    assert [{"path": result.path, **frame} for frame in document["frames"]] == parts["frame"]
    assert [line["moments"] for line in parts["track"]] == [track["moments"] for track in document["tracks"]]
    assert [line["start_s"] for line in parts["segment"]] == [0.0, 6.0, 0.0]
    for kind in ("speech", "fused"):
        segments = document[kind].pop("segments")
        numbered = [{"path": result.path, "segment": number, **one} for number, one in enumerate(segments, 1)]
        assert parts[kind] == numbered
        assert parts["video"][0][kind] == document[kind]
    assert parts["failed"] == [failed.to_dict()]


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_csv_of_images(image: ImageResult, failed: FailedItem) -> None:
    rows = csv_rows(image, ImageResult(5, 5, (), "empty.jpg"), failed, labels={"image": FERPLUS8})
    assert list(rows[0]) == [column.name for column in columns("faces", FERPLUS8)]
    assert [row["face"] for row in rows] == ["1", "2", "3", "", ""]
    assert [row["emotion"] for row in rows] == ["happiness", "fear", "", "", ""]
    assert [row["unsure"] for row in rows] == ["false", "true", "", "", ""]
    assert (rows[0]["x1"], rows[0]["x2"], rows[0]["happiness"]) == ("1.00", "33.33", "0.900000")
    assert rows[1]["warnings"] == "the file is truncated; small"
    assert (rows[3]["path"], rows[3]["error"]) == ("empty.jpg", "")
    assert (rows[4]["error"], rows[4]["message"]) == ("DecodeError", "bad.jpg is empty")
    assert sum(float(rows[0][name]) for name in FERPLUS8.emotions) == pytest.approx(1, abs=1e-5)


def test_csv_of_audio_files(speech: SpeechResult, failed: FailedItem) -> None:
    rows = csv_rows(speech, failed, SpeechResult(0.0, path="z"), labels={"audio": RAVDESS8})
    assert [row["segment"] for row in rows] == ["1", "2", "3", "4", "", "", ""]
    assert [(row["start_s"], row["end_s"]) for row in rows[:2]] == [("0.000", "1.500"), ("1.500", "4.500")]
    assert [row["speech"] for row in rows] == ["false", "true", "true", "false", "", "", ""]
    assert [row["emotion"] for row in rows[:4]] == ["", "anger", "calm", ""]
    assert [row["warnings"] for row in rows] == ["", "", "only 0.3 s of speech", "", "is clipped", "", ""]
    assert [row["path"] for row in rows[4:]] == ["call.wav", "bad.jpg", "z"]


def test_images_and_audio_files_share_a_table(image: ImageResult, speech: SpeechResult) -> None:
    rows = csv_rows(image, speech)
    names = list(rows[0])
    assert names[:7] == ["path", "face", "x1", "y1", "x2", "y2", "score"]
    assert names[7:12] == ["segment", "start_s", "end_s", "channel", "speech"]
    assert {*FERPLUS8.emotions, *RAVDESS8.emotions} < set(names)
    assert len(names) == len(set(names))
    assert (rows[0]["face"], rows[0]["segment"], rows[0]["calm"], rows[0]["contempt"] != "") == ("1", "", "", True)
    assert (rows[4]["face"], rows[4]["segment"], rows[4]["contempt"], rows[4]["calm"] != "") == ("", "2", "", True)


@pytest.mark.parametrize("table", VideoResult.tables)
@pytest.mark.parametrize("name", NAMES)
def test_csv_holds_the_rows_of_a_video(video: VideoResult, table: str, name: str) -> None:
    result = replace(video, path=name, speech=replace(video.speech, path=name))  # type: ignore[type-var]
    rows, expected = video_rows(result, table=table), result.rows(table)
    assert len(rows) == len(expected) > 0
    assert list(rows[0]) == [column.name for column in columns(table, video_labels(table))]
    digits = {column.name: column.digits for column in result.columns(table)}
    for row, truth in zip(rows, expected, strict=True):
        assert row["path"] == name.encode("utf-8", "backslashreplace").decode()
        for column, value in truth.items():
            if isinstance(value, bool):
                assert row[column] == str(value).lower()
            elif isinstance(value, float):
                assert row[column] == f"{value:.{digits[column]}f}"
            elif column != "path":
                assert row[column] == ("" if value is None else str(value))


def test_rows_of_a_video_have_the_planted_times(video: VideoResult) -> None:
    tracks, segments = (video_rows(video, table=table)[:-1] for table in ("tracks", "segments"))
    assert [(row["track"], row["start_s"], row["end_s"], row["seen_s"]) for row in tracks] == [
        ("1", "0.000000", "10.000000", "8.000000"),
        ("2", "0.000000", "3.000000", "3.000000"),
    ]
    assert [(row["track"], row["segment"], row["start_s"], row["end_s"], row["emotion"]) for row in segments] == [
        ("1", "1", "0.000000", "4.000000", "happiness"),
        ("1", "2", "6.000000", "10.000000", "sadness"),
        ("2", "1", "0.000000", "3.000000", "anger"),
    ]
    frames = video_rows(video)
    assert sum(row["track"] == "1" for row in frames) == 40
    assert not any(row["track"] == "1" and 4 <= float(row["time_s"]) < 6 for row in frames)


@pytest.mark.parametrize("table", VideoResult.tables)
def test_warnings_videos_without_faces_and_errors_have_rows_of_their_own(
    video: VideoResult, failed: FailedItem, table: str
) -> None:
    rows = video_rows(video, planted_video(), failed, table=table)[-3:]
    assert [row["emotion"] for row in rows] == ["", "", ""]
    assert rows[0]["warnings"] == "cut off"
    assert (rows[1]["path"], rows[1]["warnings"]) == ("video.mp4", "")
    assert (rows[2]["path"], rows[2]["error"], rows[2]["message"]) == ("bad.jpg", "DecodeError", "bad.jpg is empty")


def test_face_and_voice_alone_can_be_a_table(video: VideoResult) -> None:
    assert video.fused is not None
    rows = csv_rows(video.fused, labels={"fused": video.fused.labels})
    assert len(rows) == len(video.fused.segments)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_csv_keeps_every_name(image: ImageResult, name: str) -> None:
    assert [row["path"] for row in csv_rows(replace(image, path=name))] == [name] * 3


@pytest.mark.parametrize("name", ["=cmd()", "+1.jpg", "-x.jpg", "@sum.jpg", "\tx.jpg", "\rx"])
def test_csv_holds_no_formula(image: ImageResult, name: str) -> None:
    """As OWASP's page on CSV injection says: no cell begins with one of these signs."""
    failed = FailedItem(name, "DecodeError", f"{name} is empty")
    labels = LabelSet("own", (name.strip(), "calm"))
    empty = ImageResult(5, 5, (), name, warnings=(name,), labels=labels)
    rows = list(csv.reader(io.StringIO(csv_text(empty, failed, labels={"image": labels}), newline="")))
    assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r")]
    assert Path(rows[1][0]) == Path(name)
    assert rows[2][-1] == f"'{name} is empty"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_csv_writes_what_the_encoding_lacks_as_escapes(image: ImageResult, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    writer = CsvWriter(stream, Context(labels=LABELS))
    for name in NAMES:
        writer.write(replace(image, path=name))
    stream.flush()
    rows = list(csv.DictReader(io.StringIO(raw.getvalue().decode(encoding), newline="")))
    assert len(rows) == 3 * len(NAMES)
    assert rows[-1]["path"] == "raw\\udcff\\udcfe.jpg"


def test_what_does_not_fit_the_table_is_rejected(image: ImageResult, speech: SpeechResult, video: VideoResult) -> None:
    for result, kind in ((speech, "audio"), (video, "video")):
        with pytest.raises(InputError, match=f"the table has no columns for results of the kind '{kind}'"):
            csv_text(result, labels={"image": FER7})
    for result, labels, table in (
        (image, {"image": FER7}, None),
        (speech, {"audio": FER7}, None),
        (video, {"video": FER7}, "frames"),
        (video, {"video": FER7}, "tracks"),
        (video, {"video": FER7}, "speech"),
        (video, {"video": RAVDESS8}, "fused"),
    ):
        with pytest.raises(InputError, match=r"the table has the labels .*, but a row has other emotions"):
            csv_text(result, labels=labels, table=table)
    with pytest.raises(InputError, match="table must be one of frames, tracks, segments, speech, fused, but got"):
        csv_text(video, labels={"video": FER7}, table="faces")
    with pytest.raises(InputError, match="labels must be by kind, one of image, audio, video, fused, but got 'face'"):
        csv_text(image, labels={"face": FER7})


# --- documentation ----------------------------------------------------------------------------------------------------


def documented(section: str) -> list[list[str]]:
    """Return the cells of the table of a section of docs/tables.md."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "tables.md").read_text("utf-8")
    lines = page.split(f"\n## {section}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def described(column: Column) -> list[str]:
    digits = str(column.digits) if column.type is float else ""
    return [f"`{column.name}`", column.type.__name__, column.unit, digits, column.help]


def test_the_documentation_lists_all_columns() -> None:
    for table, own in TABLES.items():
        if own:
            assert documented(f"`{table}`") == [described(column) for column in own]
    common = [described(column) for column in columns("faces", FER7) if column not in TABLES["faces"]]
    rows = documented("Columns of all tables")
    assert [*rows[:6], *rows[7:]] == [*common[:6], *common[6 + len(FER7) :]]
    assert rows[6][:4] == ["`anger`, ...", "float", "", "6"]


def test_the_documentation_lists_all_formats() -> None:
    listed = " ".join(" ".join(row) for row in documented("Formats"))
    for name in FORMATS:
        assert FORMATS[name].flag is None or f"`{FORMATS[name].flag}" in listed
        assert not FORMATS[name].suffixes or f"`{FORMATS[name].suffixes[0]}`" in listed


# --- as they come -----------------------------------------------------------------------------------------------------


def test_segments_written_as_they_come_are_the_same_rows(speech: SpeechResult) -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream, Context(labels={"audio": RAVDESS8}))
    for _ in range(2):
        for number, segment in enumerate(speech.segments, 1):
            writer.write_segment(speech.path, number, segment)
        writer.write(speech)
    writer.write(speech)
    assert stream.getvalue() == csv_text(speech, speech, speech, labels={"audio": RAVDESS8})


def test_frames_written_as_they_come_are_the_same_lines(video: VideoResult) -> None:
    stream = io.StringIO()
    writer = JsonLinesWriter(stream)
    for frame in video.frames():
        writer.write_frame(video.path, frame)
    writer.write(video)
    writer.write(video)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == lines_of(video, video)


def test_hours_are_written_in_constant_memory() -> None:
    class Nowhere(io.TextIOBase):
        def write(self, text: str) -> int:
            return len(text)

    video = planted_video([("fear", 300.0)], [("anger", 300.0)])
    writers = [CsvWriter(Nowhere(), Context(labels={"video": FERPLUS8})), JsonLinesWriter(Nowhere())]
    tracemalloc.start()
    for writer in writers:
        writer.write(video)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # 3,000 rows take 4 MB


# --- Parquet ----------------------------------------------------------------------------------------------------------


def same(value: Any, text: str) -> bool:
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        return float(text) == pytest.approx(value, abs=5e-3)
    return text == str(value)


@pytest.mark.parametrize("table", [None, *VideoResult.tables])
def test_parquet_holds_the_same_rows_with_types(
    tmp_path: Path,
    image: ImageResult,
    speech: SpeechResult,
    video: VideoResult,
    failed: FailedItem,
    table: str | None,
) -> None:
    path = tmp_path / "x.parquet"
    labels = LABELS if table is None else {"video": video_labels(table)}
    items = [image, replace(speech, path="raw\udcff.wav"), failed] if table is None else [video, failed]
    with ParquetWriter(path, Context(labels=labels, table=table)) as writer:
        for item in items:
            writer.write(item)
    read, plain = parquet.read_table(path), csv_rows(*items, labels=labels, table=table)
    assert writer.rows == read.num_rows == len(plain)
    assert read.column_names == list(plain[0])
    for row, texts in zip(read.to_pylist(), plain, strict=True):
        assert all(same(value, texts[name]) for name, value in row.items())
    names = {str: "string", int: "int32", float: "double", bool: "bool"}
    types = {column.name: names[column.type] for column in writer.columns}
    assert {name: str(read.schema.field(name).type) for name in read.column_names} == types


def test_many_rows_are_written_in_groups(tmp_path: Path) -> None:
    video = planted_video(*[[("fear", 2200.0)]] * 2)
    with ParquetWriter(tmp_path / "x.parquet", Context(labels={"video": FERPLUS8})) as writer:
        writer.write(video)
    assert parquet.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 2
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 22_000


def test_after_an_error_the_older_table_stays(tmp_path: Path, speech: SpeechResult) -> None:
    path, context = tmp_path / "x.parquet", Context(labels={"audio": FER7})
    path.write_bytes(b"older")
    with pytest.raises(InputError, match="labels fer7"), ParquetWriter(path, context) as writer:
        writer.write(speech)
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.parquet"]
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet, but got 'x\.csv'"):
        ParquetWriter(tmp_path / "x.csv", context)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        ParquetWriter(tmp_path / "no" / "x.parquet", context)
