"""Which models there are: those that ship with mien and those that can be downloaded, by name, others by their path."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from mien.errors import InputError, UnknownModelError
from mien.models.spec import TASKS, ModelSpec
from mien.models.store import Offer, read_offer, read_record

__all__ = ["SHIPPED", "get", "names", "offer", "optional_names"]

# A plain path is enough: mien needs compiled packages, which cannot run from inside a zip file either.
SHIPPED = Path(__file__).resolve().parent.parent / "weights"
"""The folder of the models that ship with mien."""

OPTIONAL = "optional"
"""The folder in it of the records of models that can be downloaded."""

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


def optional_names() -> list[str]:
    """Return the names of the models that can be downloaded, in alphabetical order, whether they are there or not."""
    return sorted(path.stem for path in (SHIPPED / OPTIONAL).glob("*.toml"))


def offer(name: str) -> Offer:
    """Return a model that can be downloaded.

    Parameters
    ----------
    name : str
        One of `optional_names`.

    Returns
    -------
    Offer
        Its record with the address; whether its file is there is not looked at.

    Raises
    ------
    UnknownModelError
        If no such model can be downloaded.
    ModelError
        If the record is wrong.
    """
    if name not in (known := optional_names()):
        ships = ", since it ships with mien" if name in names() else ""
        raise UnknownModelError(f"model {name!r} is no download{ships}: expected one of {', '.join(known) or 'none'}")
    return read_offer(SHIPPED / OPTIONAL / f"{name}.toml")


def get(model: str | os.PathLike[str] | ModelSpec) -> ModelSpec:
    """Return a model.

    Parameters
    ----------
    model : str, path or ModelSpec
        The name of a shipped or optional model, the path of a ``.toml`` record, or a run folder that holds
        ``model.toml``.  Such a name always means that model, whatever lies in the current folder.  A `ModelSpec`
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
    if isinstance(model, str) and text in names():
        spec = read_record(SHIPPED / f"{text}.toml")
        if spec.name != text:
            raise UnknownModelError(f"{spec.path}: key 'name' must be {text!r} like the file, but got {spec.name!r}")
        return spec
    if isinstance(model, str) and text in optional_names():
        return offer(text).spec
    path = Path(text)
    if path.is_dir():
        return read_record(path / RECORD)
    if path.suffix == ".toml" or not isinstance(model, str) or path.name != text:
        return read_record(path)
    every = [*names(), *optional_names()]
    close = difflib.get_close_matches(text, every, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(every) or 'none'}"
    raise UnknownModelError(f"unknown model {text!r}: {hint} (or give the path of a model.toml)")
