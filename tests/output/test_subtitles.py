"""Subtitles: read back by a parser of the standard, and by FFmpeg."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

import mien
from mien.errors import InputError
from mien.labels import RAVDESS8, LabelSet
from mien.output.subtitles import to_vtt
from mien.results import EmotionSegment, ImageResult, SpeechResult, SpeechSegment, VideoResult
from planted_video import distribution, planted_video

TIME = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")


@dataclass(frozen=True)
class Cue:
    start_s: float
    end_s: float
    text: str
    classes: tuple[str, ...]


def parse(text: str) -> tuple[list[Cue], str]:
    """Return the cues and the style sheet of a WebVTT file, or fail where the standard is broken (W3C, section 4)."""
    signature, *blocks = re.split(r"\n{2,}", text.rstrip("\n"))
    assert signature == "WEBVTT"
    cues: list[Cue] = []
    style = ""
    for block in blocks:
        lines = block.split("\n")
        if lines[0] == "STYLE":
            assert not cues, "styles come before cues"
            assert "-->" not in block
            style += "\n".join(lines[1:])
        elif lines[0].startswith("NOTE"):
            assert "-->" not in block
        else:
            cues.append(parse_cue(lines))
    assert [cue.start_s for cue in cues] == sorted(cue.start_s for cue in cues)
    return cues, style


def parse_cue(lines: list[str]) -> Cue:
    identifier, timing, *payload = lines
    assert "-->" not in identifier
    start, arrow, end = timing.partition(" --> ")
    assert arrow
    times = []
    for part in (start, end):
        match = TIME.fullmatch(part)
        assert match is not None
        hours, minutes, seconds, milliseconds = map(int, match.groups())
        times.append(3600 * hours + 60 * minutes + seconds + milliseconds / 1000)
    assert times[0] < times[1]
    assert payload
    text = "\n".join(payload)
    assert "-->" not in text
    classes = re.findall(r"<c((?:\.[^\s.&<>]+)+)>", text)
    bare = re.sub(r"<c(?:\.[^\s.&<>]+)+>|</c>", "", text)
    assert not re.search(r"[<>]|&(?!(?:amp|lt|gt);)", bare)
    assert text.count("<c.") == text.count("</c>")
    return Cue(times[0], times[1], html.unescape(bare), tuple(classes))


def test_each_segment_of_a_person_and_of_the_voice_is_a_cue(video: VideoResult) -> None:
    cues, style = parse(to_vtt(video))
    assert [(cue.start_s, cue.end_s, cue.text) for cue in cues] == [
        (0.0, 3.0, "Person 2: anger 85%"),
        (0.0, 4.0, "Person 1: happiness 85%"),
        (1.0, 3.0, "Voice: anger 75%"),
        (5.0, 7.0, "Voice: calm 75%"),
        (6.0, 10.0, "Person 1: sadness 85%"),
    ]
    assert [cue.classes for cue in cues[:2]] == [(".anger",), (".happiness",)]
    assert "::cue(.happiness) { color: #000000; background-color: #f0e442 }" in style


def test_an_audio_file_has_its_voice_and_silence_nothing(speech: SpeechResult) -> None:
    cues, _ = parse(to_vtt(speech))
    assert [(cue.start_s, cue.end_s, cue.text) for cue in cues] == [
        (1.5, 4.5, "Voice: anger 80%"),
        (4.5, 5.5, "Voice: calm 40%"),
    ]
    for nothing in (planted_video(), SpeechResult(0.0), SpeechResult(2.0, (SpeechSegment(0.0, 2.0, False),))):
        assert parse(to_vtt(nothing)) == ([], "")


def test_times_are_rounded_to_milliseconds_and_go_beyond_a_day() -> None:
    emotion = distribution("anger", 0.8, RAVDESS8)
    edges = [0.0, 0.0004, 59.9996, 3599.9999, 360_000.5]
    segments = [SpeechSegment(a, b, True, emotion) for a, b in pairwise(edges)]
    cues, _ = parse(to_vtt(SpeechResult(edges[-1], tuple(segments))))
    assert [cue.start_s for cue in cues] == [0.0, 0.0, 60.0, 3600.0]
    assert [cue.end_s for cue in cues] == [0.001, 60.0, 3600.0, 360_000.5]


@pytest.mark.parametrize("name", ["a --> b.mp4", "<b>&amp;.mp4", "two\n\nlines.mp4", "raw\udcff\x1b.mp4", "", None])
def test_no_name_breaks_the_file(video: VideoResult, name: str | None, tmp_path: Path) -> None:
    named = replace(video, path=name)
    assert len(parse(to_vtt(named))[0]) == 5
    mien.write(named, tmp_path / "x.vtt")
    assert (tmp_path / "x.vtt").read_text("utf-8") == to_vtt(named)


def test_emotions_of_any_name_are_escaped(video: VideoResult) -> None:
    labels = LabelSet("own", ("a --> <b>", "tea & cake", "calm"))
    parts = [
        EmotionSegment(float(k), k + 1.0, distribution(name, 0.8, labels)) for k, name in enumerate(labels.emotions)
    ]
    track = replace(video.tracks[0], timeline=tuple(parts))
    cues, _ = parse(to_vtt(replace(video, tracks=(track,), speech=None, fused=None)))
    assert [cue.text for cue in cues] == [f"Person 1: {name} 80%" for name in labels.emotions]
    assert [cue.classes for cue in cues] == [(), (), (".calm",)]


def test_ffmpeg_reads_the_same_cues(video: VideoResult, tmp_path: Path) -> None:
    mien.write(video, tmp_path / "x.vtt")
    with av.open(str(tmp_path / "x.vtt")) as file:
        assert file.format.name == "webvtt"
        packets = [packet for packet in file.demux() if packet.size]
    expected, _ = parse(to_vtt(video))
    read = [(float(p.pts * p.time_base), float((p.pts + p.duration) * p.time_base)) for p in packets]
    assert read == [(cue.start_s, cue.end_s) for cue in expected]
    assert [re.sub("<[^>]*>", "", bytes(p).decode()) for p in packets] == [cue.text for cue in expected]


def test_other_results_are_rejected() -> None:
    with pytest.raises(InputError, match="subtitles need a SpeechResult or a VideoResult, but got"):
        to_vtt(ImageResult(10, 10))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="vtt is for results of audio and video, but got some of image"):
        mien.write(ImageResult(10, 10), "x.vtt")
