"""Live images: cameras, streams of the network, and videos in their own time.

A source gives images one by one as they come, and says whether it is over or lost.  It keeps none: who is slow finds
the newest image, not the oldest (see `mien.api.live`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mien._checks import check_integer, describe
from mien.errors import InputError
from mien.io._live_devices import Device, devices
from mien.io._live_sources import CameraSource, FileSource, LiveSource, NetworkSource, without_password

__all__ = ["Camera", "LiveSource", "find_cameras", "open_source", "source_name"]

PROBE_S = 8.0
"""A camera that gives no image within this does not answer; slow ones take three seconds to start."""

_SCHEMES = ("rtsp", "rtsps", "http", "https")

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that answers.

    Parameters
    ----------
    index : int
        Its number, as ``mien live --source`` takes it.
    name : str
        What the system calls it, or ``"camera 0"`` where that is not known.
    width, height : int
        Of its images when nothing is asked for, in pixels.
    rate : float or None
        Images a second, as it declares; None where it does not.
    """

    index: int
    name: str
    width: int
    height: int
    rate: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return asdict(self)


def find_cameras(*, timeout_s: float = PROBE_S) -> tuple[tuple[Camera, ...], tuple[str, ...]]:
    """Return the cameras that give images, and what is known of those that do not.

    Each is opened in a process of its own, all at once, so that a dead device costs ``timeout_s`` and nothing more.

    Parameters
    ----------
    timeout_s : float
        How long to wait for an image, in seconds.

    Returns
    -------
    (tuple of Camera, tuple of str)
        By their numbers; and a line for each device that is there but does not answer.
    """
    there = devices()
    if not there:
        return (), ()
    with ThreadPoolExecutor(len(there)) as pool:
        answers = list(pool.map(lambda device: _probed(device, timeout_s), there))
    found = tuple(answer for answer in answers if isinstance(answer, Camera))
    return found, tuple(answer for answer in answers if isinstance(answer, str) and answer)


def _probed(device: Device, timeout_s: float) -> Camera | str:
    """Return a camera, or why it is none (nothing where nobody said that there was one)."""
    if device.closed:
        return device.closed
    command = [sys.executable, "-m", "mien.io._live_probe", str(device.index)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)  # noqa: S603 (our own)
    except subprocess.TimeoutExpired:
        why = f"does not answer within {timeout_s:g} s"
    else:
        lines = done.stdout.split(b"\n")
        told = json.loads(lines[0]) if done.returncode == 0 and lines[0] else None
        if told is not None:
            return Camera(device.index, device.name, told["width"], told["height"], told["rate"])
        why = "gives no image: it is busy (another program uses it) or broken"
    return f"{device.called} {why}" if device.sure else ""


def open_source(source: int | str | os.PathLike[str], *, size: tuple[int, int] | None = None) -> LiveSource:
    """Open something that gives images as they come.

    Parameters
    ----------
    source : int, str or os.PathLike
        The number of a camera (``0``, ``"0"`` or ``"/dev/video0"``), an address (``rtsp://``, ``rtsps://``,
        ``http://``, ``https://``), or a video, which is played in its own time.  An address may name further ones (a
        playlist), but no file.
    size : (int, int), optional
        Width and height to ask a camera for; it takes the nearest that it has.

    Returns
    -------
    LiveSource
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    MediaNotFoundError
        If there is no such camera or file, or nobody answers at the address.
    MediaError
        If the camera may not be opened, is busy or gives no image; if the address or the file holds no images.
    InputError
        If the source is of another kind.
    """
    camera = _camera_number(source)
    if camera is not None:
        return CameraSource(camera, size=size)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"source must be the number of a camera, an address or the path of a video, but got {describe(source)}"
        )
    text = os.fsdecode(source)
    scheme = _ADDRESS.match(text)
    if scheme is None:
        return FileSource(text)
    if scheme[1].lower() not in _SCHEMES:
        raise InputError(f"an address must begin with {', '.join(f'{s}://' for s in _SCHEMES)}, but got {scheme[0]!r}")
    return NetworkSource(text)


def source_name(source: int | str | os.PathLike[str]) -> str:
    """Return how messages and tables call a source: an address without its password."""
    camera = _camera_number(source)
    if camera is not None:
        return f"camera {camera}"
    return without_password(os.fsdecode(source)) if isinstance(source, str | os.PathLike) else describe(source)


def _camera_number(source: Any) -> int | None:
    if isinstance(source, int) and not isinstance(source, bool):
        return check_integer(source, "the number of a camera", low=0, high=999)
    if not isinstance(source, str):
        return None
    device = re.fullmatch(r"(?:/dev/video)?([0-9]{1,3})", source, re.ASCII)
    # A file that is called like a number is a file.
    return int(device[1]) if device is not None and not Path(source).is_file() else None
