"""A frozen application: the models, and the modules that are imported by name, must be in it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import mien
from mien._pyinstaller import get_hook_dirs
from mien.samples import astronaut_path

APPLICATION = """
import json, sys
import mien
results = [mien.analyze(sys.argv[1], detector=name) for name in ("mtcnn", "haar")]
mien.write(results[0], sys.argv[2])
print(json.dumps([(result.faces[0].emotion.top, result.model) for result in results]))
"""


def test_pyinstaller_finds_the_hooks() -> None:
    (folder,) = map(Path, get_hook_dirs())
    assert (folder / "hook-mien.py").is_file()
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    points = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"]
    assert points["pyinstaller40"]["hook-dirs"] == "mien._pyinstaller:get_hook_dirs"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_spec("PyInstaller") is None, reason="PyInstaller is not installed")
def test_a_frozen_application_reads_emotions(tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(APPLICATION, encoding="utf-8")
    build = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR", "--onedir"]
    folders = [f"--{kind}path={tmp_path / kind}" for kind in ("dist", "work", "spec")]
    # What is optional, and here only because the tests use it, takes minutes to collect.
    left_out = (
        "torch",
        "pandas",
        "polars",
        "matplotlib",
        "openvino",
        "pyarrow",
        "sklearn",
        "scipy",
        "skimage",
        "IPython",
    )
    folders += [f"--exclude-module={name}" for name in left_out]
    paths = [f"--paths={Path(mien.__file__).parents[1]}", f"--additional-hooks-dir={get_hook_dirs()[0]}"]
    subprocess.run([*build, *folders, *paths, str(script)], check=True, cwd=tmp_path)
    frozen = tmp_path / "dist" / "application"
    table = tmp_path / "faces.csv"
    run = subprocess.run(
        [frozen / "application", astronaut_path(), table], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert json.loads(run.stdout) == [["happiness", "face-base"]] * 2
    assert "happiness" in table.read_text("utf-8")
