"""``mien analyze`` on videos with sound: face, voice and both in every form, and what is said where one is missing."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

import mien
from mien.api import pipeline
from mien.cli import main
from mien.io.audio import AudioReader
from mien.labels import FER7, RAVDESS8
from mien.results import VideoResult
from planted_faces import planted
from planted_speech import planted_speech, recording
from planted_videos import write_video

RATE = 10
WALK = {0: [(0.0, 80.0, 120.0, 90.0), (4.0, 230.0, 120.0, 90.0)]}
SAID: list[tuple[str | None, float]] = [(None, 1.0), ("anger", 1.5), (None, 0.5), ("sadness", 1.0)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, planted_model: Path) -> list[str]:
    """Return the options that name a planted model of faces, and one of voices."""
    speech = planted_speech(tmp_path_factory.mktemp("speech"))
    return ["--model", str(planted_model), "--model", str(speech)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four seconds of somebody talking, and of the same without a sound."""
    folder = tmp_path_factory.mktemp("videos")
    for name, sound in (("talk.mp4", True), ("talk.mkv", True), ("silent.mp4", False)):
        shots = planted(WALK, seed=3, rate=RATE, seconds=4)
        frames = ((shot[0], Fraction(n, RATE)) for n, shot in enumerate(shots))
        write_video(folder / name, frames, rate=RATE, sound=(recording(SAID), 16000) if sound else None)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Path:
    """Work in a folder with the talking video."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(made / "talk.mp4", "talk.mp4")
    return tmp_path


def run(models: list[str], *arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments), *models])


def notes(done: Result) -> list[str]:
    return [line.removeprefix("mien: ") for line in done.stderr.splitlines()]


def video_of(done: Result) -> VideoResult:
    return VideoResult.from_dict(json.loads(done.stdout))


def read(models: list[str], **options: Any) -> VideoResult:
    return mien.analyze_video("talk.mp4", model=models[1], speech_model=models[3], **options)


def test_a_table_and_a_line_for_people(here: Path, models: list[str]) -> None:
    done = run(models, "talk.mp4")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    firsts = [line[0] for line in lines]
    voice, both = lines[firsts.index("voice")], lines[firsts.index("both")]
    assert "anger" in voice
    assert firsts.index("1") < firsts.index("voice") < firsts.index("both")
    assert both[0] == "both"
    *_, last = done.stdout.splitlines()
    assert last.startswith("talk.mp4: 4.0 s, 1 person, faces in view for 4.0 s: ")
    assert "; voice for " in last
    assert "; both: " in last


def test_json_is_the_answer_of_python(here: Path, models: list[str]) -> None:
    done = run(models, "talk.mp4", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found == read(models).to_dict()
    assert found["speech"]["model"] == "planted-speech"
    assert found["summary"]["fused"] is not None


def test_the_fusion_is_chosen_by_name(here: Path, models: list[str]) -> None:
    video = video_of(run(models, "talk.mp4", "--json", "--fusion", "rule_table", "--step", "0.5"))
    assert video.fused == mien.fuse(video, video.speech, method="rule_table")


@pytest.mark.parametrize(("table", "labels"), [("speech", RAVDESS8), ("fused", FER7)])
def test_the_tables_of_the_voice_and_of_both(here: Path, models: list[str], table: str, labels: Any) -> None:
    done = run(models, "talk.mp4", "--csv", "--table", table, "--parquet", "x.parquet")
    assert done.exit_code == 0
    rows, expected = list(csv.DictReader(io.StringIO(done.stdout))), read(models).rows(table)
    assert [float(row["start_s"]) for row in rows] == pytest.approx([row["start_s"] for row in expected], abs=1e-6)
    assert [row["emotion"] for row in rows] == [row["emotion"] or "" for row in expected]
    assert set(labels.emotions) <= set(rows[0])
    found = parquet.read_table("x.parquet").to_pylist()
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted)


def test_json_lines_hold_all_three(here: Path, models: list[str]) -> None:
    lines = [json.loads(line) for line in run(models, "talk.mp4", "--jsonl").stdout.splitlines()]
    video = read(models)
    assert video.speech is not None
    assert video.fused is not None
    kinds = [line["kind"] for line in lines]
    assert (kinds.count("frame"), kinds.count("speech"), kinds.count("fused")) == (
        20, len(video.speech.segments), len(video.fused.segments),
    )  # fmt: skip
    assert lines[-1]["fused"]["method"] == "experts"
    assert lines[-1]["speech"]["summary"] == video.speech.summary.to_dict()


def test_faces_alone_where_that_is_asked_for(here: Path, models: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("the sound was opened")

    monkeypatch.setattr(AudioReader, "__init__", opened)
    video = video_of(run(models[:2], "talk.mp4", "--only", "face", "--json"))
    assert (video.speech, video.fused, len(video.tracks)) == (None, None, 1)


def test_a_video_without_sound_loads_no_model_of_voices(
    here: Path, made: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    shutil.copy(made / "silent.mp4", "silent.mp4")
    monkeypatch.setattr("mien.speech.analyzer.SpeechAnalyzer", loaded)
    done = run(models, "silent.mp4")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "voice" not in done.stdout
    assert "speech" not in done.stdout


def test_windows_and_labels_are_of_the_voice_too(here: Path, models: list[str]) -> None:
    fine = video_of(run(models, "talk.mp4", "--json", "--window", "0.5", "--hop", "0.25"))
    assert fine.speech == mien.analyze_speech("talk.mp4", model=models[3], window_s=0.5, hop_s=0.25)
    seven = video_of(run(models, "talk.mp4", "--json", "--labels-as", "fer7"))
    assert seven.summary.voice is not None
    assert seven.summary.voice.labels == seven.tracks[0].labels == FER7
    # An output of the faces' model says nothing about the voice.
    eight = video_of(run(models, "talk.mp4", "--json", "--labels-as", "ferplus8"))
    assert eight.summary.voice is not None
    assert eight.summary.voice.labels == RAVDESS8


def test_two_models_for_one_task_are_refused(here: Path, models: list[str]) -> None:
    done = run([*models, "--model", "speech-base"], "talk.mp4")
    assert done.exit_code == 2
    assert "two models for speech-emotion: 'planted-speech' and 'speech-base'" in " ".join(done.stderr.split())


def test_timeline_and_page_show_all_three(here: Path, models: list[str]) -> None:
    done = run(models, "talk.mp4", "--json", "--plot", "x.png", "--html", "x.html", "--out", "x.mp4")
    assert (done.exit_code, done.stderr) == (0, "")
    page = Path("x.html").read_text()
    assert page.count('<svg class="band"') == 3
    assert "The voice is taken to be that of the face in view" in page
    alone = run(models[:2], "talk.mp4", "--json", "--only", "face", "--html", "y.html", "--plot", "y.png")
    assert alone.exit_code == 0
    assert Path("y.html").read_text().count('<svg class="band"') == 1
    assert Path("y.png").stat().st_size < Path("x.png").stat().st_size


def test_several_videos_each_have_their_voice(here: Path, made: Path, models: list[str]) -> None:
    shutil.copy(made / "silent.mp4", "a.mp4")
    shutil.copy(made / "talk.mkv", "b.mkv")
    done = run(models, "a.mp4", "b.mkv", "talk.mp4", "--json")
    assert done.exit_code == 0
    items = {item["path"]: item for item in map(json.loads, done.stdout.splitlines())}
    assert items["a.mp4"]["speech"] is None
    seconds = [items[name]["summary"]["speech_s"] for name in ("b.mkv", "talk.mp4")]
    assert seconds == pytest.approx([2.5, 2.5], abs=0.6)


# --- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["talk.mp4", "talk.mkv"])
def test_a_video_from_standard_input(here: Path, made: Path, models: list[str], name: str) -> None:
    data = (made / name).read_bytes()
    done = CliRunner().invoke(main, ["analyze", "-", "--json", *models], input=data)
    assert done.exit_code == 0, done.stderr
    video = video_of(done)
    # An MP4 is held as a whole; what is read as it comes is read once.
    assert (video.speech is None) == (name == "talk.mkv")
    warning = "its sound was left out: standard input is read once, for the images; name a file to have both"
    assert video.warnings == ((warning,) if name == "talk.mkv" else ())
    assert notes(done) == [f"warning: standard input: {warning}" for warning in video.warnings]


def test_sound_of_another_length_is_one_note(here: Path, models: list[str]) -> None:
    shots = planted(WALK, seed=3, rate=RATE, seconds=4)
    frames = ((shot[0], Fraction(n, RATE)) for n, shot in enumerate(shots))
    write_video("short.mp4", frames, rate=RATE, sound=(recording([("anger", 1.5)]), 16000))
    done = run(models, "short.mp4", "--json")
    assert notes(done) == ["warning: short.mp4: the sound ends at 1.5 s, the image at 4.0 s"]


# --- Ctrl-C ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_what_was_watched_has_its_voice(here: Path, models: list[str]) -> None:
    done = run(models, "talk.mp4", "--json")
    assert done.exit_code == 130
    assert notes(done) == ["warning: talk.mp4: interrupted: read only up to 1.8 s", "interrupted"]
    video = video_of(done)
    assert video.speech is not None
    assert video.fused is not None
    assert video.speech.duration_s == pytest.approx(1.9)
    assert video.fused.end_s == pytest.approx(1.9)
    assert video.summary.voice is not None
    assert video.summary.voice.top == "anger"


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_after_ctrl_c_sound_is_read_for_a_short_time(
    here: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SOUND_TIMEOUT_S", -1.0)
    done = run(models, "talk.mp4", "--json")
    assert done.exit_code == 130
    assert "warning: talk.mp4: its sound was read only up to 1.0 s: interrupted" in notes(done)
    video = video_of(done)
    assert video.speech is not None
    assert video.speech.duration_s == 1.0


def interrupting(monkeypatch: pytest.MonkeyPatch, when: Callable[[float], bool]) -> None:
    take = AudioReader.__next__

    def interrupted(self: AudioReader) -> Any:
        block = take(self)
        if when(block.start_s):
            raise KeyboardInterrupt
        return block

    monkeypatch.setattr(AudioReader, "__next__", interrupted)


def test_ctrl_c_while_the_sound_is_read_keeps_what_was_heard(
    here: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting(monkeypatch, lambda start_s: start_s >= 3)
    done = run(models, "talk.mp4", "--json", "--out", "x.mp4")
    assert done.exit_code == 130
    assert notes(done) == [
        "warning: talk.mp4: its sound was read only up to 3.0 s: interrupted",
        "x.mp4: not drawn, because the video was not read to its end",
        "interrupted",
    ]
    video = video_of(done)
    assert video.end_s == 4
    assert video.speech is not None
    assert video.fused is not None
    assert [segment.emotion.top for segment in video.speech.segments if segment.emotion is not None] == ["anger"]
    assert (video.speech.duration_s, video.fused.end_s) == (3.0, pytest.approx(4.0))


def test_ctrl_c_before_the_sound_leaves_the_faces(
    here: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting(monkeypatch, lambda _: True)
    done = run(models, "talk.mp4", "--json")
    assert notes(done) == ["warning: talk.mp4: its sound was left out: interrupted", "interrupted"]
    assert video_of(done).speech is None

    def opening(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AudioReader, "__init__", opening)
    done = run(models, "talk.mp4", "--json")
    assert (done.exit_code, notes(done)[0]) == (130, "warning: talk.mp4: its sound was left out: interrupted")


def test_progress_while_the_sound_is_read(here: Path, models: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 20.0
        return now[0]

    monkeypatch.setattr("time.monotonic", monotonic)
    done = run(models, "talk.mp4", "--json")
    lines = [note for note in notes(done) if note.startswith("sound of talk.mp4: ")]
    assert lines[0].startswith("sound of talk.mp4: 0:01.0 of 0:04.0")
    assert len(lines) >= 4
