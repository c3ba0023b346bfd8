"""Reports of the out-of-fold predictions for recordings and for clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluate import video
from mien.evaluate.markdown import escaped
from mien.evaluate.noise import Waves, noise_curve
from mien.evaluate.report import to_json
from mien.evaluate.speech import measure_clips
from mien.evaluate.speech_answers import as_answers
from mien.evaluate.speech_folder import write_speech_folder
from mien.evaluate.speech_result import NoiseFigures
from mien.models import runtime
from mien.train.corpus import Corpus
from mien.train.export import deploy
from mien.train.folder import load_checkpoint, write_file
from mien.train.kinds import kind_of
from mien.train.nets import SpeechNetwork
from mien.train.recipe import Recipe
from mien.train.speech import cut_recording
from mien.video.clips import average_frames

__all__ = ["SUMMARY", "write_speech_report", "write_video_report"]

SUMMARY = "out-of-fold.json"
"""The figures of all folds together, within the folder of a way."""


def write_speech_report(
    folder: Path,
    recipe: Recipe,
    corpus: Corpus,
    fold: NDArray[np.int64],
    predicted: dict[str, NDArray[np.float32]],
    *,
    noise: bool,
    report: Callable[[str], object],
) -> None:
    """Write ``out-of-fold.json`` and the report of predictions for speakers that the networks had not heard.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the folders of the folds.
    recipe : Recipe
        What was trained.
    corpus : Corpus
        All recordings.
    fold : numpy.ndarray
        int64 (n,): in which fold each was tested.
    predicted : dict of str to numpy.ndarray
        By head: probabilities, float32 (n, classes), at temperature 1.
    noise : bool
        Whether to measure in noise, too; kept from an earlier report otherwise.
    report : callable
        Gets progress lines.

    Raises
    ------
    DatasetError
        If a file cannot be written, or a recording not be read.
    """
    ((_, probabilities),) = predicted.items()
    curve = _noise_curve(folder, recipe, corpus, fold, report=report) if noise else ()
    answers = as_answers(corpus.samples, probabilities, model=recipe.name)
    result = measure_clips(answers, noise=curve)
    write_file(folder / SUMMARY, to_json(result) + "\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1}"
    write_speech_folder(folder / "report", result, answers, command=command + (" --noise" if noise else ""))
    report(f"out of fold: UAR {result.uar:.4f}, temperature {result.temperature_fitted or 1:.3f}; see {folder}/report")


def _noise_curve(
    folder: Path, recipe: Recipe, corpus: Corpus, fold: NDArray[np.int64], *, report: Callable[[str], object]
) -> tuple[NoiseFigures, ...]:
    """Measure the network of each fold on its recordings in noise (see `mien.evaluate.noise.noise_curve`)."""
    report(f"measuring {len(corpus)} recordings in noise")
    nets: dict[int, tuple[SpeechNetwork, runtime.Session]] = {}
    for number in np.unique(fold).tolist():
        net = load_checkpoint(folder / f"fold-{number}", recipe)
        assert isinstance(net, SpeechNetwork)
        # The graph is several times as fast as the network, and is what users would get.
        nets[number] = net, kind_of(recipe).export_graph(deploy(net), corpus)[1]

    def predict(wave: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        net, session = nets[int(fold[index])]
        (head,) = net.heads
        logits: NDArray[np.float32] = session.run({"wave": cut_recording(wave, net)[None]})[f"logits_{head}"][0]
        return logits

    rate_hz = next(iter(nets.values()))[0].settings.rate_hz
    return noise_curve(predict, corpus.samples, Waves(corpus.samples, rate_hz=rate_hz), rate_hz=rate_hz)


def write_video_report(
    folder: Path,
    recipe: Recipe,
    corpus: Corpus,
    fold: NDArray[np.int64],
    predicted: dict[str, NDArray[np.float32]],
    *,
    way: str,
    choices: Sequence[str],
    report: Callable[[str], object],
) -> None:
    """Write ``out-of-fold.json`` and a folder ``report`` with figures, confusion matrix and every prediction.

    Parameters
    ----------
    folder, recipe, corpus, fold, report
        See `write_speech_report`.
    predicted : dict of str to numpy.ndarray
        Probabilities, float32 (n, classes), by head, and of members by head, ``@`` and name.
    way : str
        How the folds were made.
    choices : sequence of str
        What the inner folds of each fold chose, in words.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    ((head, truth),) = corpus.truth.items()
    named: dict[str, NDArray[Any]] = {key.partition("@")[2] or recipe.name: p for key, p in predicted.items()}
    features, mask = corpus.inputs["features"], corpus.inputs["mask"]
    if features.shape[3]:
        # The label set of the samples is that of the only head.
        averaged = average_frames(features[:, 0], mask, recipe.video.model, corpus.samples.label_set)
        named[f"{recipe.video.model}, averaged over frames, not trained"] = averaged
    found = [video.figures(name, truth, p.argmax(axis=1), corpus.group) for name, p in named.items()]
    write_file(folder / SUMMARY, video.figures_text(found) + "\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1} --split {way}"
    nested = " Settings and epochs were chosen on inner folds of the other folds." if choices else ""
    note = "No subject is on two sides. Intervals: 95 %, bootstrap over subjects."
    if way != "subject":
        note = (
            "This split leaks: the figures say how much a leak adds, not how well the network does. Intervals as if it "
        )
        note += "did not."
    video.write_video_report(
        folder / "report",
        corpus.samples,
        found,
        predicted[head],
        title=f"{escaped(recipe.name)}: {escaped(corpus.samples.name)}, folds by {way}",
        lines=[f"Measured by `{command}`, each clip once, by a network of its fold.{nested}", note],
        fold=fold,
        folds="\n".join(_fold_lines(corpus, fold, truth == predicted[head].argmax(axis=1), choices)),
    )
    report(f"{way}: see {folder / 'report'}")


def _fold_lines(corpus: Corpus, fold: NDArray[np.int64], right: NDArray[np.bool_], choices: Sequence[str]) -> list[str]:
    lines = []
    for number in np.unique(fold).tolist():
        some = fold == number
        who = sorted(set(corpus.samples.subjects[some].tolist()) - {""})
        tested = f" of {', '.join(who)}" if who else ""
        chosen = f"; chosen: {choices[number]}" if choices else ""
        lines.append(
            f"- fold {number + 1}: {int(right[some].sum())} of {int(some.sum())} clips{escaped(tested + chosen)}"
        )
    return lines
