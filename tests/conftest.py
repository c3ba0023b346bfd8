"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of research data, or skip: MIEN_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "README.md").is_file():
        pytest.skip(f"no research data in {folder}: set MIEN_DATA to its folder (see docs/data.md)")
    return folder


@pytest.fixture(scope="session")
def planted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model whose answers stand in its crops' first pixels (see tests/planted.py)."""
    from planted import write_planted

    return write_planted(tmp_path_factory.mktemp("planted"))
