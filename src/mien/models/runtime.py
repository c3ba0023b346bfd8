"""How a model runs: in an engine chosen by name, quiet, with threads under control, and without telemetry.

This is the only place that imports ONNX Runtime or OpenVINO.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, describe
from mien._extras import import_extra
from mien.errors import InputError, ModelError
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
    "count_cores",
    "default_threads",
    "load",
    "onnxruntime",
    "openvino",
    "openvino_core",
]

ENGINES = ("onnxruntime", "openvino")
"""What computes: ONNX Runtime, which comes with mien, or OpenVINO, of the extra of that name."""

PRECISIONS = ("float32", "bfloat16", "int8")
"""What an engine computes in.  ``int8`` takes another file of the model, whose role ends in `INT8`."""

INT8 = "-int8"
"""What the role of a graph in int8 has behind that of the same graph in float32: ``graph-int8``."""

MAX_DEFAULT_THREADS = 4
"""The graphs here are small: beyond four threads the hand-over between them costs what it saves."""

_EXTERNAL_DATA = re.compile(rb"[\x00\x08]location")
"""The key in ``TensorProto.external_data`` (onnx.proto3) that names a file, behind its length."""

_TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
_OPENVINO_TELEMETRY = "openvino_telemetry"
_import_lock = threading.Lock()
_core_lock = threading.Lock()

_OPENVINO_TYPES = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""What OpenVINO computes in where a graph does not say int8 itself."""


def default_threads() -> int:
    """Return how many threads a session takes when nothing is said: the cores of this process, at most four."""
    return min(count_cores(), MAX_DEFAULT_THREADS)


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        if _EXTERNAL_DATA.search(content):
            raise ModelError(f"model {name!r} has weights in other files, which are not checked: save it as one file")
        self.name = name
        self.device = device
        self.threads = threads
        self.engine = engine
        self.precision = precision
        self._graph: _OnnxRuntimeGraph | _OpenVinoGraph
        self._error_text: Callable[[Exception], str]
        make: Callable[[bytes], _OnnxRuntimeGraph | _OpenVinoGraph]
        if engine == "openvino":
            # As many calls side by side as the cores allow, as ONNX Runtime does by itself.
            streams = max(default_threads() // threads, 1)
            self._errors, self._error_text = _OpenVinoGraph.errors, _OpenVinoGraph.error_text
            make = functools.partial(_OpenVinoGraph, threads=threads, streams=streams, precision=precision)
        else:
            self._errors, self._error_text = _onnxruntime_errors(), str
            make = functools.partial(_OnnxRuntimeGraph, name=name, threads=threads, device=device)
        try:
            self._graph = make(content)
        except self._errors as error:
            raise ModelError(f"model {name!r} cannot be loaded: {self._error_text(error)}") from error
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
        except self._errors as error:
            got = ", ".join(f"{key}: {describe(value)}" for key, value in arrays.items())
            raise ModelError(f"model {self.name!r} cannot run on {got}: {self._error_text(error)}") from error
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
        One of `ENGINES`: what computes.  The graph is the same file; outputs differ by rounding alone.
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
        role = _find_int8_role(spec, role)
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
    _get_provider(device)


def closest_precision(spec: ModelSpec, precision: str) -> str:
    """Return what a model is computed in where others beside it are asked to be in ``precision``.

    That is ``precision`` itself, but float32 for int8 where the model has no such graph.
    """
    has = any(entry.role == f"graph{INT8}" for entry in spec.files)
    return "float32" if precision == "int8" and not has else precision


def _find_int8_role(spec: ModelSpec, role: str) -> str:
    """Return the role of a graph in int8, or say what the model has instead."""
    roles = [entry.role for entry in spec.files]
    if role + INT8 in roles:
        return role + INT8
    files = ", ".join(f"{entry.file} ({entry.role})" for entry in spec.files)
    raise ModelError(f"model {spec.name!r} has no graph in int8: expected a file {role + INT8!r}, but it has {files}")


# --- ONNX Runtime -----------------------------------------------------------------------------------------------------


@functools.cache
def onnxruntime() -> Any:
    """Return the module ``onnxruntime``, imported without its telemetry.

    From 1.29 on, importing ONNX Runtime on any system writes a device id and a database under the home directory and
    reports to its maker, unless the environment variable ``ORT_DISABLE_TELEMETRY`` is set at that moment.  It is set
    for the import only, because the runtime reads it once; the caller's environment stays as it was.  Where the caller
    has imported the runtime before, what is left to switch off is switched off.

    References
    ----------
    microsoft/onnxruntime, pull requests 27379 and 29843.
    """
    with _import_lock:
        before = os.environ.get(_TELEMETRY_SWITCH)
        os.environ[_TELEMETRY_SWITCH] = "1"
        try:
            import onnxruntime as module
        finally:
            if before is None:
                del os.environ[_TELEMETRY_SWITCH]
            else:
                os.environ[_TELEMETRY_SWITCH] = before
    module.disable_telemetry_events()
    return module


class _OnnxRuntimeGraph:
    """One graph in ONNX Runtime.  Thread-safe.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    name : str
        What to call it in messages.
    threads : int
        Threads within one call.
    device : str
        As `load` takes it.

    Raises
    ------
    ModelError
        If the runtime has the device, but cannot start it.
    """

    def __init__(self, content: bytes, *, name: str, threads: int, device: str) -> None:
        runtime = onnxruntime()
        chosen = _get_provider(device)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        # Errors reach the caller as exceptions; the runtime's warnings are about its own optimisations.
        options.log_severity_level = 3
        # Spinning threads burn a core between calls, and two of them are slower than one on two cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = runtime.InferenceSession(content, options, providers=[chosen])
        if chosen[0] not in self._session.get_providers():
            # The runtime falls back to the processor without an error; a result must not depend on that.
            raise ModelError(f"model {name!r} cannot run on device {device!r}: the runtime could not start {chosen[0]}")
        self.input_names: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.output_names: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph once."""
        values: list[NDArray[Any]] = self._session.run(list(outputs), feeds)
        return values


def _get_provider(device: Any) -> tuple[str, dict[str, str]]:
    """Return the runtime's name for a device, with its options.

    Raises
    ------
    InputError
        If that is no device.
    ModelError
        If the installed runtime does not have it.
    """
    match = re.fullmatch(r"(cpu)|cuda(?::(\d{1,3}))?", device) if isinstance(device, str) else None
    if match is None:
        raise InputError(f"device must be 'cpu', 'cuda' or 'cuda:0', but got {describe(device)}")
    if match[1]:
        return "CPUExecutionProvider", {}
    available = onnxruntime().get_available_providers()
    if "CUDAExecutionProvider" not in available:
        have = ", ".join(p.removesuffix("ExecutionProvider") for p in available)
        raise ModelError(
            f"device {device!r} is not available: the installed ONNX Runtime has {have}; "
            "for CUDA install onnxruntime-gpu in place of onnxruntime"
        )
    return "CUDAExecutionProvider", {"device_id": match[2] or "0"}


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return the runtime's exceptions, which have no base class in common, and those that its wrapper raises."""
    state = vars(onnxruntime().capi.onnxruntime_pybind11_state)
    own = tuple(v for v in state.values() if isinstance(v, type) and issubclass(v, Exception))
    return (*own, RuntimeError, ValueError, TypeError)


# --- OpenVINO ---------------------------------------------------------------------------------------------------------


@functools.cache
def openvino() -> Any:
    """Return the module ``openvino``, imported without its telemetry.

    Importing OpenVINO imports its converter of models, which writes a client number under the home directory and sends
    an event to its maker, unless its package ``openvino_telemetry`` is missing: then a stand-in that does nothing takes
    its place.  So the package is hidden for the import, and for that only.  Where the caller has imported OpenVINO
    before, that has happened already; running models sends nothing.

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.

    References
    ----------
    OpenVINO 2026.4, ``openvino/tools/ovc/__init__.py`` and ``telemetry_utils.py``.
    """
    with _import_lock:
        before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _OPENVINO_TELEMETRY}
        for name in before:
            del sys.modules[name]
        sys.modules[_OPENVINO_TELEMETRY] = None  # type: ignore[assignment]
        try:
            return import_extra("openvino", extra="openvino", purpose="engine 'openvino'")
        finally:
            del sys.modules[_OPENVINO_TELEMETRY]
            sys.modules.update(before)


