"""Which cameras a system has, before any is opened."""

from __future__ import annotations

import errno
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Device", "devices", "why_closed"]

_CLASS = Path("/sys/class/video4linux")
_DEV = Path("/dev")

_MOST_UNKNOWN = 6
"""Where the system keeps no list, so many numbers are tried."""

# linux/videodev2.h: VIDIOC_QUERYCAP is _IOR('V', 0, struct v4l2_capability of 104 bytes).
_QUERYCAP = 0x80685600
_CAPTURES = 0x00000001 | 0x00001000  # V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE
_HAS_DEVICE_CAPS = 0x80000000


@dataclass(frozen=True, slots=True)
class Device:
    """Something that may be a camera.

    Parameters
    ----------
    index : int
        Its number.
    name : str
        What the system calls it.
    sure : bool
        Whether the system says that it is a camera.
    closed : str
        Why it may not be opened; empty where it may.
    """

    index: int
    name: str
    sure: bool
    closed: str = ""

    @property
    def called(self) -> str:
        """The number and the name."""
        return f"camera {self.index} ({self.name})" if self.name != f"camera {self.index}" else self.name


def devices() -> list[Device]:
    """Return what may be a camera, by number; on Linux without nodes that carry no images."""
    if not sys.platform.startswith("linux"):
        return [Device(index, f"camera {index}", sure=False) for index in range(_MOST_UNKNOWN)]
    found = []
    for entry in _CLASS.glob("video*") if _CLASS.is_dir() else ():
        number = entry.name.removeprefix("video")
        if not number.isdecimal():
            continue
        index = int(number)
        called = f"camera {index}"
        closed = why_closed(index)
        captures = not closed and _captures(index)
        if closed or captures is not False:
            found.append(Device(index, _name(entry) or called, sure=bool(captures), closed=closed))
    return sorted(found, key=lambda device: device.index)


def why_closed(index: int) -> str:
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
    """Tell whether a node gives images; cameras have others, for what belongs to them.  None: it does not say."""
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
