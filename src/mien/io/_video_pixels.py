"""Decoded frames of any pixel format become upright RGB images of one size."""

from __future__ import annotations

import functools
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["FrameConverter"]

_UNKNOWN_MATRIX = (0, 2, 3)
"""ITU-T H.273, matrix coefficients: identity (RGB), unspecified, reserved."""

_BT601, _BT709, _BT2020 = 5, 1, 9
"""SWS_CS_ITU601, SWS_CS_ITU709 and SWS_CS_BT2020 of libswscale/swscale.h."""

_MATRICES = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}
"""From H.273's numbers to libswscale's; what is not listed is guessed from the size."""

_HDR = {16: "PQ", 18: "HLG"}
"""ITU-T H.273, transfer characteristics: SMPTE ST 2084 and ARIB STD-B67."""

_FULL, _LIMITED = 2, 1
"""AVCOL_RANGE_JPEG and AVCOL_RANGE_MPEG of libavutil/pixfmt.h."""

_BILINEAR = 0x2
"""SWS_BILINEAR of libswscale/swscale.h."""

_SCALING = 0x2 | 0x2000 | 0x40000
"""SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND, where an image is scaled or its size is odd."""


class FrameConverter:
    """Convert frames to RGB.

    Matrix and range are those of the frame; where it has no matrix, BT.709 is assumed for high definition and BT.601
    below, as players do.  Pixels that are not square are made so; frames of another size than the first's are scaled to
    it; transparent parts are laid on white.

    Parameters
    ----------
    frame : av.VideoFrame
        The first frame: it gives size and rotation.
    aspect : float
        Width of a pixel over its height.
    """

    def __init__(self, frame: VideoFrame, *, aspect: float) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._stored = (frame.width, frame.height)
        self._size = _square_size(frame.width, frame.height, aspect)
        self.quarter_turns, self._mirrored = _read_rotation(frame)
        self.other_sizes: set[tuple[int, int]] = set()
        self._alpha = self._interlaced = False
        self._hdr: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images."""
        return self._size if self.quarter_turns % 2 == 0 else (self._size[1], self._size[0])

    def to_rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return a frame as uint8 of shape (H, W, 3), C-contiguous."""
        if (frame.width, frame.height) != self._stored:
            self.other_sizes.add((frame.width, frame.height))
        if frame.interlaced_frame:
            self._interlaced, frame = True, _deinterlace(frame)
        curve = _HDR.get(frame.color_trc)
        if curve is not None:
            self._hdr = curve
            return np.ascontiguousarray(self._upright(_tone_map(self._convert(frame, "rgb48le"), curve)))
        alpha = any(component.is_alpha for component in frame.format.components)
        plain = self._convert(frame, "rgba" if alpha else "rgb24")
        if alpha:
            plain = self._on_white(plain)
        return np.ascontiguousarray(self._upright(plain))

    def _convert(self, frame: VideoFrame, form: str) -> NDArray[np.uint8]:
        width, height = self._size
        direct = (frame.width, frame.height) == self._size and width % 2 == 0 and height % 2 == 0
        converted = self._reformatter.reformat(
            frame, width=width, height=height, format=form, interpolation=_BILINEAR if direct else _SCALING, threads=1,
            src_colorspace=_get_matrix(frame), src_color_range=_get_range(frame), dst_color_range=_FULL,
        )  # fmt: skip
        return converted.to_ndarray()  # type: ignore[return-value]  # uint8 for RGB and RGBA, uint16 for rgb48le

    def _on_white(self, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        cover = rgba[..., 3:].astype(np.uint16)
        if cover.min() == 255:
            return rgba[..., :3]
        self._alpha = True
        mixed = (rgba[..., :3] * cover + 255 * (255 - cover) + 127) // 255
        return mixed.astype(np.uint8)

    def _upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.quarter_turns == 0 and not self._mirrored:
            return image
        import cv2

        image = np.ascontiguousarray(image)
        if self.quarter_turns:
            codes = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
            image = cv2.rotate(image, codes[self.quarter_turns - 1])  # type: ignore[assignment]
        return cv2.flip(image, 1) if self._mirrored else image  # type: ignore[return-value]

    def warnings(self) -> list[str]:
        """Return what was odd about the images so far."""
        found = []
        if self.other_sizes:
            sizes = ", ".join(f"{width} x {height}" for width, height in sorted(self.other_sizes))
            width, height = self._stored
            found.append(
                f"the size changes within the video ({sizes}); all is scaled to that of the first, {width} x {height}"
            )
        if self._size != self._stored:
            found.append(f"the video's pixels are not square: {self._stored[0]} x {self._stored[1]} is shown as "
                         f"{self._size[0]} x {self._size[1]}")  # fmt: skip
        if self._interlaced:
            found.append("the video is interlaced: of the two moments in a frame, the first is shown")
        if self._hdr:
            found.append(f"the video has a high dynamic range ({self._hdr}); its colors are mapped to the usual one")
        if self._alpha:
            found.append("transparent parts are shown on white")
        return found


def _deinterlace(frame: VideoFrame) -> VideoFrame:
    """Return a frame with the lines of its first field, those between interpolated along edges.

    By FFmpeg's filter ``estdif``, which needs no neighbors: frames are sampled, and seeking leaves some out.
    """
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("estdif", "mode=frame:deint=all"), graph.add("buffersink")).configure()
    source.push(frame)
    source.push(None)
    return graph.vpull()


