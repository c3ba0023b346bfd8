"""OpenVINO as an engine: the same ONNX files, in float32, bfloat16 or int8, without its telemetry."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.errors import ModelError

__all__ = ["OpenVino", "openvino"]

_TYPES = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""What is computed in where a graph does not say int8 itself."""

_TELEMETRY = "openvino_telemetry"
_import_lock = threading.Lock()


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
        before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _TELEMETRY}
        for name in before:
            del sys.modules[name]
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
        try:
            return import_extra("openvino", extra="openvino", purpose="engine 'openvino'")
        finally:
            del sys.modules[_TELEMETRY]
            sys.modules.update(before)


class OpenVino:
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

    failures: tuple[type[Exception], ...] = (RuntimeError, ValueError, TypeError)
    """What loading and running raise."""

    def __init__(self, content: bytes, *, threads: int, streams: int, precision: str) -> None:
        self._module = openvino()
        core = self._module.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ModelError("precision 'bfloat16' is not available: this processor computes in float32 only")
        model = core.read_model(content)
        # Compiled, a tensor may have further names, those of nodes that were merged into one.
        self.input_names: tuple[str, ...] = tuple(i.get_any_name() for i in model.inputs)
        self.output_names: tuple[str, ...] = tuple(o.get_any_name() for o in model.outputs)
        options = {
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "INFERENCE_NUM_THREADS": threads * streams,
            "NUM_STREAMS": streams,
            "PERFORMANCE_HINT": "LATENCY",
            # Bound to one core, two processes may wait for each other while another core idles.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core.compile_model(model, "CPU", options)
        self._own = threading.local()

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph once, in the request of the calling thread; the arrays returned are copies."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        for name, value in feeds.items():
            # Arrays are shared, not copied, but for read-only ones, which OpenVINO does not share.
            array = np.require(value, requirements=["C", "W"])
            request.set_tensor(name, self._module.Tensor(array, shared_memory=True))
        request.infer()
        return [request.get_tensor(name).data.copy() for name in outputs]

    @staticmethod
    def told(error: Exception) -> str:
        """Return what an error says, without where in OpenVINO's sources it was raised."""
        lines = (line.strip() for line in str(error).splitlines())
        return " ".join(line for line in lines if line and not line.startswith("Exception from "))
