"""Evaluation on videos: of models for clips, and of face models whose predictions for the frames are averaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import load_dataset
from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.evaluate.calibration import softmax
from mien.evaluate.files import make_folder, write_bytes, write_words
from mien.evaluate.machine import machine
from mien.evaluate.markdown import section, table
from mien.evaluate.models import find_model
from mien.face.align import fit_crop
from mien.labels import mapping
from mien.metrics import bootstrap_interval, class_scores, confusion_matrix, recall_sums, uar_of_sums
from mien.models import ModelSpec
from mien.output import plots
from mien.video.clips import ClipModel, FaceFeatures, average_frames

__all__ = ["HEAD", "VideoEvaluation", "VideoFigures", "evaluate_videos", "write_video_report"]

HEAD = ("model", "clips", "groups", "accuracy", "UAR", "macro F1")
"""Titles of `figures_rows`."""

_FRAMES, _SIZE = 16, 48
"""Frames of a clip, and their side in pixels, for face models."""


@dataclass(frozen=True, slots=True)
class VideoFigures:
    """Figures of the predictions of one model for clips; each with the ends of a 95 % bootstrap interval over groups.

    Parameters
    ----------
    net : str
        Name of the model.
    n, groups : int
        Clips, and subjects (or clips, where the data names none).
    accuracy, uar, macro_f1 : tuple of float
        Value, low end, high end.
    """

    net: str
    n: int
    groups: int
    accuracy: tuple[float, float, float]
    uar: tuple[float, float, float]
    macro_f1: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class VideoEvaluation:
    """The predictions of one model for clips.

    Parameters
    ----------
    figures : VideoFigures
        How good they are.
    samples : Samples
        The clips.
    probabilities : numpy.ndarray
        float64 (n, classes), in the labels of the samples.
    seen : tuple of str
        Subjects of the clips that the model learned from; of face models nobody.
    """

    figures: VideoFigures
    samples: Samples
    probabilities: NDArray[np.float64]
    seen: tuple[str, ...]


def evaluate_videos(
    model: str, dataset: str, path: str | Path, *, split: str = "all", options: dict[str, Any] | None = None
) -> VideoEvaluation:
    """Evaluate a model on the clips of a dataset.

    Parameters
    ----------
    model : str
        A folder that ``mien train`` made of a recipe for clips, or a face model: its predictions for 16 frames are
        averaged.
    dataset : str
        A dataset of videos, see `mien.data.DATASETS`.
    path : str or pathlib.Path
        Its folder.
    split : str
        Only this split, ``"all"`` for every clip with a label.
    options : dict, optional
        What the dataset takes.

    Raises
    ------
    ModelError
        If there is no such model, or it is damaged or unfinished.
    DatasetError
        If the dataset is missing or wrong.
    """
    samples = load_dataset(dataset, path, split=None if split == "all" else split, **(options or {})).labeled()
    if not len(samples):
        raise DatasetError(f"{path}: no clip has a label")
    spec = find_model(model)
    seen: set[str] = set()
    if spec.task == "video-emotion":
        name, probabilities = spec.name, _predict_clips(spec, samples)
        if spec.training.get("dataset") == dataset:
            seen = set(spec.training.get("subjects", [])) & set(samples.subjects.tolist())
    else:
        name, probabilities = f"{model}, averaged over frames", _average_faces(spec, samples)
    found = figures(name, samples.labels, probabilities.argmax(axis=1), samples.groups())
    return VideoEvaluation(found, samples, probabilities, tuple(sorted(seen)))


def _predict_clips(spec: ModelSpec, samples: Samples) -> NDArray[np.float64]:
    model = ClipModel(spec, threads=None)
    clips = (samples.read_frames(row, model.input.frames, size=model.input.size) for row in range(len(samples)))
    logits = np.stack([model.logits(images) for images in clips])
    return mapping(model.labels, samples.label_set).apply(softmax(logits))


def _average_faces(spec: ModelSpec, samples: Samples) -> NDArray[np.float64]:
    model = FaceFeatures(spec)
    clips = [samples.read_frames(row, _FRAMES, size=_SIZE) for row in range(len(samples))]
    features = model(np.stack([fit_crop(image, model.size) for images in clips for image in images]))
    padded = np.zeros((len(clips), _FRAMES, features.shape[1]), np.float32)
    mask = (np.arange(_FRAMES) < np.array([len(images) for images in clips])[:, None]).astype(np.float32)
    padded[mask > 0] = features
    return average_frames(padded, mask, spec, samples.label_set)


def figures(
    name: str, truth: NDArray[np.int64], predicted: NDArray[np.int64], group: NDArray[np.int64]
) -> VideoFigures:
    """Measure predictions.

    Parameters
    ----------
    name : str
        Whose they are.
    truth, predicted : numpy.ndarray
        int64 (n,): labels and predictions.
    group : numpy.ndarray
        int64 (n,): clips that are drawn together.
    """
    right = np.stack([truth == predicted, np.ones(len(truth))], axis=1)
    classes = np.union1d(truth, predicted)
    hits = (truth[:, None] == classes) & (predicted[:, None] == classes)
    f1_sums = np.concatenate([2 * hits, (truth[:, None] == classes) * 1 + (predicted[:, None] == classes)], axis=1)
    return VideoFigures(
        name,
        len(truth),
        len(np.unique(group)),
        _with_ends(right, lambda sums: sums[:, 0] / sums[:, 1], group),
        _with_ends(recall_sums(truth, predicted), uar_of_sums, group),
        # An F1 is a share of sums as a recall is, so the mean over classes is made alike.
        _with_ends(f1_sums.astype(np.float64), uar_of_sums, group),
    )


def _with_ends(
    sums: NDArray[np.float64], figure: Callable[[NDArray[np.float64]], NDArray[np.float64]], group: NDArray[np.int64]
) -> tuple[float, float, float]:
    value = float(figure(sums.sum(axis=0, keepdims=True))[0])
    return (value, *bootstrap_interval(sums, figure, groups=group))


def figures_text(found: Sequence[VideoFigures]) -> str:
    """Return figures as JSON."""
    return json.dumps([asdict(f) for f in found], indent=2, ensure_ascii=False)


def figures_rows(found: Sequence[VideoFigures]) -> list[tuple[str, ...]]:
    """Return figures as the rows of a table."""
    return [
        (f.net, str(f.n), str(f.groups), *(_percent(*value) for value in (f.accuracy, f.uar, f.macro_f1)))
        for f in found
    ]


def write_video_report(
    folder: Path,
    samples: Samples,
    found: Sequence[VideoFigures],
    probabilities: NDArray[np.floating],
    *,
    title: str,
    lines: Sequence[str],
    fold: NDArray[np.int64] | None = None,
    folds: str = "",
) -> None:
    """Write ``report.md``, ``confusion.png`` and ``predictions.csv``.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; it is made if need be.
    samples : Samples
        The clips.
    found : sequence of VideoFigures
        Figures to show; those of ``probabilities`` first.
    probabilities : numpy.ndarray
        float (n, classes).
    title : str
        Of the report, as Markdown.
    lines : sequence of str
        What stands under it, as Markdown.
    fold : numpy.ndarray, optional
        int64 (n,): in which fold each clip was tested.
    folds : str
        A text on the folds, as Markdown.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    truth, predicted = samples.labels, probabilities.argmax(axis=1)
    labels = samples.label_set.emotions
    chart = plots.confusion_pair(confusion_matrix(truth, predicted, n_classes=len(labels)), labels, unit="clips")
    where = make_folder(folder)
    write_bytes(where / "confusion.png", chart)
    write_words(where / "predictions.csv", _predictions(samples, fold, probabilities))
    largest = f"Largest class: {100 * np.bincount(truth).max() / len(truth):.1f} %."
    parts = [
        f"# {title}",
        *lines,
        section("Result", table(HEAD, figures_rows(found), right=(1, 2)), largest),
        section("Classes", _classes(truth, predicted, labels)),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section("Folds", folds) if folds else "",
        section("Files", "`predictions.csv`: every prediction."),
        section("Machine", table(("what", "value"), list(machine().items()))),
    ]
    write_words(where / "report.md", "\n\n".join(part for part in parts if part) + "\n")


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _classes(truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str]) -> str:
    scores = class_scores(truth, predicted, n_classes=len(labels))
    rows = [
        (
            label,
            *("-" if np.isnan(c[i]) else f"{100 * c[i]:.1f}" for c in (scores.precision, scores.recall, scores.f1)),
            scores.support[i],
            scores.predicted[i],
        )
        for i, label in enumerate(labels)
    ]
    return table(("class", "precision %", "recall %", "F1 %", "true", "answered"), rows, right=range(1, 6))


def _predictions(samples: Samples, fold: NDArray[np.int64] | None, probabilities: NDArray[np.floating]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = samples.label_set.emotions
    writer.writerow(["clip", "subject", "fold", "true", "answered", "right", *(f"p_{name}" for name in names)])
    for row, p in enumerate(probabilities):
        true, predicted = int(samples.labels[row]), int(p.argmax())
        values = [names[true], names[predicted], int(predicted == true), *(f"{value:.4f}" for value in p)]
        number = "" if fold is None else int(fold[row]) + 1
        writer.writerow([str(samples.clips[row]), str(samples.subjects[row]), number, *values])
    return stream.getvalue()
