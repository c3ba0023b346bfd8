"""From a record to a model: every key is checked when the record is read.

A record that lacks a key, has an unknown one, or a value of the wrong kind is refused with the file and the key in the
message.  Only ``[card]``, ``[training]``, ``[crop]`` and ``[fusion]`` are free: the first two are read by people, the
third by `mien.face.align`, the last by `mien.fusion.experts`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.errors import InputError, ModelError
from mien.labels import LabelSet, label_set
from mien.models._table import Table, dump_toml
from mien.models.spec import TASKS, ClipInput, License, ModelFile, ModelInput, ModelSpec, Output, Result, SoundInput

__all__ = ["dump_toml", "parse_record"]

_LONGEST_S = 600.0
"""Longest window of sound: more than ten minutes have no one emotion."""


def parse_record(record: str | Mapping[str, Any], path: str | Path) -> ModelSpec:
    """Check a record and return the model that it declares.

    Parameters
    ----------
    record : str or mapping
        TOML text, or the same as plain data.
    path : str or pathlib.Path
        Where the record lies (or will lie): named in messages, and the files lie beside it.

    Returns
    -------
    ModelSpec
        The model.  Its files are not looked at: see `mien.models.store`.

    Raises
    ------
    ModelError
        If the text is no TOML, a key is missing or unknown, or a value is wrong; the message names file and key.
    """
    where = Path(path)
    if isinstance(record, str):
        try:
            record = tomllib.loads(record)
        except tomllib.TOMLDecodeError as error:
            raise ModelError(f"{where}: not a TOML file: {error}") from error
    top = Table(record, where)
    task = top.text("task", among=TASKS)
    faces, voices, clips, fusion = (
        task == name for name in ("face-emotion", "speech-emotion", "video-emotion", "emotion-fusion")
    )
    spec = ModelSpec(
        name=top.text("name", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*"),
        task=task,
        description=top.text("description"),
        version=top.text("version"),
        date=top.date("date"),
        files=tuple(_file(t) for t in top.tables("files", required=not fusion)),
        license=_license(top.table("license")),
        path=where,
        input=_input(top.table("input")) if faces else None,
        sound=_sound(top.table("sound")) if voices else None,
        clip=_clip(top.table("clip")) if clips else None,
        crop=top.free("crop", required=faces or clips),
        outputs=tuple(_output(t) for t in top.tables("outputs")) if faces or voices or clips else (),
        results=tuple(_result(t) for t in top.tables("results", required=False)),
        training=top.free("training", required=False),
        card=top.free("card", required=False),
        fusion=top.free("fusion", required=fusion),
    )
    top.done()
    _check_together(spec)
    return spec


def _file(table: Table) -> ModelFile:
    entry = ModelFile(
        role=table.text("role"),
        # A name with a folder in it could reach files that do not belong to the model.
        file=table.text("file", pattern=r"[A-Za-z0-9_][A-Za-z0-9._-]*"),
        sha256=table.text("sha256", pattern=r"[0-9a-f]{64}"),
        bytes=table.whole("bytes", low=1),
    )
    table.done()
    return entry


def _license(table: Table) -> License:
    found = License(
        weights=table.text("weights"),
        data=table.text("data"),
        attribution=table.text("attribution", default=""),
    )
    table.done()
    return found


def _input(table: Table) -> ModelInput:
    color = table.text("color", among=("RGB", "BGR", "gray"))
    dtype = table.text("dtype", among=("uint8", "float32"))
    moments = {}
    if dtype == "float32":
        channels = 1 if color == "gray" else 3
        moments = {key: table.numbers(key, channels) for key in ("mean", "std") if key in table}
        if min(moments.get("std", (1.0,))) <= 0:
            raise table.wrong("std", f"must be above zero, but got {list(moments['std'])}")
    entry = ModelInput(
        size=table.whole("size", low=8),
        layout=table.text("layout", among=("NHWC", "NCHW")),
        dtype=dtype,
        color=color,
        **moments,
    )
    table.done()
    return entry


def _sound(table: Table) -> SoundInput:
    def seconds(key: str, *, above: float) -> float:
        value = table.number(key)
        if not above < value <= _LONGEST_S:
            raise table.wrong(key, f"must be more than {above:g} and at most {_LONGEST_S:g}, but got {value!r}")
        return value

    entry = SoundInput(
        rate_hz=table.whole("rate_hz", low=1000),
        min_s=seconds("min_s", above=0.0),
        window_s=seconds("window_s", above=0.0),
        hop_s=seconds("hop_s", above=0.0),
        pad_s=table.number("pad_s"),
        trim=table.flag("trim", default=True),
        layout=table.text("layout", among=("NT",)),
        dtype=table.text("dtype", among=("float32",)),
    )
    if not 0 <= entry.pad_s <= _LONGEST_S:
        raise table.wrong("pad_s", f"must be from 0 to {_LONGEST_S:g}, but got {entry.pad_s!r}")
    if entry.window_s < entry.min_s or entry.hop_s > entry.window_s:
        raise table.wrong("window_s", "must be no shorter than 'min_s' and 'hop_s'")
    table.done()
    return entry


def _clip(table: Table) -> ClipInput:
    entry = ClipInput(
        frames=table.whole("frames", low=1),
        size=table.whole("size", low=8),
        crops=table.flag("crops", default=False),
        face_model=table.text("face_model", default=""),
        face_sha256=table.text("face_sha256", default=""),
    )
    if not entry.crops and not entry.face_model:
        raise table.wrong("crops", "must be true where there is no 'face_model'")
    table.done()
    return entry


def _output(table: Table) -> Output:
    labels = table.text("labels")
    try:
        known = LabelSet(labels, table.texts("emotions")) if "emotions" in table else label_set(labels)
    except InputError as error:
        raise table.wrong("labels", str(error)) from error
    temperature = table.number("temperature")
    if temperature <= 0:
        raise table.wrong("temperature", f"must be above zero, but got {temperature!r}")
    entry = Output(
        name=table.text("name"),
        tensor=table.text("tensor"),
        labels=known,
        temperature=temperature,
        default=table.flag("default", default=False),
    )
    table.done()
    return entry


def _result(table: Table) -> Result:
    entry = Result(
        dataset=table.text("dataset"),
        split=table.text("split"),
        protocol=table.text("protocol"),
        metric=table.text("metric"),
        value=table.number("value"),
        n=table.whole("n", low=1),
        date=table.date("date"),
        command=table.text("command"),
        output=table.text("output", default=""),
        low=table.number("low") if "low" in table else None,
        high=table.number("high") if "high" in table else None,
    )
    if (entry.low is None) != (entry.high is None):
        raise table.wrong("low", "needs 'high' beside it: give both bounds of the interval or neither")
    table.done()
    return entry


def _check_together(spec: ModelSpec) -> None:
    """Check what no single table shows: names given twice, the one default, results of outputs that are not there."""
    for what, names in (
        ("files: role", [f.role for f in spec.files]),
        ("outputs: name", [o.name for o in spec.outputs]),
    ):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ModelError(f"{spec.path}: {what} {twice[0]!r} is given twice")
    defaults = sum(o.default for o in spec.outputs)
    if spec.outputs and defaults != 1:
        raise ModelError(f"{spec.path}: outputs: exactly one must have 'default = true', but {defaults} have")
    for result in spec.results:
        if result.output and result.output not in [o.name for o in spec.outputs]:
            raise ModelError(f"{spec.path}: results: output {result.output!r} is not one of the model's outputs")
