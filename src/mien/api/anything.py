"""A file in, told by its content: an image, a video or a recording."""

from __future__ import annotations

import os
from typing import Any

from mien.api.audio import analyze_speech
from mien.api.images import analyze_image
from mien.api.videos import analyze_video
from mien.io.audio import Audio
from mien.io.formats import HEAD_BYTES, sniff
from mien.io.kinds import has_images, kind_of
from mien.results import ImageResult, SpeechResult, VideoResult

__all__ = ["analyze"]


def analyze(source: Any, **options: Any) -> ImageResult | SpeechResult | VideoResult:
    """Analyze an image, a video or a recording, told by its content, not by its name.

    A file of a video's format that holds sound alone is a recording.

    Parameters
    ----------
    source : object
        See `analyze_image`, `analyze_video` and `analyze_speech`.
    **options : object
        See there.

    Returns
    -------
    ImageResult, VideoResult or SpeechResult
        The faces, largest first; the people of the video; or the segments of the recording.

    Raises
    ------
    UnsupportedMediaError
        If the source is none of them.
    MienError
        As for `analyze_image`, `analyze_video` and `analyze_speech`.
    """
    kind, whole = _kind(source)
    if kind == "video":
        return analyze_video(whole, **options) if _is_video(whole) else analyze_speech(whole, **options)
    return analyze_speech(whole, **options) if kind == "audio" else analyze_image(whole, **options)


def _kind(source: Any) -> tuple[str, Any]:
    """Return what kind of media a source is by its content, and the source as it was before it was looked at."""
    if isinstance(source, bytes | bytearray | memoryview):
        return sniff(bytes(source[:HEAD_BYTES])), source
    if isinstance(source, str | os.PathLike):
        return kind_of(source), source
    if isinstance(source, Audio):
        return "audio", source
    if not callable(getattr(source, "read", None)):
        return "unknown", source
    seekable = getattr(source, "seekable", None)
    place = source.tell() if callable(seekable) and seekable() else None
    try:
        head = source.read(HEAD_BYTES)
    except OSError:
        return "unknown", source  # reading it says why
    kind = sniff(head) if isinstance(head, bytes) else "unknown"
    if place is not None:
        source.seek(place)
        return kind, source
    # A video's format is looked at twice, which a pipe does not allow.
    return kind, head + source.read() if kind == "video" else _Peeked(head, source)


def _is_video(source: Any) -> bool:
    """Tell whether a file has moving images; a stream is left where it stands."""
    place = source.tell() if hasattr(source, "tell") else None
    video = has_images(source)
    if place is not None:
        source.seek(place)
    return video


class _Peeked:
    """A stream whose first bytes were read already."""

    def __init__(self, head: Any, stream: Any) -> None:
        self._head, self._stream = head, stream
        self.name = getattr(stream, "name", None)

    def read(self, size: int = -1) -> Any:
        """Read on."""
        if not self._head:
            return self._stream.read(size)
        if size < 0:
            head, self._head = self._head, self._head[:0]
            return head + self._stream.read()
        head, self._head = self._head[:size], self._head[size:]
        return head
