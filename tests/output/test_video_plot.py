"""Images of videos over time: bands against plain sums, what is drawn by the colors in the image."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.integrate import quad

from mien.errors import InputError, MediaNotFoundError
from mien.labels import FERPLUS8, RAVDESS8
from mien.output import COLORS
from mien.output._bands import Band, columns_of_steps, face_band, fused_band, ordered, speech_band
from mien.output._times import length, minutes, tick_label, tick_step
from mien.output.video_plot import plot_timeline, sound_bands, video_bands, write_timeline
from mien.results import Emotion, FaceTrack, SpeechResult, SpeechSegment, VideoResult
from planted_video import crowd, planted_speech, planted_video, with_voice


def drawn(video: VideoResult, *, most: int = 12, bands: tuple[Band, ...] = ()) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(plot_timeline(video, most=most, bands=bands))) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(image: NDArray[np.uint8], color: tuple[int, int, int]) -> float:
    return float((image == np.array(color, np.uint8)).all(axis=2).mean())


# --- bands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [3, 50, 777])
@pytest.mark.parametrize("smooth", [False, True])
def test_columns_lose_no_time(columns: int, smooth: bool) -> None:
    random = np.random.default_rng(columns)
    starts = np.cumsum(random.uniform(0.1, 2.0, 40))
    # Half of the pieces touch the next, the others leave a gap.
    ends = np.where(np.arange(40) % 2 == 0, np.append(starts[1:], starts[-1] + 1), starts + 0.05)
    shares = random.dirichlet(np.ones(4), 40)
    edges = np.linspace(0, ends[-1] + 3, columns + 1)
    means = columns_of_steps(edges, starts, ends, shares, smooth=smooth)
    covered = float((ends - starts).sum())
    assert (means.sum(axis=1) * np.diff(edges)).sum() == pytest.approx(covered)
    assert means.sum(axis=1).max() <= 1 + 1e-9
    if not smooth:
        totals = (shares * (ends - starts)[:, None]).sum(axis=0)
        np.testing.assert_allclose((means * np.diff(edges)[:, None]).sum(axis=0), totals)


def test_a_smooth_band_is_the_integral_of_the_lines_between_frames() -> None:
    video = planted_video([("happiness", 1.0), ("fear", 0.6), (None, 0.8), ("anger", 1.0)])
    track = video.tracks[0]
    band = face_band(track, "")
    edges = np.linspace(0, 4, 18)

    def at(time_s: float, label: int) -> float:
        point = track.at(time_s)
        return 0.0 if point is None else float(point.probabilities[label])

    breaks = sorted({*track.times_s.tolist(), *(track.times_s + track.durations_s).tolist()})
    for label in (FERPLUS8.index("fear"), FERPLUS8.index("anger")):
        for column, (a, b) in enumerate(pairwise(edges)):
            inner = [a, *(t for t in breaks if a < t < b), b]
            area = sum(quad(at, s + 1e-5, e - 1e-5, args=(label,))[0] for s, e in pairwise(inner))
            assert band.columns(edges)[column, label] == pytest.approx(area / (b - a), abs=2e-3)


def test_runs_and_leaders_follow_the_plan() -> None:
    video = planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)])
    band = face_band(video.tracks[0], "")
    edges = np.linspace(0, 10, 11)
    assert band.runs(edges) == [(0, 4), (6, 10)]
    names = ["" if number < 0 else FERPLUS8.emotions[number] for number in band.leading(edges)]
    assert names == ["happiness"] * 4 + [""] * 2 + ["sadness"] * 4


def test_times_as_people_read_them() -> None:
    assert [minutes(s, 10) for s in (0, 3.44, 59.97, 61)] == ["0:00.0", "0:03.4", "1:00.0", "1:01.0"]
    assert [minutes(s, 7200) for s in (59.6, 3723)] == ["0:01:00", "1:02:03"]
    assert minutes(754.4, 800) == "12:34"
    assert [length(s) for s in (9.64, 240, 4000)] == ["9.6 s", "4 min 0 s", "1 h 6 min 40 s"]
    assert [tick_label(2.5, 10, 0.5, as_minutes=True), tick_label(65, 100, 5, as_minutes=True)] == ["0:02.5", "1:05"]
    assert (tick_step(10, 12), tick_step(7200, 4), tick_step(1e6, 10)) == (1, 1800, 100800)


# --- the image ----------------------------------------------------------------------------------


def test_each_emotion_has_its_time_in_its_color() -> None:
    image = drawn(planted_video([("anger", 6.0), ("sadness", 3.0), (None, 3.0)]))
    anger, sadness = (share_of(image, COLORS[name]) for name in ("anger", "sadness"))
    # Twice as long; a little is the legend, lines of time, and the other's probability.
    assert 1.7 < anger / sadness < 2.3
    assert anger > 0.2
    assert share_of(image, COLORS["happiness"]) < sadness / 5
    assert share_of(image, (0xF4, 0xF4, 0xF4)) > 0.05


def test_bands_grow_with_the_people_but_not_without_end() -> None:
    heights = {people: drawn(crowd(people, 60)).shape for people in (1, 3, 12)}
    assert {shape[1] for shape in heights.values()} == {1320}
    assert heights[1][0] < heights[3][0] < heights[12][0] < 1000
    assert drawn(crowd(30, 60)).shape[0] < heights[12][0] + 40
    assert drawn(crowd(30, 60), most=2).shape[0] < heights[3][0]


def test_those_seen_longest_come_first_and_the_rest_is_counted() -> None:
    video = planted_video([("fear", 2.0)], [("fear", 9.0)], [("fear", 5.0)])
    assert [band.title for band in video_bands(video, 2)] == ["person 2", "person 3"]
    assert video_bands(video, 2)[0].note == "0:09.0 in view"


def test_cuts_are_lines_and_of_many_ticks() -> None:
    plan = [("neutral", 10.0)]
    plain, few, many = (drawn(planted_video(plan, cuts=cuts)) for cuts in ((), (5.0,), tuple(np.arange(0.1, 10, 0.1))))
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
    image = drawn(planted_video([("fear", 4.0)]), bands=(band,))
    assert share_of(image, COLORS["calm"]) > 0.1
    assert speech_band(SpeechResult(1.0, (SpeechSegment(0.0, 1.0, False),)), "voice") is None


def test_a_talking_video_has_three_bands() -> None:
    plan = [(None, 4.0), ("calm", 4.0), (None, 4.0)]
    faces = planted_video([("fear", 12.0)])
    video = with_voice(faces, plan)
    bands = sound_bands(video)
    assert [(band.title, band.note) for band in bands] == [
        ("voice", "0:04.0 of speech"),
        ("face and voice", "0:04.0 together"),
    ]
    # The emotions lie in the order of the faces, others above.
    assert bands[0].labels.emotions == (*(n for n in FERPLUS8.emotions if n in RAVDESS8.emotions), "calm")
    assert [band.away for band in bands] == ["no speech", "neither"]
    image, before = drawn(video), drawn(faces)
    assert image.shape[0] > before.shape[0] * 1.5
    assert share_of(image, COLORS["calm"]) > 0.04
    assert share_of(before, COLORS["calm"]) < 1e-3


def test_a_fused_band_is_the_mean_by_time_and_its_ribbon_joins_what_goes_on() -> None:
    video = with_voice(planted_video([("fear", 4.0), ("anger", 6.0)]), [(None, 2.0), ("fear", 2.0), ("anger", 6.0)])
    assert video.fused is not None
    band = fused_band(video.fused, "face and voice")
    mean = video.fused.emotion
    assert mean is not None
    np.testing.assert_allclose(band.columns(np.array([0.0, 10.0]))[0], mean.to_array(), atol=1e-9)
    assert [name for _, _, name in band.segments] == ["fear", "anger"]
    assert band.segments[0][1] == band.segments[1][0] == pytest.approx(4.0)
    turned = ordered(band, ("anger", "fear"))
    assert turned.labels.emotions[:2] == ("anger", "fear")
    edges = np.linspace(0, 10, 6)
    names = [[b.labels.emotions[n] for n in b.leading(edges).tolist()] for b in (band, turned)]
    assert names[0] == names[1] == ["fear"] * 2 + ["anger"] * 3


def test_what_is_missing_has_no_band_or_an_empty_one() -> None:
    faces = planted_video([("fear", 4.0)])
    assert sound_bands(faces) == []
    (silent,) = sound_bands(with_voice(faces, [(None, 4.0)]))
    assert (silent.title, silent.note, silent.away) == ("voice", "no speech", "no speech")
    assert silent.leading(np.linspace(0, 4, 5)).tolist() == [-1] * 4
    assert not silent.columns(np.linspace(0, 4, 5)).any()
    (alone,) = sound_bands(with_voice(planted_video(), [("fear", 2.0)]))
    assert alone.title == "voice"
    assert sound_bands(with_voice(planted_video(), [(None, 2.0)])) == []
    for video in (with_voice(faces, [(None, 4.0)]), with_voice(planted_video(), [("fear", 2.0)])):
        assert drawn(video).shape[1] == 1320
    assert speech_band(planted_speech([(None, 2.0)]), "voice") is None


def test_a_voice_that_goes_on_is_drawn_to_its_end() -> None:
    video = with_voice(planted_video([("fear", 4.0)]), [("sadness", 12.0)])
    image = drawn(video)
    third = image.shape[1] // 3
    assert share_of(image[:, -third:], COLORS["sadness"]) > 0.2


@pytest.mark.parametrize("seconds", [0.2, 3.0, 500.0, 8000.0])
@pytest.mark.parametrize("name", ["a.mp4", "$x^2$ and a long name with \n and \udcff that never ends", None])
def test_any_length_and_name_can_be_drawn(seconds: float, name: str | None) -> None:
    step_s = max(0.2, seconds / 100)
    assert drawn(planted_video([("fear", seconds)], step_s=step_s, path=name)).shape[1] == 1320


def test_videos_without_faces_and_of_one_frame_can_be_drawn() -> None:
    nobody = drawn(planted_video())
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
    drawn(VideoResult(20, 20, 0.0, 0.0, 0.0, np.zeros(1), (one,)))


def test_the_same_input_gives_the_same_bytes_and_a_file_is_whole(tmp_path: Path) -> None:
    video = planted_video([("fear", 2.0)])
    write_timeline(tmp_path / "x.PNG", video)
    assert (tmp_path / "x.PNG").read_bytes() == plot_timeline(video)
    with pytest.raises(InputError, match=r"expected a name that ends in \.png, but got 'x\.jpg'"):
        write_timeline(tmp_path / "x.jpg", video)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        write_timeline(tmp_path / "no" / "x.png", video)
    with pytest.raises(InputError, match="most must be an integer from 1 to 100, but got 0"):
        plot_timeline(video, most=0)
    assert [path.name for path in tmp_path.iterdir()] == ["x.PNG"]
