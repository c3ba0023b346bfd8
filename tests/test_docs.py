"""Every command and every Python example in README and docs runs as printed.

A block stands alone in a folder with a few images, and recordings of a synthetic voice.  A comment above a block says
what it needs: ``<!-- needs: data -->`` FER2013 and FER+ in the folder (skipped where they are absent),
``<!-- needs: long -->`` more than a test can give (only its words are checked), ``<!-- needs: setup -->`` a fresh
checkout, ``<!-- needs: service -->`` a service (both run by other tests), ``<!-- needs: batch -->`` a batch of the
photos.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli import main
from mien.samples import astronaut_path
from planted_faces import planted
from planted_videos import write_video
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- needs: (\w+) -->\n)?^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    page: Path
    needs: str
    language: str
    text: str

    @property
    def name(self) -> str:
        first = next(line for line in self.text.splitlines() if line.strip())
        return f"{self.page.stem}: {first[:60]}"


def blocks(*, language: str, needs: tuple[str, ...]) -> list[Block]:
    found = []
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text("utf-8")):
            block = Block(page, match[1] or "", match[2], match[3])
            if block.language == language and block.needs in needs:
                found.append(block)
    return found


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of four seconds with two people and a synthetic voice."""
    paths = {
        0: [(0.0, 90.0, 120.0, 90.0), (4.0, 130.0, 110.0, 100.0)],
        1: [(1.0, 240.0, 120.0, 80.0), (4.0, 230.0, 120.0, 90.0)],
    }
    frames = ((shot[0], Fraction(i, 25)) for i, shot in enumerate(planted(paths, rate=25, seconds=4)))
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, frames, rate=25, sound=(voiced(4 * RATE, np.random.default_rng(3)), RATE))
    return path


@pytest.fixture(scope="session")
def emotions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a batch of one photo."""
    home = tmp_path_factory.mktemp("batch")
    (home / "photos").mkdir()
    shutil.copy(astronaut_path(), home / "photos" / "one.jpg")
    run(f"mien batch {home}/photos --out {home}/emotions --workers 1")
    return home / "emotions"


@pytest.fixture
def folder(tmp_path: Path, video: Path) -> Path:
    (tmp_path / "photos" / "party").mkdir(parents=True)
    (tmp_path / "mien-out").mkdir()
    for name in ("team.jpg", "photos/one.jpg", "photos/party/two.jpg", "mien-out/astronaut.jpg"):
        shutil.copy(astronaut_path(), tmp_path / name)
    silence = np.zeros(RATE, np.float32)
    voices = [voiced(2 * RATE, np.random.default_rng(seed)) for seed in range(2)]
    sound = np.concatenate([silence, voices[0], silence, voices[1], silence])
    for name in ("call.wav", "calls/monday.wav"):
        write_wav(tmp_path / name, sound)
    write_wav(tmp_path / "stereo.wav", np.stack([sound, np.roll(sound, 2 * RATE)], axis=1))
    shutil.copy(video, tmp_path / "video.mp4")
    return tmp_path


def run(text: str) -> str:
    """Run the lines of a block in this process where they only call mien, else in a shell; return the output."""
    return "".join(run_line(line) for line in text.replace("\\\n", " ").splitlines() if line.strip())


def run_line(line: str) -> str:
    words = shlex.split(line, comments=True)
    if words[:1] == ["mien"] and "|" not in words:
        words, target = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        if target is not None:
            Path(target).write_bytes(done.stdout_bytes)
        return done.stdout
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "error"}
    shell = subprocess.run(
        ["sh", "-e", "-c", line], env={**os.environ, **tools}, capture_output=True, text=True, check=False
    )
    assert shell.returncode == 0, f"{line}\n{shell.stdout}\n{shell.stderr}"
    return shell.stdout


@pytest.mark.parametrize("block", blocks(language="sh", needs=("",)), ids=lambda b: b.name)
def test_a_command_runs_as_printed(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run(block.text).strip() or ">" in block.text


@pytest.mark.data
@pytest.mark.parametrize("block", blocks(language="sh", needs=("data",)), ids=lambda b: b.name)
def test_a_command_on_data_runs_as_printed(
    block: Block, folder: Path, fer2013_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("fer2013.csv", "fer2013new.csv"):
        (folder / name).symlink_to(fer2013_copy / name)
    assert "accuracy" in run(block.text)


@pytest.mark.parametrize("block", blocks(language="sh", needs=("long",)), ids=lambda b: b.name)
def test_the_words_of_a_long_command_are_known(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["mien"]:
            command = main.get_command(main.make_context("mien", ["--help"], resilient_parsing=True), words[1])
            assert command is not None
            command.make_context(words[1], words[2:])
        elif words:
            assert words[0] in ("python", "./dev"), f"nothing checks this command: {line}"
            script = ROOT / (words[1] if words[0] == "python" else f"benchmarks/{words[2]}.py")
            assert script.is_file(), f"no such script: {line}"


@pytest.mark.parametrize("block", blocks(language="python", needs=("",)), ids=lambda b: b.name)
def test_an_example_runs_as_printed(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", blocks(language="python", needs=("batch",)), ids=lambda b: b.name)
def test_an_example_on_a_batch_runs_as_printed(
    block: Block, folder: Path, emotions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    shutil.copytree(emotions, "emotions")
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})
    assert "happiness" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_tables_of_results_are_those_of_the_records() -> None:
    script = ROOT / "scripts" / "render_results.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run scripts/render_results.py for {done.stdout}{done.stderr}"


def test_there_is_something_to_test() -> None:
    assert len(blocks(language="sh", needs=("", "data", "long"))) >= 5
    assert blocks(language="python", needs=("",))
