"""What a model is, where it lies, and how it runs.

`registry.get` finds a model, `store` reads its record and weights, `runtime.load` makes it runnable.
"""

from __future__ import annotations

from mien.models.spec import License, ModelFile, ModelInput, ModelSpec, Output, Result

__all__ = ["License", "ModelFile", "ModelInput", "ModelSpec", "Output", "Result"]
