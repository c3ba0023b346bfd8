"""Files are opened only where that is allowed; what a module may import is held by `lint-imports` (pyproject.toml)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "mien"

# Groups and modules that open files.
OPENS_FILES = {
    "io",
    "models.store",
    "batch",
    "data",
    "train",
    "evaluate",
    "output",
    "serve.jobs",
    "cli.serve",
    "cli.shell",
    "web",
}

OPENING_NAMES = {"open"}
OPENING_METHODS = {
    "open",
    "read_bytes",
    "read_text",
    "write_bytes",
    "write_text",
    "imread",
    "imreadmulti",
    "imwrite",
    "fdopen",
    "fromfile",
    "tofile",
    "genfromtxt",
    "loadtxt",
    "savetxt",
    "savez",
    "savez_compressed",
    "memmap",
    "VideoCapture",
    "VideoWriter",
    "NamedTemporaryFile",
    "TemporaryFile",
}
# Names too common to judge by themselves: only as functions of these modules.
OPENING_FUNCTIONS = {("np", "load"), ("np", "save"), ("numpy", "load"), ("numpy", "save")}


def _opened_files(source: str, module: str) -> list[str]:
    """Return the calls that open files, as readable lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in OPENING_NAMES:
            found.append(f"{module}:{node.lineno} calls {function.id}()")
        elif isinstance(function, ast.Attribute):
            owner = function.value.id if isinstance(function.value, ast.Name) else ""
            if function.attr == "open" and len(node.args) == 2 and not isinstance(node.args[1], ast.Constant):
                continue  # of a `mien.output.Format`: a target and a context, no mode
            if function.attr in OPENING_METHODS or (owner, function.attr) in OPENING_FUNCTIONS:
                found.append(f"{module}:{node.lineno} calls {owner or '...'}.{function.attr}()")
    return found


def test_files_are_opened_only_where_that_is_allowed() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module not in OPENS_FILES and module.split(".")[0] not in OPENS_FILES:
            found += _opened_files(path.read_text(encoding="utf-8"), module)
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "Path('x').open()",
        "p.read_bytes()",
        "cv2.imread('x')",
        "np.load('x')",
        "Image.open('x')",
        "a.tofile(f)",
    ],
)
def test_the_check_finds_openings(source: str) -> None:
    assert len(_opened_files(source, "face.detect")) == 1


def test_the_check_passes_what_opens_no_file() -> None:
    assert _opened_files("json.load(stream)\nself.load()\nform.open(path, context)", "face.detect") == []


def test_import_mien_imports_nothing_of_its_own() -> None:
    code = "import sys, mien; print([name for name in sys.modules if name.startswith('mien.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
