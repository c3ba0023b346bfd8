"""Media that every test of batches reads, and what `mien.analyze` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mien
from mien.batch import Plan, Settings, list_entries
from mien.samples import __file__ as _samples
from sounds import sine, wav


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six images of faces, one without, one that is broken, and a sound."""
    folder = tmp_path_factory.mktemp("media")
    with Image.open(Path(_samples).with_name("astronaut.jpg")) as portrait:
        head = portrait.convert("RGB").crop((100, 0, 340, 240))
    for k in range(6):
        head.rotate(4 * k - 10).resize((160 + 8 * k, 160)).save(folder / f"face-{k}.png")
    Image.new("RGB", (80, 60), (90, 120, 30)).save(folder / "none.jpg")
    (folder / "broken.png").write_bytes((folder / "face-0.png").read_bytes()[:300])
    (folder / "sound.wav").write_bytes(wav(sine(16000, 1.0), 16000))
    return folder


@pytest.fixture(scope="session")
def answers(media: Path) -> dict[str, Any]:
    """Return the rows of each image by its name."""
    analyzer = mien.FaceAnalyzer()
    return {path.name: mien.analyze_image(path, analyzer=analyzer).rows() for path in media.glob("face-*.png")}


@pytest.fixture
def plan(media: Path, tmp_path: Path) -> Plan:
    """Return a plan of the media, in parts of two."""
    inputs = [str(media)]
    return Plan.create(tmp_path / "out", list_entries(inputs), Settings(), inputs=inputs, root="", part_items=2)
