"""From Pillow's modes to RGB pixels, upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ValuesError", "to_rgb", "upright"]

_ON_WHITE = "transparent parts are shown on white"
# Pillow warns, through Python, of a crop of more than 89 million pixels; this is far below, and fast.
_BAND_BYTES = 1 << 18
_BAND_COLUMNS = 1 << 16


class ValuesError(ValueError):
    """Values whose range nobody knows; the message continues "the image has"."""


def to_rgb(image: Image.Image) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Convert any mode of Pillow to RGB pixels, and say what was done to them."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):  # Pillow before 11 gives PNG as "I"
        return _from_16_bit(np.asarray(image)), ()
    if mode in ("I", "F"):
        kind = "32-bit" if mode == "I" else "float"
        raise ValuesError(f"{kind} values, whose range nobody knows: expected 8 or 16 bits a channel")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return _array(image if mode == "RGB" else image.convert("RGB")), ()


def _from_16_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(table[values.astype(np.uint16)][..., None], 3, axis=2)


def _on_white(image: Image.Image) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if image.getchannel("A").getextrema()[0] == 255:
        return _array(image.convert("RGB")), ()
    from PIL import Image

    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return _array(white), (_ON_WHITE,)


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """Copy an RGB image into an array, in bands: `numpy.asarray` holds three copies of a large image at once."""
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if pixels.nbytes <= _BAND_BYTES:
        pixels[:] = np.asarray(image)
        return pixels
    rows = max(1, _BAND_BYTES // (3 * width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        for left in range(0, width, _BAND_COLUMNS):
            right = min(width, left + _BAND_COLUMNS)
            pixels[top:bottom, left:right] = np.asarray(image.crop((left, top, right, bottom)))
    return pixels


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation: 2 to 4 mirror and turn, 5 to 8 also swap the axes."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition, 6 and 7 run from right to left, 7 and 8 from bottom to top.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
