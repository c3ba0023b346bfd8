"""The recordings of ``mien analyze``: heard block by block, drawn and saved on the way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli._analyze_options import Options
from mien.cli._analyze_places import Guard, Target
from mien.cli._analyze_sources import Source
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.io.audio import AudioBlock
    from mien.output.bands import Sketch
    from mien.output.write import SampleType
    from mien.results import FailedItem, SpeechResult, SpeechSegment
    from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["Hearing", "RecordingFiles", "failed", "hear_many"]


class Hearing:
    """One recording on its way from a file to segments, in constant memory.

    Parameters
    ----------
    source : Source
        What is heard.
    analyzer : SpeechAnalyzer
        What answers.
    drawn : bool
        Whether the sound is sketched on the way, for an image.
    """

    def __init__(self, source: Source, analyzer: SpeechAnalyzer, *, drawn: bool) -> None:
        from mien.api import _hearing

        self.source = source
        self.segments: list[SpeechSegment] = []
        self.sketch: Sketch | None = None
        self._heard = _hearing.Hearing(analyzer, source.data, called=source.told)
        if drawn:
            from mien.output.bands import Sketch

            self.sketch = Sketch(analyzer.sound.rate_hz)

    @property
    def path(self) -> str | None:
        """The file, once it is open."""
        return self._heard.path

    def run(self, told: Callable[[SpeechSegment], None], heard: Callable[[float], None]) -> None:
        """Hear all of it.

        Parameters
        ----------
        told : callable
            Gets each segment as soon as it is settled.
        heard : callable
            Gets the seconds of each block.

        Raises
        ------
        MienError
            If it cannot be read.
        """

        def taken(block: AudioBlock) -> None:
            if self.sketch is not None:
                self.sketch.add(block)
            heard(len(block.wave) / block.rate_hz)

        self._take(self._heard.segments(heard=taken), told)

    def interrupted(self, told: Callable[[SpeechSegment], None]) -> SpeechResult:
        """Return what was heard until Ctrl-C."""
        self._take(self._heard.close(), told)
        return self._heard.result(
            self.segments, f"interrupted: only the first {self._heard.duration_s:.1f} s were read"
        )

    @property
    def result(self) -> SpeechResult:
        """What was heard."""
        return self._heard.result(self.segments)

    def _take(self, segments: Iterable[SpeechSegment], told: Callable[[SpeechSegment], None]) -> None:
        for segment in segments:
            self.segments.append(segment)
            told(segment)


class _StoppedError(MienError):
    """The others were stopped, too."""


def hear_many(
    sources: Iterable[Source],
    work: Callable[[Source, Callable[[float], None]], SpeechResult | FailedItem],
    *,
    workers: int,
) -> Generator[SpeechResult | FailedItem, None, None]:
    """Yield what ``work`` makes of each recording, in order, with several at the same time."""
    pending: deque[Future[SpeechResult | FailedItem]] = deque()
    stopped = threading.Event()

    def heard(_seconds: float) -> None:
        if stopped.is_set():
            raise _StoppedError

    pool = ThreadPoolExecutor(workers, thread_name_prefix="mien")
    try:
        for source in sources:
            pending.append(pool.submit(work, source, heard))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Reached early at Ctrl-C: what has not begun is not begun any more, and hours of sound are not awaited.
        stopped.set()
        pool.shutdown(cancel_futures=True)


class RecordingFiles:
    """What is made of recordings beside tables: images over time, and the sound as WAV.

    Parameters
    ----------
    options : Options
        Where the sound goes, and how it is written.
    plot : Target or None
        Where images go.
    guard : Guard
        Knows what must not be written over.
    """

    def __init__(self, options: Options, plot: Target | None, guard: Guard) -> None:
        self._plot = plot
        self._sound = None if options.save_audio is None else Target(options.save_audio, ".wav")
        self._options, self._guard = options, guard
        self._places: dict[int, tuple[Path | None, Path | None]] = {}

    @property
    def rereads(self) -> bool:
        """Whether recordings are read twice."""
        return self._sound is not None

    def place(self, source: Source) -> None:
        """Choose the places of a recording's files, in the order of the recordings."""
        plot = None if self._plot is None else self._plot.give(source.name)
        sound = None if self._sound is None else self._sound.give(source.name)
        self._places[id(source)] = (plot, sound)

    def write(self, hearing: Hearing, result: SpeechResult, *, sound: bool = True) -> None:
        """Write the files of a recording.

        Parameters
        ----------
        hearing : Hearing
            With its sketch.
        result : SpeechResult
            What is drawn.
        sound : bool
            Whether its sound is saved, too; it takes another reading.

        Raises
        ------
        MienError
            If one cannot be written.
        """
        plot_place, sound_place = self._places.pop(id(hearing.source))
        if plot_place is not None and hearing.sketch is not None and result.duration_s:
            from mien.output import write_speech_plot

            write_speech_plot(self._guard.ready(plot_place, "a recording"), result, hearing.sketch)
        if sound and sound_place is not None:
            from mien.io.audio import iter_audio
            from mien.output import save_wav

            with iter_audio(hearing.source.data, rate_hz=self._options.audio_rate) as blocks:
                kind: SampleType = "float32" if self._options.audio_float else "int16"
                save_wav(self._guard.ready(sound_place, "a recording"), blocks, sample_type=kind)


def failed(source: Source, error: MienError) -> FailedItem:
    """Return an error as the row of its recording."""
    from mien.results import FailedItem

    data: Any = source.data
    path = data if isinstance(data, str) else getattr(data, "name", None)
    return FailedItem(path, type(error).__name__, str(error))
