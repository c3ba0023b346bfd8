"""Live images: cameras, network streams, and videos in their own time.

A source gives images one by one as they come, and says whether it is over or lost.  It buffers none: a slow consumer
gets the newest image, not the oldest (see `mien.live`).
"""

from __future__ import annotations

import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mien._checks import check_integer, describe
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.camera import explain_no_access, open_capture
from mien.io.container import av_open, error_reason, moving_image_streams
from mien.io.video import Frame, iter_frames

if TYPE_CHECKING:
    import cv2

__all__ = [
    "CameraSource",
    "FileSource",
    "LiveSource",
    "NetworkSource",
    "format_live_source",
    "live_file",
    "open_live_source",
]

_OPEN_S = 10.0
"""How long to wait for a stream to open."""

_STALL_S = 5.0
"""A stream that gives nothing for so long is lost."""

_START_S = 4.0
"""Cameras give no image while their sensor starts."""

_LATE_S = 0.3
"""Images of a stream that come so late are dropped, until it has caught up."""

_VERY_LATE_S = 1.0

# What an address may lead to: never to a file of this machine.
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtsp,rtsps,crypto"

_SCHEMES = ("rtsp", "rtsps", "http", "https")

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


class LiveSource(ABC):
    """Gives images as they come; a context manager, for one thread.

    Attributes
    ----------
    name : str
        How messages call it.
    is_timed : bool
        Whether the times of its images are those of a video; otherwise they are seconds since it was opened.
    """

    name: str
    is_timed = False

    def __init__(self) -> None:
        self._opened_s = time.monotonic()

    @abstractmethod
    def read(self, stop: threading.Event) -> Frame | None:
        """Wait for the next image.

        Parameters
        ----------
        stop : threading.Event
            Ends the waiting of a video for the time of its next image.

        Returns
        -------
        Frame or None
            None when the video is over.

        Raises
        ------
        MediaError
            If the source is lost: nothing more comes unless it is opened again.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> float:
        return time.monotonic() - self._opened_s


class CameraSource(LiveSource):
    """A camera.

    Parameters
    ----------
    index : int
        Its number.
    size : (int, int), optional
        Width and height to request.
    """

    def __init__(self, index: int, *, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.name = f"camera {index}"
        no_access = explain_no_access(index)
        if no_access:
            raise MediaNotFoundError(no_access) if "there is no" in no_access else MediaError(no_access)
        self._capture: cv2.VideoCapture = open_capture(index, size=size)
        if not self._capture.isOpened():
            self._capture.release()
            raise MediaError(
                f"{self.name} cannot be opened: there is none, or another program uses it (see: mien cameras)"
            )
        self._has_given = False

    def read(self, stop: threading.Event) -> Frame | None:
        """Wait for the next image; see `LiveSource.read`."""
        import cv2

        while True:
            good, image = self._capture.read()
            if good and image is not None:
                self._has_given = True
                code = cv2.COLOR_GRAY2RGB if image.ndim == 2 or image.shape[2] == 1 else cv2.COLOR_BGR2RGB
                return Frame(cv2.cvtColor(image, code), self._now())  # type: ignore[arg-type]
            if self._has_given or self._now() > _START_S:
                break
            if stop.wait(0.05):
                return None
        if self._has_given:
            raise MediaError(f"{self.name} is lost: it gives no more images")
        raise MediaError(f"{self.name} gives no image: it is busy (another program uses it) or broken")

    def close(self) -> None:
        """Close the camera."""
        self._capture.release()


class FileSource(LiveSource):
    """A video that is played in its own time.

    Parameters
    ----------
    path : str
        The video.
    """

    is_timed = True

    def __init__(self, path: str) -> None:
        super().__init__()
        self.name = path
        self._frames = iter_frames(path)
        self._pace = _Pace()

    def read(self, stop: threading.Event) -> Frame | None:
        """Wait until the next image is due; see `LiveSource.read`."""
        frame = next(self._frames, None)
        if frame is None or self._pace.wait(frame.time_s, stop):
            return None
        return frame

    def close(self) -> None:
        """Close the video."""
        self._frames.close()


class NetworkSource(LiveSource):
    """A network stream, or a video at an address.

    What has a known duration is played in its own time.  Of anything else each image is given as it comes, and
    those that come late are dropped.

    Parameters
    ----------
    address : str
        Where it is.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        import av

        self.name = _hide_password(address)
        options = {"protocol_whitelist": _PROTOCOLS, "rtsp_transport": "tcp"}
        try:
            self._container = av_open(address, options=options, timeout=(_OPEN_S, _STALL_S))
        except (av.FFmpegError, OSError, EOFError, ValueError) as error:
            raise MediaNotFoundError(f"cannot open {self.name}: {_av_reason(error)}") from error
        streams = moving_image_streams(self._container)
        if not streams:
            self._container.close()
            raise MediaError(f"{self.name} holds no moving images")
        self._stream = streams[0]
        context = self._stream.codec_context
        # Threads for frames would hold one image back each.
        context.thread_type = "SLICE"
        self._ends = bool(self._container.duration)
        self._pace, self._lateness = _Pace(), _Lateness()
        self._decoded = self._images()

    def read(self, stop: threading.Event) -> Frame | None:
        """Wait for the next image; see `LiveSource.read`."""
        import av

        try:
            for frame in self._decoded:
                time_s = frame.time
                if self._ends and time_s is not None:
                    if self._pace.wait(time_s, stop):
                        return None
                elif self._is_stale(time_s):
                    continue
                return Frame(frame.to_ndarray(format="rgb24"), self._now())
        except (av.FFmpegError, OSError, EOFError) as error:
            raise MediaError(f"{self.name} is lost: {_av_reason(error)}") from error
        if self._ends or stop.is_set():
            return None
        raise MediaError(f"{self.name} is lost: it sends nothing more")

    def _images(self) -> Iterator[Any]:
        import av

        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:  # damage on the way: the next key frame mends it
                continue

    def _is_stale(self, time_s: float | None) -> bool:
        if time_s is None:
            return False
        late_s = self._lateness.of(time_s)
        self._stream.codec_context.skip_frame = "NONREF" if late_s > _VERY_LATE_S else "DEFAULT"
        return late_s > _LATE_S and self._lateness.may_drop()

    def close(self) -> None:
        """Close the stream."""
        self._container.close()


