"""Analyses for requests: few at a time, a bounded line before them, and analyzers that stay loaded."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mien.api.pipeline import Analyzers, Pipeline, Progress
from mien.api.sources import KindName, Source
from mien.options import AudioOptions, ModelOptions, VideoOptions
from mien.results import FailedItem, ImageResult, SpeechResult
from mien.serve.problems import LimitError, ProblemError, problem_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.io.audio import AudioBlock
    from mien.serve.settings import Settings
    from mien.serve.uploads import Upload

__all__ = ["Engine", "check_length", "describe_progress", "to_json"]

_LOADED = 4
"""Sets of analyzers that stay loaded, for requests with other options than the last: about 60 MB each."""

_WEIGHT = 0.2
"""Of the last analysis in the mean of their times."""

_T = TypeVar("_T")
_log = logging.getLogger("mien.serve")


def check_length(seconds: float | None, settings: Settings) -> None:
    """Raise `LimitError` for what is longer than the service reads."""
    if seconds is not None and seconds > settings.max_seconds:
        raise LimitError(f"it is longer than {settings.max_seconds:g} s, the limit")


class Engine:
    """Analyzes images and recordings in threads.

    Parameters
    ----------
    settings : Settings
        What the service allows.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="mien-request")
        self._loaded: OrderedDict[Any, Analyzers] = OrderedDict()
        self._lock = threading.Lock()
        self.admitted = 0
        self._mean_s = 0.0

    def load(self) -> None:
        """Load what requests without options need."""
        self.analyzers("image", self.models())
        self.analyzers("audio", self.models(), audio=AudioOptions())

    def close(self) -> None:
        """End the threads, after what they do."""
        self._pool.shutdown(cancel_futures=True)

    def models(self, **options: Any) -> ModelOptions:
        """Return the options of models with the service's defaults and limits."""
        settings = self.settings
        given = {
            "model": settings.default("face-emotion"),
            "speech_model": settings.default("speech-emotion"),
            **{name: value for name, value in options.items() if value is not None},
        }
        return ModelOptions(**given, max_pixels=settings.max_pixels)

    def analyzers(
        self,
        kind: KindName,
        models: ModelOptions,
        *,
        video: VideoOptions | None = None,
        audio: AudioOptions | None = None,
    ) -> Analyzers:
        """Return analyzers of some options, loaded.

        Raises
        ------
        MienError
            If they cannot be loaded.
        """
        key = (kind, models, video, audio)
        with self._lock:
            found = self._loaded.pop(key, None)
            if found is None:
                found = Analyzers(models, video, audio, are_shared=True)
                found.load(kind)
            self._loaded[key] = found
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        return found

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Take a place among the requests that are analyzed or wait.

        Raises
        ------
        ProblemError
            If there is none.
        """
        if self.is_full:
            raise ProblemError("busy", "too many requests wait already; try again", retry_after_s=1)
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    @property
    def is_full(self) -> bool:
        """Whether no further request would be admitted."""
        workers = self.settings.workers
        if self.admitted >= workers + self.settings.waiting:
            return True
        # On a machine that does other work, too, the length of the line alone says little about the wait.
        return self.admitted >= 2 * workers and self.admitted * self._mean_s > self.settings.max_wait_s * workers

    async def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function in a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def faces(
        self, upload: Upload, models: ModelOptions, *, max_faces: int | None, drawn: bool = False, explain: bool = False
    ) -> tuple[ImageResult | FailedItem, bytes | None]:
        """Read the faces of an image.

        Parameters
        ----------
        upload : Upload
            The image, in memory.
        models : ModelOptions
            How.
        max_faces : int, optional
            Only the largest.
        drawn, explain : bool
            Draw them, and what led to their emotions.

        Returns
        -------
        (ImageResult or FailedItem, bytes or None)
            The result, and a PNG where it is to be drawn.
        """
        analyzers = self.analyzers("image", models)
        png: list[bytes] = []

        def draw_image(_: Source, image: NDArray[np.uint8], result: Any) -> None:
            from mien.face.explain import choose_method
            from mien.output.draw import draw, heat
            from mien.output.write import encode_png

            kept = _largest(result, max_faces)
            if explain:
                method = choose_method(analyzers.faces.spec, "auto")
                image = heat(image, analyzers.faces.explain(image, kept.faces, method=method))
            png.append(encode_png(draw(image, kept)))

        source = Source(upload.sink.getvalue(), "image")
        item = self._item(analyzers, source, upload.name, on_image=draw_image if drawn else None)
        result = _largest(item, max_faces) if isinstance(item, ImageResult) else item
        return result, png[0] if png else None

    def speech(self, upload: Upload, models: ModelOptions, audio: AudioOptions) -> SpeechResult | FailedItem:
        """Read the speech of a recording."""

        def check(_: Source, block: AudioBlock) -> None:
            check_length(block.end_s, self.settings)

        source = Source(upload.sink.getvalue(), "audio")
        analyzers = self.analyzers("audio", models, audio=audio)
        item: SpeechResult | FailedItem = self._item(analyzers, source, upload.name, on_audio=check)
        return item

    def _item(self, analyzers: Analyzers, source: Source, name: str | None, **callbacks: Any) -> Any:
        began_s = time.perf_counter()
        (item,) = Pipeline(analyzers).run([source], **callbacks)
        self._mean_s += _WEIGHT * (time.perf_counter() - began_s - self._mean_s)
        if isinstance(item.result, FailedItem) and problem_of(item.result).kind == "internal":
            _log.error("analysis failed", extra={"error": item.result.error, "reason": item.result.message})
        result: Any = item.result
        return replace(result, path=name)


def _largest(result: ImageResult, most: int | None) -> ImageResult:
    return result if most is None else replace(result, faces=result.faces[:most])


def to_json(data: Any) -> bytes:
    """Return plain data as JSON."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def describe_progress(progress: Progress) -> dict[str, Any]:
    """Return progress as clients get it; of a voice, that of its own pass."""
    length_s = None if progress.end_s is None else progress.end_s - progress.start_s
    part = None if not length_s else min(max((progress.time_s - progress.start_s) / length_s, 0.0), 1.0)
    return {
        "stage": progress.stage,
        "time_s": round(progress.time_s, 3),
        "start_s": progress.start_s,
        "end_s": progress.end_s,
        "fraction": None if part is None else round(part, 4),
    }
