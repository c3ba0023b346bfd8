"""Which models there are, by name: those that ship with mien, downloads, those of other packages; others by path."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from mien._registry import Registry
from mien.errors import InputError, ModelError, UnknownModelError
from mien.models.spec import TASKS, ModelSpec
from mien.models.store import read_record

__all__ = ["MODELS", "RECORD", "SHIPPED", "ModelRegistry", "get", "names"]

# A plain path is enough: mien needs compiled packages, which cannot run from inside a zip file either.
SHIPPED = Path(__file__).resolve().parent.parent / "weights"
"""The folder of the models that ship with mien; in its folder ``optional`` are the records of downloads."""

RECORD = "model.toml"
"""The record's name in a run folder."""


class ModelRegistry(Registry[Any]):
    """Models by name; an entry is a `ModelSpec` or the path of a record."""

    def __getitem__(self, name: str) -> ModelSpec:
        found = super().__getitem__(name)
        if isinstance(found, ModelSpec):
            return found
        spec = read_record(found)
        if spec.name != name:
            raise ModelError(f"{found}: key 'name' must be {name!r}, but got {spec.name!r}")
        return spec


_PATHS = (*sorted(SHIPPED.glob("*.toml")), *sorted(SHIPPED.glob("optional/*.toml")))

MODELS = ModelRegistry("model", {path.stem: path for path in _PATHS}, group="mien.models")
"""All models by name.  An entry point of the group ``mien.models`` names a `ModelSpec`, or the path of a record."""


def names(task: str | None = None, *, downloads: bool = False) -> list[str]:
    """Return the names of models, in alphabetical order.

    Parameters
    ----------
    task : str, optional
        Only models for this task, such as ``"face-emotion"``.
    downloads : bool
        Only the models that must be downloaded, whether that was done or not, instead of all others.

    Raises
    ------
    InputError
        If there is no such task.
    ModelError
        If a record is wrong.
    """
    if task is not None and task not in TASKS:
        raise InputError(f"unknown task {task!r}: expected one of {', '.join(TASKS)}")
    specs = (MODELS[name] for name in MODELS)
    return sorted(s.name for s in specs if task in (None, s.task) and s.is_download == downloads)


def get(model: str | os.PathLike[str] | ModelSpec) -> ModelSpec:
    """Return a model.

    Parameters
    ----------
    model : str, path or ModelSpec
        A name of `MODELS`, the path of a ``.toml`` record, or a run folder that holds
        ``model.toml``.  Such a name always means that model, whatever is in the current folder.  A `ModelSpec`
        is returned as it is.

    Returns
    -------
    ModelSpec
        Its record; the weights are not looked at.

    Raises
    ------
    UnknownModelError
        If there is no such model; the message names those that come close.
    ModelError
        If the record is wrong.
    InputError
        If the argument is neither text, path nor record.
    """
    if isinstance(model, ModelSpec):
        return model
    if not isinstance(model, str | os.PathLike):
        raise InputError(f"a model must be a name or a path, but got an object of type {type(model).__name__}")
    text = os.fspath(model)
    if isinstance(model, str) and text in MODELS:
        return MODELS[text]
    path = Path(text)
    if path.is_dir():
        return read_record(path / RECORD)
    if path.suffix.lower() == ".onnx":
        raise ModelError(f"{path} is a graph, not a model: give its {RECORD}, or the folder of both")
    if path.suffix == ".toml" or not isinstance(model, str) or path.name != text:
        return read_record(path)
    close = difflib.get_close_matches(text, MODELS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"expected one of {', '.join(MODELS)}"
    raise UnknownModelError(f"unknown model {text!r}: {hint} (or give the path of a model.toml)")
