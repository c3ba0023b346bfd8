"""What a model is: everything that its record, a TOML file, declares.  Nothing is ever guessed from a file name.

A record that lacks a key, has an unknown one, or a value of the wrong type is rejected with the file and the key in the
message.  Only ``[card]``, ``[training]``, ``[crop]`` and ``[fusion]`` are free: the first two are read by people, the
third by `mien.face.align`, the last by `mien.fusion.experts`.
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import functools
import math
import operator
import re
import reprlib
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, ModelError
from mien.labels import LABEL_SETS, LabelSet, label_set

__all__ = [
    "MODEL_NAME",
    "TASKS",
    "ClipInput",
    "License",
    "ModelFile",
    "ModelInput",
    "ModelSpec",
    "Output",
    "Result",
    "SoundInput",
    "parse_record",
]

TASKS = ("face-emotion", "face-detection", "speech-emotion", "speech-activity", "video-emotion", "emotion-fusion")
"""What a model can do."""

_REQUIRED = {
    "face-emotion": ("files", "input", "crop", "outputs"),
    "face-detection": ("files",),
    "speech-emotion": ("files", "sound", "outputs"),
    "speech-activity": ("files",),
    "video-emotion": ("files", "clip", "crop", "outputs"),
    "emotion-fusion": ("fusion",),
}
"""Keys of a task beside those of every model."""

_ONLY = {
    "input": ("face-emotion",),
    "sound": ("speech-emotion",),
    "clip": ("video-emotion",),
    "outputs": ("face-emotion", "speech-emotion", "video-emotion"),
}
"""Keys that only some tasks have."""

MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""Pattern of the names of models, which name their files."""

_LONGEST_S = 600.0
"""Longest window of sound: more than ten minutes have no one emotion."""


