"""Examinations on clips: of nets trained on clips, and of face models whose answers to the frames are averaged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.evaluate.calibration import softmax
from mien.labels import LABEL_SETS, mapping
from mien.train.folder import load_net, read_config
from mien.train.kinds import Videos
from mien.train.nested import CHOICE, NET
from mien.train.nets import VideoNet
from mien.train.nets.hybrid import blended
from mien.train.recipe import Recipe, Video
from mien.train.video_corpus import VideoCorpus, load_videos
from mien.train.video_features import FrameReader, frames_averaged
from mien.train.video_report import VideoFigures, figures

__all__ = ["VideoExamined", "examine_videos"]


@dataclass(frozen=True, slots=True, eq=False)
class VideoExamined:
    """What one model answered to clips.

    Parameters
    ----------
    figures : VideoFigures
        How good the answers are.
    corpus : VideoCorpus
        The clips.
    answers : numpy.ndarray
        float64 (n, classes): probabilities in the corpus's labels.
    seen : tuple of str
        Subjects of the clips that the model learned from; of face models nobody.
    """

    figures: VideoFigures
    corpus: VideoCorpus
    answers: NDArray[np.float64]
    seen: tuple[str, ...]


def examine_videos(
    model: str, dataset: str, path: str | Path, *, split: str = "all", options: dict[str, Any] | None = None
) -> VideoExamined:
    """Let a model answer to the clips of a corpus.

    Parameters
    ----------
    model : str
        A folder that ``mien train`` made of a recipe for clips, or a face model: its answers to 16 frames are averaged.
    dataset : str
        One of `mien.data.DATASETS`.
    path : str or pathlib.Path
        Its folder.
    split : str
        Only this split, ``"all"`` for every clip with a label.
    options : dict, optional
        What the corpus takes besides.

    Raises
    ------
    ModelError
        If there is no such model, or it is damaged or unfinished.
    DatasetError
        If the corpus is missing or wrong.
    """
    given: dict[str, Any] = {"dataset": dataset, "dataset_options": options or {}}
    if not (Path(model) / CHOICE).is_file():
        recipe = Recipe(name="frames", net="temporal", net_options=_sizes(model), video=Video(model=model), **given)
        corpus = load_videos(recipe, path, split=split)
        answers = frames_averaged(corpus.features, corpus.mask, model, corpus.label_set)
        return VideoExamined(_figures(f"{model}, averaged over frames", corpus, answers), corpus, answers, ())
    folder = Path(model)
    choice = _choice(folder / CHOICE)
    nets = [_net(folder / name / NET) for name in choice["shares"]]
    recipe = read_config(folder)
    corpus = load_videos(replace(recipe, **given), path, split=split)
    ((head, answers),) = _answers(nets, tuple(choice["shares"].values()), corpus).items()
    if head != corpus.label_set.name:
        if head not in LABEL_SETS:
            raise ModelError(f"{folder} answers in labels of its own, {head}, and cannot be measured on {dataset}")
        answers = mapping(LABEL_SETS[head], corpus.label_set).apply(answers)
    learned = set(choice["learned"]["subjects"]) if choice["learned"]["dataset"] == dataset else set()
    subjects = [] if corpus.subjects is None else corpus.subjects.tolist()
    seen = tuple(sorted(learned & set(subjects)))
    return VideoExamined(_figures(recipe.name, corpus, answers), corpus, answers, seen)


def _sizes(model: str) -> dict[str, int]:
    reader = FrameReader(model)
    told = reader(np.zeros((1, reader.size, reader.size), np.uint8)).shape[1]
    return {"answers": reader.answers, "embedding": told - reader.answers}


def _figures(name: str, corpus: VideoCorpus, answers: NDArray[np.float64]) -> VideoFigures:
    (truth,) = corpus.truth.values()
    return figures(name, truth, answers.argmax(axis=1), corpus.group)


def _choice(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        return {"shares": dict(content["shares"]), "learned": dict(content["learned"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error


def _net(folder: Path) -> VideoNet:
    net = load_net(folder)
    if not isinstance(net, VideoNet):
        raise ModelError(f"{folder} holds a net that is not for clips")
    return net


def _answers(
    nets: Sequence[VideoNet], shares: tuple[float, ...], corpus: VideoCorpus
) -> dict[str, NDArray[np.float64]]:
    parts = [{h: softmax(z).astype(np.float32) for h, z in Videos().answered(net, corpus).items()} for net in nets]
    return {head: blended([part[head] for part in parts], shares).astype(np.float64) for head in parts[0]}
