"""Images: from a path, bytes, a stream, an array or a PIL image to RGB pixels.

Pillow decodes everything.  OpenCV's decoders write what they think of a damaged file to the process' stderr, which
cannot be turned off for one call.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, describe
from mien._extras import import_extra
from mien.errors import DecodeError, InputError, MediaError, MissingExtraError, UnsupportedMediaError
from mien.io.container import ANIMATIONS, check_size, format_source, open_file
from mien.io.sniff import HEAD_BYTES, READABLE_IMAGES, detect_format
from mien.options import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

__all__ = ["LoadedImage", "read_image"]

_LEAST_LIMIT_BYTES, _BYTES_PER_PIXEL = 64 << 20, 4
"""A file is read as long as it has no more bytes than an uncompressed image of the largest size would."""

_PACKED_BMP_PIXELS = 4_000_000
"""Pillow unpacks the runs of a BMP pixel by pixel, in Python."""

_MAX_SCANS = 100
"""A progressive JPEG has some ten; each may have a few bytes only, and passes over the whole image."""

_PLUGINS = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "avif": ("AvifImagePlugin", "AvifImageFile"),
}
_TITLES = {
    "jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF", "avif": "AVIF",
    "heic": "HEIC",
}  # fmt: skip
_EXPECTED = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC"
_TRUNCATED = "the file is truncated: a part of the image is missing"
_FIRST_FRAME = "the image is animated: only its first frame is read"
_ON_WHITE = "transparent parts are shown on white"

_EXIF_ORIENTATION = 0x0112

# Pillow warns, through Python, of a crop of more than 89 million pixels; this is far below, and fast.
_BAND_BYTES, _READ_BYTES = 1 << 18, 1 << 24
_BAND_COLUMNS = 1 << 16

_METADATA_WARNINGS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)
"""Of `warnings.filters`: Pillow's warnings about damaged metadata, on which no pixel depends."""


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

    Reads JPEG, PNG, WebP, TIFF, BMP, GIF and AVIF (the first frame or page), detected from the content, and HEIC with
    the extra ``heic``; AVIF needs Pillow 11.3 or newer.  16 bits become 8 by
    rounding v / 257 (gray) or by their high byte (color), CMYK becomes RGB without color profiles, transparent parts
    are laid on white (with a warning in the result), and the EXIF orientation is applied.  The size is checked before
    any pixel is decoded.

    Pillow's warnings about damaged metadata are filtered out (in `warnings.filters`, from the first image on).  Nothing
    is printed, except that libtiff writes a line to stderr about a compressed TIFF that is damaged.

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
        If the content is a video, an audio file, no known image, an image with float or 32-bit values, or too large.
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
    image_class = getattr(sys.modules.get("PIL.Image"), "Image", None)  # another thread may just be importing it
    if image_class is not None and isinstance(source, image_class):
        return _from_pil(source, limit)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), None, limit)
    if not isinstance(source, str | os.PathLike) and not callable(getattr(source, "read", None)):
        came = describe(source)
        raise InputError(f"an image must be a path, bytes, a binary file, an array or a PIL image, but got {came}")
    path, file, owned = open_file(source, "image")
    try:
        data = _read_file(file, path, max(_LEAST_LIMIT_BYTES, _BYTES_PER_PIXEL * limit))
    finally:
        if owned:
            file.close()
    return _decode(data, path, limit)


def _read_file(file: IO[bytes], path: str | None, limit: int) -> bytes:
    """Read a file of at most so many bytes; more is refused before it is read, where the size is known."""
    label = format_source(path, "image")
    content = io.BytesIO()
    try:
        head = file.read(HEAD_BYTES)
        if not isinstance(head, bytes):
            raise InputError(f"a file object must be opened in binary mode, but its read() gave {describe(head)}")
        _check_format(head, path)  # a video of many gigabytes is rejected before it is read
        size = _size_on_disk(file)
        piece = head
        while piece and size <= limit:
            content.write(piece)
            size = max(size, content.tell())
            piece = file.read(_READ_BYTES)
    except OSError as error:
        raise DecodeError(f"cannot read {label}: {error}", path=path) from error
    if size > limit:
        raise UnsupportedMediaError(f"{label} has more than {limit:,} bytes, the limit for an image", path=path)
    return content.getvalue()


