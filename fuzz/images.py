"""Search for files on which the reading of images breaks, guided by the lines that each file reaches.

What an attacker sends never passes the tests' own imagination, so a fuzzer invents it.  A file passes if it gives a
sound image or one of mien's errors, on one line, within 2 s of processor time and 1 GB of memory, and nothing prints,
logs or warns, not even C code (except about TIFF files, where libtiff has its say).  The file's own checksum decides
how it comes in (bytes, a path with some suffix, a stream, a PIL image) and whether the whole analysis follows, so that
a finding repeats itself.  Python code of mien and Pillow guides the search; their C code takes part unseen.

Stands beside benchmarks/, on no floor of the house: like them it uses the package and is used by nobody.

Needs atheris (``pip install atheris``, Linux, Python up to 3.13)::

    python fuzz/images.py [FOLDER] [LIBFUZZER OPTIONS, such as -max_total_time=1800]
    python fuzz/images.py build/fuzz/images/findings/crash-...       # one file again

FOLDER holds the files found so far (default: build/fuzz/images/corpus); an empty one is filled with small images of
every kind.

References
----------
libFuzzer (LLVM, https://llvm.org/docs/LibFuzzer.html); atheris (Google, Apache 2.0).
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import logging
import os
import resource
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atheris
import numpy as np

from mien.models.runtime import onnxruntime

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
onnxruntime()  # outside of the block below: what guides the search is mien and Pillow

with atheris.instrument_imports(include=["mien", "PIL"]):
    from PIL import (  # noqa: F401  (imported here to be instrumented; mien imports them when they are needed)
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    from mien.api import analyze_image
    from mien.errors import MienError, MienWarning
    from mien.io.image import read_image

from hostile_images import WAYS, damage, other_images, whole_images, with_checksums  # noqa: E402

WORK = ROOT / "build" / "fuzz" / "images"
SECONDS = 2.0
MEGABYTES = 1024
ANALYZED_PX = 300_000
"""Larger images take the detector longer than a file's reading may: that is work, and no fault."""
OPENED_PX = 4_000_000
SUFFIXES = ("jpg", "png", "webp", "tif", "bmp", "gif", "txt", "mp4")

logged: list[str] = []
CAUGHT = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115  (open as long as the process)
atexit.register(CAUGHT.close)


def one_file(data: bytes) -> None:
    """Read one file and see that what comes out is sound."""
    start = time.process_time()
    logged.clear()
    with output_to(CAUGHT.fileno()):
        try:
            way_in(data, zlib.crc32(data) % 64)
        except MienError as error:
            message = str(error)
            assert message, "an error without a message"
            assert message.isprintable(), f"a message that is not one line: {message!r}"
    seconds = time.process_time() - start
    is_tiff = data[:2] in (b"II", b"MM")
    assert is_tiff or not logged, f"a warning or log: {logged[0]}"
    printed = os.fstat(CAUGHT.fileno()).st_size
    text = os.pread(CAUGHT.fileno(), 200, 0)
    CAUGHT.truncate(0)
    assert is_tiff or not printed, f"printed {printed} bytes: {text!r}"
    assert seconds < SECONDS, f"took {seconds:.1f} s of processor time"
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert megabytes < MEGABYTES, f"memory rose to {megabytes:.0f} MB"


@contextlib.contextmanager
def output_to(place: int) -> Iterator[None]:
    """Send to a file what is written to the standard streams, by C code too."""
    before = [os.dup(1), os.dup(2)]
    try:
        os.dup2(place, 1)
        os.dup2(place, 2)
        yield
    finally:
        for number, old in enumerate(before, start=1):
            os.dup2(old, number)
            os.close(old)


