"""Images: from a path, bytes, a stream, an array or a PIL image to RGB pixels.

Pillow decodes everything.  OpenCV's decoders write what they think of a damaged file to the process' stderr,
which nobody can turn off for one call.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, describe
from mien.errors import DecodeError, InputError, MediaError, MediaNotFoundError, UnsupportedMediaError
from mien.io._pixels import ValuesError, to_rgb, upright
from mien.io.formats import HEAD_BYTES, READABLE, identify, sniff
from mien.io.headers import complete_jpeg, expand, prepare
from mien.io.paths import count_image_paths, format_path, iter_image_paths
from mien.io.tiff import TiffKindError, exif_orientation

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "LoadedImage",
    "count_image_paths",
    "iter_image_paths",
    "read_image",
    "sniff",
]

DEFAULT_MAX_PIXELS = 200_000_000
"""Largest image read by default: every camera of today fits, and 600 MB of pixels still fit a small machine."""

_BELIEVED_PIXELS = 24_000_000
"""A file may claim so many pixels whatever its length: at most some 27 bytes each while an animation is decoded."""

_PIXELS_OF_A_BYTE = 1000
"""Even white pages have less as JPEG, PNG in colors and WebP; only blank GIF and blank pages of one bit a pixel have
more."""

_CLASSES = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
}
_TITLES = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF"}
_EXPECTED = "JPEG, PNG, WebP, TIFF, BMP or GIF"
_TRUNCATED = "the file is truncated: a part of the image is missing"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image, ready for analysis.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 of shape (H, W, 3), RGB, C-contiguous, upright (EXIF orientation applied).
    path : str or None
        The file, as it was given; ``None`` for arrays, bytes and streams without a name.
    format : str
        ``"jpeg"``, ``"png"``, ``"webp"``, ``"tiff"``, ``"bmp"``, ``"gif"``, or ``"array"`` and ``"pil"``.
    warnings : tuple of str
        What is not as it seems: the file is truncated, transparent parts are shown on white.
    """

    pixels: NDArray[np.uint8]
    path: str | None = None
    format: str = "array"
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", check_image(self.pixels, "pixels"))

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


def read_image(source: Any, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> LoadedImage:
    """Read an image from whatever holds one.

    Reads JPEG, PNG, WebP, TIFF, BMP and GIF (the first frame or page), told by content.  16 bits become 8 by rounding
    v / 257 (gray) or by their high byte (color), CMYK becomes RGB without color profiles, transparent parts are laid
    on white (with a warning in the result), and the EXIF orientation is applied.  The size is checked from the header,
    before any pixel is decoded.
    Nothing is printed, and no global state (of Pillow or of Python's warnings) is touched.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview, binary file object, numpy.ndarray or PIL.Image.Image
        A path, the content of a file, a stream (read to its end, not closed), an array as `mien._checks.check_image`
        takes it, or a PIL image (its EXIF orientation is applied too).
    max_pixels : int
        Largest width x height to decode; arrays are already decoded and not limited.

    Returns
    -------
    LoadedImage
        Pixels and what is known about them.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    UnsupportedMediaError
        If the content is a video, a recording, no known image, an image with float or 32-bit values, or too large.
    DecodeError
        If the file is empty, so damaged that no pixel comes out, or claims over 24 million pixels and more than 1,000
        for each of its bytes.
    InputError
        If the source is of another type, or an array of another shape or dtype.

    References
    ----------
    CIPA DC-008 (Exif 2.32) for the orientation; Pillow (MIT-CMU) decodes.
    """
    limit = check_integer(max_pixels, "max_pixels", low=1)
    if isinstance(source, np.ndarray):
        return LoadedImage(check_image(source))
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return _decode(_read_file(path), path, limit)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), None, limit)
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(source, pil.Image):
        return _from_pil(source, limit)
    if callable(getattr(source, "read", None)):
        return _from_stream(source, limit)
    raise InputError(f"an image must be a path, bytes, a binary file, an array or a PIL image, got {describe(source)}")


