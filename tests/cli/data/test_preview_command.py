from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.cli import main

MARGIN, CELL, GAP = 16, 96, 8  # of mien.output.sheet

RECIPE = """
name = "tiny"
dataset = "folder"
epochs = 1
batch = 4
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "preview", *map(str, arguments)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe, and a folder whose images are at the size of the sheet's squares."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for emotion in ("happy", "sad", "angry"):
            folder = Path("faces") / split / emotion
            folder.mkdir(parents=True)
            for number in range(3):
                small = generator.integers(0, 255, (6, 6), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (48, 48), interpolation=cv2.INTER_NEAREST))
    return tmp_path


def square(page: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return a square of the sheet as an image of 48 x 48; rows are found by what is not paper."""
    used = np.flatnonzero((page[:, MARGIN : MARGIN + CELL] != 250).any(axis=(1, 2)))
    tops = [int(run[0]) for run in np.split(used, np.flatnonzero(np.diff(used) > 1) + 1) if len(run) >= CELL]
    left = MARGIN + column * (CELL + GAP)
    part = page[tops[row] : tops[row] + CELL, left : left + CELL, 0].astype(np.float32)
    return part.reshape(48, 2, 48, 2).mean(axis=(1, 3))


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_first_column_is_the_plain_image(here: Path) -> None:
    done = run("--recipe", "tiny.toml", "--data", "faces", "--rows", "2", "--columns", "3")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "preview.png\n", "mien: reading faces\n")
    page = cv2.imread("preview.png")
    assert page is not None
    assert page.shape[1] == 2 * MARGIN + 4 * (CELL + GAP) - GAP
    trained = [cv2.imread(str(path), 0).astype(np.float32) for path in sorted(Path("faces/train").rglob("*.png"))]
    chosen = []
    for row in range(2):
        plain = square(page, row, 0)
        likest = max(range(len(trained)), key=lambda n: likeness(plain, trained[n]))
        assert likeness(plain, trained[likest]) > 0.98
        chosen.append(likest)
        views = [square(page, row, column) for column in (1, 2, 3)]
        assert all(likeness(view, plain) < 0.98 for view in views)
        assert not np.array_equal(views[0], views[1])
    assert chosen[0] != chosen[1]


def test_the_seed_decides(here: Path) -> None:
    words = ("--recipe", "tiny.toml", "--data", "faces", "--rows", "2", "--columns", "2")
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert run(*words, "--out", f"{name}.png", "--seed", seed).exit_code == 0
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_another_data_set_than_the_recipes(here: Path) -> None:
    Path("other.toml").write_text(RECIPE.replace('dataset = "folder"\n', ""))
    done = run("--recipe", "other.toml", "--dataset", "folder", "--data", "faces", "--rows", "1", "--columns", "1")
    assert (done.exit_code, Path("preview.png").exists()) == (0, True)
    done = run("--recipe", "other.toml", "--dataset", "dogs", "--data", "faces")
    assert done.exit_code == 1
    assert "unknown dataset 'dogs'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing option '--recipe'"),
        (("--recipe", "tiny.toml"), 2, "Missing option '--data'"),
        (("--recipe", "tiny.toml", "--data", "faces", "--rows", "0"), 2, "0 is not in the range"),
        (("--recipe", "tiny.toml", "--data", "faces", "--columns", "31"), 2, "31 is not in the range"),
        (("--recipe", "tiny.toml", "--data", "nowhere"), 1, "there is no such folder"),
        (("--recipe", "nothing", "--data", "faces"), 1, "nothing"),
    ],
)
def test_wrong_words_are_one_line(here: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr
    assert not Path("preview.png").exists()


def test_without_torch_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "torch" or name.startswith("torch.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("--recipe", "face-base", "--data", "x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == 'mien: augmentation needs torch: pip install "mien[train]"\n'
