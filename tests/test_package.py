"""What `import mien` costs, what it brings, and what the package never does: all in fresh processes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien

PACKAGE = Path(mien.__file__).resolve().parent

# The public names, written out: a change of them is a decision, not an accident.
PUBLIC = """
Audio AudioOptions BAUM8 DatasetError DecodeError Emotion EmotionSegment FER7 FERPLUS8 Face FaceAnalyzer
FaceStream FaceTrack FailedItem Frame FusedResult FusedSegment ImageResult InputError LabelSet MediaError
MediaNotFoundError MienError MienWarning MissingExtraError ModelError ModelOptions Moment PersonSummary
RAVDESS8 SpeechAnalyzer SpeechResult SpeechSegment SpeechStream SpeechSummary TrackedFace UnknownModelError
UnsupportedMediaError VideoAnalyzer VideoFrame VideoOptions VideoResult VideoSummary WeightsError analyze
analyze_audio analyze_image analyze_images analyze_many analyze_speech analyze_video draw draw_video fuse
iter_audio iter_frames iter_live iter_speech iter_video plot_timeline prepare_faces read_audio read_image
write write_wav
""".split()  # noqa: SIM905

HEAVY = ("numpy", "cv2", "onnxruntime", "PIL", "torch", "lightning", "rich", "pandas", "polars")


def _fresh(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a new process that fails on any output to stderr, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _loaded(code: str, *arguments: str) -> set[str]:
    """Return which top-level packages a new process has imported after running code."""
    out = _fresh(
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))", *arguments
    )
    return set(json.loads(out.splitlines()[-1]))


def test_the_public_names_are_these() -> None:
    assert sorted(mien.__all__) == sorted(PUBLIC)
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    assert set(PUBLIC) <= set(dir(mien))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"mien.* has no attribute 'analyse'"):
        _ = mien.analyse


def test_importing_mien_imports_nothing_heavy() -> None:
    assert _loaded("import mien").isdisjoint(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    code = "from click.testing import CliRunner\nfrom mien.cli import main\nCliRunner().invoke(main, ['--help'])"
    assert _loaded(code).isdisjoint(HEAVY)


def test_importing_mien_is_quick() -> None:
    # Processor time, the best of five: what other work on the machine takes is not counted.
    code = "import time\nstarted = time.process_time()\nimport mien\nprint(time.process_time() - started)"
    assert min(float(_fresh(code)) for _ in range(5)) < 0.15


def test_every_public_module_of_the_inference_path_leaves_torch_alone() -> None:
    floors = "io models face speech video fusion output api live live_window results labels options cli".split()  # noqa: SIM905
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in floors:
            names.append(".".join(("mien", *(parts[:-1] if parts[-1] == "__init__" else parts))))
    loaded = _loaded("import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)", *names)
    assert loaded.isdisjoint({"torch", "lightning", "pytorch_lightning", "torchmetrics", "onnx", "pandas", "polars"})


def test_importing_mien_changes_nothing_in_the_process() -> None:
    code = (
        "import os, sys, warnings, signal, logging, locale\n"
        "def state():\n"
        "    return (dict(os.environ), os.getcwd(), list(warnings.filters), signal.getsignal(signal.SIGINT),\n"
        "            logging.getLogger().handlers[:], list(sys.path), locale.setlocale(locale.LC_ALL))\n"
        "before = state()\n"
        "import mien\n"
        "print(before == state())\n"
    )
    assert _fresh(code) == "True\n"


WATCH = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.stderr.write(f"WATCH {event} {arguments}\\n")

sys.addaudithook(watch)
"""

COMMANDS = {
    "analyze": ((), "analyze {image} --json"),
    "openvino": (("openvino",), "analyze {image} --json --engine openvino"),
    "parquet": (("pyarrow",), "analyze {image} --parquet {work}/x.parquet"),
    "plot": (("matplotlib",), "analyze {sound} --plot {work}/x.png"),
    "evaluate": ((), "evaluate face-base folder --data {work}/faces --split val"),
    "train": (("lightning", "librosa"), "train --recipe mlp --dataset folder --data {work}/faces --epochs 1 --batch 4"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_connects_or_writes_under_the_home_directory(name: str, tmp_path: Path) -> None:
    needed, command = COMMANDS[name]
    for module in needed:
        pytest.importorskip(module)
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    noise = np.random.default_rng(0)
    for split, emotion, number in product(("train", "val"), ("anger", "happiness"), range(6)):
        place = work / "faces" / split / emotion / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), noise.integers(0, 255, (48, 48), np.uint8))
    mien.write_wav(work / "x.wav", noise.uniform(-0.1, 0.1, 16000).astype(np.float32), 16000)
    # Runtimes keep quiet where these are set, which would make the watch blind.
    quiet = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "MPLCONFIGDIR"}
    kept = {k: v for k, v in os.environ.items() if k not in quiet and not k.startswith("XDG_")}
    names = ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")
    paths = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    environment = {**kept, **dict.fromkeys(names, str(home)), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": paths}
    image = PACKAGE / "samples" / "astronaut.jpg"
    done = subprocess.run(
        [sys.executable, "-m", "mien", *command.format(image=image, work=work, sound=work / "x.wav").split()],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    assert "WATCH" not in done.stderr
    cache = home / ".cache" / "mien"  # the list of fonts, in a folder that is mien's own
    assert [path for path in home.rglob("*") if not (cache.is_relative_to(path) or path.is_relative_to(cache))] == []


def test_every_module_declares_what_is_public() -> None:
    without = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.stem.isidentifier():  # a hook of PyInstaller, which nobody can import
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = [t for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign) for t in _targets(n)]
        # A docstring alone marks a package; nothing in it could be public.
        if len(tree.body) > 1 and "__all__" not in targets:
            without.append(str(path.relative_to(PACKAGE)))
    assert without == []


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [t.id for t in found if isinstance(t, ast.Name)]


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
