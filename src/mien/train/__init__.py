"""The training wing: nets, augmentation, runs and export.  Needs the extra ``train``."""

from __future__ import annotations

from mien.models import runtime

__all__: list[str] = []

# Lightning and onnxscript import ONNX Runtime, whose telemetry must be off by then.
runtime.onnxruntime()