_WHITE_NITS, _PEAK_NITS = 203.0, 1000.0
"""Diffuse white, and the display that HLG is made for (ITU-R BT.2408, BT.2100)."""

_KNEE = 0.75
"""Light above this part of white is compressed; faces lie below."""

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear light (ITU-R BT.2087)."""


@functools.cache
def _light_of_codes(curve: str) -> NDArray[np.float32]:
    """Return the light of each 16-bit code, 1 at diffuse white; of HLG that of the scene, 1 at its peak."""
    code = np.linspace(0, 1, 1 << 16)
    if curve == "PQ":  # SMPTE ST 2084
        power = code ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        return (light * 10_000 / _WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100, table 5
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _codes_of_light() -> NDArray[np.uint8]:
    """Return the 8-bit code (sRGB, IEC 61966-2-1) of light from 0 to 1 in 4,096 steps of its root."""
    light = np.linspace(0, 1, 4096) ** 2
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    codes: NDArray[np.uint8] = np.rint(255 * code).astype(np.uint8)
    return codes


def _tone_map(image: NDArray[Any], curve: str) -> NDArray[np.uint8]:
    """Return an image of high dynamic range, uint16 (H, W, 3) in BT.2020, as uint8 RGB."""
    import cv2

    light = _light_of_codes(curve)[image]
    if curve == "HLG":  # the display's: brighter scenes gain (BT.2100, OOTF with gamma 1.2)
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (_PEAK_NITS / _WHITE_NITS) * np.maximum(luma, 1e-6)[..., None] ** np.float32(0.2)
    light = np.maximum(cv2.transform(light, _BT2020_TO_BT709), 0)
    peak = light.max(axis=2)
    over = np.maximum(peak - _KNEE, 0)
    # From the knee on with the same slope, and 1 at infinity; all three colors alike, so that hues stay.
    light *= ((np.minimum(peak, _KNEE) + over / (1 + over / (1 - _KNEE))) / np.maximum(peak, 1e-6))[..., None]
    codes: NDArray[np.uint8] = _codes_of_light()[np.rint(4095 * np.sqrt(light)).astype(np.intp)]
    return codes


def _square_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Return the size with square pixels, the shorter direction stretched; an implausible aspect is left alone."""
    if not 0.25 <= aspect <= 4 or abs(aspect - 1) < 0.01:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _get_matrix(frame: VideoFrame) -> int:
    known = _MATRICES.get(frame.colorspace)
    if known is not None:
        return known
    return _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601


def _get_range(frame: VideoFrame) -> int:
    if frame.color_range in (_FULL, _LIMITED):
        return frame.color_range
    return (
        _FULL if frame.format.name.startswith(("yuvj", "rgb", "bgr", "gbr", "pal", "gray", "ya8", "ya16")) else _LIMITED
    )


def _read_rotation(frame: VideoFrame) -> tuple[int, bool]:
    """Return (quarter turns counter-clockwise, whether the image is mirrored after that) of the display matrix.

    The matrix holds a turn and maybe a mirror image as 16.16 fixed numbers, row by row: ``a b u c d v x y w``, by which
    (x, y) goes to (a x + c y, b x + d y); y points down (ISO/IEC 14496-12, 8.2.2; FFmpeg's libavutil/display.h).
    """
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data  # a mapping by type of data, though declared otherwise
    data = side_data.get(Type.DISPLAYMATRIX)
    if data is None or data.buffer_size < 36:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo what is done last: x goes to -x
        a, c = -a, -c
    if abs(a) >= abs(b):
        return (0 if a >= 0 else 2), mirrored
    return (3 if b > 0 else 1), mirrored
