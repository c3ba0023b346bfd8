"""`./dev` says what it needs, and installs what the project declares."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="./dev is a POSIX script")


def _dev(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / "dev"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with what ./dev reads, and no .venv; its name has a blank."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("dev", "pyproject.toml", "constraints-dev.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def old_python(tmp_path: Path) -> Path:
    """Return a folder whose every Python says that it is too old."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python3", "python3.13", "python3.12", "python3.11", "python"):
        script = folder / name
        script.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("argument", ["help", "--help", None])
def test_help_names_every_command(checkout: Path, argument: str | None) -> None:
    done = _dev(checkout, *([argument] if argument else []))
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("demo", "test", "lint", "bench", "help"):
        assert re.search(rf"^  {command}\b", done.stdout, re.MULTILINE)


def test_an_unknown_command_is_wrong_usage(checkout: Path) -> None:
    done = _dev(checkout, "dance")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ./dev COMMAND")


def test_a_python_that_is_too_old_is_named(checkout: Path, old_python: Path) -> None:
    path = f"{old_python}{os.pathsep}/usr/bin{os.pathsep}/bin"
    done = _dev(checkout, "demo", PATH=path, PYTHON="")
    assert done.returncode == 1
    assert done.stderr == (
        "dev: no Python of 3.11 or newer on the PATH (found: Python 3.9.1); set PYTHON=/path/to/python3\n"
    )
    assert not (checkout / ".venv").exists()


def test_the_chosen_python_must_be_new_enough(checkout: Path, old_python: Path) -> None:
    done = _dev(checkout, "test", PYTHON=str(old_python / "python3"))
    assert done.returncode == 1
    assert "is not a Python of 3.11 or newer" in done.stderr


def test_every_direct_dependency_is_pinned_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        *project["project"]["dependencies"],
        *(d for extra in project["project"]["optional-dependencies"].values() for d in extra),
        *project["dependency-groups"]["dev"],
    ]
    lines = (ROOT / "constraints-dev.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    names = [pin.split("==")[0] for pin in pins]
    assert names == sorted({re.split(r"[\[<>=!~ ]", d, maxsplit=1)[0] for d in declared})


def test_the_gate_runs_the_tests() -> None:
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    assert os.access(ROOT / "dev", os.X_OK)
    assert "./dev test" in gate.read_text(encoding="utf-8")
