"""The house: a module imports its own group or a lower floor, and files are opened only where that is allowed.

`FLOORS` is the one list.  A module that is not on it fails the test: add it where it belongs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "mien"

# From the ground up.  Groups on one floor do not know each other; a group's own modules may.
FLOORS: tuple[tuple[str, ...], ...] = (
    # On the ground, each may use those that stand before it.
    ("_lazy", "errors", "labels", "_extras", "_checks", "results"),
    ("media", "models", "weights", "samples"),
    ("faces", "voice", "timeline"),
    ("analyzers",),
    ("fusion",),
    ("output",),
    ("api",),
    ("batch", "datasets", "metrics"),
    ("prepare", "evaluation"),
    ("training",),
    # Shells that the command line opens.
    ("web", "window"),
    ("cli",),
    ("__main__",),
)

FLOOR = {group: number for number, groups in enumerate(FLOORS) for group in groups}

GROUND = FLOORS[0]

# The public names of `mien` itself are found when they are asked for; everybody may read its version.
ROOT = "__init__"

# Only the training wing and what stands on it may know these.
TRAINING_ONLY = {"torch", "lightning", "torchmetrics", "onnx", "onnxscript", "safetensors", "pytorch_lightning"}
FIRST_WITH_TORCH = FLOOR["training"]

# Groups and modules that open files.
OPENS_FILES = {"media", "models.store", "batch", "datasets", "prepare", "training", "evaluation", "output"}

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


def _modules() -> list[tuple[str, Path]]:
    """Return all modules as (name within mien, path): ``models.store``, ``models`` for a package's own file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts), path))
    return found


MODULES = _modules()


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


def _group(module: str) -> str:
    return module.split(".")[0]


def _imports(tree: ast.AST, module: str, *, package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import, wherever it stands in the file, relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["mien", *module.split(".")]
                kept = here[: len(here) - node.level + (1 if package else 0)]
                base = ".".join([*kept, *([base] if base else [])])
            for alias in node.names:
                # `from mien.models import store` names a module, `from mien.errors import MienError` does not:
                # the group is the same either way, except for `from mien import ...`.
                yield node.lineno, f"{base}.{alias.name}" if base == "mien" else base
        elif isinstance(node, ast.Call):
            name = _dynamic(node)
            if name is not None:
                yield node.lineno, name


def _dynamic(call: ast.Call) -> str | None:
    """Return the module that ``import_module("...")``, ``__import__("...")`` or ``need("...")`` names, if it does."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function not in {"import_module", "__import__", "need"} or not call.args:
        return None
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _wrong_imports(source: str, module: str, *, package: bool = False) -> list[str]:
    """Return what is wrong with the imports of a module, as readable lines."""
    group = _group(module)
    floor = FLOOR[group]
    wrong = []
    for line, name in _imports(ast.parse(source), module, package=package):
        parts = name.split(".")
        if parts[0] in TRAINING_ONLY and floor < FIRST_WITH_TORCH:
            wrong.append(f"{module}:{line} imports {parts[0]}, which belongs to training")
        if parts[0] != "mien" or len(parts) == 1:
            continue
        target = parts[1]
        if target == "__version__" or target == group:
            continue
        if target not in FLOOR:
            wrong.append(f"{module}:{line} imports {name} through mien itself: name the module that has it")
        elif floor == 0:
            if FLOOR[target] > 0 or GROUND.index(target) > GROUND.index(group):
                wrong.append(f"{module}:{line} on the ground floor imports {name}")
        elif FLOOR[target] >= floor:
            wrong.append(f"{module}:{line} on floor {floor} imports {name} on floor {FLOOR[target]}")
    return wrong


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
            if function.attr in OPENING_METHODS or (owner, function.attr) in OPENING_FUNCTIONS:
                found.append(f"{module}:{node.lineno} calls {owner or '...'}.{function.attr}()")
    return found


def test_every_module_stands_on_a_floor() -> None:
    unknown = sorted({_group(name) for name, _ in MODULES} - set(FLOOR) - {ROOT})
    assert unknown == [], f"not in FLOORS: {unknown}"


@pytest.mark.parametrize(("module", "path"), [m for m in MODULES if m[0] != ROOT], ids=_name)
def test_imports_only_go_down(module: str, path: Path) -> None:
    assert _wrong_imports(path.read_text(encoding="utf-8"), module, package=path.name == "__init__.py") == []


def test_the_root_imports_nothing_of_its_own_when_it_is_imported() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    statements = [node for node in tree.body if not _only_for_types(node)]
    names = [name for node in statements for _, name in _imports(node, "", package=True)]
    eager = [n for n in names if n.startswith("mien.") and not _inside_function(tree, n)]
    assert eager == [], "import mien must stay lazy"


def _only_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _inside_function(tree: ast.Module, name: str) -> bool:
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    return any(name == found for f in functions for _, found in _imports(f, "", package=True))


@pytest.mark.parametrize(("module", "path"), MODULES, ids=_name)
def test_files_are_opened_only_where_that_is_allowed(module: str, path: Path) -> None:
    if module in OPENS_FILES or _group(module) in OPENS_FILES:
        return
    assert _opened_files(path.read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        (
            "faces.detect",
            "from mien.analyzers.face import FaceAnalyzer",
            "on floor 2 imports mien.analyzers.face on floor 3",
        ),
        ("media.image", "def f():\n    import mien.models.store", "media.image:2 on floor 1 imports mien.models.store"),
        ("media.image", "from mien import models", "on floor 1 imports mien.models on floor 1"),
        ("faces.detect", "from ..api import analyze", "on floor 2 imports mien.api on floor 6"),
        ("labels", "from mien.results import Emotion", "labels:1 on the ground floor imports mien.results"),
        ("results", "from mien import FaceAnalyzer", "imports mien.FaceAnalyzer through mien itself"),
        ("models.runtime", "import torch.nn", "imports torch, which belongs to training"),
        ("api", "need('torch', extra='train', purpose='x')", "api:1 imports torch"),
        ("api", "importlib.import_module('mien.cli')", "api:1 on floor 6 imports mien.cli on floor 11"),
    ],
)
def test_the_rule_sees_what_is_forbidden(module: str, source: str, said: str) -> None:
    wrong = _wrong_imports(source, module)
    assert len(wrong) == 1
    assert said in wrong[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("analyzers.face", "from mien.faces import align\nfrom mien.models.runtime import load\nimport numpy"),
        ("faces.mtcnn", "from .detect import Detection\nfrom mien.faces.align import Crop"),
        ("results", "from mien.labels import label_set\nfrom mien._extras import need"),
        ("training.export", "import torch\nfrom mien.evaluation import calibration"),
        ("cli.analyze", "from mien import __version__, api"),
    ],
)
def test_the_rule_lets_pass_what_is_allowed(module: str, source: str) -> None:
    assert _wrong_imports(source, module) == []


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
def test_the_watch_on_files_sees_openings(source: str) -> None:
    assert len(_opened_files(source, "faces.detect")) == 1
    assert _opened_files("json.load(stream)\nself.load()\nimdecode(b)", "faces.detect") == []
