"""Reading audio: codecs against the wave that was encoded, rates against soxr, faults against their errors."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import DecodeError, InputError, MediaNotFoundError, UnsupportedMediaError
from mien.io.audio import Audio, AudioBlock, iter_audio, read_audio
from mien.io.resample import Resampler, resample
from mien.io.sniff import detect_kind
from mien.output.write import write_wav
from mien.samples import astronaut_path
from sounds import encoded, silent_video, sine, wav

Wave = NDArray[np.float32]


def power_db(wave: Any) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-30))


def resample_blocks(wave: Wave, source: int, target: int, *, block: int) -> Wave:
    resampler = Resampler(source, target)
    parts = [resampler.push(wave[k : k + block]) for k in range(0, len(wave), block)]
    return np.concatenate([*parts, resampler.flush()])


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "bits", "step"),
    [("u1", None, 1 / 128), ("i2", None, 2**-15), ("i4", 24, 2**-23), ("i4", None, 2**-24), ("f4", None, 2**-24),
     ("f8", None, 2**-24)],
)  # fmt: skip
def test_wav_of_every_width(dtype: str, bits: int | None, step: float) -> None:
    wave = sine(16000, 0.7)
    scale = {"u1": 128.0, "i2": 2.0**15, "i4": 2.0**31}.get(dtype, 1.0)
    shift = 128 if dtype == "u1" else 0
    audio = read_audio(wav((np.rint(wave.astype(np.float64) * scale) + shift if scale > 1 else wave).astype(dtype),
                           16000, bits=bits))  # fmt: skip
    np.testing.assert_allclose(audio.wave, wave, atol=step)
    assert (audio.wave.dtype, audio.rate_hz, audio.start_s, audio.format, audio.channels, audio.path) == (
        np.float32, 16000, 0.0, "wav", 1, None)  # fmt: skip
    assert audio.duration_s == pytest.approx(0.7)
    assert audio.warnings == ()


@pytest.mark.parametrize(
    ("container", "codec", "rate", "name", "error_db"),
    [
        ("flac", "flac", 44100, "flac", -90),
        ("mp3", "libmp3lame", 44100, "mp3", -25),
        ("ipod", "aac", 44100, "m4a", -35),
        ("mp4", "aac", 48000, "mp4", -20),
        ("ogg", "libopus", 48000, "ogg", -35),
        ("webm", "libopus", 48000, "webm", -35),
        ("matroska", "flac", 22050, "mkv", -90),
        ("aiff", "pcm_s16be", 8000, "aiff", -90),
        ("mov", "alac", 44100, "mov", -85),
        ("caf", "pcm_s16le", 44100, "caf", -90),
        ("w64", "pcm_s16le", 16000, "w64", -90),
        ("wv", "wavpack", 44100, "wavpack", -40),  # of eight bits
    ],
)
def test_every_container_gives_the_wave_at_its_time(
    container: str, codec: str, rate: int, name: str, error_db: float
) -> None:
    wave = sine(rate, 2.0)
    audio = read_audio(encoded(wave, rate, container, codec), rate_hz=16000)
    assert audio.format == name
    assert audio.warnings == ()
    assert abs(audio.duration_s - 2.0) < 0.04
    times = audio.start_s + np.arange(len(audio.wave)) / 16000
    middle = slice(2000, -2000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * times)
    assert power_db((audio.wave - expected)[middle]) - power_db(expected) < error_db


def test_sources(tmp_path: Path) -> None:
    data = wav(sine(8000, 1.0), 8000)
    path = tmp_path / "Tön ü.mp3"  # the name says nothing
    path.write_bytes(data)
    expected = read_audio(data).wave
    with path.open("rb") as file:
        for source in (str(path), path, bytearray(data), memoryview(data), io.BytesIO(data), file, Pipe(data)):
            np.testing.assert_array_equal(read_audio(source).wave, expected)
        assert not file.closed
    assert read_audio(str(path)).path == str(path)
    shifted = io.BytesIO(b"junk" + data)
    shifted.seek(4)
    np.testing.assert_array_equal(read_audio(shifted).wave, expected)


class Pipe:
    """A stream that cannot be wound back."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 1000) if size > 0 else size)


