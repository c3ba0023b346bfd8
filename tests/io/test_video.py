"""Reading videos: frames that tell their number against times and images that were written."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.errors import DecodeError, InputError, UnsupportedMediaError
from mien.io.audio import read_audio
from mien.io.container import has_moving_images
from mien.io.sniff import detect_kind, peek_kind
from mien.io.video import Frame, VideoReader, count_frames, iter_frames
from mien.options import DEFAULT_MAX_PIXELS, MOST_FRAME_PIXELS
from planted_videos import corners, number_of, numbered, numbered_video, write_video
from processes import started
from sounds import encoded, sine

X264 = "keyint=45:min-keyint=45:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"
B_FRAMES = {"x264-params": X264}
X265 = "log-level=none:pools=none:frame-threads=1:keyint=45:min-keyint=45:bframes=3:b-adapt=0:scenecut=0"

KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264 mp4": ("libx264", "mp4", B_FRAMES),
    "h264 mov": ("libx264", "mov", {"g": "45", "tune": "zerolatency"}),
    "h264 mkv": ("libx264", "matroska", B_FRAMES),
    "h264 open": ("libx264", "matroska", {"x264-params": X264 + ":open-gop=1"}),
    "h264 ts": ("libx264", "mpegts", B_FRAMES),
    "h264 avi": ("libx264", "avi", B_FRAMES),
    "h264 flv": ("libx264", "flv", B_FRAMES),
    "hevc mp4": ("libx265", "mp4", {"x265-params": X265}),
    "hevc closed": ("libx265", "mp4", {"x265-params": X265 + ":open-gop=0"}),
    "vp8 webm": ("libvpx", "webm", {"g": "45"}),
    "vp8 hidden": ("libvpx", "webm", {"g": "45", "deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9 webm": ("libvpx-vp9", "webm", {"g": "45"}),
    "av1 mp4": ("libsvtav1", "mp4", {"g": "45"}),
    "mpeg4 avi": ("mpeg4", "avi", {"g": "45", "bf": "2"}),
    "mpeg4 mp4": ("mpeg4", "mp4", {"g": "45", "bf": "2"}),
    "mpeg2 mpg": ("mpeg2video", "vob", {"g": "15", "bf": "2"}),
}

COUNT = 150


@pytest.fixture(scope="module")
def videos() -> dict[str, bytes]:
    return {
        name: video(COUNT, container, codec=codec, options=more) for name, (codec, container, more) in KINDS.items()
    }


def video(count: int, container: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    numbered_video(stream, count, container=container, **options)
    return stream.getvalue()


def read_frames(source: Any, **options: Any) -> tuple[list[tuple[int, float]], VideoReader]:
    with iter_frames(source, **options) as stream:
        return [(number_of(frame.image), frame.time_s) for frame in stream], stream


# --- formats and times ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_at_its_time(videos: dict[str, bytes], name: str, capfd: Any) -> None:
    frames, stream = read_frames(videos[name])
    assert [number for number, _ in frames] == list(range(COUNT))
    tick = float(stream.time_base)
    rounding = tick / 2 + 1e-12 if stream.format in ("mkv", "webm", "flv") else 1e-12
    np.testing.assert_allclose([at for _, at in frames], np.arange(COUNT) / 30, atol=rounding, rtol=0)
    assert (stream.frames_read, stream.frames_failed, stream.warnings) == (COUNT, 0, ())
    assert stream.reached_s == pytest.approx(frames[-1][1], abs=0.1)
    assert (stream.codec, stream.path) == (name.split()[0].replace("mpeg2", "mpeg2video"), None)
    assert (stream.width, stream.height, stream.rotation, stream.has_audio) == (160, 120, 0, False)
    assert stream.frame_rate == 30
    if stream.format not in ("mpeg", "mpeg-ts"):
        assert stream.duration_s == pytest.approx(5, abs=0.1)
    assert count_frames(videos[name]) == COUNT
    assert capfd.readouterr() == ("", "")


def wanted(frames: list[tuple[int, float]], tolerance: float, step: Fraction, begin: float, end: float) -> Any:
    """Return what a sampling must give, by the words of its definition."""
    given = []
    for k in range(10_000):
        moment = begin + float(k * step)
        later = [frame for frame in frames if frame[1] + tolerance >= moment and frame[1] + tolerance < end]
        if not later:
            return given
        if later[0] not in given:
            given.append(later[0])
    raise AssertionError


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("step", "begin", "end"),
    [(Fraction(1, 5), 0.0, None), (Fraction(1, 5), 2.45, None), (Fraction(1, 30), 0.0, None),
     (Fraction(1, 2), 3.1, 4.6), (Fraction(5, 2), 0.0, None), (Fraction(1, 100), 4.5, 4.7),
     (Fraction(11, 4), 0.1, None)],
)  # fmt: skip
def test_sampling_gives_what_a_full_reading_would(
    videos: dict[str, bytes], name: str, step: Fraction, begin: float, end: float | None
) -> None:
    whole, stream = read_frames(videos[name])
    frames, sampled = read_frames(videos[name], step_s=float(step), from_s=begin, to_s=end)
    tolerance = min(float(stream.time_base) / 2, 0.0005)
    assert frames == wanted(whole, tolerance, step, begin, end or 1e9)
    assert (sampled.frames_failed, sampled.warnings) == (0, ())


@pytest.mark.parametrize("name", KINDS)
def test_a_stretch_is_half_open(videos: dict[str, bytes], name: str) -> None:
    whole, _ = read_frames(videos[name])
    frames, _ = read_frames(videos[name], from_s=3.3, to_s=3.7)
    assert frames == whole[99:111]


def test_images_are_the_same_however_they_were_reached(videos: dict[str, bytes]) -> None:
    """Left-out images and winding change no pixel of the others."""
    for name in ("h264 mp4", "h264 open", "h264 mkv", "hevc mp4", "mpeg4 mp4", "vp9 webm", "mpeg2 mpg"):
        with iter_frames(videos[name]) as stream:
            whole = {frame.time_s: frame.image for frame in stream}
        for options in ({"step_s": 0.2}, {"from_s": 2.6, "to_s": 3.4}, {"step_s": 2.2}, {"step_s": 0.3, "threads": 1}):
            with iter_frames(videos[name], **options) as stream:  # type: ignore[arg-type]
                for frame in stream:
                    np.testing.assert_array_equal(frame.image, whole[frame.time_s])


def test_no_more_is_decoded_than_needed(videos: dict[str, bytes]) -> None:
    assert (
        read_frames(videos["h264 mp4"], step_s=0.2)[1].frames_read < 100
    )  # two of four images are referred to by none
    assert read_frames(videos["h264 mp4"], from_s=4.6)[1].frames_read < 20
    assert read_frames(videos["h264 mp4"], to_s=0.5)[1].frames_read == 15
    assert read_frames(videos["h264 mp4"], step_s=4.5)[1].frames_read < 20
    assert read_frames(videos["hevc closed"], step_s=4.5)[1].frames_read < 40


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(1000)])
def test_times_are_exact_at_odd_rates(rate: Fraction) -> None:
    data = video(90, "mp4", rate=rate)
    frames, stream = read_frames(data)
    assert [at for _, at in frames] == [float(k / rate) for k in range(90)]
    assert stream.frame_rate == rate
    assert [n for n, _ in read_frames(data, step_s=float(1 / rate))[0]] == list(range(90))
    assert [n for n, _ in read_frames(data, step_s=float(3 / rate))[0]] == list(range(0, 90, 3))


def test_a_variable_rate(tmp_path: Path) -> None:
    ticks = np.cumsum(np.random.default_rng(5).integers(1, 4000, 80)) - 1
    ticks[0] = 0
    times = [Fraction(int(tick), 15360) for tick in ticks]
    path = tmp_path / "variable.mp4"
    write_video(path, [(numbered(k), at) for k, at in enumerate(times)], time_base=Fraction(1, 15360))
    frames, stream = read_frames(path)
    assert stream.time_base == Fraction(1, 15360)
    assert frames == [(k, float(at)) for k, at in enumerate(times)]
    assert read_frames(path, step_s=0.5, from_s=1)[0] == wanted(frames, 1 / 30720, Fraction(1, 2), 1.0, 1e9)


def test_images_that_begin_after_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    late = [(numbered(k), Fraction(k, 30) + 1) for k in range(30)]
    write_video(path, late, sound=(sine(16000, 2.0), 16000), audio_codec="flac")
    frames, stream = read_frames(path)
    assert frames[0][1] == pytest.approx(1, abs=0.001)
    assert stream.has_audio
    assert read_audio(path).start_s == 0


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts"])
@pytest.mark.parametrize(("image_s", "sound_s"), [(3, 0), (0, 3), (2, 4), (102, 100)])
def test_streams_that_begin_late_are_healthy(tmp_path: Path, suffix: str, image_s: int, sound_s: int) -> None:
    """The images end where they end, whichever stream begins first, and nothing is said of it."""
    path, codecs = tmp_path / f"late.{suffix}", {"webm": ("libvpx-vp9", "libopus"), "ts": ("libx264", "mp2")}
    codec, audio_codec = codecs.get(suffix, ("libx264", "aac"))
    images = [(numbered(k), Fraction(k, 30) + image_s) for k in range(60)]
    sound = {"sound": (sine(48000, 2.0), 48000), "sound_start_s": float(sound_s), "audio_codec": audio_codec}
    write_video(path, images, codec=codec, **sound)
    _, stream = read_frames(path)
    _, sparse = read_frames(path, step_s=0.7)
    end_s = 2.0 + image_s - min(image_s, sound_s)
    assert stream.warnings == sparse.warnings == ()
    assert stream.reached_s == sparse.reached_s == pytest.approx(end_s, abs=0.05)
    assert stream.duration_s == pytest.approx(end_s, abs=0.05)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_ends_at_one_time_whatever_is_sampled(tmp_path: Path, suffix: str) -> None:
    path, times = tmp_path / f"variable.{suffix}", np.cumsum([0, *[40, 500, 30, 800, 33] * 6])
    images = [(numbered(k), Fraction(int(at), 1000)) for k, at in enumerate(times)]
    write_video(path, images, time_base=Fraction(1, 1000))
    ends = {read_frames(path, step_s=step_s)[1].reached_s for step_s in (None, 0.04, 0.2, 1.0, 5.0)}
    assert len(ends) == 1
    assert ends.pop() == pytest.approx(times[-1] / 1000, abs=0.9)


def test_a_broadcast_begins_at_zero(tmp_path: Path) -> None:
    path = tmp_path / "cast.ts"
    early = [(numbered(k), Fraction(k, 30) + 7000) for k in range(30)]
    write_video(path, early, sound=(sine(16000, 1.0), 16000), audio_codec="mp2", sound_start_s=7000.5)
    assert [at for _, at in read_frames(path)[0]] == [k / 30 for k in range(30)]
    assert read_audio(path).start_s == pytest.approx(0.5, abs=0.05)


# --- animated images --------------------------------------------------------------------------------------------------


def animation(name: str, count: int = 4) -> bytes:
    """Return an image of a few frames, each of another red, shown for 100, 200, ... ms."""
    frames, stream = [Image.new("RGB", (64, 48), (60 * k + 10, 40, 90)) for k in range(count)], io.BytesIO()
    lengths_ms = [100 * (k + 1) for k in range(count)]
    more = {"lossless": True} if name == "WEBP" else {}
    frames[0].save(stream, name, save_all=True, append_images=frames[1:], duration=lengths_ms, loop=0, **more)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_animated_images_are_videos(name: str, tmp_path: Path) -> None:
    data = animation(name)
    path = tmp_path / "a"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data), Pipe(data)):
        with iter_frames(source) as frames:
            found = [(round(frame.time_s, 3), frame.image[20, 30]) for frame in frames]
        assert [time_s for time_s, _ in found] == [0, 0.1, 0.3, 0.6]
        for k, (_, color) in enumerate(found):
            assert color == pytest.approx([60 * k + 10, 40, 90], abs=4)
        assert frames.reached_s == pytest.approx(1.0)
        assert (frames.format, frames.warnings) == (name.lower(), ())
    assert detect_kind(data) == detect_kind(path) == peek_kind(Pipe(data))[0] == "video"
    assert [frame.time_s for frame in iter_frames(data, step_s=0)] == pytest.approx([0, 0.1, 0.3, 0.6])
    assert [frame.time_s for frame in iter_frames(data, step_s=0.25)] == pytest.approx([0, 0.3, 0.6])


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_still_images_are_none(name: str) -> None:
    data = animation(name, 1)
    assert detect_kind(data) == peek_kind(Pipe(data))[0] == "image"
    with pytest.raises(UnsupportedMediaError, match=f"but it is an image \\({name.lower()}\\)"):
        iter_frames(data)
    assert detect_kind(data[:40]) == "image"


# --- frames by number -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_frames_by_number(videos: dict[str, bytes], name: str) -> None:
    middle = count_frames(videos[name]) // 2
    assert [n for n, _ in read_frames(videos[name], numbers=[middle])[0]] == [COUNT // 2]
    assert [n for n, _ in read_frames(videos[name], numbers=range(21, 60, 7))[0]] == list(range(21, 60, 7))


def test_odd_numbers(videos: dict[str, bytes]) -> None:
    data = videos["h264 mp4"]
    assert [n for n, _ in read_frames(data, numbers=(9, 3, 3, 149, 500))[0]] == [3, 9, 149]
    assert read_frames(data, numbers=[])[0] == []
    assert read_frames(data, numbers=np.arange(2))[0] == read_frames(data, numbers=[0, 1])[0]
    for wrong, message in (([-1], "at least 0"), ([0.5], "an integer"), ("12", "numbers must be integers"), (3, "'?3")):
        with pytest.raises(InputError, match=message):
            iter_frames(data, numbers=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="numbers go without step_s"):
        iter_frames(data, numbers=[1], step_s=0.2)


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_videos_of_phones_are_upright(rotation: int, mirrored: bool, container: str) -> None:
    stored = corners(160, 96)
    stream = io.BytesIO()
    write_video(stream, [(stored, Fraction(0))], rotation=rotation, mirrored=mirrored, container=container)
    expected = np.rot90(stored, rotation // 90)
    expected = expected[:, ::-1] if mirrored else expected
    with iter_frames(stream.getvalue()) as frames:
        image = next(frames).image
        assert (frames.rotation, frames.height, frames.width) == (rotation, *expected.shape[:2])
    assert np.abs(image.astype(int) - expected).mean() < 4
    assert image.flags.c_contiguous
    assert image.flags.writeable


PATCHES = np.array(
    [[220, 30, 30], [30, 220, 30], [30, 30, 220], [235, 235, 235], [128, 128, 128], [12, 12, 12], [250, 200, 20]],
    np.uint8,
)


def patches() -> NDArray[np.uint8]:
    return np.repeat(np.repeat(PATCHES[None], 32, axis=0), 32, axis=1)


def colors(data: bytes) -> NDArray[np.int_]:
    with iter_frames(data) as stream:
        return next(stream).image[16, 16:224:32].astype(int)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("codec", "form"), [("libx264", "yuv420p"), ("libx264", "yuv444p"), ("libx265", "yuv420p10le")]
)
def test_colors(matrix: str, full_range: bool, codec: str, form: str) -> None:
    stream = io.BytesIO()
    write_video(
        stream, [(patches(), Fraction(0))], container="mp4", codec=codec, matrix=matrix, full_range=full_range,
        pix_fmt=form, options={"crf": "1"},
    )  # fmt: skip
    assert np.abs(colors(stream.getvalue()) - PATCHES).max() <= 4


def test_colors_where_the_matrix_is_unknown() -> None:
    """High definition is BT.709, the rest BT.601: what was written so comes back so."""
    for size, matrix in (((224, 32), "bt601"), ((1280, 64), "bt709")):
        stream = io.BytesIO()
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:32, :224] = patches()
        # FFV1 in Matroska stores no matrix of its own accord when the stream tells none.
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv444p", dst_colorspace={"bt601": 5, "bt709": 1}[matrix], dst_color_range=1
        )
        frame.colorspace = 2
        with av.open(stream, "w", format="matroska") as target:
            track: Any = target.add_stream("ffv1", rate=30, width=size[0], height=size[1], pix_fmt="yuv444p")
            target.mux(track.encode(frame))
            target.mux(track.encode(None))
        assert np.abs(colors(stream.getvalue()) - PATCHES).max() <= 4


@pytest.mark.parametrize(
    ("codec", "form"),
    [("ffv1", "gray"), ("ffv1", "gray16le"), ("png", "rgb24"), ("ffv1", "bgr0"), ("qtrle", "rgb24"),
     ("mjpeg", "yuvj420p"), ("prores_ks", "yuv422p10le"), ("ffv1", "gbrp10le"),
     ("rawvideo", "yuv420p")],
)  # fmt: skip
def test_pixel_formats(codec: str, form: str) -> None:
    image = patches() if "gray" not in form else np.repeat(patches()[..., :1], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    stream = io.BytesIO()
    with av.open(stream, "w", format="mov" if codec in ("png", "qtrle") else "matroska") as target:
        track: Any = target.add_stream(codec, rate=30, width=224, height=32, pix_fmt=form)
        if form.startswith("yuv"):
            full = 2 if form == "yuvj420p" else 1
            frame = frame.reformat(format=form, dst_colorspace=5, dst_color_range=full)
        target.mux(track.encode(frame))
        target.mux(track.encode(None))
    with iter_frames(stream.getvalue()) as frames:
        got = next(frames).image
    assert np.abs(got[16, 16::32].astype(int) - image[16, 16::32]).max() <= (6 if codec == "mjpeg" else 4)


def test_transparent_parts_are_laid_on_white() -> None:
    stream = io.BytesIO()
    image = np.zeros((32, 64, 4), np.uint8)
    image[:, :32] = (200, 40, 60, 255)
    image[:, 32:] = (200, 40, 60, 128)
    with av.open(stream, "w", format="mov") as target:
        track: Any = target.add_stream("png", rate=30, width=64, height=32, pix_fmt="rgba")
        target.mux(track.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        target.mux(track.encode(None))
    with iter_frames(stream.getvalue()) as frames:
        got = next(frames).image
        assert frames.warnings == ("transparent parts are shown on white",)
    np.testing.assert_array_equal(got[0, 0], (200, 40, 60))
    np.testing.assert_allclose(got[0, 63], 255 + (np.array([200, 40, 60]) - 255.0) * 128 / 255, atol=1)


@pytest.mark.parametrize("size", [(161, 121), (35, 241), (99, 64), (64, 99), (17, 13)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), (200, 60, 90), np.uint8)
    for codec, container in (("libvpx-vp9", "webm"), ("mpeg4", "mp4")):
        stream = io.BytesIO()
        write_video(stream, [(image, Fraction(k, 30)) for k in range(3)], codec=codec, container=container)
        with iter_frames(stream.getvalue()) as frames:
            images = [frame.image for frame in frames]
        assert len(images) == 3
        assert images[0].shape == image.shape
        assert np.abs(images[0].astype(int) - image).max() <= 5


def test_pixels_that_are_not_square() -> None:
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as target:
        track: Any = target.add_stream("mpeg4", rate=25, width=96, height=64, pix_fmt="yuv420p")
        track.codec_context.sample_aspect_ratio = Fraction(4, 3)
        target.mux(track.encode(av.VideoFrame.from_ndarray(corners(96, 64), format="rgb24")))
        target.mux(track.encode(None))
    with iter_frames(stream.getvalue()) as frames:
        image = next(frames).image
        assert (frames.width, frames.height) == (128, 64)
        assert frames.warnings == ("the video's pixels are not square: 96 x 64 is shown as 128 x 64",)
    assert np.abs(image.astype(int) - corners(128, 64)).mean() < 6


def test_interlaced_videos_are_deinterlaced() -> None:
    """A bar that moves between the two fields of a frame is combed; what is read has the bar of one."""
    fields = np.full((2, 120, 160, 3), 60, np.uint8)
    fields[0, :, 40:60], fields[1, :, 90:110] = 220, 220
    woven = fields[0].copy()
    woven[1::2] = fields[1, 1::2]
    stream = io.BytesIO()
    images = [(woven, Fraction(k, 25)) for k in range(10)]
    write_video(stream, images, container="matroska", interlaced=True, rate=25, options={"crf": "8"})
    for options in ({}, {"step_s": 0.2}):
        with iter_frames(stream.getvalue(), **options) as frames:
            got = [frame.image.astype(int) for frame in frames]
        assert frames.warnings == ("the video is interlaced: of the two moments in a frame, the first is shown",)
        for image in got:
            assert min(np.abs(image[4:-4, :, 0] - field[4:-4, :, 0]).mean() for field in fields) < 6
            assert np.abs(np.diff(image[4:-4], axis=0)).max() < 60


@pytest.mark.parametrize(("trc", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_mapped_to_the_usual_one(trc: int, name: str) -> None:
    """Grays at known parts of diffuse white come out as sRGB has them; light beyond it is compressed, not cut off."""
    parts = np.array([0.02, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0])
    nits = 203 * parts
    if name == "PQ":  # SMPTE ST 2084
        y = (nits / 10_000) ** 0.1593017578125
        code = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    else:  # BT.2100: the display's light back to the scene's, and to the signal
        scene = (nits / 1000) ** (1 / 1.2)
        upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        code = np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)
    rows = np.rint(65535 * code).astype(np.uint16).repeat(20)
    image = np.ascontiguousarray(np.broadcast_to(rows[None, :, None], (48, 160, 3)))
    frame, stream = av.VideoFrame.from_ndarray(image, format="rgb48le"), io.BytesIO()
    with av.open(stream, "w", format="matroska") as target:
        track: Any = target.add_stream("ffv1", rate=30, width=160, height=48, pix_fmt="yuv444p16le")
        track.codec_context.color_trc, track.codec_context.color_primaries, track.codec_context.colorspace = trc, 9, 9
        track.codec_context.color_range = 1
        frame = frame.reformat(format="yuv444p16le", dst_colorspace=9, src_color_range=2, dst_color_range=1)
        target.mux(track.encode(frame))
        target.mux(track.encode(None))
    with iter_frames(stream.getvalue()) as frames:
        got = next(frames).image[24, 10::20].astype(int)
    assert frames.warnings == (f"the video has a high dynamic range ({name}); its colors are mapped to the usual one",)
    wanted = 255 * np.where(parts <= 0.0031308, 12.92 * parts, 1.055 * parts ** (1 / 2.4) - 0.055)
    assert np.abs(got[:5] - wanted[:5, None]).max() <= 3
    assert (np.diff(got[:, 0]) > 2).all()
    assert got.max() < 255
    assert np.ptp(got, axis=1).max() <= 2


def test_a_size_that_changes() -> None:
    stream = io.BytesIO()
    write_video(stream, [(numbered(k, 240, 160), Fraction(k, 30)) for k in range(40, 80)], container="mpegts")
    with iter_frames(video(40, "mpegts") + stream.getvalue()) as frames:
        images = [frame.image for frame in frames]
        assert any(note.startswith("the size changes within the video (240 x 160)") for note in frames.warnings)
    assert {image.shape for image in images} == {(120, 160, 3)}
    numbers = [number_of(image) for image in images]
    assert numbers[:38] == list(range(38))
    assert numbers[-38:] == list(range(42, 80))


def test_8k() -> None:
    stream = io.BytesIO()
    image = np.full((4320, 7680, 3), (200, 60, 90), np.uint8)
    write_video(stream, [(image, Fraction(0))], codec="mjpeg", container="mov", pix_fmt="yuvj420p", full_range=True)
    with iter_frames(stream.getvalue()) as frames:
        got = next(frames).image
    assert got.shape == (4320, 7680, 3)
    assert np.abs(got[::500, ::500].astype(int) - (200, 60, 90)).max() <= 5


def test_large_sizes_of_small_files_are_refused() -> None:
    """As for images: over 24 million pixels, a byte for each thousand."""
    stream = io.BytesIO()
    image = np.zeros((5000, 5000, 3), np.uint8)
    write_video(stream, [(image, Fraction(0))], container="mp4", options={"crf": "51"})
    assert len(stream.getvalue()) < 25_000
    with pytest.raises(DecodeError, match=r"claims 5000 x 5000 pixels, but has only [\d,]+ bytes"):
        iter_frames(stream.getvalue())
    with pytest.raises(UnsupportedMediaError, match="more than the limit of 1,000,000 pixels"):
        iter_frames(stream.getvalue(), max_pixels=1_000_000)
    with pytest.raises(UnsupportedMediaError, match="more than the limit"):
        mien.analyze_video(stream.getvalue(), max_pixels=1_000_000)
    with pytest.raises(UnsupportedMediaError, match="more than the limit"):
        next(mien.iter_video(stream.getvalue(), max_pixels=1_000_000))


def test_frames_have_a_limit_of_their_own(videos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_FRAME_PIXELS < DEFAULT_MAX_PIXELS
    monkeypatch.setattr("mien.api.analysis.MOST_FRAME_PIXELS", 19_199)
    with pytest.raises(UnsupportedMediaError, match="more than the limit of 19,199 pixels"):
        mien.analyze_video(videos["mpeg4 mp4"])
    assert mien.analyze_video(videos["mpeg4 mp4"], max_pixels=19_200).tracks == ()


# --- sources and options ----------------------------------------------------------------------------------------------


class Pipe:
    """A stream that cannot be wound back."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 1000) if size > 0 else size)


