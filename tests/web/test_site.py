"""The static site of the in-browser app, without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli import main
from mien.errors import InputError, MienError, ModelError
from mien.models import registry, runtime
from mien.results.emotion import AFFECT
from mien.web import make_check_input, make_manifest, write_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web") / "site"
    write_site(out)
    return out


def test_each_file_that_a_page_names_is_there(site: Path) -> None:
    for page in ("index.html", "sw.js", "app.webmanifest"):
        text = (site / page).read_text()
        assert "MIEN_" not in text
        names = re.findall(r'"((?:[\w-]+/)?[\w-]+\.[\w.-]*(?:js|css|svg|txt|onnx|wasm|json|webmanifest))"', text)
        assert names
        assert [name for name in names if not (site / name).exists()] == []


def test_names_carry_the_digest_of_their_content(site: Path) -> None:
    plain = {"index.html", "sw.js", "app.webmanifest", "manifest.json"}
    for path in (path for path in site.rglob("*") if path.is_file() and path.name not in plain):
        digest = re.fullmatch(r".+\.([0-9a-f]{10})\.\w+", path.name)
        assert digest, path.name
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest[1])


def test_the_manifest_is_what_the_records_say(site: Path) -> None:
    manifest = json.loads((site / "models" / "manifest.json").read_text())
    face, speech = registry.get("face-small"), registry.get("speech-base")
    assert manifest["affect"] == {name: list(place) for name, place in AFFECT.items()}
    assert (site / "models" / manifest["wasm"]).resolve().parent == site.resolve()
    for spec, key in ((face, "face"), (speech, "speech")):
        assert manifest["sha256"][manifest[key]["file"]] == spec.file().sha256
        assert [o["temperature"] for o in manifest[key]["outputs"]] == [o.temperature for o in spec.outputs]
        assert sum(o["default"] for o in manifest[key]["outputs"]) == 1
    assert manifest["face"]["points"] == face.crop["points"]
    side = manifest["face"]["size"]
    pixels = make_check_input(side * side * 3).reshape(1, side, side, 3)
    check = manifest["face"]["check"]
    logits = runtime.load(face).run({"crops": pixels}, [check["tensor"]])[check["tensor"]][0]
    assert np.allclose(logits, check["logits"], atol=check["tolerance"])


def test_the_input_of_the_self_check() -> None:
    numbers = make_check_input(300).tolist()
    assert numbers == [(i * 31 + i // 128 * 17) % 256 for i in range(300)]


def test_models_that_the_page_cannot_use() -> None:
    with pytest.raises(ModelError, match="face model"):
        make_manifest(registry.get("speech-base"), registry.get("speech-base"))
    with pytest.raises(ModelError, match="speech model"):
        make_manifest(registry.get("face-small"), registry.get("face-small"))


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear sir")
    with pytest.raises(InputError, match="empty folder"):
        write_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_unknown_model_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MienError):
        write_site(tmp_path / "site", face="no-such-model")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_a_visitor_downloads(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["web", "--out", str(tmp_path / "site"), "--face", "face-base"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("faces ")
    assert lines[-1].startswith("faces and voice ")
    sizes = [float(re.findall(r"([\d.]+) MB", line)[0]) for line in lines[-2:]]
    every = sum(path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file()) / 1e6
    assert sizes[0] < sizes[1] == pytest.approx(every, abs=0.06)


def test_compressed_files_are_those_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brotli = pytest.importorskip("brotli")
    compress = brotli.compress
    monkeypatch.setattr(brotli, "compress", lambda content, lgwin: compress(content, quality=1, lgwin=lgwin))
    files = write_site(tmp_path / "site", compress=True)
    for file in files:
        packed = (tmp_path / "site" / f"{file.name}.br").read_bytes()
        assert len(packed) == file.brotli_bytes
        assert brotli.decompress(packed) == (tmp_path / "site" / file.name).read_bytes()
