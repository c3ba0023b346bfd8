"""A face at rest as baseline: from an image, a video, or the first seconds of each person."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien import VideoOptions, analyze_video
from mien.errors import InputError, MediaNotFoundError
from mien.face.adapt import baseline_bias, subtract_bias
from mien.output import write_image
from mien.results import VideoResult
from mien.video.analyzer import VideoAnalyzer
from planted_faces import planted
from planted_videos import write_video

STAY = [(0.0, 90.0, 120.0, 90.0), (3.0, 110.0, 120.0, 90.0)]
LATE = [(1.0, 230.0, 120.0, 90.0), (3.0, 230.0, 120.0, 90.0)]
RATE = 10

Shots = list[tuple[np.ndarray, float]]


@pytest.fixture(scope="module")
def shots() -> Shots:
    return [(shot[0], shot[1]) for shot in planted({0: STAY, 1: LATE}, seed=3, rate=RATE, seconds=3)]


@pytest.fixture(scope="module")
def plain(shots: Shots) -> VideoResult:
    return VideoAnalyzer(min_seen_s=0.5).analyze(shots)


def test_each_persons_own_first_seconds(shots: Shots, plain: VideoResult) -> None:
    found = VideoAnalyzer(min_seen_s=0.5, baseline=1.0, baseline_strength=0.5).analyze(shots)
    assert len(found.tracks) == len(plain.tracks) == 2
    for before, after in zip(plain.tracks, found.tracks, strict=True):
        resting = before.times_s < before.times_s[0] + 1.0
        assert 5 <= resting.sum() < len(before)
        bias = baseline_bias(before.probabilities[resting], before.labels, strength=0.5)
        expected = subtract_bias(before.probabilities, bias)
        assert after.probabilities[~resting] == pytest.approx(expected[~resting], abs=1e-4)
        first = before.probabilities[:1]
        expected = subtract_bias(first, baseline_bias(first, before.labels, strength=0.5))
        assert after.probabilities[:1] == pytest.approx(expected, abs=1e-4)


def test_an_image_of_the_person(shots: Shots, plain: VideoResult, tmp_path: Path) -> None:
    write_image(tmp_path / "rest.png", shots[0][0])
    analyzer = VideoAnalyzer(min_seen_s=0.5, baseline=tmp_path / "rest.png", baseline_strength=1.0)
    rest = analyzer.faces.analyze(shots[0][0]).faces[0].emotion
    assert rest is not None
    bias = baseline_bias([rest.probabilities], rest.labels, strength=1.0)
    for before, after in zip(plain.tracks, analyzer.analyze(shots).tracks, strict=True):
        assert after.probabilities == pytest.approx(subtract_bias(before.probabilities, bias), abs=1e-3)


def test_a_video_of_the_person_by_the_options(shots: Shots, tmp_path: Path) -> None:
    frames = ((image, Fraction(number, RATE)) for number, (image, _) in enumerate(shots[:10]))
    video = tmp_path / "rest.mp4"
    write_video(video, frames, rate=RATE)
    plain = analyze_video(video, voice=False)
    found = analyze_video(video, voice=False, baseline=str(video), baseline_strength=1.0)
    (before,), (after,) = plain.tracks, found.tracks
    bias = baseline_bias(before.probabilities, before.labels, strength=1.0)
    assert after.probabilities == pytest.approx(subtract_bias(before.probabilities, bias), abs=1e-3)
    assert after.labels.emotions[after.probabilities.mean(axis=0).argmax()] == "neutral"


def test_a_baseline_without_a_face_or_file_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "empty.png", np.full((120, 160, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r"found no face in the baseline .*empty\.png"):
        VideoAnalyzer(baseline=tmp_path / "empty.png")
    with pytest.raises(MediaNotFoundError):
        VideoAnalyzer(baseline=tmp_path / "none.png")
    with pytest.raises(InputError, match="baseline_strength"):
        VideoAnalyzer(baseline=1.0, baseline_strength=2.0)


def test_seconds_do_not_fit_a_method_of_single_frames(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give an image or video as baseline"):
        analyze_video(tmp_path / "a.mp4", method="middle-frame", baseline=2)
    assert VideoOptions().baseline is None
