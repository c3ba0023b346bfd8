"""From a trained speech net to files that inference uses: ONNX graph, safetensors, and the model's record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.models import runtime
from mien.models.spec import ModelSpec
from mien.speech.activity import PAD_S
from mien.train.export import alike, graph_of, rounded, validation_file, write_file, write_model
from mien.train.nets.speech import DeployedSpeech, SpeechNet
from mien.train.recipe import Recipe
from mien.train.run_record import begun_record, measured_outputs
from mien.train.speech_corpus import SpeechCorpus, prepared

__all__ = ["checked_graph", "export_speech", "graph_logits", "speech_graph", "speech_parity", "speech_record"]

_WINDOW_S, _HOP_S = 3.0, 1.5
"""Window and hop over long speech: about the length of the sentences that the nets learn from, and half of it."""

_LONGEST = 1 << 24
"""Samples: 17 minutes at 16 kHz, more than any window."""


def speech_graph(net: SpeechNet) -> bytes:
    """Return the ONNX graph of a net, with its front end inside.

    Parameters
    ----------
    net : SpeechNet
        The trained net, on the CPU.

    Returns
    -------
    bytes
        A graph from ``wave``, float32 (1, n) at the net's rate with n dynamic, to ``logits_<head>`` for every head and
        ``embedding``.  Its initializers have the names of the net's parameters behind ``net.``; large ones are float16.
    """
    deployed = DeployedSpeech(net.eval().float()).eval()
    least = round(net.least_s * net.settings.rate_hz)
    samples = torch.export.Dim("n", min=net.settings.n_fft, max=_LONGEST)
    return graph_of(
        deployed,
        (torch.zeros(1, 2 * least),),
        inputs=["wave"],
        outputs=[*(f"logits_{head}" for head in net.heads), "embedding"],
        dynamic={"wave": {1: samples}},
        half=True,
    )


def speech_parity(net: SpeechNet, session: runtime.Session, waves: Sequence[NDArray[np.float32]]) -> float:
    """Return the largest difference of logits between a net and its graph.

    Parameters
    ----------
    net : SpeechNet
        The trained net.
    session : mien.models.runtime.Session
        Its graph.
    waves : sequence of numpy.ndarray
        float32 (n,) each, at the net's rate.
    """
    deployed = DeployedSpeech(net).eval()
    largest = 0.0
    for wave in waves:
        with torch.no_grad():
            answers = deployed(torch.from_numpy(wave)[None])
        found = session.run({"wave": wave[None]})
        for head, answer in zip(net.heads, answers, strict=False):
            largest = max(largest, float(np.abs(found[f"logits_{head}"] - answer.numpy()).max()))
    return largest


def speech_record(
    recipe: Recipe, net: SpeechNet, graph: bytes, learned: Sequence[str], subjects: Sequence[str]
) -> dict[str, Any]:
    """Return the record of a run without outputs and results.

    Parameters
    ----------
    recipe : Recipe
        What was trained.
    net : SpeechNet
        The trained net.
    graph : bytes
        Its ONNX graph.
    learned : sequence of str
        What it learned from, in words.
    subjects : sequence of str
        The speakers that it has heard, also those that chose the epoch.
    """
    whole = net.least_s > _WINDOW_S
    record = begun_record(recipe, net, graph, learned, task="speech-emotion")
    record["sound"] = {
        "rate_hz": net.settings.rate_hz,
        "min_s": round(net.least_s, 6),
        "window_s": round(net.least_s, 6) if whole else _WINDOW_S,
        "hop_s": round(net.least_s / 2, 6) if whole else _HOP_S,
        "pad_s": PAD_S,
        "trim": net.trimmed,
        "layout": "NT",
        "dtype": "float32",
    }
    record["training"] |= {"dataset": recipe.dataset, "subjects": sorted(set(subjects) - {""})}
    return record


def export_speech(
    folder: Path,
    recipe: Recipe,
    net: SpeechNet,
    training: SpeechCorpus,
    validation: SpeechCorpus,
    *,
    training_data: Sequence[str] = (),
    report: Callable[[str], object] = str,
) -> ModelSpec:
    """Write ``model.onnx``, ``model.safetensors``, ``validation.npz`` and ``model.toml`` of a run.

    The temperature is fitted on the validation recordings, and the record's results are measured there through the
    graph, on recordings cut as at use, so they are what users get.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    recipe : Recipe
        What was trained.
    net : SpeechNet
        The trained net.
    training, validation : SpeechCorpus
        What it learned from, and the recordings that chose the epoch.
    training_data, report
        See `mien.train.export.export_run`.

    Returns
    -------
    ModelSpec
        The record as it was written.

    Raises
    ------
    ModelError, DatasetError
        See `mien.train.export.export_run`.
    """
    graph, session = checked_graph(net, validation)
    logits = _answers(net, session, validation)
    heard = [*training.clips.subjects.tolist(), *validation.clips.subjects.tolist()]
    record = speech_record(recipe, net, graph, training_data, heard)
    where = f"the validation recordings of {recipe.dataset}"
    record["training"] |= {"selected_on": where, "temperature_fitted_on": where}
    record["outputs"], record["results"] = measured_outputs(logits, validation, recipe)
    write_file(folder / "validation.npz", validation_file(logits, record["outputs"], validation))
    return write_model(folder, net, graph, record, report)


def graph_logits(net: SpeechNet, corpus: SpeechCorpus) -> dict[str, NDArray[np.float32]]:
    """Return what a net's graph answers to the recordings of a corpus, read again and cut as at use.

    Parameters
    ----------
    net : SpeechNet
        The trained net; its weights are rounded to what the graph holds.
    corpus : SpeechCorpus
        The recordings.

    Returns
    -------
    dict of str to numpy.ndarray
        By head: float32 (n, classes).
    """
    return _answers(net, checked_graph(net, corpus)[1], corpus)


def _answers(net: SpeechNet, session: runtime.Session, corpus: SpeechCorpus) -> dict[str, NDArray[np.float32]]:
    found = [session.run({"wave": wave[None]}) for wave in _waves(corpus, net)]
    return {head: np.concatenate([part[f"logits_{head}"] for part in found]) for head in net.heads}


def checked_graph(net: SpeechNet, corpus: SpeechCorpus) -> tuple[bytes, runtime.Session]:
    """Return a net's graph and a session of it, after both were seen to answer alike.

    Raises
    ------
    ModelError
        If net and graph differ by more than `PARITY` on some recordings of the corpus.
    """
    graph = speech_graph(rounded(net))
    session = runtime.Session(graph, name="the graph", threads=runtime.default_threads(), device="cpu")
    some = corpus.take(np.linspace(0, len(corpus) - 1, min(len(corpus), 12)).astype(np.int64))
    alike(speech_parity(net, session, list(_waves(some, net))))
    return graph, session


def _waves(corpus: SpeechCorpus, net: SpeechNet) -> Iterator[NDArray[np.float32]]:
    """Yield the recordings of a corpus as they are cut at use."""
    for row in range(len(corpus)):
        yield prepared(corpus.clips.read_audio(row, net.settings.rate_hz), net)
