"""Videos that are damaged, cut, lying or none: what is there comes out, with a warning of what is lost, or an error."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mien.errors import DecodeError, InputError, MediaNotFoundError, UnsupportedMediaError
from mien.io.audio import read_audio
from mien.io.video import VideoReader, count_frames, iter_frames
from mien.samples import astronaut_path
from planted_videos import corners, number_of, numbered, numbered_video, write_video
from sounds import encoded, sine, wav

Frames = list[tuple[int, float]]

KEYED = {"x264-params": "keyint=30:min-keyint=30:scenecut=0:bframes=2:b-adapt=0"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return videos of 90 frames, 3 s, with a key frame every second, with sound where the format is to have it."""
    folder = tmp_path_factory.mktemp("videos")
    made = {}
    for name, suffix, more in (
        ("fast", "mp4", {"options": KEYED, "container_options": {"movflags": "faststart"}}),
        ("mp4", "mp4", {"options": KEYED}),
        ("mkv", "mkv", {"options": KEYED}),
        ("heard", "mkv", {"options": KEYED, "sound": (sine(16000, 3.0), 16000), "audio_codec": "flac"}),
        ("ts", "ts", {"options": KEYED}),
        ("avi", "avi", {"codec": "mpeg4", "options": {"g": "30"}}),
        ("webm", "webm", {"codec": "libvpx-vp9", "options": {"g": "30"}}),
    ):
        path = folder / f"{name}.{suffix}"
        numbered_video(path, 90, **more)  # type: ignore[arg-type]
        made[name] = path.read_bytes()
    return made


def read_frames(source: Any, **options: Any) -> tuple[Frames, VideoReader]:
    with iter_frames(source, **options) as stream:
        return [(number_of(frame.image), frame.time_s) for frame in stream], stream


def places(data: bytes) -> list[tuple[int, int]]:
    """Return where the content of each packet of images stands, and its size."""
    with av.open(io.BytesIO(data)) as container:
        return [(data.find(bytes(packet)), packet.size) for packet in container.demux(video=0) if packet.size]


def spoiled(data: bytes, begin: int, size: int) -> bytes:
    noise = np.random.default_rng(begin).integers(0, 256, size, np.uint8).tobytes()
    return data[:begin] + noise + data[begin + size :]


def about(notes: tuple[str, ...], *parts: str) -> None:
    for part in parts:
        assert any(part in note for note in notes), (part, notes)


# --- no videos
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", DecodeError, "the video is empty: expected a video"),
        (b"hello, world" * 50, UnsupportedMediaError, "be a video .*something else that begins with b'hello, world'"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", UnsupportedMediaError, "begins with b'#EXTM3U"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", UnsupportedMediaError, "begins with b'ffconcat ver'"),
        (b"<?xml version='1.0'?><MPD></MPD>" * 9, UnsupportedMediaError, "begins with b'<\\?xml"),
        (wav(sine(16000, 0.1), 16000), UnsupportedMediaError, r"it is an audio file \(wav\)"),
        (encoded(sine(44100, 0.2), 44100, "mp3", "libmp3lame"), UnsupportedMediaError, r"it is an audio file \(mp3\)"),
        (encoded(sine(48000, 0.2), 48000, "mp4", "aac"), UnsupportedMediaError, r"sound only \(mp4, aac\)"),
        (encoded(sine(48000, 0.2), 48000, "webm", "libopus"), UnsupportedMediaError, r"sound only \(webm, opus\)"),
        (encoded(sine(48000, 0.2), 48000, "matroska", "flac"), UnsupportedMediaError, r"sound only \(mkv, flac\)"),
        (b"\0\0\0\x20ftypisom" + bytes(20), DecodeError, r"its index \(moov\) is missing"),
        (b"\x1a\x45\xdf\xa3" + bytes(500), DecodeError, "cannot be decoded"),
        (b"RIFF\xff\xff\0\0AVI LIST" + bytes(100), DecodeError, "cannot be decoded"),
        (b"FLV\x01\x05\0\0\0\x09\0\0\0\0", DecodeError, "cannot be decoded"),
        (bytes([0x47, *([0] * 187)]) * 40, DecodeError, "cannot be decoded"),
    ],
)  # fmt: skip
def test_what_is_no_video(data: bytes, kind: type[Exception], message: str, capfd: Any) -> None:
    for read in (iter_frames, count_frames):
        with pytest.raises(kind, match=message):
            read(data)
    assert capfd.readouterr() == ("", "")


