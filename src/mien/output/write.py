"""Images and recordings become files: whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from wave import open as wave_file

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, describe
from mien.errors import InputError, MediaError, MediaNotFoundError

__all__ = ["encode_jpeg", "encode_png", "made_beside", "write_encoded", "write_image", "write_wav"]

_WAV_SAMPLES = ((1 << 32) - 64) // 2
"""Lengths in a WAV file have 32 bits."""

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),  # much less time than level 6, for a few more bytes
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),  # colored letters blur with subsampled chroma
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 92}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}


def encode_png(image: NDArray[Any]) -> bytes:
    """Return an image as PNG.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the image is none.
    """
    return _encode(image, ".png")


def encode_jpeg(image: NDArray[Any], *, quality: int = 92) -> bytes:
    """Return an image as JPEG without chroma subsampling.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    quality : int
        1 to 100.

    Raises
    ------
    InputError
        If the image is none, or the quality is out of range.
    MediaError
        If the image is larger than the format allows (65,500 pixels a side).
    """
    return _encode(image, ".jpg", quality=check_integer(quality, "quality", low=1, high=100))


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write an image; the suffix says in which format.

    It is written beside its place under another name and then moved there, so that nobody ever sees half an image and
    an older file survives a failure.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.png``, ``.jpg``, ``.jpeg``, ``.webp``, ``.bmp``, ``.tif`` or ``.tiff``.
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the suffix is another, or the image is none.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the format does not allow an image so large.
    """
    target = Path(os.fsdecode(path))
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"an image is written as {', '.join(_FORMATS)}, but the name is {target.name!a}")
    data = _encode(image, suffix, path=target)
    _put(target, data)


def write_wav(target: str | os.PathLike[str] | IO[bytes], wave: NDArray[np.floating[Any]], rate_hz: int) -> None:
    """Write a recording as WAV: mono, 16 bits, little-endian PCM.

    A file is written whole or not at all, as `write_image` does it.

    Parameters
    ----------
    target : str, os.PathLike or binary file object
        A name that ends in ``.wav``, or an open file, which need not be seekable and is not closed.
    wave : numpy.ndarray
        float of shape (n,), full scale at 1; what is beyond is cut off.
    rate_hz : int
        Samples per second.

    Raises
    ------
    InputError
        If the samples are none, NaN or infinite, the rate is no whole number from 1, or the suffix is another.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the recording is longer than WAV allows (4 GB).
    """
    data = _encode_wav(wave, check_integer(rate_hz, "rate_hz", low=1, high=(1 << 31) - 1))
    if not isinstance(target, str | os.PathLike):
        target.write(data)
        return
    path = Path(os.fsdecode(target))
    if path.suffix.lower() != ".wav":
        raise InputError(f"a recording is written as .wav, but the name is {path.name!a}")
    _put(path, data)


def _encode_wav(wave: NDArray[np.floating[Any]], rate_hz: int) -> bytes:
    if not isinstance(wave, np.ndarray) or wave.ndim != 1 or not np.issubdtype(wave.dtype, np.floating):
        raise InputError(f"wave must be float32 of shape (n,), but got {describe(wave)}")
    if not np.isfinite(wave).all():
        raise InputError("wave must be finite, but holds NaN or infinity")
    if len(wave) > _WAV_SAMPLES:
        raise MediaError(f"WAV holds at most {_WAV_SAMPLES:,} samples, but the recording has {len(wave):,}")
    stream = io.BytesIO()
    with wave_file(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        # Full scale is 32768, as the decoders take it: what was read is written back bit by bit.
        file.writeframes(np.clip(np.rint(wave * 32768.0), -32768, 32767).astype("<i2").tobytes())
    return stream.getvalue()


def write_encoded(path: str | os.PathLike[str], suffix: str, make: Callable[[], bytes]) -> None:
    """Write the content of a file that is made here and now, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in the suffix, in any case.
    suffix : str
        Such as ``".png"``.
    make : callable
        Returns the content; called when the name and the folder are known to be good.

    Raises
    ------
    InputError
        If the name ends otherwise.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there.
    """
    target = Path(os.fsdecode(path))
    if target.suffix.lower() != suffix:
        raise InputError(f"expected a name that ends in {suffix}, but got {target.name!a}")
    _folder_of(target)
    _put(target, make())


@contextmanager
def made_beside(target: Path) -> Iterator[Path]:
    """Give the name of a file to write beside its place; when all went well, it is moved there, else it is removed.

    Raises
    ------
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        For any `OSError` on the way.
    """
    _folder_of(target)
    beside = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            yield beside
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise MediaError(f"cannot write {str(target)!a}: {error.strerror or error}", path=target) from error


def _folder_of(target: Path) -> None:
    if not target.parent.is_dir():
        raise MediaNotFoundError(f"no such folder to write to: {str(target.parent)!a}", path=target)


def _put(target: Path, data: bytes) -> None:
    with made_beside(target) as beside, beside.open("xb") as file:
        file.write(data)


def _encode(image: NDArray[Any], suffix: str, *, path: Path | None = None, **options: Any) -> bytes:
    from PIL import Image

    pixels = check_image(image)
    name, defaults = _FORMATS[suffix]
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, name, **{**defaults, **options})
    except (OSError, ValueError) as error:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise MediaError(f"an image of {size} pixels cannot be written as {name}: {error}", path=path) from error
    return stream.getvalue()