# The metadata of a field says what its value in a record must be: "choices", "pattern", "least", "than", "most".


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of weights, beside the record.

    Parameters
    ----------
    role : str
        What it is for: ``"graph"`` in a model of one file.
    file : str
        Its name, without folders: it could reach files that do not belong to the model.
    sha256 : str
        Lower-case hexadecimal digest of its content.
    bytes : int
        Its size in bytes.
    url : str
        Where it can be downloaded, by https; empty for a file that comes with its record.
    """

    role: str
    file: str = field(metadata={"pattern": r"[A-Za-z0-9_][A-Za-z0-9._-]*"})
    sha256: str = field(metadata={"pattern": r"[0-9a-f]{64}"})
    bytes: int = field(metadata={"least": 1})
    url: str = field(default="", metadata={"pattern": r"(https://.+)?"})


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
        Of each channel, by default 0 and 1; ``std = 1 / 255`` gives values in 0..255.
    """

    size: int = field(metadata={"least": 8})
    layout: str = field(default="NHWC", metadata={"choices": ("NHWC", "NCHW")})
    dtype: str = field(default="uint8", metadata={"choices": ("uint8", "float32")})
    color: str = field(default="RGB", metadata={"choices": ("RGB", "BGR", "gray")})
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = field(default=(), metadata={"than": 0})

    def __post_init__(self) -> None:
        channels = 1 if self.color == "gray" else 3
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values and self.dtype != "float32":
                raise InputError(f"key {name!r} is for the dtype float32")
            if len(values) not in (0, channels):
                raise InputError(f"key {name!r} must have {channels} numbers, but got {_short(list(values))}")

    def feed(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        """Return crops, uint8 (n, size, size, 3) in RGB, as the graph takes them."""
        images: NDArray[Any] = crops
        if self.color == "BGR":
            images = crops[..., ::-1]
        elif self.color == "gray":
            luma = crops.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
            images = luma.round().astype(np.uint8)[..., None]
        if self.dtype == "float32":
            mean, std = np.array(self.mean or (0,), np.float32), np.array(self.std or (1,), np.float32)
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
        Length of the windows over long speech, and the way from one to the next, by default.
    pad_s : float
        What is kept of the sound before and after the speech.
    trim : bool
        Whether the silence before and after the speech is cut away where a whole file gets one prediction.
    layout, dtype : str
        Always ``"NT"``, ``"float32"``: stated in the record, so that a reader need not know it.
    """

    rate_hz: int = field(metadata={"least": 1000})
    min_s: float = field(metadata={"than": 0, "most": _LONGEST_S})
    window_s: float = field(metadata={"than": 0, "most": _LONGEST_S})
    hop_s: float = field(metadata={"than": 0, "most": _LONGEST_S})
    pad_s: float = field(metadata={"least": 0, "most": _LONGEST_S})
    trim: bool = True
    layout: str = field(default="NT", metadata={"choices": ("NT",)})
    dtype: str = field(default="float32", metadata={"choices": ("float32",)})

    def __post_init__(self) -> None:
        if self.window_s < self.min_s or self.hop_s > self.window_s:
            raise InputError("key 'window_s' must be no shorter than 'min_s' and 'hop_s'")


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

    frames: int = field(metadata={"least": 1})
    size: int = field(metadata={"least": 8})
    crops: bool = False
    face_model: str = ""
    face_sha256: str = ""

    def __post_init__(self) -> None:
        if not self.crops and not self.face_model:
            raise InputError("key 'crops' must be true where there is no 'face_model'")


@dataclass(frozen=True, slots=True)
class Output:
    """One head of a model.

    Parameters
    ----------
    name : str
        What callers use, such as ``"ferplus8"``.
    tensor : str
        Name of the graph's output: float32 logits of shape (n, len(labels)). Empty for a mean of other outputs.
    labels : LabelSet
        The emotions, in the order of the tensor.
    temperature : float
        What the logits are divided by before the softmax (Guo et al. 2017, arXiv:1706.04599); above zero.
    default : bool
        Whether it is the default; exactly one output of a model is.
    bias : tuple of float
        What is subtracted from the logits before the temperature, one number a label; empty for nothing. See
        `mien.face.adapt`.
    mean_of : tuple of str
        Names of heads, the first of which has all these labels: this output is the geometric mean of their
        probabilities. Labels that another head lacks keep the probability that the first gives them.
    """

    name: str
    tensor: str = field(metadata={"may_be_empty": True})
    labels: LabelSet
    temperature: float = field(metadata={"than": 0})
    default: bool = False
    bias: tuple[float, ...] = ()
    mean_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.tensor) == bool(self.mean_of):
            raise InputError(f"output {self.name!r} must have either 'tensor' or 'mean_of'")
        if len(self.bias) not in (0, len(self.labels)):
            raise InputError(f"key 'bias' must have {len(self.labels)} numbers, but got {_short(list(self.bias))}")


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
    n: int = field(metadata={"least": 1})
    date: dt.date
    command: str
    output: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise InputError("key 'low' needs 'high' beside it: give both bounds of the interval or neither")


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
        The heads, and means of them; empty for a detector of faces or of speech.
    results : tuple of Result
        What was measured.
    training, card : dict
        Recipe and data; intended use, limits, biases.  Free content.
    fusion : dict
        Weights of a fusion, as `mien.fusion.experts` reads them; empty for other models.
    """

    name: str = field(metadata={"pattern": MODEL_NAME})
    task: str = field(metadata={"choices": TASKS})
    description: str
    version: str
    date: dt.date
    license: License
    path: Path
    files: tuple[ModelFile, ...] = ()
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
    def is_download(self) -> bool:
        """Whether its files must be downloaded (see `mien.models.store.download`)."""
        return any(entry.url for entry in self.files)

    @property
    def heads(self) -> tuple[Output, ...]:
        """The outputs that are tensors of the graph."""
        return tuple(output for output in self.outputs if output.tensor)

    @property
    def default_output(self) -> Output:
        """The default output.

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
        """Return the record as plain data, as `parse_record` takes it, without ``path``."""
        record: dict[str, Any] = _to_plain(self)
        for key in ("results", "outputs", "files"):  # arrays of tables stand last
            if key in record:
                record[key] = record.pop(key)
        return record


def parse_record(record: str | Mapping[str, Any], path: str | Path) -> ModelSpec:
    """Check a record and return the model that it declares.

    Parameters
    ----------
    record : str or mapping
        TOML text, or the same as plain data.
    path : str or pathlib.Path
        Where the record is (or will be): named in messages, and the files are beside it.

    Returns
    -------
    ModelSpec
        The model.  Its files are not looked at: see `mien.models.store`.

    Raises
    ------
    ModelError
        If the text is no TOML, a key is missing or unknown, or a value is wrong; the message names file and key.
    """
    where = str(path)
    if isinstance(record, str) and _DEEP_KEY.search(record):
        raise ModelError(f"{where}: too deeply nested")
    try:
        return _parse_record(tomllib.loads(record) if isinstance(record, str) else record, where)
    except (RecursionError, ValueError, OverflowError) as error:  # ValueError: also numbers of thousands of digits
        what = "too deeply nested" if isinstance(error, RecursionError) else f"not a TOML file: {str(error)[:200]}"
        raise ModelError(f"{where}: {what}") from error


def _parse_record(record: Mapping[str, Any], where: str) -> ModelSpec:
    task = record.get("task")
    hidden = {key for key, tasks in _ONLY.items() if task in TASKS and task not in tasks}
    spec: ModelSpec = _parse(
        ModelSpec, record, _Place(where), hidden=hidden, required=_REQUIRED.get(str(task), ()), path=Path(where)
    )
    for what, names in (
        ("files: role", [f.role for f in spec.files]),
        ("outputs: name", [o.name for o in spec.outputs]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ModelError(f"{where}: {what} {twice[0]!r} is given twice")
    defaults = sum(o.default for o in spec.outputs)
    if spec.outputs and defaults != 1:
        raise ModelError(f"{where}: outputs: exactly one must have 'default = true', but {defaults} have")
    heads = {head.name: set(head.labels) for head in spec.heads}
    for output in spec.outputs:
        for number, name in enumerate(output.mean_of):
            if name not in heads:
                raise ModelError(f"{where}: outputs: {output.name!r} is a mean of {name!r}, which is no head")
            if set(output.labels) - heads[name] if number == 0 else not set(output.labels) & heads[name]:
                raise ModelError(f"{where}: outputs: {output.name!r} is a mean of {name!r}, which lacks its labels")
    for result in spec.results:
        if result.output and result.output not in [o.name for o in spec.outputs]:
            raise ModelError(f"{where}: results: output {result.output!r} is not one of the model's outputs")
    return spec


# --- from tables to dataclasses and back ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value is: file, table and key, for messages."""

    file: str
    table: str = ""
    key: str = ""

    def demand(self, good: bool, problem: str) -> None:
        """Raise `ModelError` unless a value is good."""
        if not good:
            parts = (self.file, self.table, f"key {_short(self.key)} {problem}")
            raise ModelError(": ".join(part for part in parts if part))


_DEEP_KEY = re.compile(r"""(?<![\w"'.-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){33}""")
"""A dotted key of more than 32 parts, on which `tomllib` spends a time that grows with their square."""

_shortener = reprlib.Repr()
_shortener.maxstring = _shortener.maxother = _shortener.maxlong = 100
_short = _shortener.repr
"""Returns a value as messages show it: in one line of bounded length."""

_get_types = functools.cache(typing.get_type_hints)


def _parse(
    cls: Any,
    table: Mapping[str, Any],
    place: _Place,
    *,
    hidden: Collection[str] = (),
    required: Collection[str] = (),
    **given: Any,
) -> Any:
    """Build a dataclass from a table; its types and rules say what the values must be.

    Parameters
    ----------
    cls : type
        The dataclass.
    table : mapping
        The values.
    place : _Place
        Where the table is.
    hidden, required : collection of str
        Fields that are not known here, and those that must be there in spite of a default.
    **given : object
        Fields that are not in the table.
    """
    known = {entry.name: entry for entry in fields(cls) if entry.name not in hidden and entry.name not in given}
    if cls is Output:
        table = _join_labels(table, place)
    for key in sorted(set(table) - set(known)):
        replace(place, key=key).demand(False, f"is not known: expected {', '.join(sorted(known))}")
    values = dict(given)
    types_of = _get_types(cls)
    for name, entry in known.items():
        here = replace(place, key=name)
        if name in table:
            rules = {"may_be_empty": entry.default == "" or entry.default == (), **entry.metadata}
            if name in required:
                rules["may_be_empty"] = False
            values[name] = _convert(table[name], types_of[name], rules, here)
        else:
            has_default = entry.default is not MISSING or entry.default_factory is not MISSING
            here.demand(has_default and name not in required, "is missing")
    try:
        return cls(**values)
    except InputError as error:
        raise ModelError(": ".join(part for part in (place.file, place.table, str(error)) if part)) from error


def _join_labels(table: Mapping[str, Any], place: _Place) -> dict[str, Any]:
    """Return the table of an output with a label set in the place of its name and the emotions of an own set."""
    joined = dict(table)
    if "mean_of" in joined:
        joined.setdefault("tensor", "")
    if isinstance(name := joined.get("labels"), str):
        try:
            emotions = joined.pop("emotions", None)
            joined["labels"] = label_set(name) if emotions is None else LabelSet(name, emotions)
        except InputError as error:
            replace(place, key="labels").demand(False, str(error))
    return joined


def _convert(value: Any, kind: Any, rules: Mapping[str, Any], place: _Place) -> Any:
    """Return a value as the type of a field, or raise `ModelError`."""
    if isinstance(kind, types.UnionType):
        kind = kind.__args__[0]  # X | None: TOML has no null
    got = f"but got {_short(value)}"
    if typing.get_origin(kind) is tuple:
        return _convert_array(value, kind.__args__[0], rules, place)
    if isinstance(value, LabelSet):
        return value
    if is_dataclass(kind) or typing.get_origin(kind) is dict:
        place.demand(isinstance(value, Mapping), f"must be {'a string' if kind is LabelSet else 'a table'}, {got}")
        if is_dataclass(kind):
            return _parse(kind, value, _Place(place.file, f"[{place.key}]"))
        return copy.deepcopy(dict(value))
    if kind is dt.date:
        return _convert_date(value, place)
    accepted, noun = _SCALARS[kind]
    # bool is an int in Python, but not in TOML.
    place.demand(
        isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)), f"must be {noun}, {got}"
    )
    if kind is str:
        place.demand(bool(value.strip()) or rules["may_be_empty"], "must not be empty")
        choices, pattern = rules.get("choices"), rules.get("pattern", "(?s:.*)")
        place.demand(choices is None or value in choices, f"must be {' or '.join(map(repr, choices or ()))}, {got}")
        place.demand(re.fullmatch(pattern, value) is not None, f"must match {pattern}, {got}")
    elif kind is not bool:
        _check_bounds(value, rules, place)
    return kind(value)


