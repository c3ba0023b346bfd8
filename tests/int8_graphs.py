"""Which shipped graphs compute in eight bits."""

from __future__ import annotations

from mien.models import registry, runtime


def in_eight_bits(name: str, role: str = "graph") -> bool:
    """Tell whether a graph computes in int8: engines round it in their own ways, and no net can take its weights."""
    files = registry.get(name).files
    return registry.get(name).file(role).file in {file.file for file in files if file.role.endswith(runtime.INT8)}
