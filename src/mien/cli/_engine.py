"""The options that say what computes, and in what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["ENGINE_OPTIONS", "engine_options"]

ENGINE_OPTIONS = ("device", "engine", "precision")


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--device``, ``--engine`` and ``--precision`` to a command, as `mien.FaceAnalyzer` takes them."""
    for option in reversed(
        (
            click.option("--device", default="cpu", show_default=True, help="cpu or cuda."),
            click.option(
                "--engine",
                type=click.Choice(("onnxruntime", "openvino")),
                default="onnxruntime",
                show_default=True,
                help="What reads the emotions; openvino needs that extra. Faces are found by onnxruntime.",
            ),
            click.option(
                "--precision",
                type=click.Choice(("float32", "bfloat16", "int8")),
                default="float32",
                show_default=True,
                help="bfloat16 is for openvino; int8 for faces, where the model has it.",
            ),
        )
    ):
        command = option(command)
    return command
