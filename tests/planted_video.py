"""Results of videos with known content, made from plans: who shows what for how long, and when nobody is in view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.fusion import fuse
from mien.labels import FERPLUS8, RAVDESS8, LabelSet
from mien.results import Emotion, SpeechResult, SpeechSegment, VideoFrame, VideoResult
from mien.results.track import EmotionSegment, FaceTrack, Moment

Plan = Sequence[tuple[str | None, float]]
"""Emotions and how many seconds each lasts, one after the other; None is out of view."""

SHARE, PEAK = 0.75, 0.95
"""Probability of the emotion of a part at its ends and in its middle."""


def distribution(top: str, share: float = SHARE, labels: LabelSet = FERPLUS8) -> Emotion:
    """Return a distribution with a share for one emotion, the rest spread evenly."""
    rest = (1 - share) / (len(labels) - 1)
    return Emotion(labels, tuple(share if name == top else rest for name in labels.emotions))


def shown_at(plan: Plan, times_s: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each time (the part of the plan, how probable its emotion is); the part is -1 out of view."""
    lengths = np.array([seconds for _, seconds in plan] + [1.0])
    ends = np.cumsum(lengths)
    # A time that is an end but for rounding belongs to the next part.
    parts = np.minimum(np.searchsorted(ends, times_s + 1e-9, side="right"), len(plan))
    place = (times_s - (ends - lengths)[parts]) / lengths[parts]
    away = np.array([name is None for name, _ in plan] + [True])
    return np.where(away[parts], -1, parts), SHARE + (PEAK - SHARE) * (1 - np.abs(2 * place - 1))


def track(
    number: int,
    plan: Plan,
    times_s: NDArray[np.float64],
    *,
    step_s: float,
    size: tuple[int, int] = (320, 240),
    labels: LabelSet = FERPLUS8,
    landmarks: bool = True,
) -> FaceTrack:
    """Return one person who does what a plan says, as the frames at these times show it.

    The timeline has a segment for each part of the plan, and the moments are the frames nearest to their middles.
    """
    shown, sure = shown_at(plan, times_s)
    places = np.flatnonzero(shown >= 0)
    shown, sure, seen_s = shown[places], sure[places], times_s[places]
    tops = np.array([0 if name is None else labels.index(name) for name, _ in plan])[shown]
    shares = np.repeat(((1 - sure) / (len(labels) - 1))[:, None], len(labels), axis=1)
    shares[np.arange(len(places)), tops] = sure
    boxes = _boxes(number, seen_s, size)
    segments, moments = [], []
    for part in np.unique(shown):
        rows = np.flatnonzero(shown == part)
        mean = Emotion(labels, tuple((shares[rows].mean(axis=0) / shares[rows].mean(axis=0).sum()).tolist()))
        segments.append(EmotionSegment(float(seen_s[rows[0]]), float(seen_s[rows[-1]] + step_s), mean))
        best = rows[sure[rows].argmax()]
        name = labels.emotions[tops[best]]
        moments.append(Moment(float(seen_s[best]), name, float(sure[best]), tuple(boxes[best].tolist())))
    return FaceTrack(
        number=number,
        labels=labels,
        times_s=seen_s,
        durations_s=np.full(len(places), step_s),
        boxes=boxes,
        scores=np.full(len(places), 0.99, np.float32),
        probabilities=shares,
        smoothed=shares,
        detected=np.arange(len(places)) % 3 == 0,
        landmarks=_landmarks(boxes) if landmarks else None,
        timeline=tuple(segments),
        moments=tuple(sorted(moments, key=lambda moment: -moment.probability)[:3]),
    )


