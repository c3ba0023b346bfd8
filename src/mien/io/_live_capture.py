"""Opening a camera through OpenCV, which knows the cameras of Linux, macOS and Windows; PyAV's wheels know none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cv2

__all__ = ["open_capture"]

_USUAL = (640, 480)
"""What cameras give when nothing is asked for; larger images come fast enough only when they are compressed."""


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
                if size[0] * size[1] > _USUAL[0] * _USUAL[1]:
                    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    finally:
        cv2.utils.logging.setLogLevel(before)
    return capture
