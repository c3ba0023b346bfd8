"""Images of audio files and videos over time: what is drawn, by the colors in the image."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.errors import InputError
from mien.io.audio import AudioBlock
from mien.labels import FERPLUS8, RAVDESS8
from mien.output import COLORS, Sketch
from mien.output.bands import Band, speech_band
from mien.output.timeline import plot_speech, plot_timeline
from mien.results import Emotion, FaceTrack, SpeechResult, SpeechSegment, VideoResult
from planted_video import crowd, distribution, planted_video, with_voice

RATE = 16000


def read(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def draw_video(video: VideoResult, *, most: int = 12, bands: Sequence[Band] = ()) -> NDArray[np.uint8]:
    return read(plot_timeline(video, most=most, bands=bands))


def share_of(image: NDArray[np.uint8], color: tuple[int, int, int]) -> float:
    return float((image == np.array(color, np.uint8)).all(axis=2).mean())


# --- audio files ----------------------------------------------------------------------------------------------------


def sketch(seconds: float) -> Sketch:
    wave = np.clip(0.2 * np.random.default_rng(0).normal(size=round(seconds * RATE)), -1, 1).astype(np.float32)
    return Sketch.from_blocks([AudioBlock(wave, 0.0, RATE)])


def segments(*parts: tuple[str | None, float]) -> SpeechResult:
    pieces, at = [], 0.0
    for name, seconds in parts:
        shown = None if name is None else distribution(name, 0.8, RAVDESS8)
        pieces.append(SpeechSegment(at, at + seconds, name is not None, shown))
        at += seconds
    return SpeechResult(at, tuple(pieces), path="call.wav", model="planted")


def test_each_emotion_of_a_voice_has_its_time_in_its_color() -> None:
    result = segments((None, 1), ("anger", 4), ("sadness", 2), (None, 3))
    image = read(plot_speech(result, sketch(10)))
    assert image.shape[0] < image.shape[1] < 1500
    anger, sadness = (share_of(image, COLORS[name]) for name in ("anger", "sadness"))
    # Twice as long with the same probabilities; a little is text and the other's probability.
    assert 1.7 < anger / sadness < 2.1
    assert share_of(image, COLORS["happiness"]) < sadness / 5


def test_the_same_speech_gives_the_same_bytes() -> None:
    result, sound = segments(("calm", 2)), sketch(2)
    assert plot_speech(result, sound) == plot_speech(result, sound)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0, 500.0, 8000.0])
@pytest.mark.parametrize(
    "name", ["a.wav", "$x^2$ and a long name with \n and \udcff that never comes to its end.wav", None]
)
def test_silence_of_any_length_and_name_can_be_drawn(seconds: float, name: str | None) -> None:
    sound = Sketch(RATE)
    sound.add_silence(seconds)
    result = SpeechResult(sound.duration_s, (SpeechSegment(0.0, sound.duration_s, False),), path=name)
    image = read(plot_speech(result, sound))
    assert image.shape[1] > 1000
    # No sound is dark, and nobody speaks.
    assert (image.max(axis=2) < 8).mean() > 0.2
    assert all(share_of(image, color) < 0.001 for color in COLORS.values())


# --- videos ---------------------------------------------------------------------------------------------------------


def test_each_emotion_of_a_face_has_its_time_in_its_color() -> None:
    image = draw_video(planted_video([("anger", 6.0), ("sadness", 3.0), (None, 3.0)]))
    anger, sadness = (share_of(image, COLORS[name]) for name in ("anger", "sadness"))
    # Twice as long; a little is the legend, lines of time, and the other's probability.
    assert 1.7 < anger / sadness < 2.3
    assert anger > 0.2
    assert share_of(image, COLORS["happiness"]) < sadness / 5
    assert share_of(image, (0xF4, 0xF4, 0xF4)) > 0.05


def test_bands_grow_with_the_people_but_not_without_end() -> None:
    heights = {people: draw_video(crowd(people, 60)).shape for people in (1, 3, 12)}
    assert {shape[1] for shape in heights.values()} == {1320}
    assert heights[1][0] < heights[3][0] < heights[12][0] < 1000
    assert draw_video(crowd(30, 60)).shape[0] < heights[12][0] + 40
    assert draw_video(crowd(30, 60), most=2).shape[0] < heights[3][0]


def test_cuts_are_lines_and_of_many_ticks() -> None:
    plan = [("neutral", 10.0)]
    plain, few, many = (
        draw_video(planted_video(plan, cuts=cuts)) for cuts in ((), (5.0,), tuple(np.arange(0.1, 10, 0.1)))
    )
    middle = slice(plain.shape[1] // 4, plain.shape[1] * 3 // 4)
    rows = slice(plain.shape[0] // 2 - 20, plain.shape[0] // 2 + 20)
    dark = [int((image[rows, middle].max(axis=2) < 90).sum()) for image in (plain, few, many)]
    assert dark[0] == 0
    assert dark[1] > 15
    assert dark[2] == 0
    assert (many.max(axis=2) < 60).sum() > (plain.max(axis=2) < 60).sum()


def test_a_voice_can_have_a_band_below() -> None:
    shares = tuple(1.0 if name == "calm" else 0.0 for name in RAVDESS8.emotions)
    speech = SpeechResult(
        4.0,
        (SpeechSegment(0.0, 1.0, False), SpeechSegment(1.0, 4.0, True, Emotion(RAVDESS8, shares))),
        path="video.mp4",
    )
    band = speech_band(speech, "voice", "0:03.0 of speech")
    assert band is not None
    image = draw_video(planted_video([("fear", 4.0)]), bands=(band,))
    assert share_of(image, COLORS["calm"]) > 0.1
    assert speech_band(SpeechResult(1.0, (SpeechSegment(0.0, 1.0, False),)), "voice") is None


def test_a_talking_video_has_more_bands() -> None:
    faces = planted_video([("fear", 12.0)])
    image, before = draw_video(with_voice(faces, [(None, 4.0), ("calm", 4.0), (None, 4.0)])), draw_video(faces)
    assert image.shape[0] > before.shape[0] * 1.5
    assert share_of(image, COLORS["calm"]) > 0.04
    assert share_of(before, COLORS["calm"]) < 1e-3
    for video in (with_voice(faces, [(None, 4.0)]), with_voice(planted_video(), [("fear", 2.0)])):
        assert draw_video(video).shape[1] == 1320


def test_a_voice_that_goes_on_is_drawn_to_its_end() -> None:
    video = with_voice(planted_video([("fear", 4.0)]), [("sadness", 12.0)])
    image = draw_video(video)
    third = image.shape[1] // 3
    assert share_of(image[:, -third:], COLORS["sadness"]) > 0.2


@pytest.mark.parametrize("seconds", [0.2, 3.0, 500.0, 8000.0])
@pytest.mark.parametrize("name", ["a.mp4", "$x^2$ and a long name with \n and \udcff that never ends", None])
def test_any_length_and_name_can_be_draw_video(seconds: float, name: str | None) -> None:
    step_s = max(0.2, seconds / 100)
    assert draw_video(planted_video([("fear", seconds)], step_s=step_s, path=name)).shape[1] == 1320


def test_videos_without_faces_and_of_one_frame_can_be_draw_video() -> None:
    nobody = draw_video(planted_video())
    assert all(share_of(nobody, color) < 1e-3 for color in COLORS.values())
    one = FaceTrack(
        number=1,
        labels=FERPLUS8,
        times_s=np.zeros(1),
        durations_s=np.zeros(1),
        boxes=np.array([[1, 1, 9, 9]], np.float32),
        scores=np.ones(1, np.float32),
        probabilities=np.full((1, 8), 1 / 8, np.float32),
        smoothed=np.full((1, 8), 1 / 8, np.float32),
        detected=np.ones(1, np.bool_),
    )
    draw_video(VideoResult(20, 20, 0.0, 0.0, 0.0, np.zeros(1), (one,)))


def test_the_same_video_gives_the_same_bytes() -> None:
    video = planted_video([("fear", 2.0)])
    assert plot_timeline(video) == plot_timeline(video)
    with pytest.raises(InputError, match="most must be an integer from 1 to 100, but got 0"):
        plot_timeline(video, most=0)
