"""Models for clips at use: which faces they get, and where their predictions are found; the model is planted."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.labels import BAUM8
from mien.models import ModelSpec, Output
from mien.models.spec import ClipInput, License, ModelFile, parse_record
from mien.results import VideoResult
from mien.video.analyzer import VideoAnalyzer
from mien.video.clips import ClipFrames, ClipModel
from planted_faces import planted

FRAMES, SIZE = 4, 16
PEOPLE = {number: [(0.0, x, 120.0, 110.0), (1.0, x, 125.0, 110.0)] for number, x in enumerate((80.0, 240.0))}


@pytest.fixture
def spec() -> ModelSpec:
    from mien.models import registry

    return ModelSpec(
        name="planted-clips",
        task="video-emotion",
        description="counts frames",
        version="1",
        date=dt.date(2026, 1, 31),
        files=(ModelFile("graph", "planted.onnx", "0" * 64, 1),),
        license=License("none", "none"),
        path=Path("planted.toml"),
        clip=ClipInput(frames=FRAMES, size=SIZE, crops=True),
        crop={**registry.get("face-base").crop, "size": SIZE},
        outputs=(Output("baum8", "logits_baum8", BAUM8, 2.0, default=True),),
    )


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Plant a graph whose logits are how many frames there are, for the first class; return what it gets."""
    got: list[dict[str, Any]] = []

    def run(feed: dict[str, Any], names: list[str]) -> dict[str, Any]:
        got.append(feed)
        return {names[0]: feed["mask"].sum() * np.eye(8, dtype=np.float32)[:1]}

    monkeypatch.setattr("mien.models.runtime.load", lambda *_, **__: SimpleNamespace(run=run))
    return got


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_faces_are_evenly_spaced_and_padded(spec: ModelSpec, feeds: list[dict[str, Any]], n: int) -> None:
    crops = np.full((n, SIZE, SIZE, 3), 7, np.uint8) * np.arange(n, dtype=np.uint8)[:, None, None, None]
    emotion = ClipModel(spec).predict(crops)
    (feed,) = feeds
    assert feed["crops"].shape == (1, FRAMES, SIZE, SIZE, 3)
    there = min(n, FRAMES)
    assert feed["mask"].tolist() == [[1.0] * there + [0.0] * (FRAMES - there)]
    expected = {1: [0], 3: [0, 7, 14], 4: [0, 7, 14, 21], 9: [0, 21, 35, 56]}[n]
    assert feed["crops"][0, :there, 0, 0, 0].tolist() == expected
    assert not feed["crops"][0, there:].any()
    share = np.exp(there / 2.0)
    assert emotion[BAUM8.emotions[0]] == pytest.approx(share / (share + 7))


def test_gray_faces_of_another_size_work_too(spec: ModelSpec, feeds: list[dict[str, Any]]) -> None:
    ClipModel(spec).predict(np.full((2, 48, 48), 90, np.uint8))
    assert feeds[0]["crops"][0, :2].min() == feeds[0]["crops"][0, :2].max() == 90


def test_a_record_comes_back(spec: ModelSpec) -> None:
    again = parse_record(spec.to_dict(), spec.path)
    assert again == spec
    assert pickle.loads(pickle.dumps(ClipModel(spec))).input == spec.clip


def test_kept_frames_are_few_and_evenly_spaced() -> None:
    kept = ClipFrames(FRAMES)
    for frame in range(0, 1000, 3):
        kept.append(frame, np.full((2, 2, 3), frame % 251, np.uint8))
        assert len(kept.crops()) <= 4 * FRAMES
    assert len(kept.crops()) > 2 * FRAMES
    numbers = [int(crop[0, 0, 0]) for crop in kept.crops()]
    steps = np.diff(numbers) % 251
    assert len(set(steps.tolist())) == 1
    other = ClipFrames(FRAMES)
    for frame in range(1000, 1010):
        other.append(frame, np.full((2, 2, 3), 255, np.uint8))
    kept.merge(other)
    assert len(kept.crops()) <= 4 * FRAMES
    assert 1 <= sum(crop.max() == 255 for crop in kept.crops()) <= 6


def test_each_person_and_the_video_get_a_prediction(spec: ModelSpec) -> None:
    analyzer = VideoAnalyzer(clip_model=spec)
    assert isinstance(analyzer.clip_model, ClipModel)
    seen: list[np.ndarray] = []

    def run(feed: dict[str, Any], names: list[str]) -> dict[str, Any]:
        seen.append(feed["crops"][0])
        return {names[0]: 3.0 * np.eye(8, dtype=np.float32)[[len(seen) - 1]]}

    analyzer.clip_model.__dict__["session"] = SimpleNamespace(run=run)
    shots = [(image, time_s) for image, time_s, _ in planted(PEOPLE, seed=3, rate=10, seconds=1)]
    video = analyzer.analyze(shots)
    assert video.clip_model == "planted-clips"
    assert [track.clip.top for track in video.tracks if track.clip] == list(BAUM8.emotions[:2])
    assert all(crops.std() > 10 for crops in seen)
    clip = video.summary.clip
    assert clip is not None
    assert clip.labels == BAUM8
    assert clip[BAUM8.emotions[0]] == pytest.approx(clip[BAUM8.emotions[1]], rel=0.2)
    rows = video.rows("tracks")
    assert [row["clip"] for row in rows] == list(BAUM8.emotions[:2])
    assert rows[0]["clip_confidence"] == pytest.approx(video.tracks[0].clip.confidence)  # type: ignore[union-attr]
    again = VideoResult.from_dict(video.to_dict())
    assert again.to_dict() == video.to_dict()
    assert again.tracks[1].clip == video.tracks[1].clip
    plain = VideoAnalyzer().analyze(shots)
    assert (plain.clip_model, plain.summary.clip) == ("", None)
    assert {row["clip"] for row in plain.rows("tracks")} == {None}
