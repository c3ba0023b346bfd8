"""Recordings the short way, on a model whose answers are planted: every kind of source, and everything that is none."""

from __future__ import annotations

import io
import json
import pickle
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.api.analysis import SpeechAnalysis
from mien.errors import (
    DecodeError,
    InputError,
    MediaNotFoundError,
    MienWarning,
    ModelError,
    UnknownModelError,
    UnsupportedMediaError,
)
from mien.results import FailedItem, SpeechResult
from mien.speech import activity
from mien.speech.analyzer import SpeechAnalyzer
from planted_speech import planted_speech, recording, write_recording
from sounds import encoded, silent_video, sine, wav

RATE = 16000
PARTS = ((None, 1.0), ("anger", 2.5), (None, 1.0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_speech(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def analyzer(model: Path) -> SpeechAnalyzer:
    return SpeechAnalyzer(model, threads=1)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("calls") / "call.wav", PARTS)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return recording(PARTS)


def tops(result: Any) -> list[str | None]:
    assert isinstance(result, SpeechResult)
    return [None if segment.emotion is None else segment.emotion.top for segment in result.segments]


class Pipe:
    """A stream that cannot be read again."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def seekable(self) -> bool:
        return False


def test_every_kind_of_source_gives_the_same_segments(call: Path, model: Path) -> None:
    expected = mien.analyze_speech(call, model=model)
    assert tops(expected) == [None, "anger", None]
    assert expected.path == str(call)
    assert expected.model == "planted-speech"
    assert expected.duration_s == expected.segments[-1].end_s == 4.5
    audio = mien.read_audio(call)
    data = call.read_bytes()
    for source in (str(call), data, bytearray(data), io.BytesIO(data), Pipe(data), audio):
        for read in (mien.analyze_speech, mien.analyze):
            if isinstance(source, io.BytesIO):
                source.seek(0)
            again: Any = Pipe(data) if isinstance(source, Pipe) else source
            found = read(again, model=model)
            assert isinstance(found, SpeechResult)
            assert found.segments == expected.segments
    with call.open("rb") as file:
        assert mien.analyze(file, model=model).path == str(call)


def test_what_a_recording_is_called_says_nothing(call: Path, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(call.read_bytes())
    assert tops(mien.analyze(path, model=model)) == [None, "anger", None]
    image = tmp_path / "call.wav"
    Image.new("RGB", (40, 30)).save(image, "PNG")
    assert isinstance(mien.analyze(image, threads=1), mien.ImageResult)
    with pytest.raises(UnsupportedMediaError, match=r"call\.wav must be an audio file .*, but it is an image \(png\)"):
        mien.analyze_speech(image, model=model)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("flac", "flac", 16000), ("mp3", "libmp3lame", 44100), ("mp4", "aac", 48000), ("webm", "libopus", 48000)],
)
def test_the_same_is_heard_in_every_format(model: Path, container: str, codec: str, rate: int) -> None:
    data = encoded(recording(PARTS, rate_hz=rate), rate, container, codec)
    # A video's format that holds sound alone is a recording.
    found = mien.analyze(data, model=model)
    assert isinstance(found, SpeechResult)
    assert [segment.speech for segment in found.segments] == [False, True, False]
    assert [segment.end_s for segment in found.segments] == pytest.approx([1.0, 3.5, 4.5], abs=0.15)


def test_a_video_is_watched_and_its_sound_is_read(model: Path, tmp_path: Path, sound: np.ndarray) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(encoded(sound, RATE, "mp4", "aac", images=True))
    for source in (video, video.read_bytes(), io.BytesIO(video.read_bytes()), Pipe(video.read_bytes())):
        assert isinstance(mien.analyze(source), mien.VideoResult)
    assert [segment.speech for segment in mien.analyze_speech(video, model=model).segments] == [False, True, False]
    assert isinstance(mien.analyze(silent_video()), mien.VideoResult)
    with pytest.raises(UnsupportedMediaError, match=r"has no sound: it is a video \(mp4\) of images only"):
        mien.analyze_speech(silent_video(), model=model)


def test_a_cover_makes_no_video(model: Path, sound: np.ndarray, tmp_path: Path) -> None:
    import av

    path = tmp_path / "song.m4a"
    path.write_bytes(encoded(sound, RATE, "mp4", "aac"))
    covered = tmp_path / "covered.mp4"
    image = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(image, "PNG")
    with av.open(str(path)) as source, av.open(str(covered), "w") as target:
        voice = target.add_stream_from_template(source.streams.audio[0])
        cover = target.add_stream("png")
        cover.width = cover.height = 16
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = voice
                target.mux(packet)
        target.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        target.mux(cover.encode(None))
    with mien.iter_audio(covered) as blocks:
        assert not blocks.is_video
    assert isinstance(mien.analyze(covered, model=model), SpeechResult)


def test_times_are_the_files_own(model: Path, sound: np.ndarray) -> None:
    late = encoded(sound, RATE, "matroska", "pcm_s16le", images=True, start_s=2.0)
    found = mien.analyze_speech(late, model=model)
    assert found.duration_s == pytest.approx(6.5, abs=0.1)
    assert [segment.end_s for segment in found.segments] == pytest.approx([3.0, 5.5, 6.5], abs=0.25)
    audio = mien.read_audio(late)
    assert audio.start_s == pytest.approx(2.0, abs=0.1)
    assert [s.end_s for s in mien.analyze_speech(audio, model=model).segments] == pytest.approx(
        [s.end_s for s in found.segments], abs=0.05
    )


def test_a_gap_is_silence(model: Path, sound: np.ndarray) -> None:
    voice = sound[RATE : round(3.5 * RATE)]
    data = encoded(np.concatenate([voice, voice]), RATE, "matroska", "pcm_s16le", gap=(2.5, 4.0))
    with pytest.warns(MienWarning, match=r"the sound has a gap of 4\.\d\d s; it is silence here"):
        found = mien.analyze_speech(data, model=model)
    assert found.duration_s == pytest.approx(9.0, abs=0.1)
    assert [segment.speech for segment in found.segments if segment.duration_s > 0.2] == [True, False, True]


def test_times_that_jump_by_hours_are_damage(model: Path, sound: np.ndarray) -> None:
    data = encoded(np.concatenate([sound, sound]), RATE, "matroska", "pcm_s16le", gap=(4.5, 9000.0))
    with pytest.raises(DecodeError, match="the audio file has damaged times: they jump by 9000 s"):
        mien.analyze_speech(data, model=model)


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


def with_nan(wave: np.ndarray) -> np.ndarray:
    wave = wave.copy()
    wave[100:200] = np.nan
    return wave


HONEST = [
    (wav(np.zeros(3 * RATE, np.float32), RATE), 3.0, "the sound is silent"),
    (wav(noise(3.0), RATE), 3.0, None),
    (wav(noise(0.01), RATE), 0.01, "the sound is very short: 10 ms"),
    (wav(with_nan(noise(2.0)), RATE), 2.0, "100 of 32,000 samples are NaN"),
    (wav(sine(RATE, 2.0) + np.float32(0.1), RATE), 2.0, "the sound has an offset"),
    (wav(np.repeat(noise(2.0)[:, None], 6, axis=1), RATE), 2.0, None),
    (wav(noise(2.0, 8000), 8000), 2.0, None),
    (wav(noise(2.0, 192_000), 192_000), 2.0, None),
    (wav((noise(2.0) * 127 + 128).astype(np.uint8), RATE), 2.0, None),
    (wav((noise(2.0) * 2**31).astype(np.int32), RATE, bits=24), 2.0, None),
]


@pytest.mark.parametrize(("data", "duration_s", "warning"), HONEST)
def test_sound_without_speech_is_an_empty_answer(
    data: bytes, duration_s: float, warning: str | None, model: Path
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = mien.analyze_speech(data, model=model)
    assert [(segment.start_s, segment.end_s, segment.speech) for segment in found.segments] == [(0, duration_s, False)]
    assert (found.speech_s, found.summary.emotion, found.summary.seconds) == (0, None, {})
    assert [str(w.message) for w in caught] == list(found.warnings)
    if warning is not None:
        assert any(note.startswith(warning) for note in found.warnings)
    json.dumps(found.to_dict())


BROKEN = [
    (b"", DecodeError, "the audio file is empty"),
    (wav(np.zeros(0, np.int16), RATE), DecodeError, "no sound follows its header"),
    (wav(np.zeros(0, np.int16), RATE)[:20], DecodeError, "cannot be decoded"),
    (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64), DecodeError, "its header is damaged"),
    (b"hello, this is text", UnsupportedMediaError, "something else that begins with b'hello, this '"),
    ("no/such.wav", MediaNotFoundError, "no such file: no/such.wav"),
    (".", MediaNotFoundError, "is a folder"),
    ("a\0b.wav", MediaNotFoundError, "cannot open"),
    (None, InputError, "an audio file must be a path, bytes or a binary file"),
    (np.zeros(100, np.float32), InputError, "an audio file must be a path, bytes or a binary file"),
    (io.StringIO("text"), InputError, "must be opened in binary mode"),
]


@pytest.mark.parametrize(("source", "kind", "message"), BROKEN)
def test_what_cannot_be_heard_is_one_error_of_mien(
    source: Any, kind: type[Exception], message: str, model: Path, analyzer: SpeechAnalyzer
) -> None:
    with pytest.raises(kind, match=message):
        mien.analyze_speech(source, model=model)
    with pytest.raises(kind, match=message):
        list(mien.iter_speech(source, analyzer=analyzer))
    if isinstance(source, bytes) and kind is DecodeError and source:
        # What begins like a video is told to be a damaged video.
        with pytest.raises(kind, match=rf"{message}|its index \(moov\) is missing"):
            mien.analyze(source)


def test_an_empty_recording_is_no_error(model: Path) -> None:
    found = mien.analyze_speech(mien.Audio(np.zeros(0, np.float32), RATE), model=model)
    assert (found.duration_s, found.segments) == (0, ())
    assert found._repr_html_() == "<p>no sound</p>"


def test_a_truncated_file_is_read_as_far_as_it_goes(model: Path) -> None:
    data = encoded(recording(((None, 1.0), ("fear", 6.0))), RATE, "mp3", "libmp3lame")
    with pytest.warns(MienWarning, match="the file is truncated"):
        found = mien.analyze_speech(data[: len(data) // 2], model=model)
    assert 2 < found.duration_s < 5
    assert found.segments[-1].speech


def test_the_options_reach_the_analyzer(call: Path, model: Path) -> None:
    (_, spoken, _) = mien.analyze_speech(call, model=model, output="fer7").segments
    assert spoken.emotion is not None
    assert spoken.emotion.labels == mien.FER7
    with pytest.raises(InputError, match="hop_s must be a number from"):
        mien.analyze(call, model=model, window_s=1.0, hop_s=2.0)
    with pytest.raises(ModelError, match="is for face-emotion: reading voices needs one for speech-emotion"):
        mien.analyze_speech(call, model="face-base")
    with pytest.raises(UnknownModelError, match="unknown model 'speech-bass'"):
        mien.analyze_speech(call, model="speech-bass")


def test_a_model_is_loaded_once(call: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mien.analyze_speech(call, model=model)
    monkeypatch.setattr(SpeechAnalyzer, "__init__", lambda self, *a, **k: pytest.fail("loaded again"))
    mien.analyze_speech(call, model=model)


def test_segments_come_while_a_file_is_read(analyzer: SpeechAnalyzer) -> None:
    parts = [(None, 1.0), ("anger", 3.0), (None, 2.0), ("calm", 2.0), *[(None, 5.0)] * 40]
    stream = io.BytesIO(wav((32000 * recording(parts)).astype(np.int16), RATE))
    segments = mien.iter_speech(stream, analyzer=analyzer)
    first = [next(segments), next(segments)]
    assert [segment.speech for segment in first] == [False, True]
    assert stream.tell() < len(stream.getvalue()) / 5
    assert (*first, *segments) == mien.analyze_speech(stream.getvalue(), model=analyzer.spec.path.parent).segments


def test_a_recording_in_a_notebook(call: Path, model: Path) -> None:
    pytest.importorskip("matplotlib")
    found = mien.analyze_speech(call, model=model)
    assert found.preview is not None
    png = found.preview(found)
    assert png is not None
    assert mien.read_image(png).shape[1] > 1000
    assert "data:image/png;base64," in found._repr_html_()
    assert pickle.loads(pickle.dumps(found)) == found
    assert SpeechResult.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_many_come_in_order_and_bad_ones_become_rows(call: Path, analyzer: SpeechAnalyzer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"text")
    lengths = [wav(noise(0.6 + 0.1 * k), RATE) for k in range(4)]
    sources = [*lengths[:2], "no/such.wav", call, bad, b"", 5, silent_video(), *lengths[2:]]
    expected = None
    for workers in (1, 2):
        found = list(mien.analyze_audio(sources, analyzer=analyzer, workers=workers))
        assert expected in (None, found)
        expected = found
    failed = [item for item in found if isinstance(item, FailedItem)]
    assert [(item.path, item.error) for item in failed] == [
        ("no/such.wav", "MediaNotFoundError"),
        (str(bad), "UnsupportedMediaError"),
        (None, "DecodeError"),
        (None, "InputError"),
        (None, "UnsupportedMediaError"),
    ]
    good = [item for item in found if isinstance(item, SpeechResult)]
    assert [item.duration_s for item in good] == pytest.approx([0.6, 0.7, 4.5, 0.8, 0.9])
    assert tops(good[2]) == [None, "anger", None]


def test_many_are_read_as_they_are_needed_and_stop_early(analyzer: SpeechAnalyzer) -> None:
    before = set(threading.enumerate())
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield wav(noise(0.1), RATE)

    results = mien.analyze_audio(endless(), analyzer=analyzer, workers=2)
    assert taken == 0
    for done in range(1, 5):
        next(results)
        assert taken <= done + 6
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("one", ["call.wav", Path("call.wav"), b"RIFF"])
def test_one_recording_for_many_is_a_mistake(one: Any, analyzer: SpeechAnalyzer) -> None:
    with pytest.raises(InputError, match=r"sources must be several audio files, but got one \(.*\): pass \[source\]"):
        list(mien.analyze_audio(one, analyzer=analyzer))


def test_what_is_read_can_be_written(call: Path, tmp_path: Path) -> None:
    audio = mien.read_audio(call)
    mien.write_wav(tmp_path / "again.wav", audio.wave, audio.rate_hz)
    np.testing.assert_array_equal(mien.read_audio(tmp_path / "again.wav").wave, audio.wave)
    with mien.iter_audio(call, rate_hz=None, block_s=1.0) as blocks:
        np.testing.assert_array_equal(np.concatenate([block.wave for block in blocks]), audio.wave)


# --- a part of it -----------------------------------------------------------------------------------------------------


def test_a_part_is_read_as_if_it_were_alone(model: Path, tmp_path: Path) -> None:
    parts = [(None, 1.0), ("anger", 3.0), (None, 1.0), ("calm", 3.0), (None, 1.0)]
    path = write_recording(tmp_path / "call.wav", parts)
    wave = mien.read_audio(path).wave
    part = mien.analyze_speech(path, model=model, from_s=4.5, to_s=8.5)
    alone = mien.analyze_speech(mien.Audio(wave[round(4.5 * RATE) : round(8.5 * RATE)], RATE), model=model)
    before, *segments = part.segments
    assert (before.start_s, before.end_s, before.speech, before.warnings) == (0.0, 4.5, False, ("not read",))
    assert [(s.start_s, s.end_s) for s in segments] == [(s.start_s + 4.5, s.end_s + 4.5) for s in alone.segments]
    assert [s.emotion for s in segments] == [s.emotion for s in alone.segments]
    assert {s.emotion.top for s in segments if s.emotion} == {"calm"}
    assert part.duration_s == 8.5
    assert mien.analyze(path, speech_model=model, from_s=4.5, to_s=8.5).rows() == part.rows()
    assert tuple(mien.iter_speech(path, model=model, from_s=4.5, to_s=8.5)) == part.segments
    until = mien.analyze_speech(path, model=model, to_s=3.0)
    assert (until.segments[0].start_s, until.duration_s) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"from_s": -1.0}, "from_s must be"),
        ({"from_s": 2.0, "to_s": 2.0}, "to_s must be after from_s, but got 2 to 2 s"),
        ({"to_s": float("nan")}, "to_s must be"),
    ],
)
def test_parts_that_are_none(options: dict[str, Any], message: str, model: Path) -> None:
    with pytest.raises(InputError, match=message):
        mien.analyze_speech(wav(sine(RATE, 1.0), RATE), model=model, **options)


def test_a_part_after_the_end(model: Path) -> None:
    with pytest.raises(DecodeError, match="has no sound from 5 s on"):
        mien.analyze_speech(wav(sine(RATE, 1.0), RATE), model=model, from_s=5.0)


# --- channels ---------------------------------------------------------------------------------------------------------

LEFT = ((None, 1.0), ("anger", 2.5), (None, 4.5))
RIGHT = ((None, 4.0), ("calm", 2.5), (None, 1.5))


def stereo(*channels: Any) -> bytes:
    rows = [recording(one) if isinstance(one, tuple) else one for one in channels]
    return wav(np.stack(rows, axis=1), RATE)


def test_each_channel_is_a_voice(model: Path) -> None:
    found = mien.analyze_speech(stereo(LEFT, RIGHT), model=model, channel="each")
    assert {channel: tops(one) for channel, one in found.voices.items()} == {
        1: [None, "anger", None],
        2: [None, "calm", None],
    }
    assert [s.start_s for s in found.segments] == sorted(s.start_s for s in found.segments)
    for channel, parts in (("left", LEFT), ("right", RIGHT)):
        one = mien.analyze_speech(stereo(LEFT, RIGHT), model=model, channel=channel)
        alone = mien.analyze_speech(stereo(parts), model=model)
        assert one.segments == found.voices[1 if channel == "left" else 2].segments
        assert [replace(s, channel=None) for s in one.segments] == list(alone.segments)
    assert [s.channel for s in mien.iter_speech(stereo(LEFT, RIGHT), model=model, channel="each")] == [
        s.channel for s in found.segments
    ]


def test_a_silent_channel_and_one_channel(model: Path) -> None:
    silent = np.zeros(8 * RATE, np.float32)
    found = mien.analyze_speech(stereo(LEFT, silent), model=model, channel="each")
    assert [tops(one) for one in found.voices.values()] == [[None, "anger", None], [None]]
    assert found.voices[2].speech_s == 0
    mono = mien.analyze_speech(stereo(LEFT), model=model, channel="each")
    assert {channel: tops(one) for channel, one in mono.voices.items()} == {1: [None, "anger", None]}


def test_antiphase_is_two_voices_where_each_is_read(model: Path) -> None:
    wave = recording(LEFT)
    content = stereo(wave, -wave)
    with pytest.warns(MienWarning, match="channels are in antiphase"):
        assert tops(mien.analyze_speech(content, model=model)) == [None, "anger", None]
    found = mien.analyze_speech(content, model=model, channel="each")
    assert [tops(one) for one in found.voices.values()] == [[None, "anger", None]] * 2


def test_a_part_of_each_channel(model: Path) -> None:
    content = stereo(LEFT, RIGHT)
    part = mien.analyze_speech(content, model=model, channel="each", from_s=3.8, to_s=7.0)
    right = mien.analyze_speech(content, model=model, channel="right", from_s=3.8, to_s=7.0)
    assert [tops(one) for one in part.voices.values()] == [[None, None], [None, None, "calm", None]]
    assert part.voices[2].segments == right.segments
    assert [one.segments[0].warnings for one in part.voices.values()] == [("not read",)] * 2


@pytest.mark.parametrize(("channels", "from_s"), [(1, 0.0), (2, 0.0), (2, 0.7)])
def test_ctrl_c_at_any_net_leaves_segments_without_gaps(
    model: Path, monkeypatch: pytest.MonkeyPatch, channels: int, from_s: float
) -> None:
    analyzer = SpeechAnalyzer(model, channel="each")
    parts = ((None, 0.5), ("anger", 2.3), (None, 0.3), ("calm", 1.4)), (("calm", 1.2), (None, 1.0), ("anger", 2.3))
    content, last, calls = stereo(*parts[:channels]), 0, 0

    def strike_at_last(run: Any, *arguments: Any) -> Any:
        nonlocal calls
        found, calls = run(*arguments), calls + 1
        if calls == last:
            signal.raise_signal(signal.SIGINT)
        return found

    for session in (analyzer.session, activity._session()):
        monkeypatch.setattr(session, "run", partial(strike_at_last, session.run))
    whole = SpeechAnalysis(analyzer, content, from_s=from_s)
    rows = list(whole.segments())
    for last in range(1, calls + 1):  # noqa: B007 - the nets read it
        calls = 0
        part = SpeechAnalysis(analyzer, content, from_s=from_s)
        told = []
        with pytest.raises(KeyboardInterrupt):
            told.extend(part.segments())
        told += part.close()
        found = part.result("interrupted")  # raises where segments leave gaps
        assert tuple(told) == found.segments
        assert set(found.voices) == set(whole.result().voices)
        settled = [segment for segment in rows if segment.end_s < found.duration_s - 3]
        assert set(settled) <= set(found.segments)
    assert found.segments == tuple(rows)


def test_ctrl_c_before_the_first_sound_of_a_part(analyzer: SpeechAnalyzer) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    part = SpeechAnalysis(analyzer, stereo(LEFT), from_s=2.0, on_open=interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(part.segments())
    assert part.close() == part.result().segments
    assert part.is_empty
    assert [(segment.end_s, segment.warnings) for segment in part.result().segments] == [(2.0, ("not read",))]


def test_channels_that_are_not_there(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has one channel, but channel='right' was to be read"):
        mien.analyze_speech(stereo(LEFT), model=model, channel="right")
    with pytest.raises(InputError, match="has 2 channels, but channel=3 was to be read"):
        mien.analyze_speech(stereo(LEFT, RIGHT), model=model, channel=3)
    with pytest.raises(InputError, match="channel must be mix, each, left, right or a number from 1, but got 'both'"):
        mien.AudioOptions(channel="both")
    path = tmp_path / "call.mp4"
    path.write_bytes(silent_video())
    with pytest.raises(InputError, match="the voice of a video is one: channel='each' is for audio files"):
        mien.analyze_video(path, channel="each")


def test_the_sound_that_was_read_is_read_again(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(stereo(LEFT, RIGHT))
    for channel, expected in (("right", recording(RIGHT)), ("each", (recording(LEFT) + recording(RIGHT)) / 2)):
        mien.write(mien.analyze_speech(path, model=model, channel=channel), tmp_path / "again.wav")
        np.testing.assert_allclose(mien.read_audio(tmp_path / "again.wav").wave, expected, atol=1e-4)
