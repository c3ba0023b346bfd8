"""The sound of drawn videos: as it was, and in step with the images to the end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import MienWarning
from mien.io.video import iter_frames
from mien.output.video import draw_video
from mien.results import VideoResult
from planted_video import planted_video
from planted_videos import numbered_video, write_video

RATE = 48000
IN_STEP_S = 0.020
"""What the eye and ear forgive."""

SIZE = (64, 48)


def result(seconds: float, **more: Any) -> VideoResult:
    return replace(planted_video([("anger", seconds)], size=SIZE), **more)


def beaten(
    path: Path | io.BytesIO,
    times: list[Fraction],
    *,
    every: int,
    codec: str = "aac",
    shift_s: float = 0.0,
    seconds: float | None = None,
    **options: Any,
) -> None:
    """Write a video whose image is white at every so-many-th time, with a click at that moment."""
    wave = np.zeros(round(RATE * (float(times[-1]) + 0.2 if seconds is None else seconds)), np.float32)
    images = []
    for k, time in enumerate(times):
        flash = k % every == every - 1
        images.append((np.full((SIZE[1], SIZE[0], 3), 255 if flash else 0, np.uint8), time))
        begin = round((float(time) - shift_s) * RATE)
        if flash and 0 <= begin < len(wave) - 100:
            wave[begin : begin + 96] = np.hanning(96)
    write_video(path, images, sound=(wave, RATE), audio_codec=codec, sound_start_s=shift_s, **options)


def flashes(path: Any) -> list[float]:
    """Times of white images; those of faces drawn on them are not."""
    with iter_frames(path) as frames:
        return [frame.time_s for frame in frames if np.median(frame.image) > 128]


def heard(path: Any) -> tuple[NDArray[np.float32], float]:
    """Return the first track, and its rate: sample k sounds at k / rate by the clock of the images."""
    with av.open(path if hasattr(path, "read") else str(path)) as video:
        track = video.streams.audio[0]
        parts: list[tuple[float, NDArray[np.float32]]] = []
        for frame in video.decode(track):
            assert frame.time is not None
            data = frame.to_ndarray()
            scale = 1.0 if data.dtype.kind == "f" else float(np.iinfo(data.dtype).max)
            if not frame.format.is_planar:
                data = data.reshape(-1, len(frame.layout.channels)).T
            parts.append((frame.time, (data / scale).mean(axis=0).astype(np.float32)))
            rate = frame.sample_rate
        zero = (video.start_time or 0) / 1e6
    last_s, last = parts[-1]
    wave = np.zeros(round((last_s - zero) * rate) + len(last), np.float32)
    for time_s, part in parts:
        begin = round((time_s - zero) * rate)
        cut = max(0, -begin)
        wave[begin + cut : begin + len(part)] = part[cut:]
    return wave, rate


def clicks(path: Any) -> list[float]:
    """Times of the middle of each click, less the half of its length."""
    wave, rate = heard(path)
    loud = np.flatnonzero(np.abs(wave) > 0.25)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 0.05 * rate) + 1)
    weights = [np.abs(wave[group]) for group in groups]
    return [float(np.average(g, weights=w)) / rate - 48 / RATE for g, w in zip(groups, weights, strict=True)]


def in_step(path: Any, expected: int, *, within_s: float = IN_STEP_S) -> None:
    seen, sounded = flashes(path), clicks(path)
    assert len(seen) == len(sounded) == expected
    assert np.abs(np.subtract(seen, sounded)).max() < within_s


def steady(rate: Fraction, seconds: float) -> list[Fraction]:
    return [k / rate for k in range(int(seconds * rate))]


def uneven(seconds: float, base: Fraction = Fraction(1, 600)) -> list[Fraction]:
    """Return times of a variable rate: 12 to 60 frames a second."""
    random = np.random.default_rng(3)
    ticks = np.cumsum(random.integers(10, 51, int(seconds * 60)))
    return [int(tick) * base for tick in ticks if tick * base < seconds]


def copied_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as video:
        return [bytes(packet) for packet in video.demux(audio=0) if packet.size]


# --- in step to the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "seconds"), [(Fraction(10), 100), (Fraction(30000, 1001), 40)])
def test_sound_is_in_step_at_the_end(tmp_path: Path, rate: Fraction, seconds: float) -> None:
    beaten(tmp_path / "in.mp4", steady(rate, seconds), every=150, rate=rate)
    draw_video(tmp_path / "in.mp4", result(seconds), tmp_path / "out.mp4", bars=False)
    in_step(tmp_path / "out.mp4", int(seconds * rate) // 150, within_s=0.002)
    assert copied_packets(tmp_path / "out.mp4") == copied_packets(tmp_path / "in.mp4")


def test_sound_of_a_variable_rate_is_in_step(tmp_path: Path) -> None:
    times = uneven(20)
    beaten(tmp_path / "in.mp4", times, every=60, time_base=Fraction(1, 600))
    draw_video(tmp_path / "in.mp4", result(20), tmp_path / "out.mp4")
    in_step(tmp_path / "out.mp4", len(times) // 60, within_s=0.002)


def test_sound_that_is_encoded_anew_does_not_drift(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mkv", steady(Fraction(10), 60), every=60, codec="pcm_s16le", rate=10)
    draw_video(tmp_path / "in.mkv", result(60), tmp_path / "out.mp4", bars=False)
    in_step(tmp_path / "out.mp4", 10, within_s=0.003)
    assert av.open(str(tmp_path / "out.mp4")).streams.audio[0].codec_context.name == "aac"


COPIES = [
    ("mp4", "aac", "mp4", "aac"),
    ("mp4", "aac", "mov", "aac"),
    ("mp4", "aac", "mkv", "aac"),
    ("mkv", "aac", "mkv", "aac"),
    ("mkv", "aac", "mp4", "aac"),
    ("mkv", "libmp3lame", "mp4", "mp3"),
    ("mkv", "libopus", "mp4", "opus"),
    ("mkv", "libopus", "webm", "opus"),
    ("mkv", "libopus", "mkv", "opus"),
    ("avi", "libmp3lame", "mp4", "mp3"),
    ("mov", "pcm_s16le", "mov", "pcm_s16le"),
    ("mkv", "flac", "mkv", "flac"),
]


@pytest.mark.parametrize(("container", "encoder", "target", "codec"), COPIES)
def test_sound_is_copied_where_the_file_takes_it(
    tmp_path: Path, container: str, encoder: str, target: str, codec: str
) -> None:
    source, drawn = tmp_path / f"in.{container}", tmp_path / f"out.{target}"
    beaten(source, steady(Fraction(30), 3), every=20, codec=encoder)
    draw_video(source, result(3), drawn)
    assert flashes(drawn) == pytest.approx(flashes(source), abs=1e-3)
    assert clicks(drawn) == pytest.approx(clicks(source), abs=0.002)
    # AVI does not tell the delay of a coder: the sound of such a source is late already.
    in_step(drawn, 4, within_s=0.03 if container == "avi" else 0.004)
    with av.open(str(drawn)) as video:
        assert video.streams.audio[0].codec_context.codec.canonical_name == codec
    before, after = copied_packets(source), copied_packets(drawn)
    # A coder's delay before zero may be left out.
    assert len(before) - len(after) <= 1
    assert after == before[len(before) - len(after) :]


@pytest.mark.parametrize(
    ("container", "encoder", "target", "codec"),
    [
        ("mp4", "aac", "webm", "opus"),
        ("mov", "pcm_s16le", "mp4", "aac"),
        ("ts", "aac", "mp4", "aac"),
        ("mkv", "libopus", "mov", "aac"),
    ],
)
def test_sound_is_encoded_anew_where_it_must_be(
    tmp_path: Path, container: str, encoder: str, target: str, codec: str
) -> None:
    source, drawn = tmp_path / f"in.{container}", tmp_path / f"out.{target}"
    beaten(source, steady(Fraction(30), 3), every=20, codec=encoder)
    draw_video(source, result(3), drawn)
    in_step(drawn, 4, within_s=0.004)
    with av.open(str(drawn)) as video:
        assert video.streams.audio[0].codec_context.codec.canonical_name == codec


def test_stereo_stays_stereo_when_encoded_anew(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as video:
        images: Any = video.add_stream("libx264", rate=30, width=64, height=48, pix_fmt="yuv420p")
        sound: Any = video.add_stream("pcm_s16le", rate=44100, layout="stereo")
        for k in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts = k
            video.mux(images.encode(frame))
        video.mux(images.encode(None))
        wave = np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100) * 16000
        block = av.AudioFrame.from_ndarray(
            np.stack([wave, 0 * wave], axis=1).astype(np.int16).reshape(1, -1), format="s16", layout="stereo"
        )
        block.sample_rate = 44100
        video.mux(sound.encode(block))
        video.mux(sound.encode(None))
    draw_video(tmp_path / "in.mkv", result(1), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        waves = np.concatenate([frame.to_ndarray() for frame in video.decode(audio=0)], axis=1)
        assert video.streams.audio[0].codec_context.sample_rate == 44100
    left, right = np.sqrt((waves**2).mean(axis=1))
    assert left == pytest.approx(16000 / 32768 / np.sqrt(2), rel=0.05)
    assert right < 0.01


# --- late, early, cut, longer, shorter ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_late_sound_stays_late(tmp_path: Path, target: str, codec: str) -> None:
    beaten(tmp_path / "in.mkv", steady(Fraction(30), 4), every=20, codec=codec, shift_s=1.3)
    draw_video(tmp_path / "in.mkv", result(4), tmp_path / f"out.{target}")
    seen, sounded = flashes(tmp_path / f"out.{target}"), clicks(tmp_path / f"out.{target}")
    late = [time_s for time_s in seen if time_s >= 1.3]
    assert len(late) < len(seen)
    assert np.allclose(sounded, late, atol=0.004)


@pytest.mark.parametrize("target", ["mp4", "mkv"])
def test_late_images_stay_late(tmp_path: Path, target: str) -> None:
    times = [time + Fraction(7, 10) for time in steady(Fraction(30), 3)]
    beaten(tmp_path / "in.mp4", times, every=20, time_base=Fraction(1, 30))
    with iter_frames(tmp_path / "in.mp4") as frames:
        assert next(frames).time_s == pytest.approx(0.7)
    draw_video(tmp_path / "in.mp4", result(3.7), tmp_path / f"out.{target}")
    with iter_frames(tmp_path / f"out.{target}") as frames:
        assert next(frames).time_s == pytest.approx(0.7, abs=1e-3)
    in_step(tmp_path / f"out.{target}", 4, within_s=0.002)


@pytest.mark.parametrize(
    ("codec", "target"), [("aac", "mp4"), ("aac", "mkv"), ("pcm_s16le", "mp4"), ("libopus", "webm")]
)
def test_a_part_of_a_video_has_its_part_of_the_sound(tmp_path: Path, codec: str, target: str) -> None:
    beaten(tmp_path / "in.mkv", steady(Fraction(30), 20), every=20, codec=codec)
    draw_video(tmp_path / "in.mkv", result(20, start_s=11.3, end_s=15.02), tmp_path / f"out.{target}", bars=False)
    # Flashes are at (20 k + 19) / 30 s: 11.3, 11.967, ..., 14.633.
    seen, sounded = flashes(tmp_path / f"out.{target}"), clicks(tmp_path / f"out.{target}")
    assert len(seen) == 6
    # Matroska cannot hide what comes before the cut: the sound begins with the next packet.
    assert np.allclose(sounded, seen if target == "mp4" else seen[1:], atol=0.004)
    assert seen[:2] == pytest.approx([0.0, 2 / 3], abs=1e-3)
    wave, rate = heard(tmp_path / f"out.{target}")
    assert len(wave) / rate == pytest.approx(15.02 - 11.3, abs=0.05)


def test_a_part_far_into_a_video_is_found_quickly_and_exactly(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mp4", steady(Fraction(10), 80), every=20, rate=10)
    video = result(80, start_s=70.0)
    draw_video(tmp_path / "in.mp4", video, tmp_path / "out.mp4", bars=False)
    in_step(tmp_path / "out.mp4", 5, within_s=0.004)


def test_sound_goes_on_after_the_images(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mp4", steady(Fraction(30), 2), every=20, seconds=5.0)
    draw_video(tmp_path / "in.mp4", result(2), tmp_path / "out.mp4")
    wave, rate = heard(tmp_path / "out.mp4")
    assert len(wave) / rate == pytest.approx(5.0, abs=0.05)


def test_images_go_on_after_the_sound(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mp4", steady(Fraction(30), 4), every=20, seconds=1.0)
    draw_video(tmp_path / "in.mp4", result(4), tmp_path / "out.mp4")
    assert len(flashes(tmp_path / "out.mp4")) == 6
    assert len(clicks(tmp_path / "out.mp4")) == 1


def test_sound_of_an_interrupted_video_ends_with_its_images(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mp4", steady(Fraction(30), 6), every=20)

    def interrupt(time_s: float) -> None:
        if time_s >= 2.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_video(tmp_path / "in.mp4", result(6), tmp_path / "out.mp4", on_progress=interrupt)
    in_step(tmp_path / "out.mp4", 3)
    wave, rate = heard(tmp_path / "out.mp4")
    assert len(wave) / rate == pytest.approx(2.0 + 1 / 30, abs=0.05)


# --- odd sounds -----------------------------------------------------------------------------------------------------


def test_a_video_without_sound_gets_none(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 10, width=64, height=48)
    draw_video(tmp_path / "in.mp4", result(1), tmp_path / "out.mp4")
    assert not av.open(str(tmp_path / "out.mp4")).streams.audio


def test_bytes_have_sound_too(tmp_path: Path) -> None:
    file = io.BytesIO()
    beaten(file, steady(Fraction(30), 2), every=20, container="mp4")
    draw_video(file.getvalue(), result(2), tmp_path / "out.mp4")
    in_step(tmp_path / "out.mp4", 3, within_s=0.002)


def test_the_first_of_several_tracks_is_taken(tmp_path: Path) -> None:
    _two_tracks(tmp_path / "in.mp4")
    draw_video(tmp_path / "in.mp4", result(1), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert len(video.streams.audio) == 1
    wave, rate = heard(tmp_path / "out.mp4")
    spectrum = np.abs(np.fft.rfft(wave[: rate // 2]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


def test_sound_in_an_unknown_format_is_left_out_with_a_warning(tmp_path: Path) -> None:
    beaten(tmp_path / "in.mkv", steady(Fraction(30), 2), every=20)
    data = (tmp_path / "in.mkv").read_bytes()
    (tmp_path / "in.mkv").write_bytes(data.replace(b"A_AAC", b"A_XYZ"))
    with pytest.warns(MienWarning, match=r"out.mp4: the sound is in an unknown format; it was left out"):
        draw_video(tmp_path / "in.mkv", result(2), tmp_path / "out.mp4")
    assert len(flashes(tmp_path / "out.mp4")) == 3
    assert not av.open(str(tmp_path / "out.mp4")).streams.audio


def _damaged(path: Path, codec: str, fill: bytes) -> None:
    """Write a video, four packets of whose sound are filled with a byte."""
    beaten(path, steady(Fraction(30), 3), every=20, codec=codec)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as video:
        for packet in [packet for packet in video.demux(audio=0) if packet.size][40:44]:
            place = data.index(bytes(packet), packet.pos)
            data[place : place + packet.size] = fill * packet.size
    path.write_bytes(data)


def test_damaged_sound_is_left_out_with_a_warning(tmp_path: Path) -> None:
    _damaged(tmp_path / "in.mkv", "aac", b"\xff")
    with pytest.warns(MienWarning, match=r"out.webm: damaged parts of the sound were left out \(\d of them\)"):
        draw_video(tmp_path / "in.mkv", result(3), tmp_path / "out.webm")
    in_step(tmp_path / "out.webm", 4)


def test_damage_that_decoders_do_not_see_spoils_nothing_else(tmp_path: Path) -> None:
    # A frame of MP3 that is zeros looks like one of another layout.
    _damaged(tmp_path / "in.mkv", "libmp3lame", b"\0")
    draw_video(tmp_path / "in.mkv", result(3), tmp_path / "out.webm")
    in_step(tmp_path / "out.webm", 4)


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.webm"])
def test_sound_whose_times_stand_still_is_kept(tmp_path: Path, target: str) -> None:
    """As in a damaged AVI: packets of half a second have the time of the first, and follow each other all the same."""
    beaten(tmp_path / "whole.mkv", steady(Fraction(30), 4), every=20, codec="libmp3lame")
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "in.mkv"), "w") as video:
        streams = {stream.index: video.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in _timed(source):
            if packet.stream.type == "audio" and 1.0 <= packet.pts * packet.time_base < 1.5:
                packet.pts = packet.dts = round(1 / packet.time_base)
            packet.stream = streams[packet.stream.index]
            video.mux(packet)
    draw_video(tmp_path / "in.mkv", result(4), tmp_path / target)
    in_step(tmp_path / target, 6)
    if target != "out.webm":
        assert copied_packets(tmp_path / target) == copied_packets(tmp_path / "whole.mkv")


def test_a_hole_in_the_sound_is_silence(tmp_path: Path) -> None:
    beaten(tmp_path / "whole.mkv", steady(Fraction(30), 4), every=20, codec="pcm_s16le")
    _without_sound(tmp_path / "whole.mkv", tmp_path / "in.mkv", 1.0, 2.0)
    draw_video(tmp_path / "in.mkv", result(4), tmp_path / "out.mp4")
    kept = [time_s for time_s in flashes(tmp_path / "in.mkv") if not 1.0 <= time_s < 2.0]
    assert np.allclose(clicks(tmp_path / "out.mp4"), kept, atol=0.004)


def _two_tracks(path: Path) -> None:
    with av.open(str(path), "w") as video:
        images: Any = video.add_stream("libx264", rate=30, width=64, height=48, pix_fmt="yuv420p")
        sounds: list[Any] = [video.add_stream("aac", rate=RATE, layout="mono") for _ in range(2)]
        for k in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts = k
            video.mux(images.encode(frame))
        video.mux(images.encode(None))
        for sound, hz in zip(sounds, (440, 1000), strict=True):
            wave = 0.5 * np.sin(np.arange(RATE) * 2 * np.pi * hz / RATE).astype(np.float32)
            block = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            block.sample_rate = RATE
            video.mux(sound.encode(block))
            video.mux(sound.encode(None))


def _without_sound(path: Path, target: Path, from_s: float, to_s: float) -> None:
    """Copy a video without the packets of sound of a stretch."""
    with av.open(str(path)) as source, av.open(str(target), "w") as video:
        streams = {stream.index: video.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in _timed(source):
            kind, time_s = packet.stream.type, float(packet.pts * packet.time_base)
            packet.stream = streams[packet.stream.index]
            if kind == "video" or not from_s <= time_s < to_s:
                video.mux(packet)


def _timed(source: Any) -> Iterator[Any]:
    return (packet for packet in source.demux() if packet.size)
