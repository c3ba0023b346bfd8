"""A tiny speech model whose answers are planted: high, quiet tones under a synthetic voice say what it answers.

Tone ``k`` (`tone_hz`) stands for class ``k`` of RAVDESS8.  The graph measures the power of the eight tones; its logits
are `MARGIN` times the share of each, so that a cut in which one tone sounds for 3/4 of the time and another for the
rest has the logits 3/4 and 1/4 of `MARGIN`, and silence has equal ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.labels import RAVDESS8
from speech_corpora import write_wav
from speech_mixtures import voiced

onnx = pytest.importorskip("onnx")

RATE_HZ = 16000
MARGIN, TEMPERATURE = 12.0, 2.0
PILOT = 0.03
"""Amplitude of the tones: the voice is far louder, but not up there."""

_FRAME, _STEP = 320, 160
"""20 ms: bins 50 Hz apart, so that Hann-windowed tones 250 Hz apart do not meet."""

_VOICE = 0.6

RECORD = """
name = "planted-speech"
task = "speech-emotion"
description = "answers what a quiet tone says"
version = "1"
date = 2026-01-31

[license]
weights = "MIT"
data = "none"
attribution = ""

[sound]
rate_hz = 16000
min_s = 0.5
window_s = 3.0
hop_s = 1.5
pad_s = 0.25
layout = "NT"
dtype = "float32"

[[files]]
role = "graph"
file = "model.onnx"
sha256 = "{sha256}"
bytes = {bytes}

[[outputs]]
name = "ravdess8"
tensor = "logits_ravdess8"
labels = "ravdess8"
temperature = {temperature}
default = true

[training]
dataset = "ravdess"
subjects = ["01", "02"]
"""


def tone_hz(emotion: str) -> float:
    """Return the frequency that stands for an emotion."""
    return 4500.0 + 250.0 * RAVDESS8.index(emotion)


def planted_graph() -> bytes:
    """Eight pairs of Hann-windowed sines, their mean power over the cut, and the share of each."""
    from onnx import TensorProto, helper, numpy_helper

    times = np.arange(_FRAME) / RATE_HZ
    window = np.hanning(_FRAME + 1)[:-1]
    phases = [2 * np.pi * tone_hz(emotion) * times for emotion in RAVDESS8.emotions]
    kernels = np.stack([window * wave(phase) for wave in (np.cos, np.sin) for phase in phases])
    tensors = [
        numpy_helper.from_array(kernels[:, None].astype(np.float32) / (_FRAME / 2), "kernels"),
        numpy_helper.from_array(np.float32([1e-8]), "floor"),
        numpy_helper.from_array(np.float32([MARGIN]), "margin"),
        numpy_helper.from_array(np.int64([1]), "axis"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["wave", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["parts"], strides=[_STEP]),
        helper.make_node("Mul", ["parts", "parts"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["both"], axes=[2], keepdims=0),
        helper.make_node("Split", ["both"], ["even", "odd"], axis=1),
        helper.make_node("Add", ["even", "odd"], ["power"]),
        helper.make_node("ReduceSum", ["power", "axis"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "floor"], ["total"]),
        helper.make_node("Div", ["power", "total"], ["embedding"]),
        helper.make_node("Mul", ["embedding", "margin"], ["logits_ravdess8"]),
    ]
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "n"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(RAVDESS8)])
            for name in ("logits_ravdess8", "embedding")
        ],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def planted_speech(folder: Path) -> Path:
    """Write graph and record; return the record's path (the folder works as a run folder)."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = planted_graph()
    (folder / "model.onnx").write_bytes(graph)
    path = folder / "model.toml"
    digest = hashlib.sha256(graph).hexdigest()
    path.write_text(RECORD.format(sha256=digest, bytes=len(graph), temperature=TEMPERATURE))
    return path


def said(emotion: str, seconds: float, *, seed: int = 0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Return a voice that the detector of speech hears, with the tone of an emotion under it; float32 (n,)."""
    voice = _VOICE * voiced(round(seconds * RATE_HZ), np.random.default_rng(seed))
    if rate_hz != RATE_HZ:
        at = np.arange(round(seconds * rate_hz)) * (RATE_HZ / rate_hz)
        voice = np.interp(at, np.arange(len(voice)), voice)
    tone = PILOT * np.sin(2 * np.pi * tone_hz(emotion) * np.arange(len(voice)) / rate_hz)
    return np.clip(voice + tone, -1, 1).astype(np.float32)


def recording(parts: Iterable[tuple[str | None, float]], *, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Return (emotion, seconds) one after the other; None is silence."""
    waves = [
        np.zeros(round(seconds * rate_hz), np.float32) if emotion is None else said(emotion, seconds, rate_hz=rate_hz)
        for emotion, seconds in parts
    ]
    return np.concatenate(waves)


def write_recording(path: Path, parts: Iterable[tuple[str | None, float]], *, rate_hz: int = RATE_HZ) -> Path:
    """Write `recording` as WAV."""
    return write_wav(path, recording(parts, rate_hz=rate_hz), rate_hz)


def answer(**shares: float) -> dict[str, float]:
    """Return the distribution for the shares of time that the tones sound: softmax(MARGIN * share / TEMPERATURE)."""
    z = np.array([shares.get(emotion, 0.0) for emotion in RAVDESS8.emotions]) * MARGIN / TEMPERATURE
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    return dict(zip(RAVDESS8.emotions, p.tolist(), strict=True))