def _convert_array(value: Any, kind: Any, rules: Mapping[str, Any], place: _Place) -> tuple[Any, ...]:
    good = isinstance(value, list | tuple) and (bool(value) or rules["may_be_empty"])
    if not is_dataclass(kind):
        place.demand(good, f"must be an array of {'strings' if kind is str else 'numbers'}, but got {_short(value)}")
        return tuple(_convert(entry, kind, rules, place) for entry in value)
    good = good and all(isinstance(row, Mapping) for row in value)
    place.demand(good, f"must be an array of tables, [[{place.key}]], but got {_short(value)}")
    return tuple(
        _parse(kind, row, _Place(place.file, f"[[{place.key}]] number {number}")) for number, row in enumerate(value, 1)
    )


_SCALARS: dict[type, tuple[Any, str]] = {
    str: (str, "a string"),
    int: (int, "an integer"),
    float: (int | float, "a number"),
    bool: (bool, "true or false"),
}


def _check_bounds(value: float, rules: Mapping[str, Any], place: _Place) -> None:
    place.demand(math.isfinite(value), f"must be a finite number, but got {_short(value)}")
    for word, compare in (("at least", operator.ge), ("more than", operator.gt), ("at most", operator.le)):
        bound = rules.get(word.split()[1])
        place.demand(bound is None or compare(value, bound), f"must be {word} {bound}, but got {_short(value)}")


def _convert_date(value: Any, place: _Place) -> dt.date:
    """Return a date, written as a TOML date or as text of the form 2026-01-31."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(value)
    good = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    place.demand(good, f"must be a date such as 2026-01-31, but got {_short(value)}")
    return typing.cast("dt.date", value)


def _to_plain(value: Any) -> Any:
    """Return a dataclass as plain data without what is not known: TOML has no null."""
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if not is_dataclass(value):
        return copy.deepcopy(value)
    plain: dict[str, Any] = {}
    for entry in fields(value):
        content = getattr(value, entry.name)
        if isinstance(content, LabelSet):
            plain[entry.name] = content.name
            if LABEL_SETS.get(content.name) != content:
                plain["emotions"] = list(content.emotions)
        elif not isinstance(content, Path) and content not in (None, (), {}, ""):
            plain[entry.name] = _to_plain(content)
    return plain
