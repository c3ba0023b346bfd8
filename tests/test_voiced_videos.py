"""Videos with sound: faces, the voice and both together over time, also where one of them is missing or damaged."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.errors import InputError, MienWarning, ModelError
from mien.fusion import METHODS
from mien.results import SpeechResult, VideoResult
from planted_faces import planted
from planted_speech import planted_speech, recording
from planted_videos import numbered, write_video
from speech_mixtures import music

RATE, SOUND_HZ = 10, 16000
WALK = {0: [(0.0, 80.0, 120.0, 90.0), (6.0, 230.0, 120.0, 90.0)]}
SAID: list[tuple[str | None, float]] = [(None, 1.0), ("anger", 2.0), (None, 1.0), ("sadness", 2.0)]


def shots(seconds: float, paths: Any = None) -> Iterator[tuple[Any, Fraction]]:
    people = planted(WALK if paths is None else paths, seed=3, rate=RATE, seconds=seconds)
    return ((shot[0], Fraction(number, RATE)) for number, shot in enumerate(people))


def video_of(path: Path, wave: NDArray[np.float32] | None, *, seconds: float = 6.0, **more: Any) -> Path:
    sound = None if wave is None else (wave, SOUND_HZ)
    write_video(path, shots(seconds, more.pop("paths", None)), rate=RATE, sound=sound, **more)
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that says what tones under a voice stand for."""
    return planted_speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return six seconds of a face, with speech in the second third and in the last."""
    return video_of(tmp_path_factory.mktemp("videos") / "talk.mp4", recording(SAID))


def read(source: Any, planted_model: Path, speech: Path, **options: Any) -> VideoResult:
    """Analyze with planted models; what would be warned of is in the result alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MienWarning)
        return mien.analyze_video(source, model=planted_model, speech_model=speech, **options)


def said(video: VideoResult) -> list[tuple[float, float, str]]:
    """Return when which emotion was spoken."""
    assert video.speech is not None
    return [(s.start_s, s.end_s, s.emotion.top) for s in video.speech.segments if s.emotion is not None]


def covers(video: VideoResult, start_s: float, end_s: float) -> None:
    """Check that what was fused has no gaps."""
    assert video.fused is not None
    assert video.fused.start_s == pytest.approx(start_s, abs=1e-6)
    assert video.fused.end_s == pytest.approx(end_s, abs=1e-6)


# --- the three answers ----------------------------------------------------------------------------


def test_a_talking_video_has_three_answers(talk: Path, planted_model: Path, speech: Path) -> None:
    video = read(talk, planted_model, speech)
    assert video.speech == mien.analyze_speech(talk, model=speech)
    assert video.warnings == ()
    assert [name for _, _, name in said(video)] == ["anger", "sadness"]
    for (start_s, end_s, _), wanted in zip(said(video), ((1.0, 3.0), (4.0, 6.0)), strict=True):
        assert (start_s, end_s) == pytest.approx(wanted, abs=0.35)
    assert video.fused == mien.fuse(video, video.speech)
    covers(video, 0.0, max(video.end_s, video.speech.duration_s))
    assert video.summary.voice == video.speech.summary.emotion
    assert video.summary.fused == video.fused.emotion
    alone = read(talk, planted_model, speech, voice=False)
    assert (alone.speech, alone.fused) == (None, None)
    assert [track.to_dict() for track in alone.tracks] == [track.to_dict() for track in video.tracks]
    again = VideoResult.from_dict(video.to_dict())
    assert (again.speech, again.fused) == (video.speech, video.fused)


@pytest.mark.parametrize("method", METHODS)
def test_the_method_of_fusion_is_chosen_by_name(talk: Path, planted_model: Path, speech: Path, method: str) -> None:
    video = read(talk, planted_model, speech, fusion=method, step_s=1)
    assert video.fused is not None
    assert video.fused.method == method
    assert video.fused == mien.fuse(video, video.speech, method=method)


def test_the_tables_have_the_voice_and_both(talk: Path, planted_model: Path, speech: Path) -> None:
    video = read(talk, planted_model, speech)
    assert video.speech is not None
    assert video.fused is not None
    assert video.rows("speech") == video.speech.rows()
    assert video.rows("fused") == video.fused.rows()
    assert len(video.to_frame("fused", "pandas")) == len(video.fused.segments)
    quiet = read(talk, planted_model, speech, voice=False)
    assert [[row["start_s"] for row in quiet.rows(table)] for table in ("speech", "fused")] == [[None], [None]]