def _size_on_disk(file: IO[bytes]) -> int:
    """Return the size of a file in bytes; 0 of a stream without one."""
    try:
        return os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):
        return 0


def _check_format(head: bytes, path: str | None) -> str:
    """Return the name of a format that can be decoded, or raise what says why not."""
    label = format_source(path, "image")
    if not head:
        raise DecodeError(f"{label} is empty: expected a {_EXPECTED} image", path=path)
    kind, name = detect_format(head)
    if name in READABLE_IMAGES:
        return name
    if kind in ("video", "audio"):
        came = f"{'a video' if kind == 'video' else 'an audio file'} ({name})"
        raise UnsupportedMediaError(f"{label} must be an image, but it is {came}", path=path)
    came = f"an image in the format {name}" if kind == "image" else f"something else that begins with {head[:12]!r}"
    raise UnsupportedMediaError(f"{label} must be a {_EXPECTED} image, but it is {came}", path=path)


# --- decoding ---------------------------------------------------------------------------------------------------------


class _RangeError(ValueError):
    """Values of an unknown range; the message continues "the image has"."""


def _decode(data: bytes, path: str | None, limit: int) -> LoadedImage:
    name = _check_format(data[:HEAD_BYTES], path)
    label = format_source(path, "image")
    if warnings.filters[:1] != [_METADATA_WARNINGS]:
        # Not `catch_warnings`: it restores what another thread has changed meanwhile.
        warnings.filterwarnings("ignore", category=UserWarning, module=_METADATA_WARNINGS[3].pattern)
    try:
        if name == "webp":  # Pillow allocates its pixels before it can be asked for the size
            _check_size(_webp_size(data), limit, path, len(data))
        image = _open(name, data)
        _check_size(image.size, limit, path, len(data))
        if name == "bmp" and image.info.get("compression") in (1, 2):
            _check_size(image.size, min(limit, _PACKED_BMP_PIXELS), path)
        image, is_whole = _load(image, name, data)
        pixels, notes = _to_rgb(image)
        if name in ANIMATIONS and getattr(image, "is_animated", False):
            notes = (*notes, _FIRST_FRAME)
    except MediaError:
        raise
    except MissingExtraError as error:
        raise UnsupportedMediaError(f"{label} is a HEIC image: {error}", path=path) from error
    except _RangeError as error:
        raise UnsupportedMediaError(f"{label} has {error}", path=path) from None
    except Exception as error:  # on damaged files decoders raise almost anything, from IndexError to MemoryError
        raise DecodeError(f"{label} cannot be decoded as {_TITLES[name]}: {_reason(error)}", path=path) from error
    return LoadedImage(_upright(pixels, image), path, name, notes if is_whole else (_TRUNCATED, *notes))


def _from_pil(image: Image.Image, limit: int) -> LoadedImage:
    name = getattr(image, "filename", None)
    path = name if isinstance(name, str) and name else None
    _check_size(image.size, limit, path)
    try:
        image.load()
        pixels, notes = _to_rgb(image)
    except _RangeError as error:
        raise UnsupportedMediaError(f"{format_source(path, 'image')} has {error}", path=path) from None
    except Exception as error:  # a lazily opened image decodes only here
        raise DecodeError(f"{format_source(path, 'image')} cannot be decoded: {_reason(error)}", path=path) from error
    return LoadedImage(_upright(pixels, image), path, "pil", notes)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _check_size(size: tuple[int, int], limit: int, path: str | None, stored: int | None = None) -> None:
    check_size(*size, limit, path=path, label=format_source(path, "image"), stored=stored)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the header (RFC 9649, section 2)."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise ValueError("it ends within its header")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _open(name: str, data: bytes) -> ImageFile:
    """Parse the header; no pixel is decoded yet.

    The class of the format is called itself: `PIL.Image.open` checks for decompression bombs by a global limit and a
    Python warning, where `_check_size` has the caller's limit.
    """
    if name == "jpeg" and (scans := data.count(b"\xff\xda")) > _MAX_SCANS:
        raise ValueError(f"it has {scans} scans, more than {_MAX_SCANS}")
    if name == "heic":
        make = import_extra("pillow_heif", extra="heic", purpose="reading HEIC images").HeifImageFile
    else:
        module, attribute = _PLUGINS[name]
        if name == "avif" and not find_spec(f"PIL.{module}"):
            raise ValueError("it needs Pillow 11.3 or newer")
        make = getattr(importlib.import_module(f"PIL.{module}"), attribute)
    image: ImageFile = make(io.BytesIO(data))
    return image


