"""How a model runs: in an engine chosen by name, quiet, with threads under control, and without telemetry."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, describe
from mien.errors import InputError, ModelError
from mien.models._onnxruntime import OnnxRuntime, failures, onnxruntime, provider
from mien.models._openvino import OpenVino
from mien.models.spec import ModelSpec
from mien.models.store import read_weights

__all__ = [
    "ENGINES",
    "INT8",
    "MAX_DEFAULT_THREADS",
    "PRECISIONS",
    "Session",
    "check_engine",
    "closest_precision",
    "default_threads",
    "load",
    "onnxruntime",
]

ENGINES = ("onnxruntime", "openvino")
"""What computes: ONNX Runtime, which comes with mien, or OpenVINO, of the extra of that name."""

PRECISIONS = ("float32", "bfloat16", "int8")
"""What an engine computes in.  ``int8`` takes another file of the model, whose role ends in `INT8`."""

INT8 = "-int8"
"""What the role of a graph in int8 has behind that of the same graph in float32: ``graph-int8``."""

MAX_DEFAULT_THREADS = 4
"""The graphs here are small: beyond four threads the hand-over between them costs what it saves."""


def default_threads() -> int:
    """Return how many threads a session takes when nothing is said: the cores of this process, at most four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_DEFAULT_THREADS)


