"""What is kept of live images while they are shown: a log, recordings, snapshots."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from mien.api.live import Analyzed, Live, Sight
from mien.errors import MienError
from mien.output.live import LiveLog, LiveRecording, write_snapshot

__all__ = ["Keeping"]


class Keeping:
    """Writes the files of a session; a context manager that finishes them, whatever ends it.

    Parameters
    ----------
    live : Live
        Where images and results come from.
    log : str or os.PathLike, optional
        A CSV file for all results.
    record : str or os.PathLike, optional
        A video that begins at once.
    folder : str or os.PathLike
        Where recordings and snapshots that are asked for later go.
    told : callable
        Gets messages for people.

    Raises
    ------
    MienError
        If a file cannot be written.
    """

    def __init__(
        self,
        live: Live,
        *,
        log: str | os.PathLike[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] = ".",
        told: Callable[[str], None],
    ) -> None:
        self._live, self._folder, self._told = live, Path(folder), told
        labels = live.analyzer.labels
        self._labels = labels
        self._log = None if log is None else LiveLog(log, labels, source=live.name)
        self.recording: LiveRecording | None = None
        if record is not None:
            self.recording = LiveRecording(record, labels, source=live.name)
        self._snapshots: list[threading.Thread] = []

    def __enter__(self) -> Keeping:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_recording()
        if self._log is not None:
            self._log.close()
        for thread in self._snapshots:
            thread.join()

    def tell(self, results: list[Analyzed]) -> None:
        """Write results.

        Raises
        ------
        MienError
            If the log cannot be written any more.
        """
        for result in results:
            if self._log is not None:
                self._log.write(result.frame, result.clock)
            if self.recording is not None:
                self.recording.add_frame(result.frame, result.clock)

    def show(self, sight: Sight) -> None:
        """Add an image to the recording, if there is one; one that fails is ended with a message."""
        if self.recording is None:
            return
        try:
            self.recording.add_image(sight.image.image, sight.frame, sight.image.time_s)
        except MienError:
            self.stop_recording()

    def record(self) -> None:
        """Begin a recording, or end the one that is running."""
        if self.recording is not None:
            self.stop_recording()
            return
        try:
            self.recording = LiveRecording(self._free(".mp4", ".csv") + ".mp4", self._labels, source=self._live.name)
        except MienError as error:
            self._told(str(error))
        else:
            self._told(f"recording {self.recording.path}")

    def stop_recording(self) -> None:
        """End the recording, if there is one, and tell what became of it."""
        recording, self.recording = self.recording, None
        if recording is None:
            return
        try:
            recording.close()
        except MienError as error:
            self._told(str(error))
            return
        left_out = f" ({recording.dropped} images left out: too fast for the encoder)" if recording.dropped else ""
        if recording.frames:
            self._told(f"recorded {recording.path} and {recording.path.with_suffix('.csv').name}{left_out}")
        else:
            self._told(f"{recording.path}: nothing was recorded, no image came")

    def snapshot(self, sight: Sight) -> None:
        """Write an image and what it shows, in a thread: compressing takes a tenth of a second."""
        place = self._free(".png", ".json")
        thread = threading.Thread(target=self._snap, args=(place, sight), name="mien-live-snapshot")
        self._snapshots = [*(one for one in self._snapshots if one.is_alive()), thread]
        thread.start()

    def _snap(self, place: str, sight: Sight) -> None:
        try:
            write_snapshot(
                place, sight.image.image, sight.frame, source=self._live.name, clock=datetime.now().astimezone()
            )
        except MienError as error:
            self._told(str(error))
        else:
            self._told(f"saved {place}.png, -drawn.png and .json")

    def _free(self, *suffixes: str) -> str:
        """Return a name by the time of day, without suffix, that no file has."""
        plain = self._folder / datetime.now().astimezone().strftime("mien-%Y%m%d-%H%M%S")
        name, number = str(plain), 1
        while any(Path(name + suffix).exists() for suffix in suffixes):
            number += 1
            name = f"{plain}-{number}"
        return name