def _load(image: ImageFile, name: str, data: bytes) -> tuple[ImageFile, bool]:
    """Decode the pixels; of a truncated file, those that are there.  Tell whether it is whole."""
    if name == "tiff":
        # Allocated here, because Pillow would warn of, or refuse, more than its own limit of pixels.
        core: Any = importlib.import_module("PIL.Image").core
        image.im = core.new(image.mode, getattr(image, "_tile_size", image.size))
    try:
        image.load()
    except OSError as error:
        # Pillow raises bare OSErrors; of the many, this one means that the data ended early.
        if "truncated" not in str(error):
            raise
        if name == "jpeg":
            image = _open(name, _close_jpeg(data))
        else:
            image.tile = []  # what was decoded until then stays in the image
        image.load()
        if all(low == high for low, high in (channel.getextrema() for channel in image.split())):
            raise OSError("the file is truncated, and no pixel is left") from None
        return image, False
    return image, True


def _close_jpeg(data: bytes) -> bytes:
    """End a truncated JPEG, so that the decoder delivers what it holds back (ITU-T T.81, annex B).

    A marker segment that is cut off (a progressive file has some between its scans) is dropped.
    """
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) > 2:
        marker = data[at + 1 : at + 2]
        if marker in (b"\0", b"\xff") or b"\xd0" <= marker <= b"\xd7":
            continue  # a stuffed byte or restart marker: within a scan
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        return (data[:at] if len(data) < max(end, at + 4) else data) + b"\xff\xd9"
    return data + b"\xff\xd9"


# --- from Pillow's modes to RGB pixels, upright -----------------------------------------------------------------------


def _to_rgb(image: Image.Image) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Convert any mode of Pillow to RGB pixels, and say what was done to them."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):  # Pillow before 11 gives PNG as "I"
        table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        return _to_array(image, lambda band: table[band.astype(np.uint16)][..., None]), ()
    if mode in ("I", "F"):
        kind = "32-bit" if mode == "I" else "float"
        raise _RangeError(f"{kind} values, whose range is unknown: expected 8 or 16 bits a channel")
    if not image.has_transparency_data:
        return _to_array(image if mode == "RGB" else image.convert("RGB")), ()
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return _to_array(image.convert("RGB")), ()
    from PIL import Image

    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return _to_array(white), (_ON_WHITE,)


def _to_array(
    image: Image.Image, convert: Callable[[NDArray[Any]], NDArray[Any]] = lambda band: band
) -> NDArray[np.uint8]:
    """Copy an image into an RGB array, in bands: `numpy.asarray` holds three copies of a large image at once."""
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if pixels.nbytes <= _BAND_BYTES:
        pixels[:] = convert(np.asarray(image))
        return pixels
    rows = max(1, _BAND_BYTES // (3 * width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        for left in range(0, width, _BAND_COLUMNS):
            right = min(width, left + _BAND_COLUMNS)
            pixels[top:bottom, left:right] = convert(np.asarray(image.crop((left, top, right, bottom))))
    return pixels


def _upright(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Undo the EXIF orientation of a loaded image: 2 to 4 mirror and turn, 5 to 8 also swap the axes."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  (damaged metadata says nothing about the orientation, and the pixels may be whole)
        return pixels
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition, 6 and 7 run from right to left, 7 and 8 from bottom to top.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
