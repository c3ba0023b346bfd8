"""The in-browser app as a static site: its built files (sources in ``web/``), the models and what is known of them."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import lzma
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien._extras import import_extra
from mien.errors import InputError, ModelError
from mien.face.adapt import BASELINE_STRENGTH, NEUTRAL_FACE
from mien.io.paths import atomic_path
from mien.models import registry, runtime
from mien.models.spec import ModelSpec, Output
from mien.models.store import read_weights
from mien.results.emotion import AFFECT, UNSURE_BELOW

__all__ = ["SiteFile", "make_check_input", "make_manifest", "write_site"]

MANIFEST = "models/manifest.json"
DETECTOR, ACTIVITY, FUSION = "mtcnn", "silero-vad", "fusion-experts"
_APP = importlib.resources.files("mien.web") / "app"
_PAGES = ("index.html", "sw.js", "app.webmanifest")
"""Files that keep their names; all others have the beginning of their digest in it, and never change."""

TOLERANCE = {"face-emotion": 5e-2, "speech-emotion": 1e-3}
"""How far the page's logits may be from ours in its self-check: processors round sums of int8 differently."""

CHECK_SAMPLES = 16_000
"""Length of the self-check's waveform."""


@dataclass(frozen=True, slots=True)
class SiteFile:
    """One file of a site.

    Parameters
    ----------
    name : str
        Its path within the site.
    bytes : int
        Its size.
    brotli_bytes : int or None
        Its size under Brotli, as servers send it; None where it was not compressed.
    part : {"page", "faces", "voice"}
        What it is loaded for.
    """

    name: str
    bytes: int
    brotli_bytes: int | None
    part: str


def make_check_input(count: int) -> NDArray[np.uint8]:
    """Return bytes that every program makes alike, uint8 (count,): the input of the page's self-check."""
    numbers = np.arange(count, dtype=np.int64)
    return ((numbers * 31 + (numbers >> 7) * 17) % 256).astype(np.uint8)


