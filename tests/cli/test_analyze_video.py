"""``mien analyze`` on videos: planted faces, a planted model, tables and files, hostile videos, many at once."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import mien
from mien.cli import main
from mien.results import SpeechResult, VideoResult
from mien.samples import astronaut_path
from mien.video.analyzer import VideoAnalyzer
from planted_faces import planted
from planted_speech import planted_speech
from planted_videos import write_video
from sounds import encoded, silent_video, sine

TWO = {
    0: [(0.0, 80.0, 120.0, 90.0), (2.0, 110.0, 120.0, 90.0)],
    2: [(0.0, 230.0, 120.0, 70.0), (1.2, 230.0, 125.0, 70.0)],
}
RATE = 10
TONE = (0.1 * np.sin(np.arange(2 * 16000) / 10)).astype(np.float32)


def shots(seconds: float = 2.0, paths: Any = None) -> Iterator[tuple[Any, Fraction]]:
    people = planted(TWO if paths is None else paths, seed=3, rate=RATE, seconds=seconds)
    return ((shot[0], Fraction(number, RATE)) for number, shot in enumerate(people))


@pytest.fixture(scope="module")
def model(planted_model: Path) -> Path:
    return planted_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with videos of two people, the second of whom leaves, and of nobody."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "two.mp4", shots(), rate=RATE, sound=(TONE, 16000))
    write_video(folder / "two.mkv", shots(), rate=RATE)
    write_video(folder / "nobody.avi", shots(1.0, {}), rate=RATE, codec="mjpeg", pix_fmt="yuvj420p")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Path:
    """Work in a folder with a video."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(made / "two.mp4", "two.mp4")
    return folder


def run(model: Path | None, *arguments: object, stdin: bytes | None = None) -> Result:
    chosen = [] if model is None else ["--model", str(model)]
    return CliRunner().invoke(main, ["analyze", *map(str, arguments), *chosen], input=stdin)