def test_images_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(astronaut_path().read_bytes())
    with pytest.raises(
        UnsupportedMediaError, match=r"video\.mp4 must be a video .*but it is an image \(jpeg\)"
    ) as caught:
        iter_frames(path)
    assert caught.value.path == path
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4|b.mp4", "http://127.0.0.1:9/x.mp4", "file:video.mp4", "pipe:0", "none.mp4", "-", ""):
        with pytest.raises(MediaNotFoundError, match="no such file: "):
            iter_frames(name)
    with pytest.raises(MediaNotFoundError, match=r"expected a video, but .* is a folder"):
        iter_frames(tmp_path)
    with pytest.raises(MediaNotFoundError, match=r"cannot open 'a.x00b\.mp4': embedded null byte"):
        iter_frames("a\0b.mp4")
    with pytest.raises(InputError, match="a video must be a path, bytes or a binary file, but got 3"):
        iter_frames(3)
    with pytest.raises(InputError, match="opened in binary mode"):
        iter_frames(io.StringIO("text"))
    for name in ("concat:b.mp4", "-i.mp4", "%d.mp4", "line\nbreak.mp4"):
        numbered_video(tmp_path / "good.mp4", 2)
        (tmp_path / "good.mp4").rename(tmp_path / name)
        assert len(read_frames(name)[0]) == 2


def test_a_video_without_frames(tmp_path: Path) -> None:
    for suffix in ("mp4", "mov", "mkv", "avi", "ts"):
        path = tmp_path / f"none.{suffix}"
        write_video(path, [])
        with pytest.raises(DecodeError, match=r"none\.\w+ (cannot be decoded|is empty)"):
            iter_frames(path)


def test_only_a_cover() -> None:
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as target:
        sound: Any = target.add_stream("aac", rate=16000, layout="mono")
        cover: Any = target.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = 0x400
        image = av.VideoFrame.from_ndarray(corners(64, 48), format="rgb24").reformat(format="yuvj420p")
        target.mux(cover.encode(image))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    with pytest.raises(UnsupportedMediaError, match=r"no moving images: it is sound and a cover only \(mp4, aac\)"):
        iter_frames(stream.getvalue())


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts"])
def test_one_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"one.{suffix}"
    numbered_video(path, 1)
    for options in ({}, {"step_s": 0.2}, {"numbers": [0]}, {"threads": 4}):
        frames, stream = read_frames(path, **options)
        assert frames == [(0, 0.0)]
        assert stream.warnings == ()
    assert count_frames(path) == 1


def test_too_large(videos: dict[str, bytes]) -> None:
    with pytest.raises(UnsupportedMediaError, match="has 160 x 120 pixels, more than the limit of 19,199 pixels"):
        iter_frames(videos["mp4"], max_pixels=19_199)
    assert len(read_frames(videos["mp4"], max_pixels=19_200)[0]) == 90


# --- cut videos
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast", "mkv", "avi", "webm"])
@pytest.mark.parametrize("share", [0.45, 0.7, 0.85])
def test_a_cut_video_is_read_to_where_it_ends(videos: dict[str, bytes], name: str, share: float, capfd: Any) -> None:
    frames, stream = read_frames(videos[name][: round(share * len(videos[name]))])
    assert 5 < len(frames) < 90
    assert frames[:-2] == [(k, pytest.approx(k / 30, abs=0.001)) for k in range(len(frames) - 2)]
    about(stream.warnings, "the video is truncated: ")
    assert frames[-1][1] <= stream.reached_s <= frames[-1][1] + 0.3
    assert capfd.readouterr() == ("", "")


