"""Files of live images: logs, recordings, snapshots."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import MediaError
from mien.io.paths import format_path
from mien.labels import LabelSet
from mien.output._encode import VideoWriter, container_of
from mien.output._sound import SoundTrack, open_source
from mien.output.paint import LivePainter
from mien.output.tables import CsvRows
from mien.output.write import check_folder, check_suffix, encode_png, write_bytes
from mien.results import Column, VideoFrame, columns

__all__ = ["LiveLog", "LiveRecording", "write_snapshot"]

_CLOCK = Column("clock", str, help="when the image came")

_FLUSH_S = 1.0
"""What a log loses at most when the machine does."""

_QUEUE_SIZE = 4
"""Images that wait to be drawn into a recording; further ones are dropped."""


class LiveLog:
    """A CSV file with a row a face of an analyzed image, written as they come; a context manager.

    The columns are those of the table ``frames``, after ``clock``: when the image came, in local time (ISO 8601).

    Parameters
    ----------
    path : str or os.PathLike
        Where it goes; what was there is replaced with the first image, not before.
    labels : LabelSet
        The emotions, a column each.
    source : str
        What stands in the column ``path``.

    Raises
    ------
    InputError
        If the name does not end in ``.csv``.
    MediaNotFoundError, MediaError
        If the folder does not exist, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], labels: LabelSet, *, source: str) -> None:
        self.path, self._source = check_suffix(path, ".csv"), source
        check_folder(self.path)
        try:
            self._file = self.path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise self._media_error(error) from error
        self._labels = labels
        self._rows: CsvRows | None = None
        self._flushed_s = time.monotonic()

    def write(self, frame: VideoFrame, clock: datetime) -> None:
        """Write the rows of an image.

        Raises
        ------
        MediaError
            If the file cannot be written.
        """
        try:
            rows = self._start()
            for row in frame.rows(self._source):
                rows.write({"clock": clock.isoformat(timespec="milliseconds"), **row})
            if time.monotonic() - self._flushed_s >= _FLUSH_S:
                self._file.flush()
                self._flushed_s = time.monotonic()
        except OSError as error:
            raise self._media_error(error) from error

    def _start(self) -> CsvRows:
        if self._rows is None:
            self._file.truncate(0)
            self._rows = CsvRows(self._file, (_CLOCK, *columns("frames", self._labels)))
        return self._rows

    def close(self) -> None:
        """Write what is left; again does nothing."""
        if self._file.closed:
            return
        try:
            if self._file.tell() == 0:
                self._start()
            self._file.close()
        except OSError as error:
            raise self._media_error(error) from error

    def _media_error(self, error: OSError) -> MediaError:
        return MediaError(f"cannot write {format_path(self.path)}: {error.strerror or error}", path=self.path)


