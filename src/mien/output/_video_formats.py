"""Which containers videos are written to, with which codecs, and what may be copied into each."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.errors import InputError, MediaError

if TYPE_CHECKING:
    from av.container import OutputContainer

__all__ = ["CONTAINERS", "QUALITIES", "Container", "Quality", "VideoCodec", "add_images", "container_of"]

VideoCodec = Literal["h264", "vp9"]
"""The codecs of images that are written."""

Quality = Literal["small", "good", "best"]
"""How much of the image is kept."""

QUALITIES: dict[str, dict[str, int]] = {
    "h264": {"small": 28, "good": 22, "best": 17},
    "vp9": {"small": 42, "good": 34, "best": 26},
}
"""The constant rate factors: x264's own scale (0 to 51) and libvpx's (0 to 63)."""

_ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9"}

_BT709 = 1
"""The number of ITU-R BT.709 as primaries, transfer and matrix (ITU-T H.273)."""

_MPEG_RANGE = 1


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file for videos.

    Parameters
    ----------
    format : str
        FFmpeg's name of the muxer.
    codecs : tuple of str
        Codecs for the images, the usual one first.
    sounds : frozenset of str or None
        Codecs of sound that players of such files know; None where anything is taken that the muxer takes.
    fallback : str
        The encoder for any other sound.
    negative : bool
        Whether packets may begin before zero (an edit list hides what is too early).
    options : tuple of (str, str)
        Options of the muxer.
    """

    format: str
    codecs: tuple[VideoCodec, ...]
    sounds: frozenset[str] | None
    fallback: str
    negative: bool = False
    options: tuple[tuple[str, str], ...] = ()


_FASTSTART = (("movflags", "+faststart"),)

CONTAINERS: dict[str, Container] = {
    ".mp4": Container(
        "mp4",
        ("h264", "vp9"),
        frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}),
        "aac",
        negative=True,
        options=_FASTSTART,
    ),
    ".mov": Container(
        "mov",
        ("h264",),
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
        "aac",
        negative=True,
        options=_FASTSTART,
    ),
    ".mkv": Container("matroska", ("h264", "vp9"), None, "aac"),
    ".webm": Container("webm", ("vp9",), frozenset({"opus", "vorbis"}), "libopus"),
}
"""By the suffix of the file."""


def container_of(target: Path, codec: str | None) -> tuple[Container, VideoCodec]:
    """Return the kind of file and the codec for a target, or raise `InputError`."""
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise InputError(f"a video is written as {', '.join(CONTAINERS)}, but the name is {target.name!a}")
    if codec is None:
        return container, container.codecs[0]
    for known in container.codecs:
        if codec == known:
            return container, known
    if codec not in _ENCODERS:
        raise InputError(f"codec must be one of {', '.join(_ENCODERS)}, but got {codec!r}")
    raise InputError(f"{target.suffix.lower()} takes {' or '.join(container.codecs)}, but the codec is {codec!r}")


def add_images(
    output: OutputContainer,
    codec: VideoCodec,
    *,
    width: int,
    height: int,
    time_base: Fraction,
    frame_rate: Fraction,
    quality: str,
) -> Any:
    """Add the stream of images (8 bits, 4:2:0, BT.709) and return it.

    Raises
    ------
    MediaError
        If this build of FFmpeg lacks the encoder.
    """
    import av

    encoder = _ENCODERS[codec]
    if encoder not in av.codecs_available:
        raise MediaError(f"cannot write {codec}: the FFmpeg that PyAV brings has no encoder {encoder}")
    # Typed loosely: PyAV's type depends on the literal name of the encoder.
    add: Any = output.add_stream
    stream = add(encoder, rate=frame_rate, width=width, height=height, pix_fmt="yuv420p", time_base=time_base)
    stream.options = {"crf": str(QUALITIES[codec][quality]), **_speed(codec, width * height)}
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _MPEG_RANGE
    return stream


def _speed(codec: VideoCodec, pixels: int) -> dict[str, str]:
    """Return options with which two cores keep up with 720p at more than twice its rate."""
    if codec == "h264":
        return {"preset": "veryfast"}
    # Constant quality needs a bit rate of 0; tiles of 256 columns at least let threads share a frame.
    columns = 2 if pixels > 1500 * 1000 else 1
    return {"b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1", "tile-columns": str(columns)}
