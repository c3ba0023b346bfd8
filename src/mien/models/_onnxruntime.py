"""ONNX Runtime as an engine: quiet, with threads under control, and without its telemetry."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mien._checks import describe
from mien.errors import InputError, ModelError

__all__ = ["OnnxRuntime", "failures", "onnxruntime", "provider"]

_SWITCH = "ORT_DISABLE_TELEMETRY"
_import_lock = threading.Lock()


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
        before = os.environ.get(_SWITCH)
        os.environ[_SWITCH] = "1"
        try:
            import onnxruntime as module
        finally:
            if before is None:
                del os.environ[_SWITCH]
            else:
                os.environ[_SWITCH] = before
    module.disable_telemetry_events()
    return module


class OnnxRuntime:
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
        As `provider` takes it.

    Raises
    ------
    ModelError
        If the runtime has the device, but cannot start it.
    """

    def __init__(self, content: bytes, *, name: str, threads: int, device: str) -> None:
        runtime = onnxruntime()
        chosen = provider(device)
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
            # The runtime falls back to the processor without an error; an answer must not depend on that.
            raise ModelError(f"model {name!r} cannot run on device {device!r}: the runtime could not start {chosen[0]}")
        self.input_names: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.output_names: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph once."""
        values: list[NDArray[Any]] = self._session.run(list(outputs), feeds)
        return values


def provider(device: Any) -> tuple[str, dict[str, str]]:
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


def failures() -> tuple[type[Exception], ...]:
    """Return the runtime's exceptions, which have no base class in common, and those that its wrapper raises."""
    state = vars(onnxruntime().capi.onnxruntime_pybind11_state)
    own = tuple(v for v in state.values() if isinstance(v, type) and issubclass(v, Exception))
    return (*own, RuntimeError, ValueError, TypeError)
