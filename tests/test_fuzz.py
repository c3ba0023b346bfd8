"""The fuzz target without its fuzzer: it passes what is sound, and tells what is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"

# atheris is not among the development tools: in its place stands what does nothing.  The peak of memory that the system
# tells a process of may be that of its parent.
BEGIN = f"""
import contextlib, sys, types
stub = types.ModuleType("atheris")
stub.instrument_imports = lambda **_: contextlib.nullcontext()
sys.modules["atheris"] = stub
sys.path.insert(0, {str(FUZZ)!r})
import images
images.MEGABYTES = float("inf")
images.watch()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, timeout=120
    )


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer runs on Linux and macOS")


def test_seeds_and_damaged_files_pass() -> None:
    done = run("""
from hostile_images import mutated
ways = [0, 3, 6, 8, 12, 20]
for data in (*images.SEEDS, *(data for name, data in mutated(100) if "-tiff-" not in name)):
    images.one_file(data)
    for lot in ways:
        with contextlib.suppress(images.MienError):
            images.way_in(data, lot)
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise IndexError('a decoder')", "IndexError: a decoder"),
        ("raise images.MienError('')", "an error without a message"),
        ("import os; os.write(2, b'words')", "printed 5 bytes: b'words'"),
        ("import warnings; warnings.warn('a warning')", "a warning or log: UserWarning: a warning"),
        ("import logging; logging.getLogger('PIL').error('an error')", "a warning or log: an error"),
        ("images.SECONDS = 0.0", "s of processor time"),
        ("images.MEGABYTES = 1", "memory rose to"),
    ],
)
def test_faults_are_found(fault: str, message: str) -> None:
    done = run(f"""
def faulty(data, lot):
    exec({fault!r}, globals())
images.way_in = faulty
images.one_file(b"")
""")
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


def test_a_new_folder_gets_a_file_of_each_kind(tmp_path: Path) -> None:
    done = run(f"""
from pathlib import Path
images.WORK = Path({str(tmp_path)!r})
print(*images.arguments(["-runs=5", {str(tmp_path / "corpus")!r}]), sep="\\n")
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["-runs=5", str(tmp_path / "corpus")]
    assert {"jpeg-cmyk", "png-interlaced", "tiff-lzw"} <= {path.name for path in (tmp_path / "corpus").iterdir()}