def test_channels_in_antiphase_are_inverted_before_they_are_mixed() -> None:
    left = (0.3 * np.sin(np.arange(16000) / 7)).astype(np.float32)
    audio = read_audio(wav(np.stack([left, -left], axis=1), 16000))
    assert np.abs(audio.wave).max() > 0.29
    assert any("antiphase" in warning for warning in audio.warnings)
    other = (0.3 * np.sin(np.arange(16000) / 3)).astype(np.float32)
    plain = read_audio(wav(np.stack([left, other], axis=1), 16000))
    np.testing.assert_allclose(plain.wave, (left + other) / 2, atol=1e-4)
    assert plain.warnings == ()


def test_one_channel_can_be_read_alone() -> None:
    left, right = (0.3 * np.sin(np.arange(16000) / step).astype(np.float32) for step in (7, 3))
    content = wav(np.stack([left, right], axis=1), 16000)
    for channel, expected in (("left", left), ("right", right), (1, left), ("2", right)):
        with iter_audio(content, rate_hz=16000, channel=channel) as blocks:
            np.testing.assert_allclose(np.concatenate([block.wave for block in blocks]), expected, atol=1e-4)
    with pytest.raises(InputError, match="one channel"):
        iter_audio(wav(left[:, None], 16000), channel="right")
    for channel in ("both", 0, "-1", True):
        with pytest.raises(InputError, match="channel must be mix, each, left, right or a number from 1, but got"):
            iter_audio(content, channel=channel)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_each_channel_is_a_row_as_if_it_were_alone(rate_hz: int) -> None:
    left, right = (0.3 * np.sin(np.arange(40000) / step).astype(np.float32) for step in (7, 3))
    content = wav(np.stack([left, -left, right], axis=1), 16000)
    with iter_audio(content, rate_hz=rate_hz, channel="each") as reader:
        assert reader.selected == (1, 2, 3)
        blocks = list(reader)
    assert [block.wave.shape for block in blocks[:-1]] == [(3, rate_hz)] * (len(blocks) - 1)
    assert blocks[-1].end_s == pytest.approx(2.5)
    for number, row in enumerate(np.concatenate([block.wave for block in blocks], axis=1), 1):
        with iter_audio(content, rate_hz=rate_hz, channel=number) as alone:
            np.testing.assert_array_equal(row, np.concatenate([block.wave for block in alone]))
    with iter_audio(wav(left[:, None], 16000), channel="each") as reader:
        assert reader.selected == (1,)
        assert [block.wave.shape for block in reader] == [(1, 16000), (1, 16000), (1, 8000)]


def test_more_channels_than_can_be_read_each() -> None:
    content = wav(np.zeros((100, 33), np.float32), 16000)
    with pytest.raises(InputError, match="has 33 channels, but at most 32 are read each"):
        iter_audio(content, channel="each")
    with iter_audio(content, channel=33) as reader:
        assert reader.selected == (33,)
    with pytest.raises(InputError, match="has 33 channels, but channel=34 was to be read"):
        iter_audio(content, channel=34)


def test_faint_sound_is_noted() -> None:
    audio = read_audio(wav(0.01 * np.sin(np.arange(16000) / 7)[:, None].astype(np.float32), 16000))
    assert audio.warnings == ("the sound is faint: its peak is -40 dB of full scale",)


def test_channels_are_averaged() -> None:
    parts = np.stack([sine(8000, 0.6, hz=100.0 * (k + 1), level=0.1 * k) for k in range(6)], axis=1)
    audio = read_audio(wav(parts, 8000))
    assert audio.channels == 6
    np.testing.assert_allclose(audio.wave, parts.mean(axis=1), atol=1e-6)


def test_first_of_several_tracks() -> None:
    audio = read_audio(encoded(sine(16000, 1.0), 16000, "matroska", "flac", tracks=3))
    assert audio.warnings == ("the file has 3 sound tracks; the first is used",)


# --- times ------------------------------------------------------------------------------------------------------------


