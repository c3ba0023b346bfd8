"""What a model is: everything that its record declares.  Nothing is ever guessed from a file name."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.labels import LABEL_SETS, LabelSet

__all__ = ["TASKS", "ClipInput", "License", "ModelFile", "ModelInput", "ModelSpec", "Output", "Result", "SoundInput"]

TASKS = ("face-emotion", "face-detection", "speech-emotion", "speech-activity", "video-emotion", "emotion-fusion")
"""What a model can do."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of weights, beside the record.

    Parameters
    ----------
    role : str
        What it is for: ``"graph"`` in a model of one file.
    file : str
        Its name, without folders.
    sha256 : str
        Lower-case hexadecimal digest of its content.
    bytes : int
        Its size in bytes.
    """

    role: str
    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class License:
    """Under which terms the weights may be used.

    Parameters
    ----------
    weights : str
        Terms of the weight files.
    data : str
        Terms of the data that they were trained on.
    attribution : str
        Whom to name; may be empty.
    """

    weights: str
    data: str
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What the graph of a face-emotion model takes: of mien's own uint8 of shape (n, size, size, 3), RGB.

    Parameters
    ----------
    size : int
        Side of the square crop in pixels.
    layout : {"NHWC", "NCHW"}
        Order of the axes.
    dtype : {"uint8", "float32"}
        As float32, a pixel is ``(value / 255 - mean) / std``.
    color : {"RGB", "BGR", "gray"}
        The channels; gray is one (ITU-R BT.601).
    mean, std : tuple of float
        Of each channel; ``std = 1 / 255`` gives values in 0..255.
    """

    size: int
    layout: str = "NHWC"
    dtype: str = "uint8"
    color: str = "RGB"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def feed(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        """Return crops, uint8 (n, size, size, 3) in RGB, as the graph takes them."""
        images: NDArray[Any] = crops
        if self.color == "BGR":
            images = crops[..., ::-1]
        elif self.color == "gray":
            luma = crops.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
            images = luma.round().astype(np.uint8)[..., None]
        if self.dtype == "float32":
            mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
            images = (images.astype(np.float32) / np.float32(255) - mean) / std
        return images.transpose(0, 3, 1, 2) if self.layout == "NCHW" else images


@dataclass(frozen=True, slots=True)
class SoundInput:
    """What the graph of a speech-emotion model takes, float32 of shape (1, n), and how recordings are cut for it.

    Parameters
    ----------
    rate_hz : int
        Samples per second.
    min_s : float
        Shortest cut; shorter ones are padded with zeros at both ends.
    window_s, hop_s : float
        Length of the windows over long speech, and the way from one to the next, unless others are asked for.
    pad_s : float
        What is kept of the sound before and after the speech.
    trim : bool
        Whether the silence before and after the speech is cut away where a whole recording is one answer.
    layout, dtype : str
        Always ``"NT"``, ``"float32"``: stated in the record, so that a reader need not know it.
    """

    rate_hz: int
    min_s: float
    window_s: float
    hop_s: float
    pad_s: float
    trim: bool = True
    layout: str = "NT"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class ClipInput:
    """What the graph of a video-emotion model takes: the faces of one person in a video.

    Always ``mask``, float32 (1, T), 1 for frames that are there; before it ``crops``, uint8 (1, T, S, S, 3) RGB, or
    ``features``, float32 (1, T, D), or both.

    Parameters
    ----------
    frames : int
        Frames at most, T; evenly spaced over those in which the person is seen, or all of them if there are fewer.
    size : int
        Side S of the square crops in pixels.
    crops : bool
        Whether it takes ``crops``.
    face_model : str
        The face model of which it takes ``features``: the probabilities of all its outputs and its embedding, means of
        each face and its mirror image. A shipped model, or the path of a record or run folder; empty for no features.
    face_sha256 : str
        Digest of that model's graph.
    """

    frames: int
    size: int
    crops: bool
    face_model: str = ""
    face_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One head of a model.

    Parameters
    ----------
    name : str
        What callers use, such as ``"ferplus8"``.
    tensor : str
        Name of the graph's output: float32 logits of shape (n, len(labels)).
    labels : LabelSet
        The emotions, in the order of the tensor.
    temperature : float
        What the logits are divided by before the softmax (Guo et al. 2017, arXiv:1706.04599); above zero.
    default : bool
        Whether it answers when no output is asked for; exactly one output of a model does.
    """

    name: str
    tensor: str
    labels: LabelSet
    temperature: float
    default: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One measured number, with what is needed to measure it again.

    Parameters
    ----------
    dataset, split, protocol, metric : str
        What was measured on which rows.
    value : float
        The number.
    n : int
        How many items it was measured on.
    date : datetime.date
        When.
    command : str
        The command that measures it.
    output : str
        Which output answered; empty where there is only one.
    low, high : float or None
        Bounds of the 95 % interval, both or neither.
    """

    dataset: str
    split: str
    protocol: str
    metric: str
    value: float
    n: int
    date: dt.date
    command: str
    output: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model, as its record declares it.

    Parameters
    ----------
    name, task, description, version : str
        ``task`` is one of `TASKS`.
    date : datetime.date
        When it was made.
    files : tuple of ModelFile
        At least one, each with its own role; none for a fusion, whose few weights are in the record itself.
    license : License
        Terms of use.
    path : pathlib.Path
        The record; the files lie beside it.
    input : ModelInput or None
        Given for face-emotion models.
    sound : SoundInput or None
        Given for speech-emotion models.
    clip : ClipInput or None
        Given for video-emotion models.
    crop : dict
        Geometry of the model's own crop, as `mien.face.align` reads it; empty for a detector.
    outputs : tuple of Output
        The heads; empty for a detector of faces or of speech.
    results : tuple of Result
        What was measured.
    training, card : dict
        Recipe and data; intended use, limits, biases.  Free content.
    fusion : dict
        Weights of a fusion, as `mien.fusion.experts` reads them; empty for other models.
    """

    name: str
    task: str
    description: str
    version: str
    date: dt.date
    files: tuple[ModelFile, ...]
    license: License
    path: Path
    input: ModelInput | None = None
    sound: SoundInput | None = None
    clip: ClipInput | None = None
    crop: dict[str, Any] = field(default_factory=dict, hash=False)
    outputs: tuple[Output, ...] = ()
    results: tuple[Result, ...] = ()
    training: dict[str, Any] = field(default_factory=dict, hash=False)
    card: dict[str, Any] = field(default_factory=dict, hash=False)
    fusion: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def size_bytes(self) -> int:
        """Size of all its files together, in bytes; a file with two roles counts once."""
        return sum({f.file: f.bytes for f in self.files}.values())

    @property
    def default_output(self) -> Output:
        """The output that answers when none is asked for.

        Raises
        ------
        ModelError
            If the model has no outputs (a detector).
        """
        for output in self.outputs:
            if output.default:
                return output
        raise ModelError(f"model {self.name!r} is for {self.task} and has no emotion outputs")

    def output(self, name: str | None = None) -> Output:
        """Return an output by name, or the default one.

        Raises
        ------
        ModelError
            If the model has no such output.
        """
        if name is None:
            return self.default_output
        for output in self.outputs:
            if output.name == name:
                return output
        have = ", ".join(o.name for o in self.outputs) or "none"
        raise ModelError(f"model {self.name!r} has no output {name!r}: it has {have}")

    def file(self, role: str = "graph") -> ModelFile:
        """Return the file with a role.

        Raises
        ------
        ModelError
            If the model has no such file.
        """
        for entry in self.files:
            if entry.role == role:
                return entry
        raise ModelError(f"model {self.name!r} has no file {role!r}: it has {', '.join(f.role for f in self.files)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, as `mien.models.record.parse_record` takes it, without ``path``."""
        record: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "description": self.description,
            "version": self.version,
            "date": self.date,
            "license": dataclasses.asdict(self.license),
        }
        if self.input is not None:
            record["input"] = dataclasses.asdict(self.input)
            if self.input.dtype == "uint8":
                del record["input"]["mean"], record["input"]["std"]
        if self.sound is not None:
            record["sound"] = dataclasses.asdict(self.sound)
        if self.clip is not None:
            record["clip"] = dataclasses.asdict(self.clip)
        for key in ("crop", "fusion", "training", "card"):
            if table := getattr(self, key):
                record[key] = copy.deepcopy(table)
        if self.files:
            record["files"] = [dataclasses.asdict(f) for f in self.files]
        if self.outputs:
            record["outputs"] = [_output_to_dict(o) for o in self.outputs]
        if self.results:
            record["results"] = [_without_none(dataclasses.asdict(r)) for r in self.results]
        return record


def _output_to_dict(output: Output) -> dict[str, Any]:
    return {
        "name": output.name,
        "tensor": output.tensor,
        "labels": output.labels.name,
        **({} if LABEL_SETS.get(output.labels.name) == output.labels else {"emotions": list(output.labels.emotions)}),
        "temperature": output.temperature,
        "default": output.default,
    }


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    # TOML has no null: what is not known is not written.
    return {key: value for key, value in table.items() if value is not None}
