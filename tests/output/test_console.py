"""Tables to read in a terminal, and lines that sum up."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from mien.errors import InputError
from mien.output import Context, face_table, speech_summary, speech_table, video_summary, video_table
from mien.output.console import ConsoleWriter
from mien.results import FailedItem, FusedResult, ImageResult, SpeechResult, SpeechSegment, VideoResult
from planted_video import crowd, planted_video, with_voice

HOSTILE = [
    "two\nlines",
    "re\rturn",
    "面 😀",
    "raw\udcff\udcfe",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "[red]x[/red]",
    "",
    None,
]


def show(table: Any, *, width: int = 160, encoding: str = "utf-8", colors: bool = False) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    options: dict[str, Any] = {"force_terminal": True, "color_system": "truecolor"} if colors else {}
    Console(file=stream, width=width, **options).print(table)
    stream.flush()
    return raw.getvalue().decode(encoding)


def body(table: Any) -> list[list[str]]:
    return [line.split() for line in show(table).splitlines() if line.strip()][2:]


def scaled(result: SpeechResult, scale: float, path: str | None = "call.wav") -> SpeechResult:
    segments = [replace(one, start_s=one.start_s * scale, end_s=one.end_s * scale) for one in result.segments]
    return SpeechResult(result.duration_s * scale, tuple(segments), path)


# --- images and audio files -------------------------------------------------------------------------------------------


def test_a_table_of_faces(image: ImageResult, failed: FailedItem) -> None:
    rows = body(face_table([image, ImageResult(5, 5, (), "none.jpg"), failed]))
    assert rows[0][:6] == ["a.jpg", "1", "happiness", "█████████", "90%", "neutral"]
    assert rows[0][-4:] == ["the", "file", "is", "truncated"]
    assert rows[1][:4] == ["2", "fear", "███", "30%"]
    assert rows[1][-2:] == ["unsure;", "small"]
    assert rows[2] == ["3"]
    assert rows[3] == ["none.jpg", "no", "face"]
    assert rows[4] == ["bad.jpg", "error", "bad.jpg", "is", "empty"]
    assert "\x1b[38;2;240;228;66m" in show(face_table(image), colors=True)  # the yellow of happiness


def test_a_long_note_takes_several_lines(image: ImageResult, speech: SpeechResult, video: VideoResult) -> None:
    note = "the frames of this file are damaged " * 6
    writer = ConsoleWriter(stream := io.StringIO(), Context())
    for result in (image, speech, video):
        writer.write(replace(result, warnings=(note,)))
    writer.close()
    lines = [line for line in stream.getvalue().splitlines() if not line.startswith(("video.mp4:", "call.wav:"))]
    assert max(map(len, lines)) <= 120
    assert " ".join(stream.getvalue().split()).count("damaged") == 18


def test_a_table_of_speech(speech: SpeechResult, failed: FailedItem) -> None:
    rows = body(speech_table([speech, failed]))
    assert rows[0] == ["call.wav", "0.00", "1.50", "no", "speech"]
    assert rows[1] == ["1.50", "4.50", "anger", "████████", "80%", "neutral", "3%"]
    assert rows[2][:5] == ["4.50", "5.50", "calm", "████", "40%"]
    assert rows[2][-6:] == ["unsure;", "only", "0.3", "s", "of", "speech"]
    assert rows[4] == ["is", "clipped"]
    assert rows[5] == ["bad.jpg", "error", "bad.jpg", "is", "empty"]
    assert "12:00.0" in show(speech_table(scaled(speech, 160)))
    assert "1:30:00.0" in show(speech_table(scaled(speech, 1200)))
    assert "no sound" in show(speech_table(SpeechResult(0.0, path="z")))


def test_a_line_sums_up_an_audio_file(speech: SpeechResult) -> None:
    assert speech_summary(speech) == "call.wav: 4.0 s of speech in 6.0 s: anger 75%, unsure 25%"
    hours = speech_summary(scaled(speech, 1000, None))
    assert hours == "1 h 6 min 40 s of speech in 1 h 40 min 0 s: anger 75%, unsure 25%"
    silent = SpeechResult(2.0, (SpeechSegment(0.0, 2.0, False),))
    assert speech_summary(silent) == "no speech in 2.0 s"


# --- videos -----------------------------------------------------------------------------------------------------------


def faces_of(video: VideoResult) -> VideoResult:
    return replace(video, speech=None, fused=None)


def test_a_table_of_a_video(video: VideoResult) -> None:
    rows, dash = body(video_table(video)), "\N{EN DASH}"
    assert rows[0] == ["1", f"0:00.0{dash}0:10.0", "happiness", "████", "50%", "0:02.0", "happiness", "95%"]
    assert rows[1] == ["0:08.0", "in", "view", "sadness", "████", "50%", "0:08.0", "sadness", "95%"]
    assert rows[2] == ["2", f"0:00.0{dash}0:03.0", "anger", "████████", "100%", "0:01.4", "anger", "94%"]
    assert rows[3] == ["0:03.0", "in", "view"]
    assert rows[4] == ["voice", f"0:01.0{dash}0:07.0", "anger", "████", "50%", "0:01.0", "anger", "75%"]
    assert rows[5] == ["0:04.0", "speech", "calm", "████", "50%", "0:05.0", "calm", "75%"]
    # Of nine seconds with a prediction, four are the sadness of the face that was left.
    assert rows[6][:5] == ["both", f"0:00.0{dash}0:10.0", "sadness", "███▌", "44%"]
    # The voice from 5 to 6 s has no face.
    assert rows[7][:2] == ["0:03.0", "together"]
    assert rows[-1] == ["cut", "off"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [([(None, 10.0)], "no speech"), ([("anger", 10.0)], "voice for 10.0 s: anger 100%")],
    ids=["silent", "speech"],
)
def test_what_is_missing_is_named(video: VideoResult, plan: Any, words: str) -> None:
    quiet = with_voice(faces_of(video), plan)
    alone = with_voice(planted_video(), [(name, seconds / 5) for name, seconds in plan])
    assert words in video_summary(quiet)
    assert ("no speech" in show(video_table(quiet))) == (words == "no speech")
    assert ("both" in show(video_table(quiet))) == (words != "no speech")
    assert video_summary(alone) == f"video.mp4: 2.0 s, no face; {words.replace('10.0', '2.0')}"
    assert "both" not in show(video_table(alone))


def test_the_table_of_one_video_fits_eighty_letters(video: VideoResult) -> None:
    for result in (faces_of(video), video, crowd(3, 7000, step_s=1.0)):
        text = show(video_table(result), width=80)
        assert "…" not in text
        # Each emotion stands in one line with its bar and percents.
        assert all("%" in line for line in text.splitlines() if "█" in line)


def test_names_and_errors_of_many_videos(video: VideoResult, failed: FailedItem) -> None:
    rows = body(video_table([video, planted_video(path="nobody.mp4"), failed]))
    assert rows[0][:2] == ["video.mp4", "1"]
    assert rows[-2] == ["nobody.mp4", "no", "face"]
    assert rows[-1] == ["bad.jpg", "error", "bad.jpg", "is", "empty"]
    assert "error" in show(video_table(failed))
    assert "no face" in show(video_table(planted_video()))


def test_of_a_crowd_those_seen_longest_are_shown_and_the_rest_counted() -> None:
    result = crowd(23, 7200, step_s=2.0)
    text = show(video_table(result))
    assert text.count("in view") == 20 + 1
    assert "3 more people, in view for" in text
    first = next(line.split() for line in text.splitlines() if ":" in line)
    assert result.tracks[int(first[0]) - 1].seen_s == max(track.seen_s for track in result.tracks)


def test_a_line_sums_up_a_video(video: VideoResult) -> None:
    faces = faces_of(video)
    line = "video.mp4: 10.0 s, 2 people, faces in view for 8.0 s: happiness 36%, sadness 36%, anger 27%"
    assert video_summary(faces) == line
    assert video_summary(video).startswith(f"{line}; voice for 4.0 s: anger 50%, calm 50%; both: sadness 44%, ")
    assert video_summary(planted_video(path=None)) == "2.0 s, no face"
    assert video_summary(planted_video([("fear", 5.0)])).startswith("video.mp4: 5.0 s, 1 person, faces")
    voted = with_voice(replace(faces, method="majority-vote"), [("anger", 10.0)])
    summary = video_summary(voted)
    assert summary.startswith("video.mp4: 10.0 s, 2 people, faces in view for 8.0 s: by majority-vote ")
    assert "; voice for 10.0 s: anger 75%; both: " in summary
    assert "together" not in show(video_table(voted))


# --- names and streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*HOSTILE, os.fsdecode(b"\xff.jpg"), None])
def test_no_name_steers_the_terminal(
    name: str | None, image: ImageResult, speech: SpeechResult, video: VideoResult, failed: FailedItem
) -> None:
    named = [replace(result, path=name) for result in (image, speech, video)]
    for encoding in ("ascii", "utf-8"):
        is_ascii = encoding == "ascii"
        text = show(face_table([named[0], failed], ascii_only=is_ascii), encoding=encoding)
        text += show(speech_table([named[1], failed], ascii_only=is_ascii), encoding=encoding)
        text += show(video_table([named[2], failed], ascii_only=is_ascii), encoding=encoding)
        lines = [speech_summary(named[1], ascii_only=is_ascii), video_summary(named[2], ascii_only=is_ascii)]
        assert not {"\x1b", "\r", "\x07"} & set(text + "".join(lines))
        assert not any("\n" in line for line in lines)
    if name == "[red]x[/red]":
        assert name in text


def test_tables_come_at_the_end_and_videos_at_once(
    image: ImageResult, speech: SpeechResult, video: VideoResult, failed: FailedItem
) -> None:
    stream = io.StringIO()
    writer = ConsoleWriter(stream, Context(many=True))
    writer.write(image)
    writer.write(replace(failed, kind="audio"))
    assert stream.getvalue() == ""
    writer.write(video)
    first = stream.getvalue()
    assert video_summary(video) in first
    writer.write(speech)
    writer.close()
    rest = stream.getvalue().removeprefix(first)
    assert rest.index("a.jpg") < rest.index("bad.jpg") < rest.index("call.wav") < rest.index(speech_summary(speech))


def test_nothing_is_printed_where_all_failed(failed: FailedItem) -> None:
    stream = io.StringIO()
    with ConsoleWriter(stream, Context()) as writer:
        writer.write(failed)
    assert stream.getvalue() == ""
    with pytest.raises(InputError, match="expected the result of an image, audio file or video, but got"):
        writer.write(FusedResult())
