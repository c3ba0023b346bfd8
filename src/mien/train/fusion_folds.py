"""The nets of a cross-validation over speakers as one model that has never heard who speaks: for examining fusions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.evaluate.calibration import softmax
from mien.labels import FER7, label_set, mapping
from mien.models import runtime
from mien.train.export import rounded
from mien.train.folder import best_net, read_config
from mien.train.nets import SpeechNet
from mien.train.speech_corpus import prepared
from mien.train.speech_export import speech_graph
from mien.train.speech_folds import SUMMARY

__all__ = ["FoldVoices"]


class FoldVoices:
    """Answers to recordings, each by the net of the fold that its speaker was tested in.

    Parameters
    ----------
    folder : pathlib.Path
        What ``mien train --folds K`` wrote for a recipe of speech.
    clips : Samples
        The recordings.
    report : callable
        Gets progress lines.

    Raises
    ------
    DatasetError
        If the folder is none of that kind, or a speaker was in no fold.
    ModelError
        If a checkpoint is missing or damaged.
    """

    def __init__(self, folder: Path, clips: Samples, *, report: Callable[[str], object] = lambda _: None) -> None:
        recipe = read_config(folder)
        subjects, temperature, way = _told(folder)
        self.fold = _fold_of(clips, subjects, folder)
        self._temperature = temperature
        self._nets: dict[int, tuple[SpeechNet, runtime.Session]] = {}
        for number in np.unique(self.fold).tolist():
            report(f"loading the net of fold {number + 1}")
            net = best_net(way / f"fold-{number}", recipe)
            if not isinstance(net, SpeechNet):
                raise DatasetError(f"{folder} holds nets for faces, not for speech")
            # The graph answers several times as fast as the net, and is what users would get.
            graph = speech_graph(rounded(net))
            self._nets[number] = net, runtime.Session(graph, name=f"fold {number + 1}", threads=1, device="cpu")
        self.name = f"{recipe.name}, {len(subjects)} folds"

    @property
    def rate_hz(self) -> int:
        """Samples per second that the nets take."""
        return next(iter(self._nets.values()))[0].settings.rate_hz

    def __call__(self, wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        """Return the distribution, float64 (7,) in `mien.labels.FER7`, for a recording in place of the clip's own."""
        net, session = self._nets[int(self.fold[index])]
        (head,) = net.heads
        logits = session.run({"wave": prepared(wave, net)[None]})[f"logits_{head}"].astype(np.float64)
        shares = mapping(label_set(head), FER7).apply(softmax(logits, temperature=self._temperature))
        return np.asarray(shares[0], np.float64)


def _told(folder: Path) -> tuple[list[list[str]], float, Path]:
    """Return the speakers of each fold, the temperature of all answers out of fold, and the folder of the folds."""
    try:
        content = json.loads((folder / "folds.json").read_text("utf-8"))
        (result,) = (found for found in content["results"] if found["way"] == "subject")
        way = folder / f"subject-{content['k']}"
        temperature = json.loads((way / SUMMARY).read_text("utf-8"))["temperature_fitted"]
        return [list(map(str, group)) for group in result["subjects"]], float(temperature), way
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder} holds no folds over speakers of a recipe of speech: {error}") from error


def _fold_of(clips: Samples, subjects: list[list[str]], folder: Path) -> NDArray[np.int64]:
    places = {subject: number for number, group in enumerate(subjects) for subject in group}
    unknown = sorted(set(clips.subjects.tolist()) - set(places))
    if unknown:
        raise DatasetError(f"{folder} was trained without {', '.join(unknown[:5])}: which net has not heard them?")
    return np.array([places[str(subject)] for subject in clips.subjects], np.int64)
