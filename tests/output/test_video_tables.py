"""Videos as tables for people, CSV, Parquet, JSON and JSON Lines; hostile names; frames written as they come."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from mien.output.video_tables import video_columns
from rich.console import Console

from mien.errors import InputError, MediaNotFoundError
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet
from mien.output import (
    CsvWriter,
    JsonLinesWriter,
    VideoCsvWriter,
    VideoLinesWriter,
    VideoParquetWriter,
    to_json,
    video_table,
    write_json,
)
from mien.output.summary import video_summary
from mien.results import FailedItem, VideoResult
from planted_video import crowd, planted_video, with_voice

NAMES = [
    "a.mp4",
    'comma, "quote".mp4',
    "two\nlines.mp4",
    "re\rturn.mp4",
    "=1+1.mp4",
    "面 😀.mp4",
    "raw\udcff\udcfe.mp4",
]
FAILED = FailedItem("b.mp4", "DecodeError", "b.mp4 is empty")


def video(**more: Any) -> VideoResult:
    return planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)], [("anger", 3.0)], **more)


def talk(**more: Any) -> VideoResult:
    """Return the video with a voice: anger from 1 to 3 s, calm from 5 to 7 s."""
    return with_voice(video(**more), [(None, 1.0), ("anger", 2.0), (None, 2.0), ("calm", 2.0), (None, 3.0)])


LABELS: dict[str, LabelSet] = {"speech": RAVDESS8, "fused": FER7}


def rows_of(*items: VideoResult | FailedItem, table: str = "frames") -> list[dict[str, str]]:
    stream = io.StringIO(newline="")
    writer = VideoCsvWriter(stream, LABELS.get(table, FERPLUS8), table=table)
    for item in items:
        writer.write(item)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))


def shown(table: Any, *, width: int = 160, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    Console(file=stream, width=width).print(table)
    stream.flush()
    return raw.getvalue().decode(encoding)


# --- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", VideoResult.tables)
@pytest.mark.parametrize("name", NAMES)
def test_csv_holds_the_rows_of_the_video(table: str, name: str) -> None:
    result = talk(path=name)
    rows, expected = rows_of(result, table=table), result.rows(table)
    assert len(rows) == len(expected) > 0
    assert tuple(rows[0]) == video_columns(table, LABELS.get(table, FERPLUS8))
    for row, truth in zip(rows, expected, strict=True):
        assert tuple(row) == tuple(truth)
        assert row["path"] == name.encode("utf-8", "backslashreplace").decode()
        for column, value in truth.items():
            if isinstance(value, bool):
                assert row[column] == str(value).lower()
            elif isinstance(value, float):
                assert float(row[column]) == pytest.approx(
                    value, abs=5e-3 if column in ("x1", "y1", "x2", "y2") else 5e-7
                )
            elif column != "path":
                assert row[column] == ("" if value is None else str(value))


def test_rows_have_the_planted_times() -> None:
    tracks, segments = rows_of(video(), table="tracks"), rows_of(video(), table="segments")
    assert [(row["track"], row["start_s"], row["end_s"], row["seen_s"]) for row in tracks] == [
        ("1", "0.000000", "10.000000", "8.000000"),
        ("2", "0.000000", "3.000000", "3.000000"),
    ]
    assert [(row["track"], row["segment"], row["start_s"], row["end_s"], row["emotion"]) for row in segments] == [
        ("1", "1", "0.000000", "4.000000", "happiness"),
        ("1", "2", "6.000000", "10.000000", "sadness"),
        ("2", "1", "0.000000", "3.000000", "anger"),
    ]
    frames = rows_of(video())
    assert sum(row["track"] == "1" for row in frames) == 40
    assert not any(row["track"] == "1" and 4 <= float(row["time_s"]) < 6 for row in frames)


@pytest.mark.parametrize("table", VideoResult.tables)
def test_warnings_videos_without_faces_and_errors_have_rows_of_their_own(table: str) -> None:
    odd = video(warnings=("is cut off", "is odd"))
    rows = rows_of(odd, planted_video(), FAILED, table=table)[-3:]
    assert [row["emotion"] for row in rows] == ["", "", ""]
    assert rows[0]["warnings"] == "is cut off; is odd"
    assert (rows[1]["path"], rows[1]["warnings"]) == ("video.mp4", "")
    assert (rows[2]["path"], rows[2]["error"], rows[2]["message"]) == ("b.mp4", "DecodeError", "b.mp4 is empty")


@pytest.mark.parametrize("table", VideoResult.tables)
def test_frames_written_as_they_come_are_the_same_rows(table: str) -> None:
    result = talk(warnings=("is cut off",))
    whole, parts = io.StringIO(), io.StringIO()
    labels = LABELS.get(table, FERPLUS8)
    VideoCsvWriter(whole, labels, table=table).write(result)
    writer = VideoCsvWriter(parts, labels, table=table)
    for frame in result.frames():
        writer.write_frame(result.path, frame)
    writer.write_rest(result)
    assert parts.getvalue() == whole.getvalue()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table must be one of frames, tracks, segments, speech, fused, but got"):
        VideoCsvWriter(io.StringIO(), FERPLUS8, table="faces")
    with pytest.raises(InputError, match="the table has the labels fer7, but a face has ferplus8"):
        VideoCsvWriter(io.StringIO(), FER7).write(video())
    with pytest.raises(InputError, match="the table has the labels fer7, but a person has ferplus8"):
        VideoCsvWriter(io.StringIO(), FER7, table="tracks").write(video())
    with pytest.raises(InputError, match="the table has the labels fer7, but a segment of speech has ravdess8"):
        VideoCsvWriter(io.StringIO(), FER7, table="speech").write(talk())
    with pytest.raises(InputError, match="the table has the labels ferplus8, but face and voice has fer7"):
        VideoCsvWriter(io.StringIO(), FERPLUS8, table="fused").write(talk())
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet, but got 'x\.csv'"):
        VideoParquetWriter(tmp_path / "x.csv", FERPLUS8)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        VideoParquetWriter(tmp_path / "no" / "x.parquet", FERPLUS8)
    with pytest.raises(InputError, match=r"a video has tables of its own: see mien\.output\.VideoCsvWriter"):
        CsvWriter(io.StringIO(), FERPLUS8).write(video())  # type: ignore[arg-type]


# --- Parquet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", VideoResult.tables)
def test_parquet_holds_the_same_rows_with_types(tmp_path: Path, table: str) -> None:
    path = tmp_path / "x.parquet"
    items = [talk(path="raw\udcff.mp4", warnings=("odd",)), FAILED]
    with VideoParquetWriter(path, LABELS.get(table, FERPLUS8), table=table) as writer:
        for item in items:
            writer.write(item)
    plain = rows_of(*items, table=table)
    read = parquet.read_table(path)
    assert writer.rows == read.num_rows == len(plain)
    assert read.column_names == list(plain[0])
    for row, text in zip(read.to_pylist(), plain, strict=True):
        for name, value in row.items():
            if value is None:
                assert text[name] == ""
            elif isinstance(value, bool):
                assert text[name] == str(value).lower()
            elif isinstance(value, float):
                assert float(text[name]) == pytest.approx(value, abs=5e-3)
            else:
                assert text[name] == str(value)
    types = {name: str(read.schema.field(name).type) for name in read.column_names}
    expected = {"path": "string", "anger": "double", "unsure": "bool", "warnings": "string"}
    expected |= {"speech": {"segment": "int32", "speech": "bool"}, "fused": {"face": "string", "voice": "string"}}.get(
        table, {"track": "int32"}
    )
    assert {name: types[name] for name in expected} == expected


def test_frames_become_groups_and_after_an_error_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.output.parquet._GROUP_ROWS", 20)
    result = video()
    with VideoParquetWriter(tmp_path / "x.parquet", FERPLUS8) as writer:
        for frame in result.frames():
            writer.write_frame(result.path, frame)
        writer.write_rest(result)
    assert parquet.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 3
    with pytest.raises(InputError, match="labels fer7"), VideoParquetWriter(tmp_path / "y.parquet", FER7) as writer:
        writer.write(result)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.parquet"]


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_json_comes_back() -> None:
    result = video(warnings=("odd",), cuts=(4.0,))
    document = json.loads(to_json(result))
    assert document == result.to_dict()
    again = VideoResult.from_dict(document)
    assert again.to_dict()["frames"] == document["frames"]
    assert again.rows("segments") == result.rows("segments")
    stream = io.StringIO()
    JsonLinesWriter(stream).write(result)
    assert json.loads(stream.getvalue()) == document


def test_lines_say_what_they_are_and_hold_the_whole_video() -> None:
    result = video(path="raw\udcff\n.mp4", warnings=("odd",))
    stream = io.StringIO()
    writer = VideoLinesWriter(stream)
    writer.write(result)
    writer.write(FAILED)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    kinds = [line.pop("kind") for line in lines]
    assert kinds == ["frame"] * 50 + ["track"] * 2 + ["segment"] * 3 + ["video", "failed"]
    assert {line["path"] for line in lines[:-1]} == {result.path}
    frames = [{key: value for key, value in line.items() if key != "path"} for line in lines[:50]]
    assert frames == [frame.to_dict() for frame in result.frames()]
    assert [line["moments"] for line in lines[50:52]] == [track.to_dict()["moments"] for track in result.tracks]
    assert [line["start_s"] for line in lines[52:55]] == [0.0, 6.0, 0.0]
    whole = result.to_dict(frames=False)
    del whole["tracks"]
    assert lines[55] == whole
    assert lines[56] == FAILED.to_dict()


def test_lines_hold_the_voice_and_both() -> None:
    result = talk()
    assert result.speech is not None
    assert result.fused is not None
    stream = io.StringIO()
    VideoLinesWriter(stream).write(result)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for kind, whole in (("speech", result.speech.to_dict()), ("fused", result.fused.to_dict())):
        segments = [line for line in lines if line["kind"] == kind]
        assert [segment["segment"] for segment in segments] == list(range(1, len(segments) + 1))
        assert [
            {k: v for k, v in segment.items() if k not in ("kind", "path", "segment")} for segment in segments
        ] == whole.pop("segments")
        assert lines[-1][kind] == whole


def test_hours_are_written_in_constant_memory() -> None:
    class Nowhere(io.TextIOBase):
        def write(self, text: str) -> int:
            return len(text)

    frame = next(planted_video([("fear", 2.0)], [("anger", 2.0)]).frames())
    writers = [VideoCsvWriter(Nowhere(), FERPLUS8), VideoLinesWriter(Nowhere())]
    peaks = []
    for frames in (100, 1500):
        tracemalloc.start()
        for _ in range(frames):
            for writer in writers:
                writer.write_frame("video.mp4", frame)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000


# --- for people -----------------------------------------------------------------------------------------------------


def test_a_table_for_people() -> None:
    lines = shown(video_table(video(warnings=("the file is cut off",)))).splitlines()
    body = [line.split() for line in lines if line.strip()][2:]
    assert body[0] == ["1", "0:00.0–0:10.0", "happiness", "████", "50%", "0:02.0", "happiness", "95%"]
    assert body[1] == ["0:08.0", "in", "view", "sadness", "████", "50%", "0:08.0", "sadness", "95%"]
    assert body[2] == ["2", "0:00.0–0:03.0", "anger", "████████", "100%", "0:01.4", "anger", "94%"]
    assert body[3] == ["0:03.0", "in", "view"]
    assert body[4] == ["the", "file", "is", "cut", "off"]


def test_below_the_people_stand_the_voice_and_both() -> None:
    lines = shown(video_table(talk())).splitlines()
    body = [line.split() for line in lines if line.strip()][2:]
    dash = "\N{EN DASH}"
    assert body[4] == ["voice", f"0:01.0{dash}0:07.0", "anger", "████", "50%", "0:01.0", "anger", "75%"]
    assert body[5] == ["0:04.0", "speech", "calm", "████", "50%", "0:05.0", "calm", "75%"]
    # Of nine seconds with an answer, four are the sadness of the face that was left.
    assert body[6][:5] == ["both", f"0:00.0{dash}0:10.0", "sadness", "███▌", "44%"]
    # The voice from 5 to 6 s has no face.
    assert body[7][:2] == ["0:03.0", "together"]


@pytest.mark.parametrize(
    ("plan", "told"),
    [([(None, 10.0)], "no speech"), ([("anger", 10.0)], "voice for 10.0 s: anger 100%")],
    ids=["silent", "speech"],
)
def test_what_is_missing_is_named(plan: Any, told: str) -> None:
    quiet = with_voice(video(), plan)
    alone = with_voice(planted_video(), [(name, seconds / 5) for name, seconds in plan])
    assert told in video_summary(quiet)
    assert ("no speech" in shown(video_table(quiet))) == (told == "no speech")
    assert ("both" in shown(video_table(quiet))) == (told != "no speech")
    line = video_summary(alone)
    assert line == f"video.mp4: 2.0 s, no face; {told.replace('10.0', '2.0')}"
    assert "both" not in shown(video_table(alone))


def test_one_video_fits_eighty_letters() -> None:
    for result in (video(), talk(), crowd(3, 7000, step_s=1.0)):
        text = shown(video_table(result), width=80)
        assert "…" not in text
        # Each emotion stands in one line with its bar and percents.
        assert all("%" in line for line in text.splitlines() if "█" in line)


def test_names_and_errors_of_many_videos() -> None:
    text = shown(video_table([video(), planted_video(path="nobody.mp4"), FAILED]))
    body = [line.split() for line in text.splitlines() if line.strip()][2:]
    assert body[0][:3] == ["video.mp4", "1", "0:00.0–0:10.0"]
    assert body[-2] == ["nobody.mp4", "no", "face"]
    assert body[-1] == ["b.mp4", "error", "b.mp4", "is", "empty"]
    assert "error" in shown(video_table(FAILED))
    assert "no face" in shown(video_table(planted_video()))


def test_of_a_crowd_those_seen_longest_are_shown_and_the_rest_counted() -> None:
    result = crowd(23, 7200, step_s=2.0)
    text = shown(video_table(result))
    seen = sorted((track.seen_s for track in result.tracks), reverse=True)
    assert text.count("in view") == 20 + 1
    assert "3 more people, in view for" in text
    first = next(line.split() for line in text.splitlines() if ":" in line)
    assert result.tracks[int(first[0]) - 1].seen_s == seen[0]


@pytest.mark.parametrize("name", [*NAMES, "\x1b[31mred", None])
def test_no_name_steers_the_terminal(name: str | None) -> None:
    text = shown(video_table([video(path=name), FAILED], ascii_only=True), encoding="ascii")
    text += video_summary(video(path=name), ascii_only=True)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\n" not in video_summary(video(path=name))
    text.encode("ascii")


def test_a_line_sums_up() -> None:
    line = "video.mp4: 10.0 s, 2 people, faces in view for 8.0 s: happiness 36%, sadness 36%, anger 27%"
    assert video_summary(video()) == line
    assert video_summary(planted_video(path=None)) == "2.0 s, no face"
    assert video_summary(planted_video([("fear", 5.0)])).startswith("video.mp4: 5.0 s, 1 person, faces")
    voted = video_summary(video(method="majority-vote"))
    assert voted.startswith("video.mp4: 10.0 s, 2 people, faces in view for 8.0 s: by majority-vote ")


def test_the_line_says_what_face_voice_and_both_say() -> None:
    line = video_summary(talk())
    assert line.startswith(video_summary(video()) + "; voice for 4.0 s: anger 50%, calm 50%; both: sadness 44%, ")
    voted = video_summary(with_voice(video(method="majority-vote"), [("anger", 10.0)]))
    assert "; voice for 10.0 s: anger 75%; both: " in voted
    assert "together" not in shown(video_table(with_voice(video(method="majority-vote"), [("anger", 10.0)])))


@pytest.mark.parametrize("video", [planted_video([("anger", 2.0)], [(None, 1.0), ("fear", 1.0)]), planted_video()])
def test_a_video_written_frame_by_frame_is_the_same_document(video: VideoResult) -> None:
    stream = io.StringIO()
    write_json(video, stream)
    assert stream.getvalue() == to_json(video) + "\n"
