"""The examination of fusions on labeled videos: the face, the voice and both together, of the same moment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.api.analysis import SpeechAnalysis, VideoAnalysis
from mien.data.samples import Samples
from mien.errors import DatasetError, MienError
from mien.evaluate.figures import accuracy_interval
from mien.evaluate.files import make_folder, write_words
from mien.evaluate.fusion_pairs import common_labels
from mien.evaluate.markdown import table
from mien.evaluate.report import percent, text_table
from mien.fusion import METHODS, fuse
from mien.io.paths import format_path
from mien.labels import FER7
from mien.metrics import Interval, ece, ece_floor
from mien.options import VideoOptions
from mien.results import SpeechResult, VideoResult
from mien.speech.analyzer import SpeechAnalyzer
from mien.video.analyzer import VideoAnalyzer

__all__ = [
    "VideoFigures",
    "VideosEvaluation",
    "examine_videos",
    "videos_json",
    "videos_text",
    "watched",
    "write_videos_folder",
]

STEP_S = 0.2
"""Seconds from one analyzed frame to the next, as ``mien analyze`` takes them."""

_SIDES = ("face", "voice", *METHODS)


@dataclass(frozen=True, slots=True)
class VideoFigures:
    """What comes of one side, or of one fusion.

    Parameters
    ----------
    name : str
        ``"face"``, ``"voice"``, or one of `mien.fusion.METHODS`.
    answered : int
        Videos that it says something of; the others count as wrong.
    accuracy : float
        Share of all videos, from 0 to 1.
    interval : Interval or None
        95 % interval of the accuracy, drawn over subjects; over videos where those are not known.  None for one video.
    ece, ece_above_floor : float or None
        Calibration over the videos that it says something of.
    """

    name: str
    answered: int
    accuracy: float
    interval: Interval | None
    ece: float | None
    ece_above_floor: float | None


@dataclass(frozen=True, slots=True)
class VideosEvaluation:
    """The examination of fusions on videos.

    Parameters
    ----------
    dataset, source : str
        The corpus.
    n : int
        Videos that could be analyzed.
    figures : tuple of VideoFigures
        By side.
    problems : tuple of str
        A line for every video that could not.
    """

    dataset: str
    source: str
    n: int
    figures: tuple[VideoFigures, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return dataclasses.asdict(self)


def watched(path: str, faces: VideoAnalyzer, voices: SpeechAnalyzer) -> tuple[VideoResult, SpeechResult | None]:
    """Return what is seen and heard in a video; None for a video without sound."""
    has_sound: list[bool] = []
    reader = VideoAnalysis(
        faces, path, VideoOptions(step_s=STEP_S), on_open=lambda video: has_sound.append(video.has_audio)
    )
    for _ in reader.frames():
        pass
    if not all(has_sound):
        return reader.result(), None
    sound = SpeechAnalysis(voices, path)
    for _ in sound.segments():
        pass
    return reader.result(), sound.result()


def examine_videos(
    clips: Samples,
    faces: VideoAnalyzer,
    voices: SpeechAnalyzer,
    *,
    seed: int = 0,
    resamples: int = 2000,
    progress: Callable[[int], None] | None = None,
) -> VideosEvaluation:
    """Analyze labeled videos and compare face, voice and all fusions with their labels.

    A video's answer is the mean of its segments by time.

    Parameters
    ----------
    clips : Samples
        Videos; those without a label in `mien.labels.FER7`, and clips of images, are left out.
    faces, voices : VideoAnalyzer, SpeechAnalyzer
        What answers.
    seed, resamples : int
        Of the bootstrap.
    progress : callable, optional
        Called with 1 after each clip.

    Returns
    -------
    VideosEvaluation
        The figures.

    Raises
    ------
    DatasetError
        If no video with a label could be analyzed.
    """
    labels = common_labels(clips.labels, clips.label_set)
    told: list[dict[str, NDArray[np.float64]]] = []
    kept: list[int] = []
    problems: list[str] = []
    for index in range(len(clips)):
        if labels[index] >= 0 and not clips.frames[index]:
            try:
                told.append(_answers(*watched(clips.where(index), faces, voices)))
                kept.append(index)
            except MienError as error:
                problems.append(f"{format_path(clips.where(index))}: {error}")
        if progress is not None:
            progress(1)
    if not told:
        raise DatasetError(f"{format_path(clips.source)}: no video with a label of {FER7.name} could be analyzed")
    truth = labels[kept]
    subjects = clips.subjects[kept]
    drawn = subjects if len(set(subjects.tolist())) > 1 else np.arange(len(truth))
    figures = tuple(_figures(name, [t[name] for t in told], truth, drawn, resamples, seed) for name in _SIDES)
    return VideosEvaluation(clips.name, clips.source, len(truth), figures, tuple(problems))


def _answers(video: VideoResult, speech: SpeechResult | None) -> dict[str, NDArray[np.float64]]:
    none = np.full(len(FER7), np.nan)
    found = {}
    for method in METHODS:
        result = fuse(video, speech, method=method)
        emotion = result.emotion
        found[method] = none if emotion is None else emotion.to_array()
        for side in ("face", "voice"):
            alone = result.mean(side)
            found[side] = none if alone is None else alone.to_array()
    return found


def _figures(
    name: str,
    rows: list[NDArray[np.float64]],
    truth: NDArray[np.int64],
    drawn: NDArray[Any],
    resamples: int,
    seed: int,
) -> VideoFigures:
    p = np.stack(rows)
    there = ~np.isnan(p[:, 0])
    said = np.where(there, np.nan_to_num(p).argmax(axis=1), len(FER7))
    interval = None
    if len(np.unique(drawn)) > 1:
        interval = accuracy_interval(truth, said, drawn, resamples=resamples, seed=seed)
    error = ece(p[there], truth[there]) if there.any() else None
    above = None if error is None else error - ece_floor(p[there], seed=seed)
    return VideoFigures(name, int(there.sum()), float(np.mean(said == truth)), interval, error, above)


def videos_json(result: VideosEvaluation) -> str:
    """Return the examination as one JSON document."""
    return json.dumps(result.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def videos_text(result: VideosEvaluation, *, method: str = "experts") -> str:
    """Return the examination as text, the chosen method marked."""
    head = f"{result.n} videos of {result.dataset}, seven emotions; a video without an answer counts as wrong"
    rows = [(f"{cells[0]} *" if cells[0] == method else cells[0], *cells[1:]) for cells in _rows(result)]
    return head + "\n\n" + text_table(_HEAD, rows, right=(1, 2, 4))


def write_videos_folder(folder: str | Path, result: VideosEvaluation, *, command: str = "") -> None:
    """Write ``report.json`` and ``report.md``.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    where = make_folder(folder)
    write_words(where / "report.json", videos_json(result) + "\n")
    problems = "\n".join(f"- {line}" for line in result.problems)
    parts = [
        "# Faces and voices of videos together",
        f"{result.n} videos of {result.dataset}, seven emotions; a video without an answer counts as wrong.",
        table(_HEAD, _rows(result), right=(1, 2, 4)),
        problems and f"Videos that could not be analyzed:\n\n{problems}",
        command and f"Made by `{command}`.",
    ]
    write_words(where / "report.md", "\n\n".join(part for part in parts if part) + "\n")


_HEAD = ("", "answered", "accuracy", "95 % interval", "ECE above floor")


def _rows(result: VideosEvaluation) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for f in result.figures:
        interval = "" if f.interval is None else f"{percent(f.interval[0])} to {percent(f.interval[1])}"
        above = "" if f.ece_above_floor is None else f"{f.ece_above_floor:.3f}"
        rows.append((f.name, str(f.answered), percent(f.accuracy), interval, above))
    return rows