class LiveRecording:
    """A video of live images with the people drawn on them, and a CSV file beside it with their emotions.

    Drawing and encoding happen in threads of their own; images that come faster than that are dropped.  Images keep
    their times, counted from the first.  What was written can be played whatever ends the writing, even a full disk.

    Parameters
    ----------
    path : str or os.PathLike
        Where the video goes; see `mien.output.video.VideoWriter`.  The table goes beside it, with the suffix ``.csv``.
    labels : LabelSet
        The emotions of the table.
    source : str
        What stands in the table's column ``path``.
    draw : bool
        Whether to draw the people on the images.
    sound : str, optional
        The video file whose images are recorded: its sound goes along.

    Raises
    ------
    InputError
        If the suffix is none of a video.
    MediaNotFoundError, MediaError
        If the folder does not exist, or the files cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        labels: LabelSet,
        *,
        source: str,
        draw: bool = True,
        sound: str | None = None,
    ) -> None:
        self.path, self._draw, self._sound = Path(os.fsdecode(path)), draw, sound
        container_of(self.path, None)
        self._log = LiveLog(self.path.with_suffix(".csv"), labels, source=source)
        self._queue: queue.Queue[tuple[NDArray[np.uint8], VideoFrame | None, float]] = queue.Queue(_QUEUE_SIZE)
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._zero_s: float | None = None
        self._started_s = time.monotonic()
        self._error: BaseException | None = None
        self.frames = self.dropped = 0
        # Not a daemon: a program that is ended by Ctrl-C waits until the video is whole.
        self._thread = threading.Thread(target=self._run, name="mien-live-recording")
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started_s

    def add_image(self, image: NDArray[np.uint8], frame: VideoFrame | None, time_s: float) -> None:
        """Add an image.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB; not to be changed afterwards.  The first one's size is the video's.
        frame : VideoFrame or None
            Who is in it.
        time_s : float
            When, rising.

        Raises
        ------
        MediaError
            If the video could not be written any more.
        """
        if self._error is not None:
            raise self._error
        if self._zero_s is None:
            self._zero_s = time_s
        try:
            self._queue.put_nowait((image, frame, time_s - self._zero_s))
        except queue.Full:
            self.dropped += 1

    def add_frame(self, frame: VideoFrame, clock: datetime) -> None:
        """Add the result of an image to the table, at the time of the video."""
        if self._zero_s is not None and frame.time_s >= self._zero_s:
            self._log.write(replace(frame, time_s=frame.time_s - self._zero_s), clock)

    def close(self) -> None:
        """Finish both files.

        Raises
        ------
        MediaError
            If the video could not be written.
        """
        # First of all: whatever interrupts the waiting, the thread ends.
        self._stopping.set()
        try:
            # Not `join` alone: when Ctrl-C strikes in it, Python 3.11 takes the thread for dead, and does not wait for
            # it at the end of the program either (python/cpython issue 90882).
            self._stopped.wait()
            self._thread.join()
        finally:
            self._log.close()
        if self._error is not None:
            raise self._error

    def _items(self) -> Iterator[tuple[NDArray[np.uint8], VideoFrame | None, float]]:
        """Yield images until the recording stops, or the program ends, and none is left."""
        while True:
            # A second Ctrl-C may strike before `close` begins, and the program would wait for this thread for ever.
            is_last = self._stopping.is_set() or not threading.main_thread().is_alive()
            try:
                yield self._queue.get(timeout=0.05)
            except queue.Empty:
                if is_last:
                    return

    def _run(self) -> None:
        writer: VideoWriter | None = None
        try:
            for image, frame, time_s in self._items():
                if writer is None:
                    height, width = image.shape[:2]
                    painter = LivePainter(width, height)
                    writer = VideoWriter(
                        self.path,
                        width=width,
                        height=height,
                        frame_rate=Fraction(30),
                        sound=self._sound_track(),
                        in_place=True,
                    )
                if writer.accepts(time_s):
                    writer.write(painter.draw(image, frame if self._draw else None, time_s), time_s)
                    self.frames = writer.frames
            if writer is not None:
                writer.close(cut_sound=True)
        except BaseException as error:  # noqa: BLE001  (raised in the thread that adds images)
            self._error = error
            if writer is not None:
                writer.__exit__(type(error), error, error.__traceback__)
        finally:
            self._stopped.set()

    def _sound_track(self) -> SoundTrack | None:
        """Return the sound of the file that is played, from the first recorded image on."""
        if self._sound is None:
            return None
        opened = open_source(self._sound)
        if opened.sound is None:
            opened.close()
            return None
        return SoundTrack(opened, opened.zero + Fraction(self._zero_s or 0.0).limit_denominator(1_000_000), None)


def write_snapshot(
    path: str | os.PathLike[str],
    image: NDArray[np.uint8],
    frame: VideoFrame | None,
    *,
    source: str,
    clock: datetime,
) -> None:
    """Write an image, the same with its people drawn on it, and their emotions.

    Parameters
    ----------
    path : str or os.PathLike
        Without suffix: ``NAME.png``, ``NAME-drawn.png`` and ``NAME.json`` are written.
    image : numpy.ndarray
        uint8 (H, W, 3), RGB.
    frame : VideoFrame or None
        Who is in it.
    source : str
        Where it comes from.
    clock : datetime.datetime
        When it came.

    Raises
    ------
    MediaNotFoundError, MediaError
        If the folder does not exist, or a file cannot be written.
    """
    place = Path(os.fsdecode(path))
    height, width = image.shape[:2]
    document = {
        "source": source,
        "clock": clock.isoformat(timespec="milliseconds"),
        "width": width,
        "height": height,
        **(frame or VideoFrame(0.0, width, height)).to_dict(),
    }
    drawn = LivePainter(width, height).draw(image, frame, 0.0)
    files = {
        ".png": lambda: encode_png(image),
        "-drawn.png": lambda: encode_png(drawn),
        ".json": lambda: (json.dumps(document, indent=2, allow_nan=False) + "\n").encode(),
    }
    for ending, make in files.items():
        write_bytes(place.with_name(place.name + ending), Path(ending).suffix or ending, make)
