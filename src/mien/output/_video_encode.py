"""Images and sound become a file, in a thread of their own."""

from __future__ import annotations

import contextlib
import queue
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mien.output._video_sound import Sound

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame

__all__ = ["Encoder"]

_QUEUE_BYTES = 64 << 20
"""So much may wait for the encoder: a few frames, whatever their size."""


class Encoder(threading.Thread):
    """Encodes frames as they come and writes them, with the sound in step.

    Parameters
    ----------
    output : OutputContainer
        The file, with its streams; it belongs to the thread from here on.
    images : VideoStream
        Takes the frames.
    sound : Sound or None
        Goes in between.
    frame_bytes : int
        Size of a frame as it comes.
    """

    def __init__(self, output: OutputContainer, images: Any, sound: Sound | None, frame_bytes: int) -> None:
        super().__init__(name="mien-video-writer", daemon=True)
        self.error: BaseException | None = None
        self._output, self._images, self._sound = output, images, sound
        self._waiting: queue.Queue[VideoFrame | None] = queue.Queue(max(2, min(8, _QUEUE_BYTES // frame_bytes)))
        self._sound_until: Fraction | None = None
        self._abandoned = False

    def put(self, frame: VideoFrame | None) -> None:
        """Hand over a frame, or None after the last; raise what went wrong meanwhile."""
        while True:
            if self.error is not None:
                raise self.error
            try:
                self._waiting.put(frame, timeout=0.2)
            except queue.Full:
                continue
            return

    def finish(self, sound_until: Fraction | None) -> None:
        """Write what is left, the sound up to a time or to its end, and wait for it."""
        self._sound_until = sound_until
        if self.ident is None:
            return
        if self.error is None:
            self.put(None)
        self.join()
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Stop without finishing the file."""
        self._abandoned = True
        if self.ident is None:
            self._release()
            return
        while self.is_alive():
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get_nowait()
            self.join(timeout=0.05)

    def run(self) -> None:
        """Work until the last frame."""
        try:
            while (frame := self._waiting.get()) is not None and not self._abandoned:
                self._encode(frame)
            if not self._abandoned:
                self._flush()
        except BaseException as error:  # noqa: BLE001  (handed to the thread that writes frames, which raises it)
            self.error = error
        finally:
            self._release()

    def _encode(self, frame: VideoFrame | None) -> None:
        from av.video.reformatter import ColorRange, Colorspace

        if frame is not None:
            pts, duration = frame.pts, frame.duration
            base = frame.time_base
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.duration, frame.time_base = pts, duration, base
        for packet in self._images.encode(frame):
            if self._sound is not None and packet.dts is not None:
                self._sound.until(packet.dts * Fraction(packet.time_base))
            self._output.mux(packet)

    def _flush(self) -> None:
        self._encode(None)
        if self._sound is not None:
            self._sound.until(self._sound_until)
        self._output.close()

    def _release(self) -> None:
        """Close the files.  One that is left unfinished goes wrong as it likes: its owner throws it away."""
        from av import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError):
            self._output.close()
