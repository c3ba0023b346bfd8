"""Where models lie: the only place of the inference path that opens records and weights.

Weights are handed out only when their content is what the record declares.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError, UnknownModelError, WeightsError
from mien.models.record import dump_toml, parse_record
from mien.models.spec import ModelFile, ModelSpec

__all__ = ["read_arrays", "read_record", "read_weights", "verify", "write_record"]

_verified: set[tuple[str, int, int, str]] = set()
"""Path, time of change, size and digest of files whose content was checked in this process."""

_lock = threading.Lock()


def read_record(path: str | Path) -> ModelSpec:
    """Read a model's record.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file.

    Returns
    -------
    ModelSpec
        The model; its weights are not looked at.

    Raises
    ------
    UnknownModelError
        If there is no such file.
    ModelError
        If the record cannot be read or is wrong; the message names file and key.
    """
    where = Path(path)
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnknownModelError(f"no model record at {where}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{where}: cannot read the model record: {error}") from error
    return parse_record(text, where)


def write_record(record: ModelSpec | Mapping[str, Any], path: str | Path) -> ModelSpec:
    """Write a model's record, after checking it as `read_record` would.

    Parameters
    ----------
    record : ModelSpec or mapping
        The model, or its record as plain data.
    path : str or pathlib.Path
        The TOML file to write.

    Returns
    -------
    ModelSpec
        The model as it will be read back.

    Raises
    ------
    ModelError
        If the record is wrong, or the file cannot be written.
    """
    where = Path(path)
    text = dump_toml(record.to_dict() if isinstance(record, ModelSpec) else record)
    spec = parse_record(text, where)
    try:
        where.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ModelError(f"{where}: cannot write the model record: {error}") from error
    return spec


def read_weights(spec: ModelSpec, role: str = "graph") -> bytes:
    """Return the content of one of a model's files, checked against its record.

    The digest of a file is computed once a process, and again when its size or time of change differs.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    role : str
        Which of its files.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    WeightsError
        If the file is missing, or its size or sha256 is not the record's; the message says what was expected.
    ModelError
        If the model has no file with that role.
    """
    return _read(spec, spec.file(role), trust_earlier=True)


def read_arrays(spec: ModelSpec, role: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one of a model's ``.npz`` files, checked against its record.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    role : str
        Which of its files.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays by name.

    Raises
    ------
    WeightsError
        If the file is missing, not the record's, or not made of plain arrays.
    ModelError
        If the model has no file with that role.
    """
    content = read_weights(spec, role)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # on damaged archives, numpy and zipfile raise errors of eight kinds without a base
        file = spec.file(role).file
        raise WeightsError(f"model {spec.name!r}: {file} is no .npz of plain arrays: {error}") from error


def verify(spec: ModelSpec) -> None:
    """Check the content of all files of a model, anew.

    Parameters
    ----------
    spec : ModelSpec
        The model.

    Raises
    ------
    WeightsError
        If a file is missing or damaged.
    """
    for entry in spec.files:
        _read(spec, entry, trust_earlier=False)


def _read(spec: ModelSpec, entry: ModelFile, *, trust_earlier: bool) -> bytes:
    path = spec.path.parent / entry.file
    try:
        with path.open("rb") as stream:
            changed_ns = path.stat().st_mtime_ns
            content = stream.read()
    except FileNotFoundError as error:
        raise WeightsError(f"the weights of model {spec.name!r} are missing: expected {path}") from error
    except OSError as error:
        raise WeightsError(f"the weights of model {spec.name!r} cannot be read: {error}") from error
    if len(content) != entry.bytes:
        raise WeightsError(
            f"the weights of model {spec.name!r} are damaged: {path} should have {entry.bytes} bytes, "
            f"but has {len(content)}"
        )
    key = (str(path), changed_ns, len(content), entry.sha256)
    if trust_earlier and key in _verified:
        return content
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"the weights of model {spec.name!r} are not those of its record: {path} should have sha256 "
            f"{entry.sha256}, but has {found}"
        )
    with _lock:
        _verified.add(key)
    return content
