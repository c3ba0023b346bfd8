"""The pipeline that all shells share: kinds, callbacks, cancellation, items that fail."""

from __future__ import annotations

import os
import shutil
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.api.pipeline import KINDS, Analyzers, Item, Pipeline, Progress
from mien.api.sources import Source, find_sources, make_source
from mien.errors import DecodeError, InputError, MediaError, ModelError, UnknownModelError
from mien.options import AudioOptions, ModelOptions, VideoOptions
from mien.output import FORMATS
from mien.results import FailedItem, ImageResult, SpeechResult, VideoResult
from mien.samples import astronaut_path
from planted_faces import planted
from planted_speech import planted_speech, recording, write_recording
from planted_videos import write_video

SAID: list[tuple[str | None, float]] = [(None, 0.5), ("anger", 1.5)]
WALK = {0: [(0.0, 80.0, 120.0, 90.0), (2.0, 110.0, 120.0, 90.0)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image, an audio file, a video with sound, and what is none of them."""
    place = tmp_path_factory.mktemp("media")
    shutil.copy(astronaut_path(), place / "a.jpg")
    write_recording(place / "b.wav", SAID)
    shots = planted(WALK, seed=3, rate=10, seconds=2)
    frames = ((shot[0], Fraction(n, 10)) for n, shot in enumerate(shots))
    write_video(place / "c.mp4", frames, rate=10, sound=(recording(SAID), 16000))
    (place / "d.png").write_text("text")
    return place


@pytest.fixture(scope="module")
def analyzers(planted_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Analyzers:
    speech = planted_speech(tmp_path_factory.mktemp("speech"))
    return Analyzers(ModelOptions(model=planted_model, speech_model=speech, threads=1))


@pytest.mark.parametrize("workers", [1, 3])
def test_every_kind_comes_in_order_with_its_callbacks(folder: Path, analyzers: Analyzers, workers: int) -> None:
    calls: dict[str, list[Any]] = {}

    def record(name: str) -> Any:
        return lambda first, *more: calls.setdefault(name, []).append((first, *more))

    names = ("on_image", "on_audio", "on_frame", "on_segment", "on_progress", "on_result")
    pipeline = Pipeline(analyzers, workers=workers)
    items = list(pipeline.run([str(folder), folder / "gone.wav"], **{name: record(name) for name in names}))
    assert [item.source.name for item in items] == ["a.jpg", "b.wav", "c.mp4", "d.png", str(folder / "gone.wav")]
    assert [item.source.kind for item in items] == ["image", "audio", "video", "image", "audio"]
    image, audio, video, text, gone = (item.result for item in items)
    assert isinstance(image, ImageResult)
    assert isinstance(audio, SpeechResult)
    assert isinstance(video, VideoResult)
    assert [(failed.error, failed.kind) for failed in (text, gone) if isinstance(failed, FailedItem)] == [
        ("UnsupportedMediaError", "image"),
        ("MediaNotFoundError", "audio"),
    ]
    assert calls["on_image"][0][2] == image
    assert calls["on_image"][0][1].shape == (512, 512, 3)
    assert [frame for _, frame in calls["on_frame"]] != []
    assert [frame.time_s for _, frame in calls["on_frame"]] == video.times_s.tolist()
    assert sum(len(block.wave) for _, block in calls["on_audio"]) == 2 * 16000
    assert [result for _, result in calls["on_result"]] == [image, audio, video]
    stages = {(p.source.kind, p.stage) for (p,) in calls["on_progress"]}
    assert stages >= {("video", "frames"), ("video", "sound")}
    if workers == 1:
        assert tuple(segment for _, _, segment in calls["on_segment"]) == audio.segments
        assert [number for _, number, _ in calls["on_segment"]] == [*range(1, len(audio.segments) + 1)]
        assert ("audio", "sound") in stages
    else:
        assert "on_segment" not in calls
    last = [p for (p,) in calls["on_progress"] if p.stage == "frames"][-1]
    assert last == Progress(items[2].source, "frames", video.times_s[-1], 0.0, video.duration_s)


def test_the_functions_of_mien_give_the_same(folder: Path, analyzers: Analyzers) -> None:
    models = analyzers.models
    options = {"model": models.model, "speech_model": models.speech_model, "threads": 1}
    found = [item.result for item in Pipeline(analyzers).run([folder])]
    many = list(mien.analyze_many(folder, workers=2, **options))
    assert [result.to_dict() for result in many] == [result.to_dict() for result in found]
    assert mien.analyze(folder / "c.mp4", **options).to_dict() == found[2].to_dict()
    assert mien.analyze(folder / "b.wav", **options).to_dict() == found[1].to_dict()
    assert mien.analyze_image(folder / "a.jpg", model=models.model).to_dict() == found[0].to_dict()
    with pytest.raises(InputError, match="unknown option 'window_s': expected one of model, speech_model, output"):
        mien.analyze_image(folder / "a.jpg", window_s=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_formats_a_result_and_models(kind: Any, folder: Path, analyzers: Analyzers) -> None:
    source = next(source for source in find_sources([folder]) if source.kind == kind)
    result = Pipeline(analyzers).read(source)
    assert result.tables
    assert result.path == str(folder / source.name)
    assert any(kind in FORMATS[name].kinds for name in FORMATS)
    assert analyzers.labels(kind).emotions
    assert KINDS[kind].tasks
    assert make_source(Path(str(source.path)).read_bytes()).kind == kind


@pytest.mark.parametrize("error", [ValueError("odd"), OSError("the disk is gone"), MemoryError()])
@pytest.mark.parametrize("workers", [1, 2])
def test_any_error_of_an_item_becomes_its_row(
    folder: Path, analyzers: Analyzers, monkeypatch: pytest.MonkeyPatch, error: Exception, workers: int
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(analyzers.faces, "analyze", broken)
    items = list(Pipeline(analyzers, workers=workers).run([folder / "a.jpg", folder / "b.wav"]))
    failed, fine = (item.result for item in items)
    assert isinstance(failed, FailedItem)
    assert (failed.error, failed.message) == (type(error).__name__, str(error) or "MemoryError")
    assert isinstance(fine, SpeechResult)


@pytest.mark.parametrize("name", ["on_image", "on_result", "on_frame", "on_segment", "on_audio", "on_progress"])
def test_an_error_of_a_callback_ends_the_run_unless_it_is_one_of_mien(
    folder: Path, analyzers: Analyzers, name: str
) -> None:
    def call(error: Exception) -> Any:
        def raising(*_: Any) -> None:
            raise error

        return {name: raising}

    with pytest.raises(BrokenPipeError):
        list(Pipeline(analyzers).run([folder], **call(BrokenPipeError())))
    items = list(Pipeline(analyzers).run([folder], **call(MediaError("cannot write"))))
    assert len(items) == 4
    assert "cannot write" in {getattr(item.result, "message", None) for item in items}


def interrupted(items: Any) -> tuple[list[Item], bool]:
    """Return the items until Ctrl-C, and whether it was raised after them."""
    found: list[Item] = []
    try:
        for item in items:
            found.append(item)  # noqa: PERF402
    except KeyboardInterrupt:
        return found, True
    return found, False


@pytest.mark.parametrize("how", ["ctrl-c", "event", "callable"])
@pytest.mark.parametrize("name", ["b.wav", "c.mp4"])
def test_what_was_read_until_an_interruption_is_the_last_item(
    folder: Path, analyzers: Analyzers, name: str, how: str
) -> None:
    event, reached = threading.Event(), []

    def on_progress(progress: Progress) -> None:
        reached.append(progress.time_s)
        if progress.time_s >= 1.0:
            event.set()
            if how == "ctrl-c":
                raise KeyboardInterrupt

    cancel = {"ctrl-c": None, "event": event, "callable": event.is_set}[how]
    run = Pipeline(analyzers).run([folder / name, folder / "a.jpg"], on_progress=on_progress, cancel=cancel)
    (item,), raised = interrupted(run)
    assert raised == (how == "ctrl-c")
    assert not item.is_complete
    assert isinstance(item.result, SpeechResult | VideoResult)
    assert any(warning.startswith("interrupted: ") for warning in item.result.warnings)
    if isinstance(item.result, VideoResult):
        assert item.result.times_s[-1] == pytest.approx(1.0)
        assert item.result.speech is not None


def test_a_run_that_is_canceled_before_it_begins_reads_nothing(folder: Path, analyzers: Analyzers) -> None:
    for workers in (1, 2):
        assert list(Pipeline(analyzers, workers=workers).run([folder], cancel=lambda: True)) == []


def test_long_audio_in_threads_stops_when_the_caller_does(folder: Path, analyzers: Analyzers) -> None:
    started, blocks = threading.Event(), []
    long = mien.Audio(np.zeros(16000, np.float32), 16000)

    def on_audio(source: Source, block: Any) -> None:
        blocks.append(block)
        started.set()

    many = [long, *[folder / "b.wav"] * 50]
    items = Pipeline(analyzers, workers=2).run(many, on_audio=on_audio)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert started.is_set()
    count = len(blocks)
    assert count < 2 * 20
    assert len(blocks) == count


def test_models_that_cannot_be_loaded_end_the_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError):
        list(Pipeline(Analyzers(ModelOptions(model="face-bass"))).run([folder]))
    with pytest.raises(ModelError, match="is for speech-emotion"):
        list(mien.analyze_many([folder / "a.jpg"], model="speech-base"))


def test_own_analyzers_are_used(folder: Path, planted_model: Path) -> None:
    analyzers = Analyzers()
    analyzers.faces = mien.FaceAnalyzer(planted_model, threads=1)
    (item,) = Pipeline(analyzers).run([folder / "a.jpg"])
    assert isinstance(item.result, ImageResult)
    assert item.result.model == "planted"


def test_a_stream_is_detected_and_read(folder: Path, analyzers: Analyzers) -> None:
    with (folder / "c.mp4").open("rb") as file:
        file.seek(0)
        (item,) = Pipeline(analyzers, video=VideoOptions(step_s=1.0)).run([file])
    assert isinstance(item.result, VideoResult)
    assert item.result.speech is not None
    assert item.result.path == str(folder / "c.mp4")
    audio = make_source(folder / "c.mp4", only="voice")
    assert audio.kind == "audio"
    assert isinstance(Pipeline(analyzers).read(audio), SpeechResult)
    with pytest.raises(DecodeError, match="the image is empty"):
        Pipeline(analyzers).read(make_source(b""))


def test_windows_of_audio_are_options(folder: Path, analyzers: Analyzers) -> None:
    short = Analyzers(analyzers.models, audio=AudioOptions(window_s=0.5, hop_s=0.25))
    found = Pipeline(short).read(make_source(folder / "b.wav"))
    expected = mien.analyze_speech(folder / "b.wav", model=analyzers.models.speech_model, window_s=0.5, hop_s=0.25)
    assert found == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_an_item_with_its_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"")
    first, second = find_sources([tmp_path])
    assert str(first.error) == f"{tmp_path / 'a.jpg'} is a pipe, socket or device, not a file"
    assert second.error is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_is_named_outright_is_read(tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe", b"\xff\xd8\xff" + bytes(100_000)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    (source,) = find_sources([pipe])
    writer.join()
    assert (source.kind, source.path, source.data.read()) == ("image", str(pipe), content)
