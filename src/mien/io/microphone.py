"""The microphone, through PortAudio."""

from __future__ import annotations

import queue
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.errors import MediaError, MediaNotFoundError

__all__ = ["Microphone"]

_MAX_BLOCKS = 400
"""Blocks that wait to be read, at most: some seconds.  A reader that is further behind loses sound."""

_SILENT_S = 3.0
"""Devices give blocks all the time, also of silence; one that gives none is gone."""


class Microphone:
    """Gives sound as it comes; a context manager.

    Attributes
    ----------
    rate_hz : int
        Samples per second: the device's own.

    Raises
    ------
    MissingExtraError
        If sounddevice is not installed.
    MediaNotFoundError
        If there is no microphone.
    MediaError
        If PortAudio is missing, or the microphone cannot be opened.
    """

    def __init__(self) -> None:
        try:
            device: Any = import_extra("sounddevice", extra="microphone", purpose="listening to the microphone")
        except OSError as error:  # the package looks for its library when it is imported
            raise MediaError(
                f"listening to the microphone needs the library PortAudio ({error}); on Debian and Ubuntu: "
                "apt install libportaudio2"
            ) from error
        self._blocks: queue.Queue[NDArray[np.float32]] = queue.Queue(_MAX_BLOCKS)
        try:
            info = device.query_devices(kind="input")
        except (device.PortAudioError, ValueError) as error:
            raise MediaNotFoundError(f"there is no microphone ({_error_text(error)})") from error
        self.name = str(info["name"])
        self.rate_hz = round(float(info["default_samplerate"]))
        try:
            self._stream = device.InputStream(
                samplerate=self.rate_hz,
                channels=1,
                dtype="float32",
                callback=self._on_block,
                blocksize=self.rate_hz // 20,
            )
            self._stream.start()
        except (device.PortAudioError, ValueError) as error:
            raise MediaError(f"the microphone {self.name!a} cannot be opened: {_error_text(error)}") from error

    def _on_block(self, samples: NDArray[np.float32], _frames: int, _time: Any, _status: Any) -> None:
        # Called in a thread of PortAudio, which must never wait.
        if not self._blocks.full():
            self._blocks.put_nowait(samples[:, 0].copy())

    def read(self, stop: threading.Event) -> NDArray[np.float32] | None:
        """Wait for the next block.

        Parameters
        ----------
        stop : threading.Event
            Interrupts the waiting.

        Returns
        -------
        numpy.ndarray or None
            float32 (n,), mono, in [-1, 1]; None when the waiting was interrupted.

        Raises
        ------
        MediaError
            If the microphone gives nothing more.
        """
        waited_s = 0.0
        while not stop.is_set():
            try:
                block = self._blocks.get(timeout=0.1)
            except queue.Empty:
                waited_s += 0.1
                if waited_s > _SILENT_S:
                    raise MediaError(f"the microphone {self.name!a} is lost: it gives no more sound") from None
                continue
            return np.clip(np.nan_to_num(block), -1, 1)
        return None

    def close(self) -> None:
        """Close the microphone."""
        self._stream.close()

    def __enter__(self) -> Microphone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _error_text(error: BaseException) -> str:
    return str(error.args[0] if error.args else error) or type(error).__name__
