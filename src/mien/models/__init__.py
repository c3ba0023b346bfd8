"""What a model is, where its files are, and how it runs.

`MODELS` has the models by name, `registry.get` also finds one by its path; `store` reads its record and weights,
`runtime.load` makes it runnable.
"""

from __future__ import annotations

from mien.models.registry import MODELS
from mien.models.spec import License, ModelFile, ModelInput, ModelSpec, Output, Result

__all__ = ["MODELS", "License", "ModelFile", "ModelInput", "ModelSpec", "Output", "Result"]
