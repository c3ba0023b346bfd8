"""Emotions as subtitles in WebVTT: a cue for each segment of a person's timeline, and of the voice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien._checks import describe
from mien.errors import InputError
from mien.output.canvas import COLORS, text_on, to_hex
from mien.output.registry import Context, Result, Writer
from mien.output.summary import printable
from mien.output.write import check_suffix, write_bytes
from mien.results import Emotion, SpeechResult, VideoResult

__all__ = ["VttWriter", "to_vtt"]

_CLASS = re.compile(r"[a-z][a-z0-9_-]*")


def to_vtt(result: Result) -> str:
    """Return the segments of an audio file or a video as WebVTT, such as ``Person 1: happiness 84%``.

    Cues are in order of their beginnings, and overlap where several people are in view or speak on channels that were
    read each (``Channel 1: anger 71%``).  Each has
    a class, the name of its emotion, whose colors a style block sets.

    Parameters
    ----------
    result : SpeechResult or VideoResult
        Of a video, the timelines of all people and the voice, by the video's own times.

    Returns
    -------
    str
        To be written as UTF-8.

    Raises
    ------
    InputError
        If the result is something else.

    References
    ----------
    Pfeiffer et al., "WebVTT: the web video text tracks format" (W3C, 2019, w3.org/TR/webvtt1).
    """
    if not isinstance(result, SpeechResult | VideoResult):
        raise InputError(f"subtitles need a SpeechResult or a VideoResult, but got {describe(result)}")
    cues = sorted(_cues(result), key=lambda cue: cue[:2])
    names = dict.fromkeys(emotion.top for *_, emotion in cues)
    styles = [_style(name) for name in names if _CLASS.fullmatch(name)]
    source = _escape(printable("" if result.path is None else result.path))
    blocks = ["WEBVTT", f"NOTE Emotions predicted by mien {source}".rstrip()]
    if styles:
        blocks.append("\n".join(["STYLE", *styles]))
    for number, (start_s, end_s, who, emotion) in enumerate(cues, 1):
        start_ms = round(1000 * start_s)
        end_ms = max(round(1000 * end_s), start_ms + 1)
        words = _escape(f"{who}: {emotion.top} {100 * emotion.confidence:.0f}%")
        if _CLASS.fullmatch(emotion.top):
            words = f"<c.{emotion.top}>{words}</c>"
        blocks.append(f"{number}\n{_timestamp(start_ms)} --> {_timestamp(end_ms)}\n{words}")
    return "\n\n".join(blocks) + "\n"


def _cues(result: SpeechResult | VideoResult) -> Iterator[tuple[float, float, str, Emotion]]:
    """Yield start and end in seconds, who it is, and the emotion."""
    if isinstance(result, VideoResult):
        for track in result.tracks:
            for part in track.timeline:
                yield part.start_s, part.end_s, f"Person {track.number}", part.emotion
    speech = result.speech if isinstance(result, VideoResult) else result
    for segment in () if speech is None else speech.segments:
        if segment.emotion is not None:
            who = "Voice" if segment.channel is None else f"Channel {segment.channel}"
            yield segment.start_s, segment.end_s, who, segment.emotion


def _style(emotion: str) -> str:
    color = COLORS[emotion]
    return f"::cue(.{emotion}) {{ color: {to_hex(text_on(color))}; background-color: {to_hex(color)} }}"


def _timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _escape(text: str) -> str:
    """Return text without what would end a cue or begin a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class VttWriter(Writer):
    """Writes subtitles of an audio file or a video; see `to_vtt`."""

    def __init__(self, target: Path, context: Context) -> None:
        del context
        self._target = check_suffix(target, ".vtt")

    def write(self, result: Result) -> None:
        """Write the subtitles; see `to_vtt` for what is raised."""
        write_bytes(self._target, ".vtt", lambda: to_vtt(result).encode())