@functools.cache
def _make_core() -> Any:
    return openvino().Core()


def openvino_core() -> Any:
    """Return the one ``openvino.Core`` of this process, which is never freed.

    Its plugin gives the thread that loads it another stack for signal handlers, and frees that stack with itself, even
    if the thread uses it still: after two plugins that are freed in the order in which they came, or by another thread,
    Ctrl-C ends the process with a segmentation fault.

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.

    References
    ----------
    OpenVINO 2026.4, ``SigAltStackSetup`` in ``src/plugins/intel_cpu/src/plugin.cpp``.
    """
    openvino()
    with _core_lock:
        return _make_core()


class _OpenVinoGraph:
    """One graph in OpenVINO, on the processor.  Thread-safe: each thread has a request of its own.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    threads : int
        Threads within one call.
    streams : int
        How many calls may run at the same time; more wait.
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"int8"``: what matrix products and convolutions compute in.  OpenVINO by
        itself takes bfloat16 wherever the processor has it; int8 is in the graph, and what is not is in float32.

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    ModelError
        If bfloat16 is asked of a processor that does not have it.
    """

    errors: tuple[type[Exception], ...] = (RuntimeError, ValueError, TypeError)
    """What loading and running raise."""

    def __init__(self, content: bytes, *, threads: int, streams: int, precision: str) -> None:
        self._module = openvino()
        core = openvino_core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ModelError("precision 'bfloat16' is not available: this processor computes in float32 only")
        model = core.read_model(content)
        # Compiled, a tensor may have further names, those of nodes that were merged into one.
        self.input_names: tuple[str, ...] = tuple(i.get_any_name() for i in model.inputs)
        self.output_names: tuple[str, ...] = tuple(o.get_any_name() for o in model.outputs)
        options = {
            "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision],
            "INFERENCE_NUM_THREADS": threads * streams,
            "NUM_STREAMS": streams,
            "PERFORMANCE_HINT": "LATENCY",
            # Bound to one core, two processes may wait for each other while another core idles.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core.compile_model(model, "CPU", options)
        self._local = threading.local()

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph once, in the request of the calling thread; the arrays returned are copies."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        for name, value in feeds.items():
            # Arrays are shared, not copied, but for read-only ones, which OpenVINO does not share.
            array = np.require(value, requirements=["C", "W"])
            request.set_tensor(name, self._module.Tensor(array, shared_memory=True))
        request.infer()
        return [request.get_tensor(name).data.copy() for name in outputs]

    @staticmethod
    def error_text(error: Exception) -> str:
        """Return what an error says, without where in OpenVINO's sources it was raised."""
        lines = (line.strip() for line in str(error).splitlines())
        return " ".join(line for line in lines if line and not line.startswith("Exception from "))