def test_a_cut_broadcast(videos: dict[str, bytes]) -> None:
    frames, _ = read_frames(videos["ts"][: len(videos["ts"]) * 6 // 10])
    assert [number for number, _ in frames[:-2]] == list(range(len(frames) - 2))
    assert len(frames) > 20


def test_a_recording_that_never_finished(videos: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(videos["mp4"][: len(videos["mp4"]) * 6 // 10])
    with pytest.raises(
        DecodeError, match=r"a\.mp4 cannot be decoded: its index \(moov\) is missing; the video was cut"
    ):
        iter_frames(path)


def test_a_stream_with_its_index_at_the_end(videos: dict[str, bytes]) -> None:
    class Pipe:
        def __init__(self, data: bytes) -> None:
            self._stream = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._stream.read(min(size, 1000) if size > 0 else size)

    with pytest.raises(DecodeError, match="its index comes after its images, and the stream is not seekable"):
        iter_frames(Pipe(videos["mp4"]))
    assert len(read_frames(Pipe(videos["fast"]))[0]) == 90


def test_a_sound_that_is_longer_than_its_images(videos: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    images = [(numbered(k), Fraction(k, 30)) for k in range(30)]
    write_video(path, images, sound=(sine(16000, 4.0), 16000))
    assert read_frames(path)[1].warnings == ()  # MP4 tells the length of each
    assert read_frames(videos["heard"])[1].warnings == ()


# --- damaged videos
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast", "mkv", "ts", "avi"])
def test_a_first_frame_that_is_damaged(videos: dict[str, bytes], name: str, capfd: Any) -> None:
    data = videos[name]
    begin, size = places(data)[0]
    if name == "ts":  # the packets of a transport stream are cut in pieces
        begin, size = data.find(b"\0\0\1\x65") + 4, 150
    frames, stream = read_frames(spoiled(data, begin + 4, size - 4))
    assert frames[-1] == (89, pytest.approx(89 / 30, abs=0.001))
    assert all(at == pytest.approx(number / 30, abs=0.001) for number, at in frames[-60:])
    assert len(frames) >= 60
    assert stream.frames_failed >= 1
    assert 88 <= len(frames) + stream.frames_failed <= 90  # of a transport stream's packets, some do not even arrive
    about(stream.warnings, "frames could not be decoded, the first after 0.00 s")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["fast", "mkv", "heard", "avi"])
@pytest.mark.parametrize("options", [{}, {"threads": 1}])
def test_damaged_packets_in_the_middle(
    videos: dict[str, bytes], name: str, options: dict[str, int], capfd: Any
) -> None:
    data = videos[name]
    for begin, size in places(data)[45:48]:
        data = spoiled(data, begin + 5, size - 5)
    frames, stream = read_frames(data, **options)
    sound = [frame for frame in frames if frame[0] < 42 or frame[0] >= 60]
    assert sound[:42] == [(k, pytest.approx(k / 30, abs=0.001)) for k in range(42)]
    assert sound[-30:] == [(k, pytest.approx(k / 30, abs=0.001)) for k in range(60, 90)]
    assert 1 <= stream.frames_failed <= 20
    assert stream.frames_read == len(frames)
    if name != "avi":
        assert len(frames) + stream.frames_failed == 90
    about(stream.warnings, "could not be decoded, the first after 1.")
    assert capfd.readouterr() == ("", "")


def test_a_hole_in_the_file_is_a_gap() -> None:
    written = io.BytesIO()
    numbered_video(written, 90, container="matroska", options=KEYED, container_options={"cluster_time_limit": "100"})
    data = written.getvalue()
    spots = places(data)
    frames, stream = read_frames(spoiled(data, spots[31][0] - 8, spots[50][0] - spots[31][0]))
    assert frames[-30:] == [(k, pytest.approx(k / 30, abs=0.001)) for k in range(60, 90)]
    assert len(frames) < 80
    about(stream.warnings, "no new image comes between 1.0")


@pytest.mark.parametrize("seed", range(24))
def test_random_damage_ends_in_a_result_or_an_error(videos: dict[str, bytes], seed: int, capfd: Any) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(videos[sorted(videos)[seed % len(videos)]])
    for place in random.integers(0, len(data), 20):
        data[place] = random.integers(256)
    options: dict[str, Any] = ({}, {"step_s": 0.2}, {"from_s": 2.2}, {"numbers": [3, 50]})[seed % 4]
    try:
        stream = iter_frames(bytes(data[: random.integers(1, 2 * len(data))]), **options)
    except (DecodeError, UnsupportedMediaError):
        stream = None
    if stream is not None:
        with stream:
            times = [frame.time_s for frame in stream]
        assert np.isfinite(times).all()
        assert (np.diff(times) > 0).all()
    assert capfd.readouterr() == ("", "")


def test_a_decoder_that_cannot_be_opened() -> None:
    """The parameter sets of HEVC in an MP4's header are damaged: each packet is refused."""
    written = io.BytesIO()
    numbered_video(written, 5, container="mp4", codec="libx265")
    data = written.getvalue()
    place = data.find(b"hvcC") + 4
    assert place > 4
    with pytest.raises(DecodeError, match="cannot be decoded: none of its 5 packets of images can be decoded"):
        iter_frames(spoiled(data, place + 20, 60))


# --- headers and times that lie ---------------------------------------------------------------------------------------


def test_a_header_that_declares_too_long_and_too_short(videos: dict[str, bytes]) -> None:
    """Matroska's Duration is a float, in milliseconds, after its id 0x4489 and a size of 0x88."""
    data = bytearray(encoded_alone())
    place = data.find(b"\x44\x89\x88") + 3
    assert place > 3
    for seconds, note in ((60.0, "the video is truncated: 3.0 s of images are there, its header declares 60.0 s"),
                          (1.0, "the video goes on to 3.0 s; its header declares 1.0 s")):  # fmt: skip
        data[place : place + 8] = np.array([seconds * 1000], ">f8").tobytes()
        frames, stream = read_frames(bytes(data))
        assert len(frames) == 90
        assert stream.duration_s == pytest.approx(seconds, abs=0.01)
        assert stream.warnings == (note,)


def encoded_alone() -> bytes:
    """Return a Matroska video whose stream has no length of its own."""
    stream = io.BytesIO()
    numbered_video(stream, 90, container="matroska", options=KEYED)
    return stream.getvalue().replace(b"DURATION", b"XURATION")


def timed(times: list[Fraction], **options: Any) -> bytes:
    stream = io.BytesIO()
    frames = [(numbered(k), time) for k, time in enumerate(times)]
    write_video(stream, frames, time_base=Fraction(1, 1000), **options)
    return stream.getvalue()


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_times_that_jump_by_hours(container: str) -> None:
    times = [Fraction(k, 25) + (36000 if k >= 20 else 0) for k in range(40)]
    frames, stream = read_frames(timed(times, container=container))
    assert frames == [(k, pytest.approx(k / 25, abs=0.002)) for k in range(40)]
    assert stream.warnings == ("the file's times jump by +36000.0 s after 0.760 s; they go on here without the jump",)


def test_videos_joined_without_care(videos: dict[str, bytes]) -> None:
    frames, stream = read_frames(videos["ts"] + videos["ts"])
    numbers = [number for number, _ in frames]
    assert numbers[:80] == list(range(80))
    assert numbers[-85:] == list(range(5, 90))
    assert (np.diff([at for _, at in frames]) > 0).all()
    assert frames[-1][1] == pytest.approx(len(frames) / 30, abs=0.2)
    about(stream.warnings, "the file's times jump by -2.")


def test_more_frames_than_ticks() -> None:
    times = [k / Fraction(3000) for k in range(60)]
    stream = io.BytesIO()
    write_video(stream, [(numbered(k), at) for k, at in enumerate(times)], rate=3000, container="matroska")
    frames, opened = read_frames(stream.getvalue())
    assert [number for number, _ in frames] == list(range(60))
    np.testing.assert_allclose([at for _, at in frames], [float(at) for at in times], atol=0.0011)
    assert (np.diff([at for _, at in frames]) > 0).all()
    about(opened.warnings, "frames no later than the one before: shown just after it")


def test_images_that_begin_before_zero() -> None:
    written = io.BytesIO()
    numbered_video(
        written, 90, container="matroska", codec="mpeg4", sound=(sine(16000, 3.0), 16000), audio_codec="flac"
    )
    data = bytearray(written.getvalue())
    with av.open(io.BytesIO(bytes(data))) as container:
        spots = [packet.pos for packet in container.demux(video=0) if packet.size]
    for pos in spots:  # a block: the track's number, then its time as int16 (RFC 9559, 10.2)
        assert pos is not None
        time = int.from_bytes(data[pos + 1 : pos + 3], "big", signed=True) - 500
        data[pos + 1 : pos + 3] = time.to_bytes(2, "big", signed=True)
    with av.open(io.BytesIO(bytes(data))) as container:
        begin = float(container.streams.video[0].start_time * container.streams.video[0].time_base)  # type: ignore[operator]
    assert begin < -0.4
    note = f"the images begin at {begin:.3f} s, before zero: times are counted from there"
    frames, stream = read_frames(bytes(data))
    assert frames == [(k, pytest.approx(k / 30, abs=0.006)) for k in range(90)]  # FFmpeg sets negative times itself
    assert note in stream.warnings
    sound = read_audio(bytes(data))
    assert sound.start_s == pytest.approx(-begin, abs=0.002)
    assert note in sound.warnings
    assert read_frames(bytes(data), from_s=2.5)[0] == [frame for frame in frames if frame[1] >= 2.5]


@pytest.mark.parametrize("hours", ["9" * 20, "9" * 400, "9" * 5000, "\N{ARABIC-INDIC DIGIT THREE}0", "-1"])
def test_a_duration_in_a_tag_that_is_none_says_nothing(hours: str) -> None:
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as target:
        track: Any = target.add_stream("mpeg4", rate=10, width=160, height=120)
        track.metadata["DURATIOX"] = f"{hours}:00:00.0"
        for number in range(5):
            target.mux(track.encode(av.VideoFrame.from_ndarray(numbered(number, 160, 120), format="rgb24")))
        target.mux(track.encode(None))
    # The muxer writes a tag of that name itself.
    data = stream.getvalue().replace(b"DURATION", b"DURATIOY").replace(b"DURATIOX", b"DURATION")
    frames, opened = read_frames(data)
    assert [number for number, _ in frames] == list(range(5))
    assert opened.duration_s == pytest.approx(0.5)
    assert opened.warnings == ()


def test_several_image_tracks() -> None:
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as target:
        tracks: list[Any] = [target.add_stream("mpeg4", rate=30, width=w, height=120) for w in (160, 240)]
        for number in range(5):
            for track, width in zip(tracks, (160, 240), strict=True):
                frame = av.VideoFrame.from_ndarray(numbered(number, width, 120), format="rgb24")
                frame.pts = number
                target.mux(track.encode(frame))
        for track in tracks:
            target.mux(track.encode(None))
    frames, opened = read_frames(stream.getvalue())
    assert [number for number, _ in frames] == list(range(5))
    assert opened.width == 160
    assert opened.warnings == ("the file has 2 image tracks; the first is used",)
