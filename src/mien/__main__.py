"""``python -m mien``: the command line."""

from __future__ import annotations

from mien.cli import main

__all__: list[str] = []

main(prog_name="mien")
