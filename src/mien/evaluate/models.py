"""Which model a word of the command line means: a shipped one, a record, a run folder, or a graph with its record."""

from __future__ import annotations

from pathlib import Path

from mien.errors import ModelError
from mien.evaluate.runs import CONFIG, read_run
from mien.models import ModelSpec, registry
from mien.models.registry import RECORD

__all__ = ["find_model", "split_names"]


def find_model(name: str) -> ModelSpec:
    """Return the record of a model.

    Parameters
    ----------
    name : str
        The name of a shipped model, the path of a record, a run folder, or an ``.onnx`` file with its record beside it
        (of the same name, or ``model.toml``).

    Returns
    -------
    ModelSpec
        Its record; the weights are not looked at.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelError
        If the record is wrong or of another graph, or the run is not finished.
    """
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        return _of_graph(path)
    if name not in registry.MODELS and (path / CONFIG).is_file() and not (path / RECORD).is_file():
        raise ModelError(f"{path} has no model yet: {'; '.join(read_run(path).notes)}")
    return registry.get(name)


def _of_graph(path: Path) -> ModelSpec:
    if not path.is_file():
        raise ModelError(f"no file {path}")
    beside = (path.with_suffix(".toml"), path.with_name(RECORD))
    record = next((p for p in beside if p.is_file()), None)
    if record is None:
        raise ModelError(f"{path} has no record beside it: expected {beside[0].name} or {RECORD}")
    spec = registry.get(record)
    if path.name not in (file.file for file in spec.files):
        raise ModelError(f"{record} is the record of {', '.join(f.file for f in spec.files)}, not of {path.name}")
    return spec


def split_names(words: str) -> list[str]:
    """Return the models that are named in one word, separated by commas; a path that exists is one, commas or not."""
    if Path(words).exists():
        return [words]
    return [word for word in words.split(",") if word]