def test_methods_by_single_frames_have_one_fused_answer(talk: Path, planted_model: Path, speech: Path) -> None:
    video = read(talk, planted_model, speech, method="every-nth", fusion="average")
    assert video.fused is not None
    (segment,) = video.fused.segments
    assert (segment.start_s, segment.end_s) == (0.0, pytest.approx(6.0, abs=0.2))
    face, voice = video.summary.emotion, video.summary.voice
    assert face is not None
    assert voice is not None
    assert segment.emotions["face"] is not None
    assert segment.emotions["voice"] is not None
    # Both as the common seven: contempt is left out, calm counts as neutral.
    assert segment.emotions["face"]["anger"] == pytest.approx(face["anger"] / (1 - face["contempt"]), abs=1e-6)
    assert segment.emotions["voice"]["anger"] == pytest.approx(voice["anger"], abs=1e-6)
    assert segment.emotions["voice"]["neutral"] == pytest.approx(voice["neutral"] + voice["calm"], abs=1e-6)


def test_a_part_of_a_video_is_a_part_of_all_three(talk: Path, planted_model: Path, speech: Path) -> None:
    video = read(talk, planted_model, speech, from_s=3.5, to_s=5.0)
    assert video.speech is not None
    assert video.fused is not None
    assert video.warnings == video.fused.warnings == ()
    first = video.speech.segments[0]
    assert (first.start_s, first.end_s, first.speech, first.warnings) == (0.0, 3.5, False, ("not read",))
    ((start_s, end_s, name),) = said(video)
    assert (start_s, end_s, name) == (pytest.approx(4.0, abs=0.35), 5.0, "sadness")
    assert video.speech.duration_s == 5.0
    assert next(row["start_s"] for row in video.rows("speech")) == 3.5
    covers(video, 3.5, 5.0)
    early = read(talk, planted_model, speech, to_s=2.0)
    assert [(name, end_s) for _, end_s, name in said(early)] == [("anger", 2.0)]


def test_bytes_and_streams_are_read_twice_where_they_can_be(talk: Path, planted_model: Path, speech: Path) -> None:
    content = talk.read_bytes()
    expected = said(read(talk, planted_model, speech))
    assert said(read(content, planted_model, speech)) == expected
    stream = io.BytesIO(b"before" + content)
    stream.seek(6)
    assert said(read(stream, planted_model, speech)) == expected