def make_manifest(face: ModelSpec, speech: ModelSpec) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what the page has to know of its models, and their files.

    Parameters
    ----------
    face, speech : ModelSpec
        Models of the tasks face-emotion and speech-emotion with graphs of mien's own form.

    Returns
    -------
    manifest : dict
        As ``web/lib/src/models.ts`` declares it.
    files : dict of str to bytes
        By name.

    Raises
    ------
    ModelError
        If a model is of another task or form, or its files are damaged.
    """
    if face.task != "face-emotion" or face.input is None or face.input.dtype != "uint8" or face.crop.get("eyes"):
        raise ModelError(f"the page needs a face model that takes uint8 images, but got {face.name!r}")
    if speech.task != "speech-emotion" or speech.sound is None:
        raise ModelError(f"the page needs a speech model, but got {speech.name!r}")
    detector, activity = registry.get(DETECTOR), registry.get(ACTIVITY)
    files: dict[str, bytes] = {}

    def add(spec: ModelSpec, role: str = "graph") -> str:
        content = read_weights(spec, role)
        name = _hashed(f"{spec.name if role == 'graph' else f'{spec.name}-{role}'}.onnx", content)
        files[name] = content
        return name

    boxes = {name: {"center": b["center"], "side": b["side"]} for name, b in face.crop.get("boxes", {}).items()}
    sound = speech.sound
    manifest = {
        "version": __version__,
        "face": {
            **_head(face),
            "file": add(face),
            "size": face.input.size,
            "points": face.crop["points"],
            "boxes": boxes,
            "check": _check(face),
        },
        "detector": {role: add(detector, role) for role in ("pnet", "rnet", "onet")},
        "speech": {
            **_head(speech),
            "file": add(speech),
            **{name: getattr(sound, name) for name in ("rate_hz", "min_s", "window_s", "hop_s", "pad_s")},
            "check": _check(speech),
        },
        "activity": add(activity),
        "affect": {name: list(place) for name, place in AFFECT.items()},
        "unsure_below": UNSURE_BELOW,
        "baseline": {"strength": BASELINE_STRENGTH, "neutral_face": NEUTRAL_FACE},
        "fusion": registry.get(FUSION).fusion,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return manifest, files


def _head(spec: ModelSpec) -> dict[str, Any]:
    return {"name": spec.name, "version": spec.version, "outputs": [_output(output) for output in spec.outputs]}


def _output(output: Output) -> dict[str, Any]:
    return {
        "name": output.name,
        "tensor": output.tensor or None,
        "labels": list(output.labels.emotions),
        "temperature": output.temperature,
        "bias": list(output.bias),
        "default": output.default,
        "mean_of": list(output.mean_of),
    }


def _check(spec: ModelSpec) -> dict[str, Any]:
    """Return the logits that the page must compute for the input of `make_check_input` before it answers."""
    tensor = spec.heads[0].tensor
    session = runtime.load(spec, threads=1)
    feed: NDArray[Any]
    if spec.input is not None:
        side = spec.input.size
        feed = make_check_input(side * side * 3).reshape(1, side, side, 3)
    else:
        feed = ((make_check_input(CHECK_SAMPLES).astype(np.float32) - 127.5) / np.float32(1275))[None]
    logits = session.run({session.input_names[0]: feed}, [tensor])[tensor][0]
    return {"tensor": tensor, "shape": feed.shape, "tolerance": TOLERANCE[spec.task], "logits": logits.tolist()}


def write_site(
    out: Path,
    *,
    face: str | ModelSpec = "face-small",
    speech: str | ModelSpec = "speech-base",
    compress: bool = False,
    on_file: Callable[[str], None] | None = None,
) -> list[SiteFile]:
    """Write the app as a folder of static files, which any web server can offer.

    Parameters
    ----------
    out : pathlib.Path
        A folder that does not exist or is empty.
    face, speech : str or ModelSpec
        The models.
    compress : bool
        Also write each file under Brotli, ``NAME.br``, for servers that send such.
    on_file : callable, optional
        Called with the name of each file before it is written.

    Returns
    -------
    list of SiteFile
        What was written.

    Raises
    ------
    InputError
        If the folder is not empty or cannot be written.
    MissingExtraError
        If ``compress`` is given and the package brotli is not installed.
    ModelError
        If a model cannot be used in the page.
    """
    brotli = import_extra("brotli", extra="web", purpose="compressing") if compress else None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"expected an empty folder, but {str(out)!r} is not")
    written: list[SiteFile] = []
    with atomic_path(out, error=InputError) as folder:
        for name, content, part in _files(registry.get(face), registry.get(speech)):
            if on_file is not None:
                on_file(name)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            small = None
            if brotli is not None:
                packed = brotli.compress(content, lgwin=24)
                target.with_name(f"{target.name}.br").write_bytes(packed)
                small = len(packed)
            written.append(SiteFile(name, len(content), small, part))
        if out.is_dir():
            out.rmdir()  # so that the new folder can take its place everywhere
    return written


def _files(face: ModelSpec, speech: ModelSpec) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content and part of each file of the site."""
    manifest, models = make_manifest(face, speech)
    voice = {manifest["speech"]["file"], manifest["activity"]}
    pages, names = {}, {}
    for entry in sorted(_APP.iterdir(), key=lambda entry: entry.name):
        name, content = entry.name, entry.read_bytes()
        if name in _PAGES:
            pages[name] = content.decode()
            continue
        if name.endswith(".xz"):
            name, content = name.removesuffix(".xz"), lzma.decompress(content)
        names[name] = _hashed(name, content)
        if name.endswith(".wasm"):
            manifest["wasm"] = f"../{names[name]}"
        yield names[name], content, "page"
    for name, content in models.items():
        yield f"models/{name}", content, "voice" if name in voice else "faces"
    text = json.dumps(manifest)
    yield MANIFEST, text.encode(), "page"
    core = [*names.values(), MANIFEST, *(f"models/{name}" for name in models if name not in voice)]
    digest = hashlib.sha256("".join([text, *core, *pages.values()]).encode()).hexdigest()[:16]
    for name, page in pages.items():
        for plain, hashed in names.items():
            page = re.sub(rf'(?<=["/]){re.escape(plain)}(?=")', hashed, page)
        page = page.replace("MIEN_FILES", json.dumps(core)[1:-1]).replace("MIEN_VERSION", digest)
        yield name, page.encode(), "page"


def _hashed(name: str, content: bytes) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:10]}{dot}{suffix}"
