"""Reports of the out-of-fold predictions for recordings and for clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.evaluate import NoiseFigures, Predictions, measure
from mien.evaluate.documents import escape, section
from mien.evaluate.noise import CHANNELS, KINDS, Waves, noise_curve
from mien.evaluate.report import summary_table, to_json, write_report
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

_RATIOS_DB = (20.0,)

_UNSEEN = "out of fold: every subject is predicted by a network that did not learn from it"
_LEAKS = "this split leaks: the figures say how much a leak adds, not how well the network does"


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
    predictions = _out_of_fold(corpus, probabilities, recipe.name, _UNSEEN)
    evaluation = measure(predictions, noise=curve)
    write_file(folder / SUMMARY, to_json(evaluation) + "\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1}"
    write_report(folder / "report", evaluation, predictions, fold=fold, command=command + " --noise" * noise)
    temperature = evaluation.temperature_fitted or 1
    report(f"out of fold: UAR {evaluation.uar:.4f}, temperature {temperature:.3f}; see {folder}/report")


def _out_of_fold(corpus: Corpus, probabilities: NDArray[np.floating], model: str, note: str) -> Predictions:
    subjects = () if note == _UNSEEN else None
    return Predictions.from_probabilities(
        corpus.samples, probabilities, model=model, training_note=note, training_subjects=subjects
    )


def _noise_curve(
    folder: Path, recipe: Recipe, corpus: Corpus, fold: NDArray[np.int64], *, report: Callable[[str], object]
) -> tuple[NoiseFigures, ...]:
    """Measure the network of each fold on its recordings in noise (see `mien.evaluate.noise.noise_curve`)."""
    report(f"measuring {len(corpus)} recordings in noise")
    nets: dict[int, tuple[SpeechNetwork, runtime.Session]] = {}
    for number in np.unique(fold).tolist():
        net = load_checkpoint(folder / f"fold-{number}", recipe)
        assert isinstance(net, SpeechNetwork)
        # The graph is several times as fast as the network, and is what users would get; a body that stays as it starts
        # is the same in every fold.
        session = next(iter(nets.values()))[1] if nets and net.views else None
        nets[number] = net, session or kind_of(recipe).export_graph(deploy(net), corpus)[1]

    def predict(wave: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        net, session = nets[int(fold[index])]
        (head,) = net.heads
        found = session.run({"wave": cut_recording(wave, net)[None]})
        if not net.views:
            return np.asarray(found[f"logits_{head}"][0], np.float32)
        with torch.no_grad():
            return np.asarray(net.eval()(torch.from_numpy(found["embedding"]))[head][0].numpy(), np.float32)

    rate_hz = next(iter(nets.values()))[0].settings.rate_hz
    waves = Waves(corpus.samples, rate_hz=rate_hz)
    return noise_curve(predict, corpus.samples, waves, rate_hz=rate_hz, kinds=(*KINDS, *CHANNELS), ratios_db=_RATIOS_DB)


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
    note = _UNSEEN if way == "subject" else _LEAKS
    predictions = [_out_of_fold(corpus, p, name, note) for name, p in named.items()]
    evaluations = [measure(some) for some in predictions]
    plain = [evaluation.to_dict() for evaluation in evaluations]
    write_file(folder / SUMMARY, json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1} --split {way}"
    own = list(named).index(recipe.name)
    lines = _fold_lines(corpus, fold, truth == predicted[head].argmax(axis=1), choices)
    notes = [
        "Settings and epochs were chosen on inner folds of the other folds." if choices else "",
        section("Models", summary_table(evaluations)),
        section(f"Folds by {way}", "\n".join(lines)),
    ]
    write_report(folder / "report", evaluations[own], predictions[own], fold=fold, notes=notes, command=command)
    report(f"{way}: see {folder / 'report'}")


def _fold_lines(corpus: Corpus, fold: NDArray[np.int64], right: NDArray[np.bool_], choices: Sequence[str]) -> list[str]:
    lines = []
    for number in np.unique(fold).tolist():
        some = fold == number
        who = sorted(set(corpus.samples.subjects[some].tolist()) - {""})
        tested = f" of {', '.join(who)}" if who else ""
        chosen = f"; chosen: {choices[number]}" if choices else ""
        lines.append(
            f"- fold {number + 1}: {int(right[some].sum())} of {int(some.sum())} clips{escape(tested + chosen)}"
        )
    return lines