# --- where the bytes come from --------------------------------------------------------------------


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (Path would normalize the name that errors report)
            return _read_stream(file, path)
    except FileNotFoundError:
        raise MediaNotFoundError(f"no such file: {format_path(path)}", path=path) from None
    except IsADirectoryError:
        raise MediaNotFoundError(f"expected an image, but {format_path(path)} is a folder", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaNotFoundError(f"cannot open {format_path(path)}: {reason}", path=path) from error


def _read_stream(file: IO[bytes], path: str | None) -> bytes:
    head = file.read(HEAD_BYTES)
    if not isinstance(head, bytes):
        raise InputError(f"a file object must be opened in binary mode, but its read() gave {describe(head)}")
    # A video of many gigabytes is refused before it is read.
    _readable_format(head, path)
    return head + file.read()


def _from_stream(file: IO[bytes], limit: int) -> LoadedImage:
    name = getattr(file, "name", None)
    path = name if isinstance(name, str) else None
    try:
        data = _read_stream(file, path)
    except OSError as error:
        raise DecodeError(f"cannot read {_label(path)}: {error}", path=path) from error
    return _decode(data, path, limit)


def _label(path: str | None) -> str:
    return "the image" if path is None else format_path(path)


def _readable_format(head: bytes, path: str | None) -> str:
    """Return the name of a format that can be decoded, or raise what says why not."""
    if not head:
        raise DecodeError(f"{_label(path)} is empty: expected a {_EXPECTED} image", path=path)
    kind, name = identify(head)
    if kind in ("video", "audio"):
        came = f"a {'video' if kind == 'video' else 'recording'} ({name})"
        raise UnsupportedMediaError(f"{_label(path)} must be an image, but it is {came}", path=path)
    if kind == "image" and name in READABLE:
        return name
    came = f"an image in the format {name}" if kind == "image" else f"something else that begins with {head[:12]!r}"
    raise UnsupportedMediaError(f"{_label(path)} must be a {_EXPECTED} image, but it is {came}", path=path)


# --- decoding -------------------------------------------------------------------------------------


def _decode(data: bytes, path: str | None, limit: int) -> LoadedImage:
    name = _readable_format(data[:HEAD_BYTES], path)
    try:
        prepared = prepare(data, name)
        _check_size(prepared.size, limit, path, len(data))
        content, whole = expand(prepared.data, name)
        image = _open(name, content)
        _check_size(image.size, limit, path, len(data))
        image, whole = _load(image, name, content, whole)
        pixels, notes = to_rgb(image)
    except MediaError:
        raise
    except TiffKindError as error:
        raise UnsupportedMediaError(f"{_label(path)} is a TIFF {error}", path=path) from None
    except ValuesError as error:
        raise UnsupportedMediaError(f"{_label(path)} has {error}", path=path) from None
    except Exception as error:  # on damaged files decoders raise almost anything, from IndexError to MemoryError
        came = f"{_label(path)} cannot be decoded as {_TITLES[name]}: {_reason(error)}"
        raise DecodeError(came, path=path) from error
    return LoadedImage(upright(pixels, prepared.orientation), path, name, notes if whole else (_TRUNCATED, *notes))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _check_size(size: tuple[int, int] | None, limit: int, path: str | None, stored: int | None = None) -> None:
    """Refuse sizes over the limit, and those that a file of so many bytes cannot mean."""
    if size is None:
        return
    width, height = size
    if width <= 0 or height <= 0:
        raise DecodeError(f"{_label(path)} has a size of {width} x {height} pixels", path=path)
    if width * height > limit:
        raise UnsupportedMediaError(
            f"{_label(path)} has {width} x {height} pixels, more than the limit of {limit:,} pixels", path=path
        )
    # A row costs Pillow a pointer in each of its copies, as much as two pixels do.
    if stored is not None and (width + 2) * height > max(_BELIEVED_PIXELS, stored * _PIXELS_OF_A_BYTE):
        raise DecodeError(
            f"{_label(path)} claims {width} x {height} pixels, but has only {stored:,} bytes: at most "
            f"{_PIXELS_OF_A_BYTE:,} pixels a byte are believed of so large an image",
            path=path,
        )


def _open(name: str, data: bytes) -> ImageFile:
    """Parse the header; no pixel is decoded yet.

    The class of the format is called itself: `PIL.Image.open` checks for decompression bombs by a global limit and a
    Python warning, where `_check_size` has the caller's limit.
    """
    module, attribute = _CLASSES[name]
    image: ImageFile = getattr(importlib.import_module(module), attribute)(io.BytesIO(data))
    return image


def _load(image: ImageFile, name: str, data: bytes, whole: bool) -> tuple[ImageFile, bool]:
    """Decode the pixels; of a truncated file, those that are there.  Say whether it is whole."""
    try:
        image.load()
    except OSError as error:
        # Pillow raises bare OSErrors; of the many, this one means that the data ended early.
        if "truncated" not in str(error):
            raise
        whole = False
        if name == "jpeg":
            image = _open(name, complete_jpeg(data))
        else:
            image.tile = []  # what was decoded until then stays in the image
        image.load()
    if not whole and _is_flat(image):
        raise OSError("the file is truncated, and no pixel is left")
    return image, whole


def _is_flat(image: Image.Image) -> bool:
    ranges = [channel.getextrema() for channel in image.split()]
    return all(low == high for low, high in ranges)


def _from_pil(image: Image.Image, limit: int) -> LoadedImage:
    name = getattr(image, "filename", None)
    path = name if isinstance(name, str) and name else None
    _check_size(image.size, limit, path)
    try:
        image.load()
        pixels, notes = to_rgb(image)
    except ValuesError as error:
        raise UnsupportedMediaError(f"{_label(path)} has {error}", path=path) from None
    except Exception as error:  # a lazily opened image decodes only here
        raise DecodeError(f"{_label(path)} cannot be decoded: {_reason(error)}", path=path) from error
    tags = getattr(image, "tag_v2", None)
    exif = image.info.get("exif")
    orientation = tags.get(274, 1) if tags is not None else exif_orientation(exif) if isinstance(exif, bytes) else 1
    return LoadedImage(upright(pixels, orientation if orientation in range(1, 9) else 1), path, "pil", notes)
