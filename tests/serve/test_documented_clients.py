"""The clients that docs/serve.md shows, run as printed but for the port."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mien.samples import astronaut_path
from serve.service_process import Running, running, write_planted_video
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
BLOCK = re.compile(r"<!-- needs: service -->\n```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = {match[1]: match[2] for match in BLOCK.finditer(PAGE.read_text("utf-8"))}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clients")
    with running(folder, token=None) as found:
        (folder / "photos").mkdir()
        for name in ("team.jpg", "photos/one.jpg"):
            shutil.copy(astronaut_path(), folder / name)
        write_wav(folder / "call.wav", voiced(2 * RATE, np.random.default_rng(0)))
        write_planted_video(folder / "video.mp4", seconds=1)
        yield found


@pytest.mark.parametrize("language", ["python", "sh"])
def test_a_documented_client_works(service: Running, language: str) -> None:
    text = BLOCKS[language].replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    command = [sys.executable, "-c", text] if language == "python" else ["sh", "-ec", text]
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("no curl")
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        command, cwd=service.log.parent, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "urn:mien" not in done.stdout
    assert ("path,track" in done.stdout or "path,time_s" in done.stdout) if language == "python" else True
    assert "happiness" in done.stdout
