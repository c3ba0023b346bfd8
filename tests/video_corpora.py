"""Folders of clips by the names of published corpora; every frame says which it is."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.data import Samples


def level(number: int) -> int:
    """Return the gray level of a frame by its number."""
    return 8 * number + 4


def video(path: Path, frames: int = 8, *, rate: int = 10, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a video whose frames are even gray, by `level`."""
    from planted_videos import write_video

    path.parent.mkdir(parents=True, exist_ok=True)
    images = (np.full((size[1], size[0], 3), level(n), dtype=np.uint8) for n in range(frames))
    write_video(path, ((image, Fraction(n, rate)) for n, image in enumerate(images)), rate=rate)
    return path


def image(path: Path, number: int = 0, *, side: int = 12) -> Path:
    """Write an even gray image, by `level`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side), level(number), dtype=np.uint8)).save(path)
    return path


def text(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def touch(root: Path, names: Iterable[str]) -> Path:
    """Lay empty files: indices look at names only."""
    for name in names:
        text(root / name, b"")
    return root


def baum_videos(root: Path, clips: dict[str, int], *, suffix: str = ".avi") -> Path:
    """Lay the published tree, with empty videos: clip ``S001/003`` and its code."""
    for clip, code in clips.items():
        subject, number = clip.split("/")
        text(root / subject / "avi" / f"{number}{suffix}", b"")
        text(root / subject / "emotion" / f"{number}.txt", f"   {code:.7e}\r\n".encode())
    return root


def baum_frames(root: Path, clips: dict[str, int], frames: int = 3, *, inner: str = "frames/") -> Path:
    """Lay the extracted tree, with frames ``0.png`` and so on."""
    for clip, code in clips.items():
        text(root / clip / "emotion.txt", f"  {code:.7e}\r\n".encode())
        for number in range(frames):
            image(root / clip / f"{inner}{number}.png", number)
    return root


def levels(frames: NDArray[np.uint8]) -> list[int]:
    """Return the number of each frame, by its gray level."""
    means = frames.reshape(len(frames), -1).mean(axis=1)
    return [round((float(mean) - 4) / 8) for mean in means]


def describe(clips: Samples) -> list[tuple[str, str, str]]:
    """Return name, emotion and subject of each clip."""
    return [(str(clips.clips[i]), clips.emotion(i), str(clips.subjects[i])) for i in range(len(clips))]