def test_sources(videos: dict[str, bytes], tmp_path: Path) -> None:
    data = videos["h264 mkv"]
    path = tmp_path / "Fïlm ü\n.txt"  # the name says nothing
    path.write_bytes(data)
    expected = read_frames(data, step_s=0.5)[0]
    with path.open("rb") as file:
        for source in (str(path), path, bytearray(data), memoryview(data), io.BytesIO(data), file, Pipe(data)):
            assert read_frames(source, step_s=0.5)[0] == expected
        assert not file.closed
    assert read_frames(path)[1].path == str(path)
    assert read_frames(Pipe(data), from_s=3.5, to_s=4)[0] == read_frames(data, from_s=3.5, to_s=4)[0]
    shifted = io.BytesIO(b"junk" + data)
    shifted.seek(4)
    assert read_frames(shifted, from_s=3)[0] == read_frames(data, from_s=3)[0]
    assert count_frames(path) == count_frames(Pipe(data)) == COUNT


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_nothing(videos: dict[str, bytes], threads: int) -> None:
    for name in ("h264 mp4", "hevc mp4", "av1 mp4"):
        assert read_frames(videos[name], threads=threads) [0] == read_frames(videos[name])[0]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_s": -1}, "step_s must be a number from 0"),
        ({"step_s": float("nan")}, "step_s must be a number"),
        ({"from_s": -1}, "from_s must be a number from 0"),
        ({"from_s": 2, "to_s": 2}, "to_s must be later than from_s .2 s., but got 2"),
        ({"threads": 0}, "threads must be an integer from 1"),
        ({"max_pixels": 0}, "max_pixels must be an integer of at least 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        iter_frames(b"", **options)


def test_a_stretch_after_the_end(videos: dict[str, bytes]) -> None:
    for name in ("h264 mp4", "h264 ts"):
        frames, stream = read_frames(videos[name], from_s=100)
        assert frames == []
        assert stream.warnings == ("no frame is at or after 100 s: the last is at 4.97 s",)


def test_has_moving_images(tmp_path: Path, videos: dict[str, bytes]) -> None:
    wave = sine(16000, 0.3)
    for name, data, expected in (
        ("video.mp4", videos["h264 mp4"], True),
        ("sound.mp4", encoded(wave, 16000, "mp4", "aac"), False),
        ("sound.mkv", encoded(wave, 16000, "matroska", "flac"), False),
        ("damaged.mp4", videos["h264 mp4"][:2000], True),
        ("empty.mp4", b"", True),
        ("cover.mp4", covered("mp4", "aac"), False),
    ):
        (tmp_path / name).write_bytes(data)
        assert has_moving_images(tmp_path / name) is expected, name
        assert has_moving_images(str(tmp_path / name)) is expected
    assert has_moving_images(tmp_path / "none.mp4")


def covered(container: str, codec: str) -> bytes:
    """Return sound with a cover."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as target:
        sound: Any = target.add_stream(codec, rate=16000, layout="mono")
        cover: Any = target.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = 0x400
        target.mux(
            cover.encode(av.VideoFrame.from_ndarray(corners(64, 48), format="rgb24").reformat(format="yuvj420p"))
        )
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return stream.getvalue()


# --- the thread -------------------------------------------------------------------------------------------------------


def video_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mien-video"]


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_nothing_stays_behind(videos: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(videos["h264 mp4"])
    before = open_files()
    list(iter_frames(path))
    with iter_frames(path) as stream:
        assert isinstance(next(stream), Frame)
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(ZeroDivisionError), iter_frames(path) as stream:  # noqa: PT012
        for _ in stream:
            1 / 0  # noqa: B018
    iter_frames(path).close()
    forgotten = iter_frames(path)
    next(forgotten)
    del forgotten
    gc.collect()
    stream = iter_frames(path)
    stream.close()
    stream.close()
    assert video_threads() == []
    assert open_files() == before


def test_decoding_waits_for_its_consumer(videos: dict[str, bytes]) -> None:
    with iter_frames(videos["h264 mp4"]) as stream:
        next(stream)
        time.sleep(0.1)
        assert stream.frames_read <= 8


def test_a_source_that_fails_in_the_thread(videos: dict[str, bytes]) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 4_000:
                raise OSError("the cable is out")
            return super().read(1000)

    class Wrong(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 4_000:
                raise RuntimeError("a fault of the caller's")
            return super().read(1000)

    frames, stream = read_frames(Broken(videos["h264 mkv"]))
    assert 5 < len(frames) < COUNT
    assert any("the cable is out" in note for note in stream.warnings)
    with pytest.raises(RuntimeError, match="a fault of the caller's"), iter_frames(Wrong(videos["h264 mkv"])) as stream:
        list(stream)
    assert video_threads() == []


def test_a_source_that_hangs_does_not_hang_the_caller(
    videos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.io.video._JOIN_S", 0.2)
    free = threading.Event()

    class Hanging(Pipe):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += 1
            if self.taken > 15 and threading.current_thread() is not threading.main_thread():
                free.wait(20)
            return super().read(size)

    stream = iter_frames(Hanging(videos["h264 mkv"]))
    begin = time.perf_counter()
    stream.close()
    stream = iter_frames(Hanging(videos["h264 mkv"]))
    next(stream)
    stream.close()
    assert time.perf_counter() - begin < 5
    free.set()
    for thread in video_threads():
        thread.join(5)


INTERRUPTED = """
import sys, time
from mien.io.video import iter_frames
with iter_frames(sys.argv[1]) as stream:
    print(next(stream).time_s, flush=True)
    if sys.argv[2] == "wait":
        time.sleep(30)
    while True:
        for _ in stream:
            time.sleep(0.05)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
@pytest.mark.parametrize("way", ["wait", "read"])
def test_ctrl_c(videos: dict[str, bytes], tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(videos["h264 mp4"])
    command = [sys.executable, "-c", INTERRUPTED, str(path), way]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0.0\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_a_program_may_end_in_the_middle(videos: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(videos["h264 mp4"])
    code = "import sys; from mien.io.video import iter_frames; s = iter_frames(sys.argv[1]); print(next(s).time_s)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("0.0\n", "", 0)


LONG = """
import sys
from pathlib import Path
from mien.io.video import iter_frames

def resident():
    # Not ru_maxrss: it counts what the parent had at the fork.
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024

marks = []
with iter_frames(sys.argv[1]) as stream:
    for count, frame in enumerate(stream):
        if count in (2000, 17000):
            marks.append(resident())
    print(count + 1, stream.warnings, *marks, sep="|")
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc to ask for its memory")
def test_a_long_video_in_flat_memory(videos: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    looped(videos["mpeg4 mp4"], path, 120)
    done = subprocess.run([sys.executable, "-c", LONG, str(path)], capture_output=True, text=True, check=True)
    count, notes, early, late = done.stdout.split("|")
    assert (count, notes, done.stderr) == ("18000", "()", "")
    assert int(late) - int(early) < 4e6
    assert int(late) < 200e6


def looped(data: bytes, path: Path, times: int) -> None:
    """Write a video that shows another one over and over, without coding it anew."""
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        assert stream.time_base is not None or source.streams.video[0].time_base is not None
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in source.demux(video=0) if p.size]
        base = source.streams.video[0].time_base
        length = round(COUNT / 30 / base)  # type: ignore[operator]
        for k in range(times):
            for content, pts, dts, key in packets:
                packet = av.Packet(content)
                packet.stream, packet.time_base, packet.is_keyframe = stream, base, key  # type: ignore[assignment]
                packet.pts, packet.dts = pts + k * length, dts + k * length  # type: ignore[operator]
                target.mux(packet)


def test_import_is_light() -> None:
    code = "import sys, mien.io.video; print('av' in sys.modules, 'cv2' in sys.modules)"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False False\n"
