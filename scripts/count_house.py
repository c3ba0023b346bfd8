"""Count how large the house is: files and lines, what a command enters, and who imports whom.

    python count_house.py [TREE] [--names] [--core]

TREE is a checkout with ``src/mien`` and ``tests``.  Commands run by this interpreter, with ``TREE/src`` first.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path

ENTERED = """
import json, os, runpy, sys
try:
    runpy.run_module("mien", run_name="__main__", alter_sys=True)
finally:
    names = [name for name, module in sys.modules.items() if name.split(".")[0] == "mien" and module.__file__]
    with open(os.environ["HOUSE_TOLD"], "w") as file:
        json.dump(sorted({"mien.__main__", *names}), file)
"""
"""Runs mien as ``python -m mien`` does, and tells at the end which of its files were entered (imported)."""


def python_files(folder: Path) -> list[Path]:
    """Return the Python files of a folder, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def lines(paths: list[Path]) -> int:
    """Return how many lines the files have, empty ones and comments too."""
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


def modules_of(source: Path) -> dict[str, Path]:
    """Return the modules of ``source/mien`` by their dotted names; a package by its own name."""
    found = {}
    for path in python_files(source / "mien"):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _named(node: ast.AST, here: list[str]) -> Iterator[str]:
    """Yield the dotted names that a node may import; ``here`` is the package of the module, as parts."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            base = ".".join([*here[: len(here) - node.level + 1], *([base] if base else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("mien."):
        # Names that are imported when they are first used stand in strings: "mien.faces.mtcnn:Mtcnn".
        yield node.value.split(":")[0]


def imports(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Return for each module which modules it imports, wherever in the file, also by a name in a string."""
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        targets = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for name in _named(node, package):
                parts = name.split(".")
                # `from mien.models import store` names a module, `from mien.errors import MienError` one's content.
                known = next((n for k in (0, 1) if (n := ".".join(parts[: len(parts) - k])) in modules), None)
                if known is not None and known != module:
                    targets.add(known)
        graph[module] = targets
    return graph


def foreign_private(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return (importer, module) where a private module lies in a package that the importer is not inside of."""
    found = []
    for importer, targets in graph.items():
        for target in sorted(targets):
            parts = target.split(".")
            private = [k for k, part in enumerate(parts) if part[0] == "_" and part[-1] != "_"]
            owner = ".".join(parts[: private[0]]) if private else ""
            if private and importer != owner and not importer.startswith(owner + "."):
                found.append((importer, target))
    return sorted(found)


def one_importer(graph: dict[str, set[str]], modules: dict[str, Path]) -> list[tuple[str, str]]:
    """Return (module, its importer) of the modules, packages left out, that exactly one other module imports."""
    importers = defaultdict(set)
    for importer, targets in graph.items():
        for target in targets:
            importers[target].add(importer)
    plain = [name for name, path in modules.items() if path.name not in {"__init__.py", "__main__.py"}]
    return [(name, next(iter(importers[name]))) for name in plain if len(importers[name]) == 1]


def make_inputs(tree: Path, folder: Path) -> None:
    """Write one.jpg, clip.mp4 (two seconds, with sound) and a folder ``faces`` of four emotions."""
    import av
    import numpy as np
    from PIL import Image

    shutil.copyfile(next((tree / "src/mien").rglob("astronaut.jpg")), folder / "one.jpg")
    with Image.open(folder / "one.jpg") as image:
        portrait = np.asarray(image.convert("RGB").resize((320, 320)))
    with av.open(str(folder / "clip.mp4"), "w") as film:
        pictures = film.add_stream("libx264", rate=10, width=320, height=320, pix_fmt="yuv420p")
        sound = film.add_stream("aac", rate=16000, layout="mono")
        for _ in range(20):
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(portrait, format="rgb24")))
        film.mux(pictures.encode(None))
        for begin in range(0, 32000, 1024):
            wave = np.sin(np.arange(begin, begin + 1024) / 20).astype(np.float32)[None] / 4
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 16000, begin, Fraction(1, 16000)
            film.mux(sound.encode(samples))
        film.mux(sound.encode(None))
    rng = np.random.default_rng(0)
    for split, emotion in product(("train", "val"), ("anger", "fear", "happiness", "neutral")):
        (folder / "faces" / split / emotion).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(rng.integers(0, 255, (48, 48), np.uint8))
            picture.save(folder / "faces" / split / emotion / f"{number}.png")


def entered(tree: Path, folder: Path, command: str) -> list[str]:
    """Return the modules of mien that a command has imported when it ends."""
    told = folder / "told.json"
    told.unlink(missing_ok=True)
    own = {"PYTHONPATH": str(tree / "src"), "HOUSE_TOLD": str(told), "MIEN_CACHE_DIR": str(folder / "cache")}
    environment = {**os.environ, **own, "ORT_DISABLE_TELEMETRY": "1"}
    run = [sys.executable, "-c", ENTERED, *command.split()]
    subprocess.run(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    names: list[str] = json.loads(told.read_text())
    return names


COMMANDS = {
    "mien analyze one.jpg": "analyze one.jpg",
    "mien analyze clip.mp4": "analyze clip.mp4",
    "mien train": "train --recipe mlp --dataset folder --data faces --epochs 1 --device cpu --precision float32",
}


def core_megabytes(tree: Path, folder: Path) -> int:
    """Install the tree without extras into a fresh environment and return the size of that in megabytes."""
    core = folder / "core"
    subprocess.run([sys.executable, "-m", "venv", str(core)], check=True)
    subprocess.run([str(core / "bin/python"), "-m", "pip", "install", "-q", str(tree)], check=True)
    return int(subprocess.run(["du", "-sm", str(core)], capture_output=True, text=True, check=True).stdout.split()[0])


def main() -> None:
    """Print the counts of a tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, nargs="?", default=Path())
    parser.add_argument("--names", action="store_true", help="print the names, too")
    parser.add_argument("--core", action="store_true", help="install the core and weigh it")
    given = parser.parse_args()
    tree = given.tree.resolve()

    def say(what: str, count: int, names: list[str] | None = None) -> None:
        print(f"{what:70} {count:7,}", flush=True)
        for name in names or [] if given.names else []:
            print(f"    {name}")

    modules = modules_of(tree / "src")
    graph = imports(modules)
    say("files in src/mien (*.py)", len(modules))
    say("lines in src/mien", lines(list(modules.values())))
    say("lines in tests", lines(python_files(tree / "tests")))
    foreign = foreign_private(graph)
    say("imports of another package's private modules", len(foreign), [f"{a} imports {b}" for a, b in foreign])
    alone = one_importer(graph, modules)
    say("modules with exactly one importer", len(alone), [f"{name} by {importer}" for name, importer in alone])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(tree, folder)
        for what, command in COMMANDS.items():
            names = entered(tree, folder, command)
            say(f"files of mien entered by {what}", len(names), names)
        if given.core:
            say("core environment, MB (du -sm)", core_megabytes(tree, folder))


if __name__ == "__main__":
    main()
