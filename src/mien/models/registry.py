"""Which models there are: those that ship with mien, by name, and any other by the path of its record."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from mien.errors import InputError, UnknownModelError
from mien.models.spec import TASKS, ModelSpec
from mien.models.store import read_record

__all__ = ["SHIPPED", "get", "names"]

# A plain path is enough: mien needs compiled packages, which cannot run from inside a zip file either.
SHIPPED = Path(__file__).resolve().parent.parent / "weights"
"""The folder of the models that ship with mien."""

RECORD = "model.toml"
"""The record's name in a run folder."""


def names(task: str | None = None) -> list[str]:
    """Return the names of the shipped models, in alphabetical order.

    Parameters
    ----------
    task : str, optional
        Only models for this task, such as ``"face-emotion"``.

    Raises
    ------
    InputError
        If there is no such task.
    ModelError
        If a task is given and a record is wrong.
    """
    if task is not None and task not in TASKS:
        raise InputError(f"unknown task {task!r}: expected one of {', '.join(TASKS)}")
    found = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    return found if task is None else [name for name in found if get(name).task == task]


def get(model: str | os.PathLike[str] | ModelSpec) -> ModelSpec:
    """Return a model.

    Parameters
    ----------
    model : str, path or ModelSpec
        The name of a shipped model, the path of a ``.toml`` record, or a run folder that holds ``model.toml``.
        A shipped name always means the shipped model, whatever lies in the current folder.  A `ModelSpec` is returned
        as it is.

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
    if isinstance(model, str) and text in (known := names()):
        spec = read_record(SHIPPED / f"{text}.toml")
        if spec.name != text:
            raise UnknownModelError(f"{spec.path}: key 'name' must be {text!r} like the file, but got {spec.name!r}")
        return spec
    path = Path(text)
    if path.is_dir():
        return read_record(path / RECORD)
    if path.suffix == ".toml" or not isinstance(model, str) or path.name != text:
        return read_record(path)
    close = difflib.get_close_matches(text, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known) or 'none'}"
    raise UnknownModelError(f"unknown model {text!r}: {hint} (or give the path of a model.toml)")
