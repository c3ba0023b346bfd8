"""How long it takes to bring an hour of faces and speech together: ``python benchmarks/fusion.py``.

Two people are in view all the time, thirty others for a while each, at 5 or 30 analyzed frames a second; somebody
speaks most of the time, and the emotions of face and voice change every few seconds.  Nothing is read: results are made
up.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mien.fusion import METHODS, fuse
from mien.labels import FERPLUS8, RAVDESS8
from mien.results import Emotion, EmotionSegment, FaceTrack, SpeechResult, SpeechSegment
from mien.video.timeline import find_episodes, smooth


def track(number: int, start_s: float, end_s: float, fps: float, random: np.random.Generator) -> FaceTrack:
    """Return a track with drawn emotions that last about three seconds each."""
    times = np.arange(start_s, end_s, 1 / fps)
    n, lengths = len(times), np.full(len(times), 1 / fps)
    moods = random.dirichlet(np.full(8, 0.4), int((end_s - start_s) / 3) + 1)
    shares = moods[((times - start_s) / 3).astype(int)] * 0.9 + 0.1 * random.dirichlet(np.ones(8), n)
    smoothed = smooth(times, shares, tau_s=0.4)
    pieces = find_episodes(times, lengths, smoothed)
    segments = tuple(EmotionSegment(p.start_s, p.end_s, Emotion(FERPLUS8, tuple(p.mean.tolist()))) for p in pieces)
    corner = random.uniform(0, 200, 2)
    boxes = np.tile(np.concatenate([corner, corner + random.uniform(40, 160)]), (n, 1)) + random.normal(0, 3, (n, 4))
    return FaceTrack(
        number,
        FERPLUS8,
        times,
        lengths,
        boxes.astype(np.float32),
        np.ones(n, np.float32),
        shares.astype(np.float32),
        smoothed.astype(np.float32),
        np.ones(n, bool),
        timeline=segments,
    )


def speech(end_s: float, random: np.random.Generator) -> SpeechResult:
    """Return speech with pauses, its emotion drawn anew in every segment."""
    segments: list[SpeechSegment] = []
    at, speaks = 0.0, False
    while at < end_s:
        until = min(at + float(random.uniform(0.8, 4.5) if speaks else random.uniform(0.3, 2.0)), end_s)
        emotion = Emotion(RAVDESS8, tuple(random.dirichlet(np.full(8, 0.5)).tolist())) if speaks else None
        segments.append(SpeechSegment(at, until, speaks, emotion))
        at, speaks = until, not speaks
    return SpeechResult(end_s, tuple(segments))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    end_s = 3600 * asked.hours
    for fps in (5.0, 30.0):
        random = np.random.default_rng(0)
        tracks = [track(k, 0, end_s, fps, random) for k in (1, 2)]
        starts = np.sort(random.uniform(0, end_s - 120, 30))
        tracks += [track(k, s, s + 110, fps, random) for k, s in enumerate(starts.tolist(), 3)]
        heard = speech(end_s, random)
        frames, segments = sum(map(len, tracks)), sum(len(t.timeline) for t in tracks)
        print(f"{fps:g} frames/s: {frames} faces in {segments} episodes, {len(heard.segments)} segments of sound")
        for method in METHODS:
            taken = []
            for _ in range(asked.repeats):
                begin = time.perf_counter()
                result = fuse(tracks, heard, method=method)
                taken.append(time.perf_counter() - begin)
            print(f"  {method:15s} {min(taken):.3f} s for {len(result.segments)} segments")


if __name__ == "__main__":
    main()
