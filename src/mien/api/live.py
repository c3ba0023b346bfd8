"""Live images and what their faces show, without ever lagging behind.

One thread takes images as they come, another analyzes the newest, and who shows them takes the newest that are ready.
Nothing waits in a line: what is too slow for every image leaves some out, and memory does not grow.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number
from mien.api._live_sights import Analyzed, LiveImage, Sight
from mien.api._live_stream import LiveStream
from mien.errors import MediaError, MienError
from mien.io.live import format_live_source, open_live_source
from mien.results import VideoFrame
from mien.video.analyzer import VideoAnalyzer

__all__ = ["PATIENCE_S", "Analyzed", "Live", "LiveImage", "Sight", "iter_live"]

PATIENCE_S = 0.06
"""An image waits so long for its own analysis; then it is shown with what is known of the one before."""

RETRY_S = 1.0
"""A source that is lost is looked for again as often."""

STILL_S = 2.0
"""A source that has given no image for so long is said to stand still."""

_WAITING = 8
"""Images that wait to be shown, at most: at 60 a second they cover twice the patience."""

_UNTAKEN = 4096
"""Results that nobody has taken are kept up to so many: two minutes of them."""


class Live:
    """Takes images from a source and analyzes them, in threads of its own; a context manager.

    A source that was lost is opened again until it is back.  Any number of threads may ask for what is new.

    Parameters
    ----------
    source : int, str or os.PathLike
        See `mien.io.live.open_live_source`.
    analyzer : VideoAnalyzer
        What answers.
    size : (int, int), optional
        Width and height to ask a camera for.
    step_s : float, optional
        Analyze at most one image in so many seconds; by default as many as can be.
    other : callable, optional
        Makes the analyzer with another detector, by its name; see `use_detector`.
    told : callable, optional
        Gets messages for people, such as that the camera is lost; called in threads of this object.

    Raises
    ------
    InputError
        If an option is out of range.
    """

    def __init__(
        self,
        source: int | str | os.PathLike[str],
        analyzer: VideoAnalyzer,
        *,
        size: tuple[int, int] | None = None,
        step_s: float | None = None,
        other: Callable[[str], VideoAnalyzer] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.name = format_live_source(source)
        self._source, self._size = source, size
        self._step_s = 0.0 if step_s is None else check_number(step_s, "step_s", low=0, high=3600)
        self._told = told or (lambda _: None)
        self._other, self._wanted = other, analyzer.detector
        self._stream = LiveStream(analyzer)
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._images: deque[LiveImage] = deque(maxlen=_WAITING)
        self._results: deque[Analyzed] = deque(maxlen=_UNTAKEN)
        self._last: Analyzed | None = None
        self._error: BaseException | None = None
        self._taken, self._over, self._done = 0, False, False
        self._lost = ""
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"mien-live-{what}", daemon=True)
            for what, work in (("capture", self._capture), ("analysis", self._analyze))
        ]

    # --- for who shows ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Live:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; a source that does not answer at the moment is let go when it does, or at the end of the program."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=1.0)

    @property
    def detector(self) -> str:
        """Name of the detector that is used, or about to be."""
        return self._wanted

    @property
    def analyzer(self) -> VideoAnalyzer:
        """What answers."""
        return self._stream.analyzer

    @property
    def trouble(self) -> str:
        """What is wrong with the source at the moment; empty where nothing is."""
        if self._lost:
            return self._lost
        with self._news:
            last_s = self._images[-1].taken_s if self._images else None
        still = last_s is not None and not self._over and time.monotonic() - last_s > STILL_S
        return f"{self.name} stands still" if still else ""

    @property
    def taken(self) -> int:
        """How many images came so far."""
        return self._taken

    def use_detector(self, name: str) -> None:
        """Search with another detector from the next image on; people get new numbers."""
        self._wanted = name

    def sight(self, after: int, *, timeout_s: float = 0.0, patience_s: float | None = None) -> Sight | None:
        """Wait for the next image to show.

        An image comes with its own result, or, when that takes longer than the patience, with the one before.

        Parameters
        ----------
        after : int
            Number of the image that was shown last.
        timeout_s : float
            How long to wait, in seconds.
        patience_s : float, optional
            How long an image waits for its own result; by default `PATIENCE_S`, and not at all where not every image
            is to be analyzed.

        Returns
        -------
        Sight or None
            None where nothing new came in time, and at the end.

        Raises
        ------
        MienError
            If the source gave not one image; whatever went wrong in the threads.
        """
        until = time.monotonic() + timeout_s
        if patience_s is None:
            patience_s = 0.0 if self._step_s else PATIENCE_S
        with self._news:
            while True:
                self._raise()
                found, ready_s = self._ready(after, patience_s)
                now = time.monotonic()
                if found is not None or now >= until or self._done:
                    return found
                self._news.wait(max(0.0, min(until, ready_s) - now))

    def _ready(self, after: int, patience_s: float) -> tuple[Sight | None, float]:
        """Return the newest image that may be shown, and when the next may be without a result of its own."""
        last, now = self._last, time.monotonic()
        ready_s = float("inf")
        for image in reversed(self._images):
            if image.number <= after:
                break
            exact = last is not None and last.image == image.number
            if exact or self._done or image.taken_s + patience_s <= now:
                return Sight(image, None if last is None else last.frame, exact), 0.0
            ready_s = image.taken_s + patience_s
        return None, ready_s

    def results(self, *, timeout_s: float = 0.0) -> list[Analyzed]:
        """Return the results that were not taken yet, oldest first; wait for one where there is none.

        Raises
        ------
        MienError
            See `sight`.
        """
        with self._news:
            if not self._results and not self._done:
                self._news.wait_for(lambda: self._results or self._done or self._error is not None, timeout_s)
            found = list(self._results)
            self._results.clear()
            if not found:
                self._raise()
        return found

    @property
    def done(self) -> bool:
        """Whether nothing more comes: the video is over, and all of it that could be was analyzed."""
        return self._done and not self._results

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # --- threads ------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (handed to who asks next, where it is raised)
            self._error = error
        finally:
            with self._news:
                self._news.notify_all()

    def _capture(self) -> None:
        """Take images until the end; open the source again when it is lost."""
        begun_s = time.monotonic()
        while not self._stop.is_set():
            try:
                with open_live_source(self._source, size=self._size) as source:
                    while (frame := source.read(self._stop)) is not None:
                        now = time.monotonic()
                        self._take(frame.image, frame.time_s if source.is_timed else now - begun_s, now)
                        if self._stop.is_set():
                            break
            except MediaError as error:
                if not self._taken:
                    raise
                if not self._lost:
                    self._told(f"{error}; looking for it again every {RETRY_S:g} s")
                self._lost = f"{error}; looking for it"
            else:
                self._over = True
                return
            self._stop.wait(RETRY_S)

    def _take(self, image: NDArray[np.uint8], time_s: float, now: float) -> None:
        if self._lost:
            self._lost = ""
            self._told(f"{self.name} is back")
        with self._news:
            self._taken += 1
            self._images.append(LiveImage(self._taken, image, time_s, now))
            self._news.notify_all()

    def _analyze(self) -> None:
        """Analyze the newest image, again and again."""
        seen, due_s = 0, float("-inf")
        while (image := self._newest(seen, due_s)) is not None:
            seen, due_s = image.number, image.time_s + self._step_s
            self._follow_wish()
            frame = self._stream.push(image.image, image.time_s)
            delay_s = time.monotonic() - image.taken_s
            clock = datetime.fromtimestamp(time.time() - delay_s).astimezone()
            with self._news:
                self._last = Analyzed(image.number, frame, clock, delay_s)
                self._results.append(self._last)
                self._news.notify_all()
        # What went wrong is to be raised, not to be taken for the end.
        self._done = self._error is None

    def _newest(self, seen: int, due_s: float) -> LiveImage | None:
        """Wait for an image that is new and due; None at the end."""
        with self._news:
            while not self._stop.is_set():
                newest = self._images[-1] if self._images else None
                if newest is not None and newest.number > seen and newest.time_s >= due_s:
                    return newest
                if self._over or self._error is not None:
                    return None
                self._news.wait(0.1)
        return None

    def _follow_wish(self) -> None:
        wanted = self._wanted
        if wanted == self.analyzer.detector or self._other is None:
            return
        try:
            self._stream.change(self._other(wanted))
        except MienError as error:
            self._wanted = self.analyzer.detector
            self._told(str(error))


def iter_live(
    source: int | str | os.PathLike[str] = 0,
    *,
    analyzer: VideoAnalyzer | None = None,
    size: tuple[int, int] | None = None,
    step_s: float | None = None,
    told: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[VideoFrame]:
    """Yield what the faces before a camera show, as they change; see `Live`.

    It never lags: a caller who takes longer than an image misses some, not all.  The generator ends with the video, or
    when it is closed.

    Parameters
    ----------
    source : int, str or os.PathLike
        The number of a camera, an address (``rtsp://``, ``http://``), or a video, which is played in its own time.
    analyzer : VideoAnalyzer, optional
        What answers; by default a new one.
    size : (int, int), optional
        Width and height to ask a camera for.
    step_s : float, optional
        At most one answer in so many seconds.
    told : callable, optional
        Gets messages, such as that the camera is lost and found again.
    **options
        Of the new `VideoAnalyzer`.

    Yields
    ------
    VideoFrame
        The faces of one image; its time counts from the start.

    Raises
    ------
    MediaNotFoundError, MediaError
        If the source cannot be opened.
    InputError
        If an argument is wrong.

    Examples
    --------
    >>> import mien
    >>> for frame in mien.iter_live(0):  # doctest: +SKIP
    ...     for face in frame.faces:
    ...         print(f"{frame.time_s:.2f} {face.track} {face.smoothed.top}")
    """
    with Live(source, analyzer or VideoAnalyzer(**options), size=size, step_s=step_s, told=told) as live:
        while not live.done:
            # Only the newest: what came while the caller was busy is stale.
            for result in live.results(timeout_s=1.0)[-1:]:
                yield result.frame
