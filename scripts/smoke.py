"""Try an installation: read an image, a sound and a video, draw them, and use the extras that are installed.

    python scripts/smoke.py

Prints a line for each part and ends with 1 at the first that fails.  ``./dev test-matrix`` runs it in environments of
the lowest and of the newest versions of everything.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from click.testing import CliRunner
from PIL import Image

import mien
from mien.cli import main
from mien.samples import astronaut_path

RATE = 16000


def write_video(path: Path, image: np.ndarray, wave: np.ndarray) -> None:
    """Write two seconds of an image that moves a little, with sound."""
    with av.open(str(path), "w") as target:
        images, sound = target.add_stream("mpeg4", rate=10), target.add_stream("aac", rate=RATE, layout="mono")
        images.width, images.height, images.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.roll(image, 2 * number, axis=1), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            target.mux(images.encode(frame))
        target.mux(images.encode(None))
        for begin in range(0, len(wave), 1024):
            block = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, begin, Fraction(1, RATE)
            target.mux(sound.encode(block))
        target.mux(sound.encode(None))


def run(*arguments: str | Path) -> str:
    """Run the command line and return what it prints."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    if done.exit_code != 0:
        raise SystemExit(f"mien {' '.join(map(str, arguments))}: exit code {done.exit_code}\n{done.output}")
    return done.output


def check(name: str, *, good: bool) -> None:
    """Say whether a part works, and end where it does not."""
    print(f"{name}: {'works' if good else 'FAILED'}", flush=True)
    if not good:
        sys.exit(1)


def main_parts(folder: Path) -> None:
    """Try what every installation has."""
    image: Any = mien.analyze(astronaut_path())
    check("image", good=len(image.faces) == 1)
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    mien.write_wav(folder / "sound.wav", noise, RATE)
    sound: Any = mien.analyze(folder / "sound.wav")
    check("audio", good=abs(sound.duration_s - 2) < 0.01)
    write_video(folder / "video.mp4", mien.read_image(astronaut_path()), noise)
    video: Any = mien.analyze(folder / "video.mp4", step_s=0.5)
    check("video", good=len(video.tracks) == 1 and video.speech is not None)
    run("analyze", folder / "video.mp4", "--step", "0.5", "--out", folder / "drawn.mp4")
    with mien.iter_frames(folder / "drawn.mp4") as frames:
        check("--out of a video", good=len(list(frames)) == 20)
    run("analyze", astronaut_path(), "--out", folder / "drawn")
    check("--out of an image", good=len(list((folder / "drawn").iterdir())) == 1)


def extra_parts(folder: Path) -> None:
    """Try the extras that are installed."""

    def has(*names: str) -> bool:
        return all(importlib.util.find_spec(name) for name in names)

    image = astronaut_path()
    if has("pandas"):
        check("pandas", good=len(mien.analyze(image).to_frame()) == 1)
    if has("pyarrow"):
        run("analyze", image, "--parquet", folder / "faces.parquet")
        check("parquet", good=(folder / "faces.parquet").stat().st_size > 0)
    if has("matplotlib"):
        run("analyze", folder / "sound.wav", "--plot", folder / "plot.png")
        check("plot", good=(folder / "plot.png").stat().st_size > 0)
    if has("openvino"):
        check("openvino", good="face" in run("analyze", image, "--engine", "openvino", "--json"))
    if has("torch", "lightning", "onnxscript"):
        random = np.random.default_rng(0)
        for number in range(96):
            place = folder / "data" / ("train", "validation")[number % 2] / ("happiness", "neutral")[number // 2 % 2]
            place.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
        run(
            "train",
            "--recipe",
            "cnn",
            "--dataset",
            "folder",
            "--data",
            folder / "data",
            "--epochs",
            "1",
            "--out",
            folder / "run",
        )
        check("train", good="faces" in run("analyze", image, "--model", folder / "run", "--json"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main_parts(Path(name))
        extra_parts(Path(name))
