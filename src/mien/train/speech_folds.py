"""What cross-validation over speakers tells of a speech net: the report of its out-of-fold answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.noise import Waves, noise_curve
from mien.evaluate.report import to_json
from mien.evaluate.speech import measure_clips
from mien.evaluate.speech_answers import as_answers
from mien.evaluate.speech_folder import write_speech_folder
from mien.evaluate.speech_result import NoiseFigures
from mien.models import runtime
from mien.train.export import write_file
from mien.train.folder import best_net
from mien.train.nets import SpeechNet
from mien.train.recipe import Recipe
from mien.train.speech_corpus import SpeechCorpus, prepared
from mien.train.speech_export import checked_graph

__all__ = ["SUMMARY", "out_of_fold_noise", "write_speech_folds"]

SUMMARY = "out-of-fold.json"
"""The figures of all folds together, within the folder of the honest way."""


def write_speech_folds(
    folder: Path,
    recipe: Recipe,
    corpus: SpeechCorpus,
    fold: NDArray[np.int64],
    answers: dict[str, NDArray[np.float32]],
    *,
    noise: bool,
    report: Callable[[str], object],
) -> None:
    """Write ``out-of-fold.json`` and the report of the answers of nets to speakers that they have not heard.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the folders of the folds.
    recipe : Recipe
        What was trained.
    corpus : SpeechCorpus
        All recordings.
    fold : numpy.ndarray
        int64 (n,): in which fold each was tested.
    answers : dict of str to numpy.ndarray
        By head: probabilities, float32 (n, classes), at temperature 1.
    noise : bool
        Whether the nets also answer in noise; kept from an earlier report otherwise.
    report : callable
        Gets progress lines.

    Raises
    ------
    DatasetError
        If a file cannot be written, or a recording not be read.
    """
    ((_, probabilities),) = answers.items()
    curve = out_of_fold_noise(folder, recipe, corpus, fold, report=report) if noise else ()
    told = as_answers(corpus.clips, probabilities, model=recipe.name)
    result = measure_clips(told, noise=curve)
    write_file(folder / SUMMARY, to_json(result).encode() + b"\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1}"
    write_speech_folder(folder / "report", result, told, command=command + (" --noise" if noise else ""))
    report(f"out of fold: UAR {result.uar:.4f}, temperature {result.temperature_fitted or 1:.3f}; see {folder}/report")


def out_of_fold_noise(
    folder: Path, recipe: Recipe, corpus: SpeechCorpus, fold: NDArray[np.int64], *, report: Callable[[str], object]
) -> tuple[NoiseFigures, ...]:
    """Let the net of each fold answer to its recordings in noise (see `mien.evaluate.noise.noise_curve`)."""
    report(f"measuring {len(corpus)} recordings in noise")
    nets: dict[int, tuple[SpeechNet, runtime.Session]] = {}
    for number in np.unique(fold).tolist():
        net = best_net(folder / f"fold-{number}", recipe)
        assert isinstance(net, SpeechNet)
        # The graph answers several times as fast as the net, and is what users would get.
        nets[number] = net, checked_graph(net, corpus)[1]

    def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        net, session = nets[int(fold[index])]
        (head,) = net.heads
        logits: NDArray[np.float32] = session.run({"wave": prepared(wave, net)[None]})[f"logits_{head}"][0]
        return logits

    rate_hz = corpus.settings.rate_hz
    return noise_curve(answer, corpus.clips, Waves(corpus.clips, rate_hz=rate_hz), rate_hz=rate_hz)