class Session:
    """One graph, ready to run.  Thread-safe: any number of threads may call `run` at once.

    Made by `load`.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    name : str
        What to call it in messages.
    threads : int
        Threads within one call; 1 runs in the caller's thread.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    engine : str
        One of `ENGINES`.
    precision : str
        One of `PRECISIONS`.
    """

    def __init__(
        self,
        content: bytes,
        *,
        name: str,
        threads: int,
        device: str,
        engine: str = "onnxruntime",
        precision: str = "float32",
    ) -> None:
        check_engine(engine, precision=precision, device=device)
        self.name = name
        self.device = device
        self.threads = threads
        self.engine = engine
        self.precision = precision
        self._graph: OnnxRuntime | OpenVino
        self._told: Callable[[Exception], str]
        make: Callable[[bytes], OnnxRuntime | OpenVino]
        if engine == "openvino":
            # As many calls side by side as the cores allow, as ONNX Runtime does by itself.
            streams = max(default_threads() // threads, 1)
            self._failures, self._told = OpenVino.failures, OpenVino.told
            make = functools.partial(OpenVino, threads=threads, streams=streams, precision=precision)
        else:
            self._failures, self._told = failures(), str
            make = functools.partial(OnnxRuntime, name=name, threads=threads, device=device)
        try:
            self._graph = make(content)
        except self._failures as error:
            raise ModelError(f"model {name!r} cannot be loaded: {self._told(error)}") from error
        self.input_names: tuple[str, ...] = self._graph.input_names
        self.output_names: tuple[str, ...] = self._graph.output_names

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once.

        Parameters
        ----------
        feeds : mapping of str to numpy.ndarray
            One array for each of `input_names`, of the dtype and shape that the graph declares.
        outputs : sequence of str, optional
            Which of `output_names` to return; all by default.

        Returns
        -------
        dict of str to numpy.ndarray
            The outputs by name.

        Raises
        ------
        ModelError
            If the arrays do not fit the graph, an output does not exist, or the runtime fails.
        """
        wanted = self.output_names if outputs is None else tuple(outputs)
        for asked, have, what in ((feeds, self.input_names, "inputs"), (wanted, self.output_names, "outputs")):
            unknown = set(asked) - set(have)
            missing = set(have) - set(asked) if what == "inputs" else set()
            if unknown or missing:
                raise ModelError(f"model {self.name!r} has the {what} {', '.join(have)}, but got {', '.join(asked)}")
        arrays = {key: np.ascontiguousarray(value) for key, value in feeds.items()}
        try:
            values = self._graph.run(arrays, wanted)
        except self._failures as error:
            got = ", ".join(f"{key}: {describe(value)}" for key, value in arrays.items())
            raise ModelError(f"model {self.name!r} cannot run on {got}: {self._told(error)}") from error
        return dict(zip(wanted, values, strict=True))

    def __repr__(self) -> str:
        more = "" if self.engine == "onnxruntime" else f", engine={self.engine!r}, precision={self.precision!r}"
        return f"Session({self.name!r}, threads={self.threads}, device={self.device!r}{more})"


def load(
    spec: ModelSpec,
    role: str = "graph",
    *,
    threads: int | None = None,
    device: str = "cpu",
    engine: str = "onnxruntime",
    precision: str = "float32",
) -> Session:
    """Load one of a model's graphs.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    role : str
        Which of its files.
    threads : int, optional
        Threads within one call, at least 1.  By default the cores of this process, at most four: callers that run
        several sessions side by side should say 1.
    device : str
        ``"cpu"``, or ``"cuda"`` (``"cuda:1"`` for the second card) where a runtime that has it is installed.
    engine : str
        One of `ENGINES`: what computes.  The graph is the same file; answers differ by rounding alone.
    precision : str
        One of `PRECISIONS`: what the engine computes in.  ``"bfloat16"`` is for OpenVINO, on processors that have it;
        ``"int8"`` for models that have such a graph, on ``"cpu"``.

    Returns
    -------
    Session
        The graph, ready to run.  The same input gives the same output, for the same threads, device and engine.

    Raises
    ------
    InputError
        If ``threads``, ``device``, ``engine`` or ``precision`` makes no sense, or they do not go together.
    MissingExtraError
        If the engine is not installed.
    WeightsError
        If the file is missing or not the record's.
    ModelError
        If the device or the precision is not available, the model has no such graph, or the runtime refuses it.
    """
    count = default_threads() if threads is None else check_integer(threads, "threads", low=1, high=1024)
    check_engine(engine, precision=precision, device=device)
    if precision == "int8":
        role = _in_int8(spec, role)
    content = read_weights(spec, role)
    name = spec.name if role in ("graph", f"graph{INT8}") else f"{spec.name}/{role}"
    return Session(content, name=name, threads=count, device=device, engine=engine, precision=precision)


def check_engine(engine: Any, *, precision: Any = "float32", device: Any = "cpu") -> None:
    """Raise `InputError` where there is no such engine or precision, or the three do not go together.

    A device that this machine does not have is a `ModelError`.
    """
    for value, what, known in ((engine, "engine", ENGINES), (precision, "precision", PRECISIONS)):
        if not isinstance(value, str) or value not in known:
            raise InputError(f"{what} must be {' or '.join(map(repr, known))}, but got {describe(value)}")
    if precision == "bfloat16" and engine != "openvino":
        raise InputError(f"precision {precision!r} is for the engine 'openvino', but the engine is {engine!r}")
    if engine == "openvino" and device != "cpu":
        raise InputError(f"device of the engine 'openvino' must be 'cpu', but got {describe(device)}")
    if precision == "int8" and device != "cpu":
        raise InputError(f"precision 'int8' is for the device 'cpu', but got {describe(device)}")
    provider(device)


def closest_precision(spec: ModelSpec, precision: str) -> str:
    """Return what a model is computed in where others beside it are asked to be in ``precision``.

    That is ``precision`` itself, but float32 for int8 where the model has no such graph.
    """
    has = any(entry.role == f"graph{INT8}" for entry in spec.files)
    return "float32" if precision == "int8" and not has else precision


def _in_int8(spec: ModelSpec, role: str) -> str:
    """Return the role of a graph in int8, or say what the model has instead."""
    roles = [entry.role for entry in spec.files]
    if role + INT8 in roles:
        return role + INT8
    files = ", ".join(f"{entry.file} ({entry.role})" for entry in spec.files)
    raise ModelError(f"model {spec.name!r} has no graph in int8: expected a file {role + INT8!r}, but it has {files}")