class LogCollector(logging.Handler):
    """Keeps what is logged."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        logged.append(record.getMessage())


def way_in(data: bytes, lot: int) -> None:
    """Take one of the ways that a file may come in."""
    if lot < 3:
        analyzed(data)
    elif lot < 6:
        from_path(data, SUFFIXES[lot % len(SUFFIXES)])
    elif lot < 8:
        sound(read_image(io.BytesIO(data)))
    elif lot < 12:
        from_pillow(data)
    elif lot < 13:
        image = read_image(data, max_pixels=1000)
        assert image.width * image.height <= 1000, "the limit of pixels was not kept"
    else:
        sound(read_image(data))


def sound(image: Image) -> None:
    """See that an image is what its class promises."""
    pixels = image.pixels
    assert pixels.dtype == np.uint8, pixels.dtype
    assert pixels.ndim == 3, pixels.shape
    assert pixels.shape[2] == 3, pixels.shape
    assert pixels.size > 0, pixels.shape
    assert pixels.flags.c_contiguous
    assert all(isinstance(text, str) and text for text in image.warnings), image.warnings


def analyzed(data: bytes) -> None:
    """Take the whole way to JSON, on an image small enough."""
    image = read_image(data)
    sound(image)
    if image.width * image.height > ANALYZED_PX:
        return
    result = analyze_image(data, threads=1)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (plain["width"], plain["height"]) == (image.width, image.height)
    for found in plain["faces"]:
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 < x2 <= image.width, found["box"]
        assert 0 <= y1 < y2 <= image.height, found["box"]
        total = sum(found["emotion"]["probabilities"].values())
        assert abs(total - 1) < 1e-3, f"probabilities sum to {total}"


def from_path(data: bytes, suffix: str) -> None:
    """Read from a file whose name may say something else than its content."""
    with tempfile.NamedTemporaryFile(suffix=f".{suffix}") as file:
        file.write(data)
        file.flush()
        image = read_image(file.name)
        sound(image)
        assert image.path == file.name


def from_pillow(data: bytes) -> None:
    """Hand over what Pillow opened; what it refuses to open, and what it warns of, is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP", "GIF"))
        except Exception:  # noqa: BLE001  (Pillow raises almost anything on damaged files)
            return
        if image.width * image.height <= OPENED_PX:
            sound(read_image(image))


def mutant(data: bytes, max_size: int, seed: int) -> bytes:
    """Let libFuzzer change the file, or one of the tests' kinds of damage; then make PNG's checksums right again."""
    random = np.random.default_rng(seed)
    if random.random() < 0.3:
        data = damage(data, WAYS[random.integers(len(WAYS))], random, SEEDS)[:max_size]
    else:
        data = atheris.Mutate(data, max_size)
    return with_checksums(data)[:max_size] if random.random() < 0.8 else data


def note_warning(message: Any, category: type[Warning], *_: object, **__: object) -> None:
    """Keep what is warned about; mien's own warnings are meant to be seen."""
    if not issubclass(category, MienWarning):
        logged.append(f"{category.__name__}: {message}")


def arguments(given: list[str]) -> list[str]:
    """Fill in the corpus folder, with its first files, and libFuzzer's limits."""
    options = [word for word in given if word.startswith("-")]
    places = [word for word in given if not word.startswith("-")] or [str(WORK / "corpus")]
    findings = WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    folder = Path(places[0])
    if not folder.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            for name, content in {**whole_images(), **other_images()}.items():
                (folder / name).write_bytes(content)
    limits = ["-timeout=10", f"-rss_limit_mb={MEGABYTES}", "-max_len=16384", f"-artifact_prefix={findings}/"]
    return [*limits, *options, *places]  # of two options with one name, libFuzzer takes the last


SEEDS = list({**whole_images(), **other_images()}.values())


def watch() -> None:
    """Collect what is warned about and logged; load detector and model, which is no part of any file's time."""
    warnings.simplefilter("always")
    warnings.showwarning = note_warning
    logging.getLogger().addHandler(LogCollector(logging.WARNING))
    analyze_image(SEEDS[1], threads=1)


def main() -> None:
    watch()
    atheris.Setup([sys.argv[0], *arguments(sys.argv[1:])], one_file, custom_mutator=mutant)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