def notes(done: Result) -> list[str]:
    lines = done.stderr.splitlines()
    assert all(line.startswith("mien: ") and line.isprintable() for line in lines), done.stderr
    return [line.removeprefix("mien: ") for line in lines]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def expected_of(model: Path, **options: Any) -> VideoResult:
    """Return what Python says of the video."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mien.MienWarning)
        return mien.analyze_video("two.mp4", model=model, **options)


# --- one video -------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ["1", "0:01", "two.mp4"])
def test_a_baseline_is_seconds_or_a_file(here: Path, model: Path, baseline: str) -> None:
    done = run(model, "two.mp4", "--json", "--baseline", baseline, "--baseline-strength", "0.5", "--only", "face")
    found = VideoResult.from_dict(json.loads(done.stdout))
    value = baseline if baseline.endswith("mp4") else 1.0
    expected = expected_of(model, baseline=value, baseline_strength=0.5, voice=False)
    plain = expected_of(model, voice=False)
    for track, same, other in zip(found.tracks, expected.tracks, plain.tracks, strict=True):
        assert track.probabilities == pytest.approx(same.probabilities, abs=1e-3)
        assert np.abs(same.probabilities - other.probabilities).max() > 0.01


def test_a_baseline_that_is_no_file_is_named(here: Path, model: Path) -> None:
    done = run(model, "two.mp4", "--baseline", "rest.jpg")
    assert done.exit_code == 1
    assert "rest.jpg" in done.stderr


def test_a_table_and_a_line_for_people(here: Path, model: Path) -> None:
    done = run(model, "two.mp4")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert lines[0].split() == ["who", "seen", "shows", "strongest"]
    starts = [line.split()[0] for line in lines if line.startswith(("     1 ", "     2 "))]
    assert starts == ["1", "2"]
    assert lines[-2].split() == ["voice", "no", "speech"]
    assert lines[-1].startswith("two.mp4: 2.0 s, 2 people, faces in view for 2.0 s: ")
    assert lines[-1].endswith("; no speech")


def test_json_is_one_document_and_the_answer_of_python(here: Path, model: Path) -> None:
    done = run(model, "two.mp4", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found == expected_of(model).to_dict()
    assert [track["track"] for track in found["tracks"]] == [1, 2]


def test_frames_as_csv_are_those_of_the_whole_video(here: Path, model: Path) -> None:
    done = run(model, "two.mp4", "--csv")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = rows_of(done.stdout)
    expected = expected_of(model).rows()
    labels = VideoAnalyzer(model).labels.emotions
    assert len(rows) == len(expected) > 0
    for row, wanted in zip(rows, expected, strict=True):
        assert (row["path"], int(row["track"])) == ("two.mp4", wanted["track"])
        assert float(row["time_s"]) == pytest.approx(wanted["time_s"], abs=1e-6)
        assert [float(row[name]) for name in labels] == pytest.approx([wanted[name] for name in labels], abs=1e-6)


@pytest.mark.parametrize("table", ["tracks", "segments"])
def test_tracks_and_segments_as_csv(here: Path, model: Path, table: str) -> None:
    rows = rows_of(run(model, "two.mp4", "--csv", "--table", table).stdout)
    expected = expected_of(model).rows(table)
    assert len(rows) == len(expected) > 0
    for row, wanted in zip(rows, expected, strict=True):
        assert (row["track"], row["emotion"]) == (str(wanted["track"]), wanted["emotion"])
        assert float(row["end_s"]) == pytest.approx(wanted["end_s"], abs=1e-6)


@pytest.mark.parametrize("table", ["frames", "tracks", "segments", "speech", "fused"])
def test_parquet_has_the_rows_of_python(here: Path, model: Path, table: str) -> None:
    done = run(model, "two.mp4", "--parquet", "x.parquet", "--table", table)
    assert (done.exit_code, done.stdout) == (0, "")
    expected = expected_of(model).rows(table)
    assert notes(done) == [f"wrote {len(expected)} row{'s' * (len(expected) != 1)} to x.parquet"]
    found = parquet.read_table("x.parquet").to_pylist()
    for row, wanted in zip(found, expected, strict=True):
        assert {name: row[name] for name in wanted} == pytest.approx(wanted)


def test_json_lines_of_a_video_are_frames_then_the_rest(here: Path, model: Path) -> None:
    done = run(model, "two.mp4", "--jsonl", "--fps", RATE)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    video = expected_of(model, fps=RATE)
    segments = sum(len(track.timeline) for track in video.tracks)
    assert video.fused is not None
    sound = ["speech"] + ["fused"] * len(video.fused.segments)
    assert kinds == ["frame"] * 20 + ["track"] * 2 + ["segment"] * segments + sound + ["video"]
    assert [line["time_s"] for line in lines[:20]] == [k / RATE for k in range(20)]
    apart = ("tracks", "speech", "fused")
    whole = {key: value for key, value in video.to_dict(frames=False).items() if key not in apart}
    assert {key: lines[-1][key] for key in whole} == whole


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--step", "0.5"], {"step_s": 0.5}),
        (["--step", "0"], {"step_s": 0.0}),
        (["--fps", "4"], {"fps": 4.0}),
        (["--from", "0:00.5", "--to", "1.5"], {"from_s": 0.5, "to_s": 1.5}),
        (["--max-faces", "1"], {"max_faces": 1}),
        (["--smooth", "0"], {"smooth_s": 0.0}),
        (["--min-face", "80"], {"min_face_px": 80.0}),
        (["--detector", "haar"], {"detector": "haar"}),
        (["--labels-as", "fer7"], {"output": "fer7"}),
        (["--method", "middle-frame"], {"method": "middle-frame"}),
        (["--method", "majority-vote"], {"method": "majority-vote"}),
    ],
)
def test_options_are_those_of_python(here: Path, model: Path, arguments: list[str], options: dict[str, Any]) -> None:
    done = run(model, "two.mp4", "--json", *arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == expected_of(model, **options).to_dict()
    assert found != expected_of(model).to_dict()


@pytest.mark.parametrize("name", ["two.mp4", "two.mkv"])
@pytest.mark.parametrize("more", [[], ["--out", "drawn"], ["--method", "every-nth"]])
def test_a_video_from_standard_input(here: Path, made: Path, model: Path, name: str, more: list[str]) -> None:
    done = run(model, "-", "--csv", *more, stdin=(made / name).read_bytes())
    assert done.exit_code == 0, done.stderr
    rows = rows_of(done.stdout)
    assert {row["path"] for row in rows} == {""}
    assert len({row["time_s"] for row in rows if row["track"]}) == (1 if "--method" in more else 10)
    assert Path("drawn/stdin.mp4").is_file() == ("--out" in more)


# --- what is read of videos -------------------------------------------------------------------------


def test_the_voices_of_a_video_where_they_are_asked_for(here: Path, tmp_path: Path) -> None:
    speech = planted_speech(tmp_path / "speech")
    done = run(speech, "two.mp4", "--only", "voice", "--json", "--save-audio", "two.wav", "--window", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    found = SpeechResult.from_dict(json.loads(done.stdout))
    assert found == mien.analyze_speech("two.mp4", model=speech, window_s=1.0)
    assert Path("two.wav").is_file()
    assert run(None, "two.mp4", "--only", "face", "--json").exit_code == 0


def test_sound_in_the_container_of_a_video_is_audio(here: Path) -> None:
    Path("sound.mp4").write_bytes(encoded(sine(16000, 1.0, level=0.1), 16000, "mp4", "aac"))
    assert "segments" in json.loads(run(None, "sound.mp4", "--json").stdout)
    assert run(None, "sound.mp4", "--only", "voice").exit_code == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("12", 12.0), ("12.5", 12.5), (".5", 0.5), ("1:05", 65.0), ("90:00", 5400.0), ("1:02:05.25", 3725.25)],
)
def test_times_are_seconds_minutes_or_hours(here: Path, text: str, seconds: float) -> None:
    done = run(None, "two.mp4", "--from", text, "--to", "0.001")
    if seconds:
        assert f"--to must be after --from, but got {seconds:g} to 0.001 s" in done.stderr
    else:
        assert done.exit_code == 0


@pytest.mark.parametrize("text", ["", "x", "-1", "1:75", "1:60:00", "1:2:3:4", "nan", "inf", "1e3", "1:", "٣"])
def test_other_times_are_rejected(here: Path, text: str) -> None:
    done = run(None, "two.mp4", "--from", text)
    assert done.exit_code == 2
    assert "but got" in done.stderr


# --- wrong usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--step", "1", "--fps", "2"), "give --step or --fps, not both"),
        (("--step", "-1"), "--step must be at least 0, but got -1"),
        (("--step", "nan"), "--step must be at least 0, but got nan"),
        (("--fps", "0"), "--fps must be more than 0, but got 0"),
        (("--from", "2", "--to", "1"), "--to must be after --from, but got 2 to 1 s"),
        (("--from", "soon"), "expected seconds, m:ss or h:mm:ss, but got 'soon'"),
        (("--max-faces", "0"), "0 is not in the range"),
        (("--method", "guess"), "'guess' is not one of 'timeline', 'middle-frame'"),
        (
            ("--method", "every-nth", "--step", "1"),
            "chooses frames of the whole video, each by itself: leave out --step",
        ),
        (("--method", "middle-frame", "--to", "1"), "leave out --to"),
        (("--table", "tracks"), "--table says what --csv and --parquet write: give one of them"),
        (("--json", "--jsonl"), "choose one of --json, --jsonl and --csv"),
        (("--window", "2", "--only", "face"), "--window is about voices: leave out --only face"),
        (("--fusion", "average", "--only", "face"), "--fusion is about voices: leave out --only face"),
        (("--fusion", "best"), "'best' is not one of 'experts', 'average', 'most_confident', 'rule_table'"),
        (("--fusion", "average", "--only", "voice"), "--fusion is for videos, but there are only audio files"),
        (("--csv", "--table", "fused", "--only", "face"), "--table fused needs the voice: leave out --only face"),
        (("--save-audio", "x.wav"), "--save-audio is for audio files, but there are only videos: with --only voice"),
        (("--only", "voice", "--out", "x.mp4"), "there are only audio files: of videos only the sound is read"),
        (("--only", "voice", "--step", "1"), "--step is for videos, but there are only audio files"),
        (("--explain", "--out", "x.mp4"), "--explain is for images, but there are only videos"),
        (("--out", "x.avi"), "--out x.avi: expected a file that ends in .mp4, .mov, .mkv, .webm, or a folder"),
        (("--plot", "x.pdf"), "--plot x.pdf: expected a file that ends in .png, or a folder"),
        (("--html", "x.htm"), "--html x.htm: expected a file that ends in .html, or a folder"),
        (("two.mp4", "--out", "x.mkv"), "--out x.mkv is one file, but there are several to read: name a folder"),
        (("a.png", "--csv"), "videos have tables of their own: name them and other files in two calls"),
        (
            ("--model", "speech-base", "--only", "face"),
            "model 'speech-base' is for speech-emotion: reading videos needs one for face-emot",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(here: Path, arguments: tuple[str, ...], message: str) -> None:
    shutil.copy(astronaut_path(), "a.png")
    done = run(None, "two.mp4", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "two.mp4"]


@pytest.mark.parametrize("option", [("--only", "face"), ("--step", "1"), ("--html", "x.html"), ("--smooth", "1")])
def test_options_of_videos_need_a_video(here: Path, model: Path, option: tuple[str, str]) -> None:
    shutil.copy(astronaut_path(), "a.jpg")
    done = run(model, "a.jpg", *option)
    assert done.exit_code == 2
    assert "videos, but there are" in " ".join(done.stderr.split())


# --- files beside ---------------------------------------------------------------------------------


def length_of(path: Path | str) -> float:
    with av.open(str(path)) as video:
        return float(sum(1 for _ in video.decode(video=0)) / RATE)


def test_every_file_of_one_video(here: Path, model: Path) -> None:
    made = ["--out", "drawn.mkv", "--plot", "two.png", "--html", "two.html", "--save-faces", "faces"]
    done = run(model, "two.mp4", "--json", "--fps", RATE, *made)
    assert (done.exit_code, done.stderr) == (0, "")
    video = VideoResult.from_dict(json.loads(done.stdout))
    assert length_of("drawn.mkv") == 2
    with Image.open("two.png") as image:
        assert (image.format, image.size[0] > 1000) == ("PNG", True)
    page = Path("two.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("data:image/jpeg;base64,") >= 2
    for track in video.tracks:
        names = sorted(path.name for path in Path(f"faces/person-{track.number:02d}").iterdir())
        assert names == [f"{time_s:010.3f}.png" for time_s in track.times_s.tolist()]


def test_a_folder_gets_an_mp4(here: Path, made: Path, model: Path) -> None:
    shutil.copy(made / "nobody.avi", "nobody.avi")
    done = run(model, "nobody.avi", "--out", "drawn", "--plot", "plots", "--html", "pages", "--save-faces", "faces")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "nobody.avi: 1.0 s, no face" in done.stdout
    assert [path.name for path in Path("drawn").iterdir()] == ["nobody.mp4"]
    assert [path.name for path in Path("plots").iterdir()] == ["nobody.avi.png"]
    assert [path.name for path in Path("pages").iterdir()] == ["nobody.avi.html"]
    assert list(Path("faces").iterdir()) == []


@pytest.mark.parametrize("place", [("--out", "two.mp4"), ("--out", "."), ("--out", "link.mp4")])
def test_no_video_to_be_read_is_written_over(here: Path, model: Path, place: tuple[str, str]) -> None:
    os.link("two.mp4", "link.mp4")
    before = Path("two.mp4").read_bytes()
    done = run(model, "two.mp4", *place)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "will not write over a video to be read" in notes(done)[0]
    assert Path("two.mp4").read_bytes() == before


def test_no_image_to_be_read_is_written_over_by_faces(here: Path, model: Path) -> None:
    Path("faces/person-01").mkdir(parents=True)
    shutil.copy(astronaut_path(), "faces/person-01/000000.000.png")
    before = Path("faces/person-01/000000.000.png").read_bytes()
    done = run(model, "two.mp4", "faces/person-01/000000.000.png", "--save-faces", ".", "--json")
    assert done.exit_code == 0  # the video's faces are in the folder `two`
    done = run(model, "two.mp4", "--save-faces", "faces")
    assert done.exit_code == 0  # what is not read may be replaced
    assert Path("faces/person-01/000000.000.png").read_bytes() != before
    done = run(model, ".", "--save-faces", ".", "--json")
    assert done.exit_code == 3
    assert notes(done)[0].endswith("two.mp4: will not write over images to be read: in two: choose another folder")


def test_what_was_read_is_told_even_where_a_file_cannot_be_made(
    here: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise mien.MediaError("cannot write 'x.mp4': no space left", path="x.mp4")

    monkeypatch.setattr("mien.output.video.draw_video", full)
    done = run(model, "two.mp4", "--json", "--out", "x.mp4")
    assert done.exit_code == 3
    assert notes(done) == ["cannot write 'x.mp4': no space left"]
    assert json.loads(done.stdout) == expected_of(model).to_dict()


# --- many -----------------------------------------------------------------------------------------


def fill(made: Path) -> None:
    """Fill a folder with videos, an image, an audio file, and what is none of them."""
    Path("in/sub").mkdir(parents=True)
    shutil.copy(made / "two.mp4", "in/b.mp4")
    shutil.copy(made / "two.mkv", "in/sub/b.mkv")
    shutil.copy(astronaut_path(), "in/a.jpg")
    Path("in/c.wav").write_bytes(encoded(sine(16000, 1.0, level=0.1), 16000, "wav", "pcm_s16le"))
    Path("in/d.mp4").write_bytes(b"")
    Path("in/e.txt").write_text("none")


def test_videos_images_and_audio_in_one_folder(here: Path, made: Path, model: Path) -> None:
    fill(made)
    done = run(model, "in", "--json")
    assert done.exit_code == 3
    items = {item["path"]: item for item in map(json.loads, done.stdout.splitlines())}
    assert list(items) == ["in/a.jpg", "in/b.mp4", "in/c.wav", "in/d.mp4", "in/sub/b.mkv"]
    assert [len(items[name]["tracks"]) for name in ("in/b.mp4", "in/sub/b.mkv")] == [2, 2]
    assert items["in/d.mp4"]["error"] == "DecodeError"
    assert notes(done)[-1].startswith("1 image, 1 face, 1 audio file, 0.0 s of speech, 2 videos, 4.0 s, 4 people, 1 f")
    kinds = [json.loads(line).get("kind") for line in run(model, "in", "--jsonl").stdout.splitlines()]
    assert (kinds[0], kinds.count("video"), kinds.count("failed"), kinds.count(None)) == (None, 2, 1, 2)
    shown = run(model, "in").stdout
    assert shown.index("in/b.mp4: 2.0 s") < shown.index("in/sub/b.mkv: 2.0 s") < shown.index("a.jpg")
    assert "in/d.mp4" in shown


def test_files_of_many_keep_folders_and_names(here: Path, made: Path, model: Path) -> None:
    fill(made)
    shutil.copy(made / "two.mkv", "in/b.mov")
    done = run(model, "in", "--json", "--out", "o", "--plot", "p", "--html", "h", "--save-faces", "f")
    assert done.exit_code == 3

    def names(folder: str) -> list[str]:
        found = (path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
        return sorted({name.split("/person-")[0] for name in found})

    assert names("o") == ["a.jpg", "b.mp4", "b_2.mp4", "sub/b.mp4"]
    assert names("p") == ["b.mov.png", "b.mp4.png", "c.wav.png", "sub/b.mkv.png"]
    assert names("h") == ["b.mov.html", "b.mp4.html", "sub/b.mkv.html"]
    assert names("f") == ["a.jpg_face1.png", "b", "b_2", "sub/b"]


def test_a_pattern_of_videos_as_one_table(here: Path, made: Path, model: Path) -> None:
    fill(made)
    done = run(model, "in/*.mp4", "in/sub", "--csv", "--table", "tracks", "--parquet", "x.parquet")
    assert done.exit_code == 3
    rows = rows_of(done.stdout)
    assert [(row["path"], row["track"], row["error"]) for row in rows] == [
        *(("in/b.mp4", number, "") for number in "12"),
        ("in/d.mp4", "", "DecodeError"),
        *(("in/sub/b.mkv", number, "") for number in "12"),
    ]
    assert parquet.read_table("x.parquet").column("error").to_pylist() == [None, None, "DecodeError", None, None]


def test_an_audio_file_that_its_name_hides_has_no_columns_and_is_not_lost(here: Path, model: Path) -> None:
    Path("in").mkdir()
    shutil.copy("two.mp4", "in/a.mp4")
    Path("in/b.mp4").write_bytes(encoded(sine(16000, 1.0, level=0.1), 16000, "mp4", "aac"))
    done = run(model, "in", "--csv")
    assert done.exit_code == 3
    message = "in/b.mp4 is an audio file, but its name was taken for that of videos, whose columns the table has"
    assert notes(done)[0].startswith(message)
    assert rows_of(done.stdout)[-1]["error"] == "UnsupportedMediaError"
    assert '"segments"' in run(model, "in", "--json").stdout


# --- hostile --------------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, str]] = {
    "empty.mp4": (b"", "empty.mp4 is empty"),
    "text.mkv": (b"this is no video", "text.mkv must be a video"),
    "head.mp4": (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(99), "head.mp4 cannot be decoded"),
    "no.mp4": (None, "no such file or folder: no.mp4"),
    "folder.mp4": (Path, "no image, video or audio file in the folder folder.mp4"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("how", ["--json", "--jsonl", None])
def test_a_bad_video_is_one_line(here: Path, model: Path, name: str, how: str | None) -> None:
    content, message = BAD[name]
    if content is Path:
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content)
    done = run(model, name, *([how] if how else []))
    assert done.exit_code == 1
    assert notes(done)[0].startswith(message)
    if how is None:
        assert done.stdout == ""
        return
    failed = json.loads(done.stdout)
    assert failed["path"] == name
    assert failed["message"].startswith(message)


def test_nothing_left_to_watch_is_one_line(here: Path, model: Path) -> None:
    assert notes(run(model, "two.mp4", "--from", "1:00")) == ["two.mp4 has no frame from 60 s on"]


def test_a_video_that_was_cut_off_is_read_to_where_it_ends(here: Path, made: Path, model: Path) -> None:
    whole = (made / "two.mkv").read_bytes()
    Path("cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    done = run(model, "cut.mkv", "--json")
    assert done.exit_code == 0
    video = VideoResult.from_dict(json.loads(done.stdout))
    assert 0.2 < video.end_s < 1.5
    assert video.warnings
    assert notes(done) == [f"warning: cut.mkv: {warning}" for warning in video.warnings]
    assert rows_of(run(model, "cut.mkv", "--csv").stdout)[-1]["warnings"] == "; ".join(video.warnings)


def test_damaged_frames_are_counted_and_told(here: Path, made: Path, model: Path) -> None:
    damaged = bytearray((made / "nobody.avi").read_bytes())
    frames = [place for place in range(len(damaged)) if damaged[place : place + 4] == b"\xff\xd8\xff\xfe"]
    for begin, end in ((frames[4], frames[5] - 8), (frames[7], frames[8] - 8)):
        damaged[begin:end] = bytes(end - begin)
    Path("damaged.avi").write_bytes(bytes(damaged))
    done = run(model, "damaged.avi", "--json", "--step", "0")
    assert done.exit_code == 0
    video = json.loads(done.stdout)
    assert (video["frames_read"], video["frames_failed"], len(video["frames"])) == (8, 2, 8)
    assert notes(done) == [f"warning: damaged.avi: {warning}" for warning in video["warnings"]]
    assert "2 frames" in video["warnings"][0]


def test_a_video_larger_than_allowed_is_refused(here: Path, model: Path) -> None:
    done = run(model, "two.mp4", "--max-pixels", "50000")
    assert done.exit_code == 1
    assert "two.mp4 has 320 x 240 pixels, more than the limit of 50,000 pixels" in notes(done)[0]


@pytest.mark.parametrize(
    "name", ["a\nb.mp4", "=1+1.mp4", "面 😀.mp4", b"raw\xff\xfe.mp4", "\x1b[31mred.mp4", "[x].mp4"]
)
def test_names_are_kept_and_steer_no_terminal(here: Path, model: Path, name: str | bytes) -> None:
    path = os.fsdecode(name)
    Path("two.mp4").rename(path)
    assert json.loads(run(model, path, "--json", "--step", "1").stdout)["path"] == path
    done = run(model, path, "--plot", "plots", "--out", "drawn", "--html", "pages", "--step", "1")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert [found.name for found in Path("plots").iterdir()] == [f"{path}.png"]
    assert [found.name for found in Path("drawn").iterdir()] == [path]


def test_a_video_without_sound_has_no_voices(here: Path) -> None:
    Path("silent.mp4").write_bytes(silent_video())
    done = run(None, "silent.mp4", "--only", "voice")
    assert done.exit_code == 1
    assert notes(done) == ["silent.mp4 has no sound: it is a video (mp4) of images only"]


# --- help and progress ----------------------------------------------------------------------------


def test_help_has_headings_and_every_option() -> None:
    shown = CliRunner().invoke(main, ["analyze", "--help"]).stdout
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Examples:", "Output:", "Faces:", "Videos:", "Audio:", "Models and limits:", "Options:",
    ]  # fmt: skip
    command = main.get_command(click.Context(main), "analyze")
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            assert f"  {option.opts[0]} " in shown
    assert "\\b" not in shown


def test_progress_of_a_video_is_a_line_every_ten_seconds(
    here: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 2.0
        return now[0]

    Path("two.mp4").rename("a\nb.mp4")
    monkeypatch.setattr("time.monotonic", monotonic)
    done = run(model, "a\nb.mp4", "--json", "--only", "face", "--to", "1.5")
    assert done.exit_code == 0
    lines = notes(done)
    assert 2 <= len(lines) <= 8
    pattern = r"'a\\nb\.mp4': 0:0\d\.\d of 0:01\.5(, 0\.\d x real time, [\d min]+ s left)?"
    assert [line for line in lines if not re.fullmatch(pattern, line)] == []


def test_progress_is_a_bar_on_a_terminal(here: Path, made: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    long = f"{'x' * 99}[b].mp4"
    Path("two.mp4").rename(long)
    shown = io.StringIO()
    shown.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", shown)
    with pytest.raises(SystemExit) as ended:
        main(["analyze", long, str(made / "two.mkv"), "--json", "--only", "face", "--model", str(model)])
    assert ended.value.code == 0
    text = shown.getvalue()
    assert "0:02.0 of 0:02.0" in text or "0:01.8 of 0:02.0" in text
    assert "x[b].mp4" in text
    assert "x" * 50 not in text
    assert "1/2" in text