def test_a_video_whose_sound_begins_late() -> None:
    video = encoded(sine(16000, 1.0), 16000, "matroska", "flac", images=True, start_s=1.5)
    audio = read_audio(video)
    assert audio.start_s == pytest.approx(1.5, abs=0.002)
    assert audio.duration_s == pytest.approx(1.0, abs=0.002)
    blocks = list(iter_audio(video, block_s=0.25))
    assert [round(b.start_s, 2) for b in blocks] == [1.5, 1.75, 2.0, 2.25]


def test_a_gap_is_kept() -> None:
    data = encoded(sine(16000, 2.0), 16000, "matroska", "pcm_s16le", gap=(1.024, 0.7))
    blocks = list(iter_audio(data, block_s=10))
    assert [round(b.start_s, 2) for b in blocks] == [0.0, pytest.approx(1.72, abs=0.08)]
    assert sum(len(b.wave) for b in blocks) == 32000
    assert blocks[1].start_s - blocks[0].end_s == pytest.approx(0.7, abs=0.002)
    audio = read_audio(data)
    assert audio.duration_s == pytest.approx(2.7, abs=0.002)
    hole = audio.wave[round(blocks[0].end_s * 16000) : round(blocks[1].start_s * 16000)]
    assert not hole.any()
    assert audio.warnings == ("the sound has a gap of 0.70 s; it is silence here",)


def test_a_jump_of_hours_is_an_error() -> None:
    data = encoded(sine(16000, 2.0), 16000, "matroska", "pcm_s16le", gap=(1.024, 5000.0))
    with pytest.raises(DecodeError, match="has damaged times: they jump by 5000 s"):
        read_audio(data)


def test_many_gaps_of_hours_together_are_an_error() -> None:
    gaps = ((0.512, 2500.0), (1.024, 2500.0))
    data = encoded(sine(16000, 2.0), 16000, "matroska", "pcm_s16le", gaps=gaps)
    with pytest.raises(DecodeError, match="has damaged times: they jump by 5000 s"):
        read_audio(data)


class Sparse(io.RawIOBase):
    """A file of a terabyte: a beginning, and zeros."""

    def __init__(self, head: bytes) -> None:
        self._head, self._at, self.bytes_read = head, 0, 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, 2**40)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        assert 0 <= size < 2**24
        piece = self._head[self._at : self._at + size].ljust(size, b"\0")
        self._at += size
        self.bytes_read += size
        return piece


@pytest.mark.parametrize(
    "head", [b"ID3\4" + bytes(6), b"\xff\xfb\x90\x00", wav(np.zeros(16, np.int16), 16000), b".snd"]
)
def test_a_header_without_an_end_is_read_up_to_a_limit(head: bytes) -> None:
    file = Sparse(head)
    with contextlib.suppress(DecodeError):
        iter_audio(file).close()
    assert file.bytes_read < 2**25


def test_gaps_may_be_as_long_as_the_sound_and_an_hour() -> None:
    quiet = np.zeros(400 * 1000, np.float32)
    data = encoded(quiet, 1000, "matroska", "pcm_s16le", gaps=((10.0, 1900.0), (200.0, 1900.0)))
    assert read_audio(data).duration_s == pytest.approx(400 + 3800)


@pytest.mark.parametrize("rate", [1, 100, 999, 1_000_001, 2_000_000_000])
def test_a_rate_that_no_sound_has_is_an_error(rate: int) -> None:
    with pytest.raises(DecodeError, match=f"declares 1 channel at {rate} Hz, but expected 1000 to 1000000 Hz"):
        iter_audio(wav(np.zeros(16000, np.int16), rate))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2])
def test_huge_samples_are_cut_off(dtype: Any, channels: int) -> None:
    wave = sine(16000, 1.0).astype(dtype) * np.finfo(np.float32).max
    audio = read_audio(wav(np.stack([wave] * channels, axis=1), 16000), rate_hz=8000)
    assert np.abs(audio.wave).max() == 1
    assert any("samples beyond full scale are cut off" in warning for warning in audio.warnings)


