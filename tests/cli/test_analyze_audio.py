"""``mien analyze`` on audio files: a planted model, hostile files, images and audio in one call, Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import mien
from mien.cli import main
from mien.io.audio import read_audio
from mien.labels import FER7
from mien.results import SpeechResult
from mien.samples import astronaut_path
from mien.speech.analyzer import SpeechAnalyzer
from planted_speech import RATE_HZ, planted_speech, recording, write_recording
from sounds import encoded, silent_video, sine, wav

PARTS = [(None, 1.0), ("anger", 3.0), (None, 1.0), ("calm", 2.0), (None, 0.5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("call") / "call.wav", PARTS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def there(here: Path, call: Path) -> Path:
    """Work in a folder with an audio file."""
    shutil.copy(call, "call.wav")
    return here


def run(model: Path | None, *arguments: object, stdin: bytes | None = None) -> Result:
    chosen = [] if model is None else ["--model", str(model)]
    return CliRunner().invoke(main, ["analyze", *map(str, arguments), *chosen], input=stdin)


def notes(done: Result) -> list[str]:
    lines = done.stderr.splitlines()
    assert all(line.startswith("mien: ") and line.isprintable() for line in lines), done.stderr
    return [line.removeprefix("mien: ") for line in lines]


def face() -> bytes:
    stream = io.BytesIO()
    with Image.open(astronaut_path()) as image:
        image.crop((120, 20, 320, 220)).save(stream, "PNG")
    return stream.getvalue()


def mixed() -> None:
    """Fill a folder with images and audio files whose names lie."""
    Path("in/sub").mkdir(parents=True)
    Path("in/a.png").write_bytes(face())
    Path("in/b.wav").write_bytes(face())
    shutil.copy("call.wav", "in/c.jpg")
    shutil.copy("call.wav", "in/sub/d.wav")
    Path("in/e.txt").write_text("neither")
    Path("in/f.mp3").write_bytes(b"")


# --- one file ------------------------------------------------------------------------------------


def test_a_table_and_a_line_for_people(there: Path, model: Path) -> None:
    done = run(model, "call.wav")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert [word for line in lines[2:-1] for word in ("anger", "calm", "no speech") if word in line.split("%")[0]] == [
        "no speech",
        "anger",
        "no speech",
        "calm",
        "no speech",
    ]
    assert lines[-1].startswith("call.wav: 5.")
    assert " s of speech in 7.5 s: anger 59%, calm 41%" in lines[-1]


def test_json_is_one_document(there: Path, model: Path) -> None:
    done = run(model, "call.wav", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    expected = SpeechAnalyzer(model).analyze(read_audio("call.wav").wave, rate_hz=RATE_HZ).to_dict()
    assert found == {**expected, "path": "call.wav"}
    assert found["summary"]["duration_s"] == 7.5


def test_the_answer_is_that_of_python_also_with_a_gap_and_a_late_beginning(here: Path, model: Path) -> None:
    data = encoded(recording(PARTS), RATE_HZ, "matroska", "flac", images=True, start_s=1.5, gap=(4.5, 2.0))
    Path("video.mkv").write_bytes(data)
    done = run(model, "video.mkv", "--only", "voice", "--json", "--plot", "x.png")
    found = SpeechResult.from_dict(json.loads(done.stdout))
    with pytest.warns(mien.MienWarning, match="a gap of"):
        expected = mien.analyze_speech("video.mkv", model=model)
    assert found == expected
    assert found.duration_s == pytest.approx(11, abs=0.1)
    assert "it is silence here" in found.warnings[-1]


def test_csv_and_parquet_are_one_row_a_segment(there: Path, model: Path) -> None:
    done = run(model, "call.wav", "--csv", "--parquet", "call.parquet")
    assert done.exit_code == 0
    assert notes(done) == ["wrote 5 rows to call.parquet"]
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["emotion"] for row in rows] == ["", "anger", "", "calm", ""]
    assert [row["segment"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert parquet.read_table("call.parquet").column("emotion").to_pylist() == [None, "anger", None, "calm", None]


def test_labels_window_and_hop(there: Path, model: Path) -> None:
    done = run(model, "call.wav", "--json", "--labels-as", "fer7", "--window", "1.5", "--hop", "0.5")
    found = SpeechResult.from_dict(json.loads(done.stdout))
    wave = read_audio("call.wav").wave
    expected = SpeechAnalyzer(model, output="fer7", window_s=1.5, hop_s=0.5).analyze(wave, rate_hz=RATE_HZ)
    assert found.segments == expected.segments
    assert [segment.emotion.top for segment in found.segments if segment.emotion] == ["anger", "neutral"]
    assert found.segments[1].emotion is not None
    assert found.segments[1].emotion.labels == FER7


@pytest.mark.parametrize("how", ["wav", "flac", "mp3", "mp4"])
@pytest.mark.parametrize("more", [[], ["--save-audio", "x.wav"]])
def test_standard_input_may_be_any_audio_file(there: Path, model: Path, how: str, more: list[str]) -> None:
    wave = recording(PARTS)
    codecs = {"flac": "flac", "mp3": "libmp3lame", "mp4": "aac"}
    data = Path("call.wav").read_bytes() if how == "wav" else encoded(wave, RATE_HZ, how, codecs[how])
    done = run(model, "-", "--csv", "--threads", "1", *more, stdin=data)
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["emotion"] for row in rows if row["speech"] == "true"] == ["anger", "calm"]
    assert {row["path"] for row in rows} == {""}


# --- files beside ---------------------------------------------------------------------------------


def test_image_and_sound_of_one(there: Path, model: Path) -> None:
    done = run(model, "call.wav", "--plot", "call.png", "--save-audio", "copy.wav", "--json")
    assert done.exit_code == 0, done.stderr
    with Image.open("call.png") as image:
        assert (image.format, image.size[0] > 1000) == ("PNG", True)
    np.testing.assert_array_equal(read_audio("copy.wav").wave, read_audio("call.wav").wave)


def test_the_sound_of_a_video(here: Path, model: Path) -> None:
    Path("video.mkv").write_bytes(encoded(recording(PARTS, rate_hz=48000), 48000, "matroska", "flac", images=True))
    of_sound = ["--save-audio", "video.wav", "--audio-rate", "8000", "--audio-float"]
    done = run(model, "video.mkv", "--only", "voice", "--json", *of_sound)
    assert (done.exit_code, done.stderr) == (0, "")
    segments = SpeechResult.from_dict(json.loads(done.stdout)).segments
    assert [segment.emotion.top for segment in segments if segment.emotion] == ["anger", "calm"]
    saved = read_audio("video.wav")
    assert (saved.rate_hz, saved.codec) == (8000, "pcm_f32le")
    assert saved.duration_s == pytest.approx(7.5, abs=0.01)


def test_images_and_sounds_of_many_keep_folders_and_names(there: Path, model: Path) -> None:
    mixed()
    done = run(model, "in", "call.wav", "--json", "--plot", "plots", "--save-audio", "sounds")
    assert done.exit_code == 3
    for folder, suffix in (("plots", "png"), ("sounds", "wav")):
        names = sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())
        assert names == [f"c.jpg.{suffix}", f"call.wav.{suffix}", f"sub/d.wav.{suffix}"]


def test_nothing_that_is_read_is_written_over(there: Path, model: Path) -> None:
    before = Path("call.wav").read_bytes()
    done = run(model, "call.wav", "--save-audio", "call.wav", "--audio-rate", "8000")
    assert done.exit_code == 1
    assert notes(done) == ["will not write over an audio file to be read: call.wav: choose another folder"]
    assert Path("call.wav").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plot", "no/x.png"), None),
        (("--parquet", "."), "expected a name that ends in .parquet"),
        (("--parquet", "x.csv"), "expected a name that ends in .parquet, but got 'x.csv'"),
        (("--parquet", "no/x.parquet"), "no such folder to write to: 'no'"),
        (("--window", "0.1"), "window_s must be a number from 0.5"),
        (("--window", "2", "--hop", "3"), "hop_s must be a number from"),
        (("--labels-as", "fer9"), "has no output 'fer9'"),
        (("--device", "tpu"), "device must be 'cpu', 'cuda'"),
        (("--model", "speech-bass"), "unknown model 'speech-bass'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    there: Path, model: Path, arguments: tuple[str, ...], message: str | None
) -> None:
    done = run(model, "call.wav", *arguments)
    if message is None:  # the folder is made
        assert done.exit_code == 0
        assert Path(arguments[1]).is_file()
        return
    assert done.exit_code == 1
    (line,) = notes(done)
    assert message in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("call.wav", "--out", "x"), "--out is for images and videos, but there are only audio files"),
        (("a.png", "--plot", "x.png"), "--plot is for audio files and videos, but there are only images"),
        (("call.wav", "call.wav", "--plot", "x.png"), "--plot x.png is one file, but there are several to read"),
        (("call.wav", "--audio-float"), "--audio-rate and --audio-float say how --save-audio writes: say where"),
        (("call.wav", "--model", "face-base"), "model 'face-base' is for face-emotion: reading audio files needs one"),
        (("call.wav", "--model", "mtcnn"), "needs one for speech-emotion"),
        (("a.png",), "model 'planted-speech' is for speech-emotion: reading images needs one for face-emotion"),
    ],
)
def test_wrong_usage_is_exit_code_2(there: Path, model: Path, arguments: tuple[str, ...], message: str) -> None:
    Path("a.png").write_bytes(face())
    done = run(model, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


# --- many -----------------------------------------------------------------------------------------


def test_images_and_audio_in_one_call(there: Path, model: Path) -> None:
    mixed()
    done = run(model, "in", "--json")
    assert done.exit_code == 3
    items = {item["path"]: item for item in map(json.loads, done.stdout.splitlines())}
    assert list(items) == ["in/a.png", "in/b.wav", "in/c.jpg", "in/f.mp3", "in/sub/d.wav"]
    assert [len(items[name]["faces"]) for name in ("in/a.png", "in/b.wav")] == [1, 1]
    assert items["in/c.jpg"]["summary"] == items["in/sub/d.wav"]["summary"]
    assert items["in/f.mp3"]["error"] == "DecodeError"
    assert notes(done)[-1].startswith("2 images, 2 faces, 2 audio files, 10.")
    assert ", 1 failed, " in notes(done)[-1]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_table_of_both_has_the_columns_of_both(there: Path, model: Path, threads: int) -> None:
    mixed()
    rows = list(csv.DictReader(io.StringIO(run(model, "in", "--csv", "--threads", threads).stdout)))
    assert [(row["path"], row["face"], row["segment"]) for row in rows if row["segment"] in ("", "1")] == [
        ("in/a.png", "1", ""),
        ("in/b.wav", "1", ""),
        ("in/c.jpg", "", "1"),
        ("in/f.mp3", "", ""),
        ("in/sub/d.wav", "", "1"),
    ]
    shown = run(model, "in").stdout
    assert shown.index("in/b.wav") < shown.index("in/c.jpg") < shown.index("in/f.mp3") < shown.index("in/sub/d.wav:")


def test_an_audio_file_that_its_name_hides_has_no_columns_and_is_not_lost(there: Path, model: Path) -> None:
    Path("in").mkdir()
    shutil.copy("call.wav", "in/b.jpg")
    Path("in/a.png").write_bytes(face())
    done = run(None, "in", "--csv")
    assert done.exit_code == 3
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["path"], row["error"]) for row in rows] == [("in/a.png", ""), ("in/b.jpg", "UnsupportedMediaError")]
    assert "in/b.jpg is an audio file, but its name was taken for that of images" in rows[1]["message"]
    assert run(model, "in/a.png", "in/b.jpg", "--csv").exit_code == 0


# --- hostile --------------------------------------------------------------------------------------

LOW = sine(RATE_HZ, 1.0, level=0.1)
BAD: dict[str, tuple[bytes, str]] = {
    "empty.wav": (b"", "empty.wav is empty: expected an audio file"),
    "text.wav": (b"this is no recording", "text.wav must be an audio file or a video with sound"),
    "header.wav": (wav(LOW, RATE_HZ)[:44], "header.wav cannot be decoded: no sound follows its header"),
    "cut.flac": (encoded(LOW, RATE_HZ, "flac", "flac")[:30], "cut.flac cannot be decoded"),
    "video.mp4": (silent_video(), "video.mp4 has no sound: it is a video (mp4) of images only"),
    "head.mp4": (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(99), "head.mp4 cannot be decoded"),
    "riff.jpg": (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(99), "riff.jpg"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line(here: Path, model: Path, name: str) -> None:
    content, message = BAD[name]
    Path(name).write_bytes(content)
    # The sound of videos is read where that alone is asked for.
    voice = ["--only", "voice"] if name.endswith(".mp4") else []
    done = run(model, name, *voice)
    assert (done.exit_code, done.stdout) == (1, "")
    assert notes(done)[-1].startswith(message)
    failed = json.loads(run(model, name, *voice, "--json").stdout)
    assert set(failed) == {"path", "error", "message"}
    assert failed["path"] == name
    (row,) = csv.DictReader(io.StringIO(run(model, name, *voice, "--csv").stdout))
    assert (row["path"], row["error"]) == (name, failed["error"])


def test_a_folder_of_bad_files_loses_nothing(there: Path, model: Path) -> None:
    for name, (content, _) in BAD.items():
        if not name.endswith(".jpg"):
            Path(name).write_bytes(content)
    done = run(model, ".", "--json", "--only", "voice")
    assert done.exit_code == 3
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum("error" in item for item in items) == len(BAD) - 1
    assert [item["path"] for item in items if "segments" in item] == ["./call.wav"]


WAVE = recording(PARTS)
ODD: dict[str, bytes] = {
    "8bit": wav(np.round(127.5 + 127 * WAVE).astype(np.uint8), RATE_HZ),
    "24bit": wav(np.round(WAVE * (2**31 - 256)).astype(np.int32), RATE_HZ, bits=24),
    "float": wav(WAVE, RATE_HZ),
    "six channels": wav(np.repeat(WAVE[:, None], 6, axis=1), RATE_HZ),
    "48 kHz": wav(recording(PARTS, rate_hz=48000), 48000),
    "truncated mp3": encoded(WAVE, RATE_HZ, "mp3", "libmp3lame")[:-3000],
    "declared too long": wav(WAVE, RATE_HZ, declared=10**9),
}


@pytest.mark.parametrize("how", ODD)
def test_odd_files_are_read(here: Path, model: Path, how: str) -> None:
    Path("x.wav").write_bytes(ODD[how])
    done = run(model, "x.wav", "--json")
    assert done.exit_code == 0, done.output
    result = SpeechResult.from_dict(json.loads(done.stdout))
    assert [segment.emotion.top for segment in result.segments if segment.emotion] == ["anger", "calm"]
    assert notes(done) == [f"warning: x.wav: {warning}" for warning in result.warnings]
    if "truncated" in how or "declared" in how:
        assert "truncated" in " ".join(result.warnings)


@pytest.mark.parametrize(
    ("wave", "told"),
    [
        (np.zeros(2 * RATE_HZ, np.float32), "silent"),
        (np.full(2 * RATE_HZ, np.nan, np.float32), "NaN"),
        (sine(RATE_HZ, 0.01, level=0.1), ""),
        (np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32), ""),
    ],
)
def test_no_speech_is_no_guess(here: Path, model: Path, wave: Any, told: str) -> None:
    Path("x.wav").write_bytes(wav(wave, RATE_HZ))
    done = run(model, "x.wav", "--json", "--plot", "x.png")
    assert done.exit_code == 0, done.output
    result = SpeechResult.from_dict(json.loads(done.stdout))
    assert [(segment.speech, segment.emotion) for segment in result.segments] == [(False, None)]
    assert told in " ".join(result.warnings)
    assert Path("x.png").is_file()
    assert "no speech in" in run(model, "x.wav").stdout


@pytest.mark.parametrize("name", ["a\nb.wav", "=1+1.wav", "面 😀.wav", b"raw\xff\xfe.wav", "\x1b[31mred.wav"])
def test_names_are_kept_and_steer_no_terminal(there: Path, model: Path, name: str | bytes) -> None:
    path = os.fsdecode(name)
    Path("call.wav").rename(path)
    assert json.loads(run(model, path, "--json").stdout)["path"] == path
    done = run(model, path, "--plot", "plots", "--save-audio", "sounds")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert [p.name for p in Path("plots").iterdir()] == [f"{path}.png"]


def test_what_may_not_be_read_is_told(there: Path, model: Path) -> None:
    Path("folder.wav").mkdir()
    assert run(model, "folder.wav", "--csv").stdout.startswith("path,segment,")
    assert "no image, video or audio file in the folder folder.wav" in notes(run(model, "folder.wav"))[0]
    assert notes(run(model, "no.wav")) == ["no such file or folder: no.wav"]
    if os.geteuid() == 0:
        pytest.skip("the administrator may read everything")
    Path("call.wav").chmod(0)
    assert notes(run(model, "call.wav"))[0].startswith("cannot open call.wav: ")


# --- Ctrl-C, and segments while a file is read --------------------------------------------------------


class Live:
    """The command on an endless audio file that comes in through a pipe."""

    def __init__(self, model: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "mien", "analyze", "-", "--model", str(model), "--threads", "1", *arguments]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stdin.write(wav(np.tile(WAVE, 3), RATE_HZ, declared=0xFFFFFFFF))
        self.stdin.flush()

    def end(self) -> tuple[int, bytes, bytes]:
        """Return exit code, the rest of stdout, and stderr."""
        assert self.process.stderr is not None
        out, errors = self.stdout.read(), self.process.stderr.read()
        self.stdin.close()
        self.stdout.close()
        self.process.stderr.close()
        return self.process.wait(timeout=60), out, errors


def test_segments_are_written_while_the_file_is_read(model: Path) -> None:
    live = Live(model, "--csv")
    rows = [live.stdout.readline().decode() for _ in range(10)]
    assert live.process.poll() is None
    assert [row.split(",")[6] for row in rows] == ["emotion", "", "anger", "", "calm", "", "anger", "", "calm", ""]
    live.stdin.close()
    code, out, _ = live.end()
    assert code == 0
    assert [row.split(",")[6] for row in out.decode().splitlines()] == ["anger", "", "calm", ""]


@pytest.mark.parametrize("how", ["--csv", "--json", "table", "--parquet"])
def test_ctrl_c_keeps_what_was_read(here: Path, model: Path, how: str) -> None:
    options = {"table": [], "--parquet": ["--csv", "--parquet", "x.parquet"]}.get(how, [how])
    live = Live(model, *options)
    head = b""
    if "--csv" in options:
        head = b"".join(live.stdout.readline() for _ in range(10))
    else:
        time.sleep(3)
    live.process.send_signal(signal.SIGINT)
    code, out, errors = live.end()
    assert code == 130, errors
    assert b"interrupted: only the first " in errors
    assert errors.endswith(b"mien: interrupted\n")
    if how == "--json":
        result = SpeechResult.from_dict(json.loads(out))
        assert 15 < result.duration_s <= 22.5
        assert {segment.emotion.top for segment in result.segments if segment.emotion} == {"anger", "calm"}
        assert result.warnings[-1].startswith("interrupted: only the first ")
    else:
        assert (head + out).count(b"anger") >= 2
    if how == "--parquet":
        assert parquet.read_table("x.parquet").num_rows >= 9
    assert {p.name for p in here.iterdir()} <= {"x.parquet"}


def test_a_part_of_an_audio_file(there: Path, model: Path) -> None:
    del there
    found = CliRunner().invoke(
        main, ["analyze", "call.wav", "--model", str(model), "--from", "0:05", "--to", "7", "--csv"]
    )
    assert found.exit_code == 0, found.output
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [rows[0][name] for name in ("start_s", "end_s", "speech")] == ["0.000", "5.000", "false"]
    assert {row["emotion"] for row in rows} - {""} == {"calm"}
    assert max(float(row["end_s"] or 0) for row in rows) == 7.0


def test_each_channel_in_every_format(here: Path, model: Path) -> None:
    left = recording(((None, 1.0), ("anger", 2.5), (None, 4.5)))
    right = recording(((None, 4.0), ("calm", 2.5), (None, 1.5)))
    Path("call.wav").write_bytes(wav(np.stack([left, right], axis=1), RATE_HZ))
    found = mien.analyze_speech("call.wav", model=model, channel="each")
    said = [(1, "anger"), (2, "calm")]
    each = ("call.wav", "--channel", "each")
    rows = list(csv.DictReader(io.StringIO(run(model, *each, "--csv").stdout)))
    assert [(int(row["channel"]), row["emotion"]) for row in rows if row["speech"] == "true"] == said
    assert [int(row["channel"]) for row in rows] == [segment.channel for segment in found.segments]
    assert SpeechResult.from_dict(json.loads(run(model, *each, "--json").stdout)) == found
    assert run(model, *each, "--parquet", "a.parquet", "--vtt", "a.vtt", "--plot", "a.png").exit_code == 0
    assert parquet.read_table("a.parquet")["channel"].to_pylist() == [segment.channel for segment in found.segments]
    cues = Path("a.vtt").read_text()
    assert [f"Channel {channel}: {emotion}" in cues for channel, emotion in said] == [True, True]
    assert "Voice" not in cues
    mono = run(model, "call.wav", "--plot", "mono.png")
    with Image.open("a.png") as two, Image.open("mono.png") as one:
        assert two.height > one.height
    shown = run(model, *each).stdout
    assert "channel" in shown.splitlines()[1]
    for channel, emotion in said:
        spoken_s = found.voices[channel].speech_s
        assert f"call.wav, channel {channel}: {spoken_s:.1f} s of speech in 8.0 s: {emotion} 100%" in shown
    assert "channel" not in mono.stdout


def test_channels_that_are_none(there: Path, model: Path) -> None:
    done = run(model, "call.wav", "--channel", "both")
    assert done.exit_code == 2
    assert "channel must be mix, each, left, right or a number from 1, but got 'both'" in done.stderr
    done = run(model, "call.wav", "--channel", "2")
    assert done.exit_code == 1
    assert notes(done) == ["call.wav has one channel, but channel='2' was to be read"]