class _Pace:
    """Makes images wait for their time."""

    def __init__(self) -> None:
        self._zero_s: float | None = None

    def wait(self, time_s: float, stop: threading.Event) -> bool:
        """Wait until an image is due; return whether the waiting was interrupted."""
        now = time.monotonic()
        if self._zero_s is None:
            self._zero_s = now - time_s
        return stop.wait(max(0.0, self._zero_s + time_s - now))


class _Lateness:
    """How late images come, against those that came soonest after their time."""

    def __init__(self) -> None:
        self._least: float | None = None
        self._given_s = 0.0

    def of(self, time_s: float) -> float:
        """Return by how many seconds an image is late."""
        behind = time.monotonic() - time_s
        # A clock that begins anew, or runs a little fast, is no lateness.
        if self._least is None or behind < self._least or behind > self._least + 20:
            self._least = behind
        late_s = behind - self._least
        self._least += 0.001 * late_s
        return late_s

    def may_drop(self) -> bool:
        """Tell whether a late image may be dropped: some are shown all the same, so that the image does not freeze."""
        now = time.monotonic()
        if now - self._given_s < 0.2:
            return True
        self._given_s = now
        return False


def open_live_source(source: int | str | os.PathLike[str], *, size: tuple[int, int] | None = None) -> LiveSource:
    """Open something that gives images as they come.

    Parameters
    ----------
    source : int, str or os.PathLike
        The number of a camera (``0``, ``"0"`` or ``"/dev/video0"``), an address (``rtsp://``, ``rtsps://``,
        ``http://``, ``https://``), or a video, which is played in its own time.  An address may name further ones (a
        playlist), but no file.
    size : (int, int), optional
        Width and height to request of a camera; it takes the nearest that it has.

    Returns
    -------
    LiveSource
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    MediaNotFoundError
        If there is no such camera or file, or no answer at the address.
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
    path = live_file(source)
    if path is not None:
        return FileSource(path)
    text = os.fsdecode(source)
    scheme, _, _ = text.partition("://")
    if scheme.lower() not in _SCHEMES:
        raise InputError(
            f"an address must begin with {', '.join(f'{s}://' for s in _SCHEMES)}, but got {scheme + '://'!r}"
        )
    return NetworkSource(text)


def live_file(source: int | str | os.PathLike[str]) -> str | None:
    """Return the path of a source that is a video file, or None."""
    if _camera_number(source) is not None or not isinstance(source, str | os.PathLike):
        return None
    text = os.fsdecode(source)
    return None if _URL.match(text) else text


def format_live_source(source: int | str | os.PathLike[str]) -> str:
    """Return how messages and tables call a live source: an address without its password."""
    camera = _camera_number(source)
    if camera is not None:
        return f"camera {camera}"
    return _hide_password(os.fsdecode(source)) if isinstance(source, str | os.PathLike) else describe(source)


def _camera_number(source: Any) -> int | None:
    if isinstance(source, int) and not isinstance(source, bool):
        return check_integer(source, "the number of a camera", low=0, high=999)
    if not isinstance(source, str):
        return None
    device = re.fullmatch(r"(?:/dev/video)?([0-9]{1,3})", source, re.ASCII)
    # A file that is called like a number is a file.
    return int(device[1]) if device is not None and not Path(source).is_file() else None


def _hide_password(address: str) -> str:
    """Return an address without user and password."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return address.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)) if parts.scheme and host else address


def _av_reason(error: BaseException) -> str:
    text = error_reason(error)
    return "it does not answer in time" if "Immediate exit" in text else text
