"""Cameras: which ones there are, and opening one through OpenCV, which knows those of Linux, macOS and Windows.

(PyAV's wheels know none.)  ``python -m mien.io.camera 0`` opens one camera and writes what it gives as JSON: a dead
device then stops only that process.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien._threads import in_order

if TYPE_CHECKING:
    import cv2

__all__ = ["Camera", "Device", "explain_no_access", "find_cameras", "list_devices", "open_capture"]

_PROBE_S = 8.0
"""A camera that gives no image within this time counts as dead; slow ones take three seconds to start."""

_PROBE_READS = 20
"""The first images after opening may fail while the sensor starts."""

_DEFAULT_SIZE = (640, 480)
"""What cameras give by default; larger images come fast enough only when they are compressed."""

_CLASS = Path("/sys/class/video4linux")
_DEV = Path("/dev")

_MAX_UNKNOWN = 6
"""Where the system keeps no list, so many numbers are tried."""

# linux/videodev2.h: VIDIOC_QUERYCAP is _IOR('V', 0, struct v4l2_capability of 104 bytes).
_QUERYCAP = 0x80685600
_CAPTURES = 0x00000001 | 0x00001000  # V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE
_HAS_DEVICE_CAPS = 0x80000000


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that gives images.

    Parameters
    ----------
    index : int
        Its number, as ``mien live --source`` takes it.
    name : str
        What the system calls it, or ``"camera 0"`` where that is not known.
    width, height : int
        Of its images by default, in pixels.
    rate : float or None
        Frames per second, as it declares; None where it does not.
    """

    index: int
    name: str
    width: int
    height: int
    rate: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return asdict(self)


def find_cameras(*, timeout_s: float = _PROBE_S) -> tuple[tuple[Camera, ...], tuple[str, ...]]:
    """Return the cameras that give images, and what is known of those that do not.

    Each is opened in a process of its own, all at once, so that a dead device costs ``timeout_s`` and nothing more.

    Parameters
    ----------
    timeout_s : float
        How long to wait for an image, in seconds.

    Returns
    -------
    (tuple of Camera, tuple of str)
        By their numbers; and a line for each device that gives none.
    """
    devices = list_devices()
    if not devices:
        return (), ()
    results = list(in_order(devices, lambda device: _probe(device, timeout_s), len(devices)))
    found = tuple(result for result in results if isinstance(result, Camera))
    return found, tuple(result for result in results if isinstance(result, str) and result)


def _probe(device: Device, timeout_s: float) -> Camera | str:
    """Return a camera, or why it is none (nothing where the system does not say that it is one)."""
    if device.no_access:
        return device.no_access
    command = [sys.executable, "-m", "mien.io.camera", str(device.index)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)  # noqa: S603 (our own)
    except subprocess.TimeoutExpired:
        why = f"does not answer within {timeout_s:g} s"
    else:
        lines = done.stdout.split(b"\n")
        given = json.loads(lines[0]) if done.returncode == 0 and lines[0] else None
        if given is not None:
            return Camera(device.index, device.name, given["width"], given["height"], given["rate"])
        why = "gives no image: it is busy (another program uses it) or broken"
    return f"{device.label} {why}" if device.is_camera else ""


def open_capture(index: int, *, size: tuple[int, int] | None = None) -> cv2.VideoCapture:
    """Open a camera; whether that worked says ``isOpened()``.

    Parameters
    ----------
    index : int
        Number of the camera; on Linux that of ``/dev/video``.
    size : (int, int), optional
        Width and height to ask for; the camera takes the nearest that it has.
    """
    import cv2

    backends = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}
    before = cv2.utils.logging.getLogLevel()
    # OpenCV writes several lines to stderr about a camera that is not there.
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(index, backends.get(sys.platform, cv2.CAP_ANY))
        if capture.isOpened():
            # One image in the driver's queue: older ones are late.
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if size is not None:
                if size[0] * size[1] > _DEFAULT_SIZE[0] * _DEFAULT_SIZE[1]:
                    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    finally:
        cv2.utils.logging.setLogLevel(before)
    return capture


@dataclass(frozen=True, slots=True)
class Device:
    """Something that may be a camera.

    Parameters
    ----------
    index : int
        Its number.
    name : str
        What the system calls it.
    is_camera : bool
        Whether the system says that it is one.
    no_access : str
        Why it may not be opened; empty where it may.
    """

    index: int
    name: str
    is_camera: bool
    no_access: str = ""

    @property
    def label(self) -> str:
        """The number and the name."""
        return f"camera {self.index} ({self.name})" if self.name != f"camera {self.index}" else self.name


def list_devices() -> list[Device]:
    """Return what may be a camera, by number; on Linux without nodes that carry no images."""
    if not sys.platform.startswith("linux"):
        return [Device(index, f"camera {index}", is_camera=False) for index in range(_MAX_UNKNOWN)]
    found = []
    for entry in _CLASS.glob("video*") if _CLASS.is_dir() else ():
        number = entry.name.removeprefix("video")
        if not number.isdecimal():
            continue
        index = int(number)
        no_access = explain_no_access(index)
        captures = not no_access and _captures(index)
        if no_access or captures is not False:
            found.append(
                Device(index, _name(entry) or f"camera {index}", is_camera=bool(captures), no_access=no_access)
            )
    return sorted(found, key=lambda device: device.index)


def explain_no_access(index: int) -> str:
    """Return why a camera of Linux may not be opened; empty where it may, and on other systems."""
    node = _DEV / f"video{index}"
    if not sys.platform.startswith("linux"):
        return ""
    if not node.exists():
        return f"there is no camera {index}: {str(node)!a} does not exist (see: mien cameras)"
    if not os.access(node, os.R_OK | os.W_OK):
        return f"camera {index} may not be opened: no permission for {str(node)!a} (is the user in the group 'video'?)"
    return ""


def _name(entry: Path) -> str:
    try:
        return (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _captures(index: int) -> bool | None:
    """Tell whether a node gives images (cameras also have nodes for metadata), or None where it does not say."""
    import fcntl

    reply = bytearray(104)
    try:
        node = os.open(_DEV / f"video{index}", os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return None if error.errno in {errno.EBUSY, errno.EAGAIN} else False
    try:
        fcntl.ioctl(node, _QUERYCAP, reply)
    except OSError:
        return None
    finally:
        os.close(node)
    whole, own = struct.unpack_from("<II", reply, 84)
    return bool((own if whole & _HAS_DEVICE_CAPS else whole) & _CAPTURES)


def _write_probe(index: int) -> None:
    """Write what a camera gives to stdout as JSON, or null where it gives no image."""
    capture = open_capture(index)
    found: dict[str, object] | None = None
    if capture.isOpened():
        import cv2

        for _ in range(_PROBE_READS):
            good, image = capture.read()
            if good and image is not None:
                rate = float(capture.get(cv2.CAP_PROP_FPS))
                found = {"width": image.shape[1], "height": image.shape[0], "rate": rate if 0 < rate < 1000 else None}
                break
    capture.release()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _write_probe(int(sys.argv[1]))