class Pipe(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


def test_a_pipe_is_read_once_and_says_so(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    content = video_of(tmp_path / "talk.mkv", recording(SAID)).read_bytes()
    video = read(Pipe(content), planted_model, speech)
    assert (video.speech, video.fused, len(video.tracks)) == (None, None, 1)
    (warning,) = video.warnings
    assert warning.startswith("its sound was left out: a stream that cannot be rewound is read once, for the images")
    silent = video_of(tmp_path / "silent.mkv", None, seconds=1).read_bytes()
    assert read(Pipe(silent), planted_model, speech).warnings == ()


def test_a_wrong_name_of_a_fusion_is_told_before_anything_is_read(planted_model: Path) -> None:
    with pytest.raises(InputError, match="fusion must be one of experts, average, most_confident, rule_table, but got"):
        mien.analyze_video("no.mp4", model=planted_model, fusion="best")


# --- what is missing ------------------------------------------------------------------------------


def test_a_video_without_sound_has_faces_alone(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    video = read(video_of(tmp_path / "x.mp4", None, seconds=2), planted_model, speech)
    assert (video.speech, video.fused, video.warnings) == (None, None, ())


def test_the_speech_net_is_loaded_for_sound_and_before_the_images(
    tmp_path: Path, talk: Path, planted_model: Path, speech: Path
) -> None:
    broken = tmp_path / "broken" / speech.name
    shutil.copytree(speech.parent, broken.parent)
    for graph in broken.parent.glob("*.onnx"):
        graph.write_bytes(b"no graph")
    assert read(video_of(tmp_path / "x.mp4", None, seconds=2), planted_model, broken).speech is None
    with pytest.raises(ModelError, match=r"the weights of model .* are damaged"):
        read(talk, planted_model, broken)


def test_sound_that_ends_early(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    video = read(video_of(tmp_path / "x.mp4", recording(SAID[:2])), planted_model, speech)
    assert video.fused is not None
    assert video.warnings == video.fused.warnings == ("the sound ends at 3.0 s, the image at 6.0 s",)
    assert [name for _, _, name in said(video)] == ["anger"]
    last = video.fused.segments[-1]
    assert (last.emotions["voice"], last.end_s) == (None, pytest.approx(6.0))
    assert last.emotions["face"] is not None


def test_sound_that_goes_on_after_the_image(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    video = read(video_of(tmp_path / "x.mp4", recording(SAID), seconds=2), planted_model, speech)
    assert video.fused is not None
    (warning,) = video.warnings
    assert warning.startswith("the sound ends at 6.0 s, the image at 2.0 s")
    after = video.fused.at(5.0)
    assert after is not None
    assert (after.emotions["face"], after.track) == (None, None)
    assert after.fused is not None
    assert after.fused.top == "sadness"
    # Up to where the image goes, if that is asked for.
    assert read(tmp_path / "x.mp4", planted_model, speech, to_s=2.0).warnings == ()


def test_sound_that_begins_late_keeps_its_times(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    video = read(
        video_of(tmp_path / "x.mp4", recording([("anger", 2.0), (None, 1.0)]), sound_start_s=3.0), planted_model, speech
    )
    ((start_s, end_s, name),) = said(video)
    assert (start_s, end_s, name) == (pytest.approx(3.0, abs=0.35), pytest.approx(5.0, abs=0.35), "anger")
    assert video.warnings == ("the sound begins at 2.9 s",)  # a coder begins a little before
    assert said(read(tmp_path / "x.mp4", planted_model, speech, from_s=2.0))[0][0] == pytest.approx(start_s, abs=0.2)


def test_of_two_sound_tracks_the_first_is_taken(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    path = tmp_path / "x.mkv"
    image = numbered(5)
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("libx264", rate=RATE, width=160, height=120, pix_fmt="yuv420p")
        waves = [recording([("anger", 2.0)]), recording([("fear", 2.0)])]
        tracks = [target.add_stream("pcm_s16le", rate=SOUND_HZ, layout="mono") for _ in waves]
        for number in range(2 * RATE):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        for track, wave in zip(tracks, waves, strict=True):
            samples = (wave[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SOUND_HZ, 0
            target.mux(track.encode(frame))
            target.mux(track.encode(None))
    video = read(path, planted_model, speech)
    assert [name for _, _, name in said(video)] == ["anger"]
    assert "the file has 2 sound tracks; the first is used" in video.warnings


def test_nobody_in_view_leaves_the_voice(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    video = read(video_of(tmp_path / "x.mp4", recording(SAID), paths={}), planted_model, speech)
    assert video.tracks == ()
    assert video.fused is not None
    assert video.fused.warnings == ("no face is seen: what is left is the voice",)
    assert (video.fused.mean("face"), video.summary.emotion) == (None, None)
    assert [segment.fused.top for segment in video.fused.segments if segment.fused is not None] == ["anger", "sadness"]


TONES = (0.3 * np.sin(np.arange(3 * SOUND_HZ) / 10)).astype(np.float32)


@pytest.mark.parametrize(
    ("wave", "warnings_"),
    [
        (np.zeros(3 * SOUND_HZ, np.float32), ("the sound is silent: all samples are 0",)),
        (TONES, ()),
        (music(3 * SOUND_HZ, np.random.default_rng(0)), ()),
    ],
    ids=["silence", "tones", "music"],
)
def test_sound_without_speech_leaves_the_face(
    tmp_path: Path, planted_model: Path, speech: Path, wave: NDArray[np.float32], warnings_: tuple[str, ...]
) -> None:
    video = read(video_of(tmp_path / "x.mkv", wave, seconds=3, audio_codec="pcm_s16le"), planted_model, speech)
    assert video.fused is not None
    assert video.warnings == warnings_
    assert video.fused.warnings == ("nobody speaks: what is left is the face",)
    assert video.summary.speech_s == 0
    assert (video.fused.mean("voice"), video.summary.voice) == (None, None)
    assert video.fused.both_s == 0
    assert video.fused.seconds_of("face") == pytest.approx(video.summary.seen_s, abs=1e-6)


def test_damaged_sound_is_read_as_far_as_it_goes(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    content = bytearray(video_of(tmp_path / "x.mkv", recording(SAID), audio_codec="libmp3lame").read_bytes())
    headers = [place for place in range(len(content) - 1) if content[place] == 0xFF and content[place + 1] == 0xF3]
    assert len(headers) > 50
    for place in headers[10:-1:3]:
        content[place : place + 60] = bytes(60)
    video = read(bytes(content), planted_model, speech)
    assert isinstance(video.speech, SpeechResult)
    assert video.warnings
    assert len(video.tracks) == 1


def test_sound_that_cannot_be_decoded_costs_the_video_nothing(
    tmp_path: Path, planted_model: Path, speech: Path
) -> None:
    whole = video_of(tmp_path / "x.mkv", TONES, seconds=2, audio_codec="pcm_s16le").read_bytes()
    # The track's name of its codec, in another spelling: nothing knows how to read it.
    video = read(whole.replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"), planted_model, speech)
    assert len(video.tracks) == 1
    assert (video.speech, video.fused) == (None, None)
    (warning,) = video.warnings
    assert warning.startswith("its sound was left out: the audio file has sound in an unknown format")


def test_no_sound_in_the_part_that_is_read(tmp_path: Path, planted_model: Path, speech: Path) -> None:
    path = video_of(tmp_path / "x.mp4", recording(SAID[:2]))
    video = read(path, planted_model, speech, from_s=4.5)
    assert (video.speech, video.fused) == (None, None)
    (warning,) = video.warnings
    assert warning.startswith("its sound was left out: ")
    assert warning.endswith("x.mp4 has no sound from 4.5 s on")
    part = read(path, planted_model, speech, from_s=2.0)
    assert "the sound ends at 3.0 s, the image at 6.0 s" in part.warnings
    covers(part, 2.0, part.end_s)
