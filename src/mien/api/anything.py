"""A file in, told by its content: an image, a video or a recording."""

from __future__ import annotations

from typing import Any

from mien.api.audio import analyze_speech
from mien.api.images import analyze_image
from mien.api.videos import analyze_video
from mien.io.audio import Audio
from mien.io.sniff import peek_kind
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
    if isinstance(source, Audio):
        return analyze_speech(source, **options)
    kind, source = peek_kind(source)
    if kind == "video":
        return analyze_video(source, **options)
    return analyze_speech(source, **options) if kind == "audio" else analyze_image(source, **options)