@pytest.mark.parametrize("block_s", [0.01, 0.3, 1.0, 7.0])
def test_blocks_are_the_whole(block_s: float) -> None:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 44100 * 3 + 17).astype(np.float32)
    data = wav(noise, 44100)
    whole = read_audio(data, rate_hz=16000).wave
    stream = iter_audio(data, block_s=block_s)
    blocks = list(stream)
    assert all(len(b.wave) == round(block_s * 16000) for b in blocks[:-1])
    np.testing.assert_allclose(np.concatenate([b.wave for b in blocks]), whole, atol=2e-6)
    for number, block in enumerate(blocks):
        assert isinstance(block, AudioBlock)
        assert block.start_s == pytest.approx(number * round(block_s * 16000) / 16000, abs=1e-9)


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def soxr() -> Any:
    return pytest.importorskip("soxr")


@pytest.mark.parametrize(
    ("source", "target"),
    [(44100, 16000), (48000, 16000), (192000, 16000), (8000, 16000), (11025, 16000), (16000, 22050), (44099, 16000)],
)
def test_resampling_is_soxrs(soxr: Any, source: int, target: int) -> None:
    # Noise within the pass band of both, and a sweep over it.
    seconds = 2
    edge = 0.89 * min(source, target) / 2
    spectrum = np.fft.rfft(np.random.default_rng(2).normal(size=source * seconds))
    spectrum[round(edge * seconds) :] = 0
    noise = np.fft.irfft(spectrum)
    times = np.arange(source * seconds) / source
    sweep = np.sin(np.pi * edge / seconds * times**2)
    for wave in (noise / np.abs(noise).max(), sweep):
        ours = resample(wave.astype(np.float32), source, target)
        theirs = soxr.resample(wave.astype(np.float32), source, target, quality="VHQ")
        assert len(ours) == -(-len(wave) * target // source)
        inner = slice(target // 4, min(len(ours), len(theirs)) - target // 4)
        assert power_db(ours[inner] - theirs[inner]) - power_db(theirs[inner]) < -70


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (48000, 16000), (192000, 16000), (22050, 16000)])
def test_nothing_folds_back(source: int, target: int) -> None:
    hertz = np.linspace(target / 2, 0.49 * source, 2 * source)
    sweep = np.sin(2 * np.pi * np.cumsum(hertz) / source).astype(np.float32)
    folded = resample(sweep, source, target)[target // 4 : -target // 4]
    assert 20 * np.log10(np.abs(folded).max()) < -80


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (48000, 16000), (8000, 16000), (44099, 16000)])
def test_resampling_in_blocks_gives_the_same(source: int, target: int) -> None:
    for size in (0, 1, 2, 100, source // 10 + 3):
        wave = np.random.default_rng(size).normal(size=size).astype(np.float32)
        whole = resample(wave, source, target)
        assert len(whole) == -(-size * target // source)
        for block in (7, 1000):
            np.testing.assert_array_equal(resample_blocks(wave, source, target, block=block), whole)


def test_resampling_has_no_delay_and_silence_around() -> None:
    pulse = np.zeros(44100, np.float32)
    pulse[22050] = 1
    assert np.argmax(resample(pulse, 44100, 16000)) == 8000
    wave = sine(44100, 0.5)
    around = np.concatenate([np.zeros(44100, np.float32), wave, np.zeros(44100, np.float32)])
    np.testing.assert_allclose(resample(wave, 44100, 16000), resample(around, 44100, 16000)[16000:-16000], atol=1e-6)


# --- what is wrong with the sound -------------------------------------------------------------------------------------


def test_warnings() -> None:
    def notes(wave: Wave) -> tuple[str, ...]:
        return read_audio(wav(wave, 16000)).warnings

    loud = np.clip(sine(16000, 1.0, level=1.5), -1, 1)
    assert len(notes(loud)) == 1
    assert "the sound is clipped" in notes(loud)[0]
    assert notes(sine(16000, 1.0, level=1.0)) == ()
    assert notes(np.zeros(16000, np.float32)) == ("the sound is silent: all samples are 0",)
    assert notes(sine(16000, 1.0, level=0.001)) == ("the sound is nearly silent: its peak is -60 dB of full scale",)
    assert notes(sine(16000, 1.0, level=0.3) + np.float32(0.1)) == (
        "the sound has an offset: its mean is +0.100 of full scale, not 0",
    )
    assert notes(sine(16000, 0.01)) == ("the sound is very short: 10 ms",)
    beyond = read_audio(wav(sine(16000, 1.0, level=3.0), 16000))
    assert "samples beyond full scale are cut off: the largest is 3 times full scale" in beyond.warnings
    assert np.abs(beyond.wave).max() == 1


def test_nan_becomes_silence() -> None:
    wave = sine(16000, 1.0)
    wave[[100, 5000]] = np.nan
    wave[7000] = np.inf
    audio = read_audio(wav(wave, 16000), rate_hz=8000)
    assert np.isfinite(audio.wave).all()
    assert audio.warnings == ("3 of 16,000 samples are NaN or infinite and were set to 0",)
    exact = read_audio(wav(wave, 16000))
    np.testing.assert_array_equal(exact.wave, np.where(np.isfinite(wave), wave, 0))


# --- damaged files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "codec", "rate"), [("ac3", "ac3", 48000), ("wav", "g722", 16000)])
def test_codecs_that_sound_late_are_whole(container: str, codec: str, rate: int) -> None:
    # Their filters delay the sound by up to 16 ms, which no header tells.
    audio = read_audio(encoded(sine(rate, 2.0), rate, container, codec))
    assert audio.warnings == ()
    assert abs(audio.duration_s - 2.0) < 0.04
    assert np.sqrt(np.mean(audio.wave[4000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_joined_mp3s_are_whole(rate: int) -> None:
    """The first one's header counts its own frames, and FFmpeg guesses the length of all by its bit rate."""
    low, high = (encoded(sine(rate, 2.0), rate, "mp3", "libmp3lame", bit_rate=bits) for bits in (32_000, 160_000))
    for data in (low + high, high + low):
        audio = read_audio(data)
        assert audio.duration_s == pytest.approx(4.0, abs=0.2)
        assert audio.warnings == ()
    # The frames of the headers are without sound, and leave no gaps.
    assert read_audio(8 * low).warnings == ()
    assert read_audio(8 * low).duration_s == pytest.approx(16.0, abs=0.8)


@pytest.mark.parametrize("title", [b"Info: Rock", b"Xing"])
def test_a_title_is_no_header_of_an_mp3(title: bytes) -> None:
    text = b"TIT2" + (len(title) + 1).to_bytes(4, "big") + bytes(3) + title
    data = b"ID3\3\0\0" + bytes([0, 0, 0, len(text)]) + text + encoded(sine(44100, 3.0), 44100, "mp3", "libmp3lame")
    assert read_audio(data).warnings == ()
    (warning,) = read_audio(data[: len(data) // 2]).warnings
    assert "its header declares 3.0 s" in warning


@pytest.mark.parametrize("title", [b"Interview 3, raw data of call", b"fmt data"])
def test_a_title_is_no_chunk_of_a_wav(title: bytes) -> None:
    data = wav(sine(16000, 3.0), 16000)
    info = b"INFOINAM" + len(title).to_bytes(4, "little") + title + bytes(len(title) % 2)
    data = data[:12] + b"LIST" + len(info).to_bytes(4, "little") + info + data[12:]
    assert read_audio(data).warnings == ()
    (warning,) = read_audio(data[: len(data) // 2]).warnings
    assert "its header declares 3.0 s" in warning


def test_raw_g722_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "call.G722"
    path.write_bytes(encoded(sine(16000, 2.0), 16000, "g722", "g722"))
    audio = read_audio(path)
    assert (audio.format, audio.codec, audio.rate_hz, audio.warnings) == ("g722", "g722", 16000, ())
    assert abs(audio.duration_s - 2.0) < 0.04
    assert np.sqrt(np.mean(audio.wave[4000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert detect_kind(path) == "audio"
    with path.open("rb") as file:
        assert detect_kind(file) == "audio"
        assert read_audio(file).duration_s == audio.duration_s
    with pytest.raises(UnsupportedMediaError, match="must be an audio file"):
        read_audio(path.read_bytes())


@pytest.mark.parametrize(
    ("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("webm", "libopus"), ("wav", "pcm_s16le")]
)
def test_a_truncated_file_is_read_to_where_it_ends(container: str, codec: str, capfd: Any) -> None:
    data = encoded(sine(48000, 3.0), 48000, container, codec)
    audio = read_audio(data[: len(data) * 6 // 10])
    assert 1.2 < audio.duration_s < 2.0
    assert any(note.startswith("the file is truncated: ") for note in audio.warnings)
    assert capfd.readouterr() == ("", "")


def test_a_wav_of_unknown_length_is_whole() -> None:
    assert read_audio(wav(sine(8000, 1.0), 8000, declared=0xFFFFFFFF)).warnings == ()


def test_damage_in_the_middle_is_left_out(capfd: Any) -> None:
    data = bytearray(encoded(sine(44100, 4.0), 44100, "flac", "flac"))
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    audio = read_audio(bytes(data))
    assert audio.duration_s == pytest.approx(4.0, abs=0.3)
    assert any("damaged parts" in note or "gap" in note for note in audio.warnings)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_ends_in_a_result_or_an_error(seed: int, capfd: Any) -> None:
    random = np.random.default_rng(seed)
    makers = [("mp3", "libmp3lame"), ("ogg", "libopus"), ("mp4", "aac"), ("matroska", "flac")]
    data = bytearray(encoded(sine(48000, 0.5), 48000, *makers[seed % 4]))
    for place in random.integers(0, len(data), 20):
        data[place] = random.integers(256)
    try:
        audio = read_audio(bytes(data[: random.integers(1, len(data) + 1)]))
    except (DecodeError, UnsupportedMediaError):
        audio = None
    if audio is not None:
        assert np.isfinite(audio.wave).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", DecodeError, "the audio file is empty: expected an audio file or a video"),
        (b"hello, world", UnsupportedMediaError, "it is something else that begins with b'hello, world'"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", UnsupportedMediaError, "something else that begins"),
        (wav(np.zeros(0, np.float32), 16000), DecodeError, "no sound follows its header"),
        (wav(np.zeros(9, np.int16), 16000)[:20], DecodeError, "cannot be decoded"),
        (b"fLaC\0\0\0\x22", DecodeError, "cannot be decoded"),
        (b"ID3\x04\0\0\0\0\0\x7f", DecodeError, "cannot be decoded"),
        (b"OggS" + bytes(100), DecodeError, "cannot be decoded"),
        (silent_video(), UnsupportedMediaError, "has no sound: it is a video .mp4. of images only"),
    ],
    ids=["empty", "text", "playlist", "no samples", "half a header", "flac", "id3", "ogg", "no sound"],
)
def test_faults(data: bytes, kind: type[Exception], message: str, capfd: Any) -> None:
    with pytest.raises(kind, match=message):
        read_audio(data)
    assert capfd.readouterr() == ("", "")


def test_faults_of_paths(tmp_path: Path) -> None:
    image = tmp_path / "song.wav"
    image.write_bytes(astronaut_path().read_bytes())
    with pytest.raises(UnsupportedMediaError, match=r"song\.wav must be .*but it is an image") as caught:
        read_audio(image)
    assert caught.value.path == image
    with pytest.raises(MediaNotFoundError, match="no such file"):
        read_audio(tmp_path / "no.wav")
    with pytest.raises(MediaNotFoundError, match="is a folder"):
        read_audio(tmp_path)
    with pytest.raises(MediaNotFoundError, match="cannot open"):
        iter_audio("a\0b.wav")
    with pytest.raises(MediaNotFoundError, match="no such file"):
        read_audio("http://127.0.0.1:9/x.mp3")


def test_faults_of_arguments() -> None:
    data = wav(sine(8000, 1.0), 8000)
    for rate in (0, 999, 400_000, 16000.0, "16000"):
        with pytest.raises(InputError, match="rate_hz must be an integer"):
            read_audio(data, rate_hz=rate)  # type: ignore[arg-type]
    for block_s in (0, -1, float("nan"), None):
        with pytest.raises(InputError, match="block_s must be a number"):
            iter_audio(data, block_s=block_s)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"an audio file must be a path, .*, but got int64 of shape"):
        read_audio(np.arange(3))
    with pytest.raises(InputError, match="opened in binary mode"):
        read_audio(io.StringIO("text"))
    with pytest.raises(InputError, match="wave must be float32"):
        Audio(np.zeros(3), 16000)  # type: ignore[arg-type]


def test_a_stream_that_breaks_off() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 400_000:
                raise OSError("the cable is out")
            return super().read(size)

    audio = read_audio(Broken(wav(sine(16000, 20.0), 16000)))
    assert 1 < audio.duration_s < 20
    assert any("the cable is out" in note for note in audio.warnings)


def test_a_stream_closes_its_file_and_not_others(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(sine(16000, 3.0), 16000))
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else None
    with iter_audio(path) as stream:
        assert next(stream).start_s == 0
    list(iter_audio(path))
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(StopIteration):
        next(stream)


# --- size -------------------------------------------------------------------------------------------------------------

LONG = """
from pathlib import Path
from mien.io.audio import iter_audio

def resident():
    # Not ru_maxrss: it counts what the parent had at the fork.
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024

class Endless:
    # A WAV of 12 hours at 8 kHz and 8 bits that is made while it is read.
    size, at = 12 * 3600 * 8000, 0
    head = (b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt \\x10\\0\\0\\0\\x01\\0\\x01\\0"
            + (8000).to_bytes(4, "little") * 2 + b"\\x01\\0\\x08\\0data" + size.to_bytes(4, "little"))

    def read(self, n=-1):
        begin, self.at = self.at, min(self.at + n, len(self.head) + self.size)
        part = self.head[begin : self.at]
        return part + bytes([120, 136]) * ((self.at - begin - len(part)) // 2)

peaks, end_s = [], 0.0
for block in iter_audio(Endless(), rate_hz=None, block_s=10.0):
    if round(block.start_s) in (600, 43000):
        peaks.append(resident())
    end_s = block.end_s
print(end_s, *peaks)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc to ask for its memory")
def test_twelve_hours_in_flat_memory() -> None:
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    end_s, early, late = map(float, done.stdout.split())
    assert end_s == pytest.approx(12 * 3600, abs=1)
    assert late - early < 8e6
    assert late < 200e6
    assert done.stderr == ""


def test_import_is_light() -> None:
    code = "import sys, mien.io.audio; print('av' in sys.modules)"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


# --- writing ----------------------------------------------------------------------------------------------------------


def test_what_was_read_is_written_back(tmp_path: Path) -> None:
    samples = np.random.default_rng(3).integers(-32768, 32768, 5000).astype(np.int16)
    wave = read_audio(wav(samples, 11025)).wave
    path, stream = tmp_path / "x.wav", io.BytesIO()
    write_wav(path, wave, 11025)
    write_wav(stream, wave, 11025)
    for source in (path, stream.getvalue()):
        np.testing.assert_array_equal(read_audio(source).wave, wave)
    assert list(tmp_path.iterdir()) == [path]


def test_faults_of_writing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.wav, but .*'x.mp3'"):
        write_wav(tmp_path / "x.mp3", sine(8000, 0.1), 8000)
    with pytest.raises(InputError, match="wave must be float32 of shape"):
        write_wav(tmp_path / "x.wav", np.zeros((2, 3), np.float32), 8000)
    with pytest.raises(InputError, match="finite"):
        write_wav(tmp_path / "x.wav", np.full(3, np.nan, np.float32), 8000)
    with pytest.raises(InputError, match="rate_hz must be an integer from 1"):
        write_wav(tmp_path / "x.wav", sine(8000, 0.1), 0)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        write_wav(tmp_path / "no" / "x.wav", sine(8000, 0.1), 8000)
    write_wav(tmp_path / "loud.wav", np.array([2.0, -2.0], np.float32), 8000)
    np.testing.assert_allclose(read_audio(tmp_path / "loud.wav").wave, [1, -1], atol=1e-4)