def planted_video(
    *plans: Plan, step_s: float = 0.2, size: tuple[int, int] = (320, 240), labels: LabelSet = FERPLUS8, **more: Any
) -> VideoResult:
    """Return a video with a person for each plan, as long as the longest.

    Parameters
    ----------
    *plans : sequence of (str or None, float)
        What each person does; persons are numbered in the order given.
    step_s : float
        From one analyzed frame to the next.
    size : (int, int)
        Width and height.
    labels : LabelSet
        The emotions.
    **more
        Other fields of the `mien.VideoResult`.
    """
    duration_s = max((sum(seconds for _, seconds in plan) for plan in plans), default=2.0)
    times_s = np.arange(round(duration_s / step_s)) * step_s
    people = [track(n, plan, times_s, step_s=step_s, size=size, labels=labels) for n, plan in enumerate(plans, 1)]
    fields: dict[str, Any] = {
        "path": "video.mp4",
        "model": "planted",
        "detector": "mtcnn",
        "frame_rate": 30.0,
        "frames_read": len(times_s),
    }
    return VideoResult(
        width=size[0],
        height=size[1],
        duration_s=duration_s,
        start_s=0.0,
        end_s=duration_s,
        times_s=times_s,
        tracks=tuple(people),
        **{**fields, **more},
    )


def crowd_plan(seconds: float, random: np.random.Generator, *, labels: LabelSet = FERPLUS8, pause: float = 0.3) -> Plan:
    """Return a plan of parts of random length, a share of them out of view, that begins with an emotion."""
    parts: list[tuple[str | None, float]] = []
    left = seconds
    while left > 0:
        length = min(left, float(random.uniform(0.02, 0.15)) * seconds)
        away = parts and random.uniform() < pause
        parts.append((None if away else labels.emotions[random.integers(len(labels))], length))
        left -= length
    return parts


def crowd(people: int, seconds: float, *, step_s: float = 0.2, seed: int = 0, **more: Any) -> VideoResult:
    """Return a video of a length with many people, each in view now and then."""
    random = np.random.default_rng(seed)
    plans = []
    for number in range(people):
        away = seconds * 0.5 * number / people
        plan = [(None, away), *crowd_plan((seconds - away) * float(random.uniform(0.3, 1.0)), random)]
        # All plans fill the video.
        plans.append([*plan, (None, max(0.0, seconds - sum(length for _, length in plan)))])
    return planted_video(*plans, step_s=step_s, **more)


def planted_speech(plan: Plan, *, path: str | None = "video.mp4", warnings: tuple[str, ...] = ()) -> SpeechResult:
    """Return what a voice says by a plan, each emotion with `SHARE`; None is no speech."""
    ends = list(accumulate(seconds for _, seconds in plan))
    segments = [
        SpeechSegment(
            end - seconds, end, name is not None, None if name is None else distribution(name, labels=RAVDESS8)
        )
        for (name, seconds), end in zip(plan, ends, strict=True)
    ]
    return SpeechResult(ends[-1], tuple(segments), path, "planted-speech", warnings)


def with_voice(video: VideoResult, plan: Plan, *, method: str = "average") -> VideoResult:
    """Return a video with a voice that says what a plan says, and both together."""
    speech = planted_speech(plan, path=video.path)
    return replace(video, speech=speech, fused=fuse(video, speech, method=method))


def make_images(video: VideoResult, *, seed: int = 0) -> Iterator[tuple[NDArray[np.uint8], VideoFrame]]:
    """Yield an image for each frame of a video: noise, and in each face's box a color of the person's own."""
    noise = np.random.default_rng(seed).integers(90, 110, (video.height, video.width, 3)).astype(np.uint8)
    for frame in video.frames():
        image = noise.copy()
        for face in frame.faces:
            x1, y1, x2, y2 = (max(0, round(v)) for v in face.face.box)
            image[y1:y2, x1:x2] = color_of(face.track)
        yield image, frame


def color_of(number: int) -> tuple[int, int, int]:
    """Return the color of a person's face in `images`."""
    return (40 + 53 * number % 200, 40 + 97 * number % 200, 40 + 151 * number % 200)


def _boxes(number: int, times_s: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return where a person's face is: people stand in rows of four, and sway."""
    width, height = size
    side = min(width, height) / 5
    x = (0.06 + 0.24 * ((number - 1) % 4)) * width + 0.1 * side * np.sin(times_s)
    y = np.full_like(x, (0.08 + 0.3 * ((number - 1) // 4 % 3)) * height)
    return np.stack([x, y, x + 0.8 * side, y + side], axis=1).astype(np.float32)


def _landmarks(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the five landmarks of faces that look straight ahead."""
    places = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return np.asarray(boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None], np.float32)
