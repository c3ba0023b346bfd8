"""Which packets need no decoding because their images are neither wanted nor referred to."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from mien.io._video_times import Sampling

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["is_clean_start", "is_progressive", "may_skip", "planned"]

_LOOK_AHEAD = 64
"""Packets held back at most; coders reorder by 16 images or fewer."""

_IDR_H264, _RANDOM_ACCESS_HEVC = (5,), range(16, 22)
"""ITU-T H.264 table 7-1 and H.265 table 7-1: nothing that is shown later refers to what came before."""

_PROGRESSIVE = 1
"""AV_FIELD_PROGRESSIVE of libavcodec/defs.h; 0 is unknown."""


def may_skip(codec: str, context: VideoCodecContext) -> bool:
    """Whether a decoder told to leave out images that nothing refers to gives all others unchanged.

    True of H.264 by nal_ref_idc, and of the B-images of MPEG-2 and MPEG-4 part 2.  Not of HEVC, where "non-reference"
    holds only within a temporal layer; and not of interlaced videos, where it may hold of one of two fields.
    """
    return codec in ("h264", "mpeg4", "mpeg2video") and is_progressive(context)


def is_progressive(context: VideoCodecContext) -> bool:
    """Whether a packet is a whole image, not maybe one of two fields."""
    return context.field_order in (0, _PROGRESSIVE)


def planned(
    packets: Iterator[Packet[VideoStream]], sampling: Sampling, time_base: Fraction, zero: Fraction
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Yield packets in their order, each with whether its image is sure not to be wanted.

    An image is wanted when a moment of the sampling lies between its predecessor in time and itself.  Its predecessor
    is known once the packets read have reached its time by their decoding times: none that follows is shown earlier.
    """
    held: deque[Packet[VideoStream]] = deque()
    times: list[int] = []

    def unwanted(pts: int) -> bool:
        place = bisect.bisect_left(times, pts)
        if place == 0:
            return False
        return not sampling.wants(pts * time_base - zero, times[place - 1] * time_base - zero)

    for packet in packets:
        if packet.pts is None or packet.dts is None:
            yield from ((one, False) for one in held)
            held.clear()
            times.clear()
            yield packet, False
            continue
        bisect.insort(times, packet.pts)
        held.append(packet)
        while held:
            pts, settled = held[0].pts, False
            assert pts is not None
            settled = pts <= packet.dts
            if not settled and len(held) <= _LOOK_AHEAD:
                break
            yield held.popleft(), settled and unwanted(pts)
        del times[: -4 * _LOOK_AHEAD]
    yield from ((one, False) for one in held)


def is_clean_start(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether decoding that begins with a packet gives the same images as decoding from the video's start."""
    if not packet.is_keyframe:
        return False
    if codec == "h264":
        return any(byte & 0x1F in _IDR_H264 for byte in _unit_heads(packet))
    if codec == "hevc":
        return any(byte >> 1 & 0x3F in _RANDOM_ACCESS_HEVC for byte in _unit_heads(packet))
    return True


def _unit_heads(packet: Packet[VideoStream]) -> Iterator[int]:
    """Yield the first byte of each unit of a packet of H.264 or HEVC, with lengths of four bytes or start codes."""
    data = bytes(packet)
    if data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1":
        at = data.find(b"\0\0\1")
        while 0 <= at < len(data) - 3:
            yield data[at + 3]
            at = data.find(b"\0\0\1", at + 3)
        return
    at = 0
    while at + 4 < len(data):
        yield data[at + 4]
        at += 4 + int.from_bytes(data[at : at + 4], "big")
