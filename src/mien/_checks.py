"""Argument checks with one wording for everybody: what was expected, what came."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MienWarning, shorten

__all__ = ["check_image", "check_integer", "check_number", "check_wave", "count_of", "describe", "warn"]


def describe(value: object) -> str:
    """Say in a few words what a value is, for error messages."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if value is None or isinstance(value, bool | int | float | str):
        return shorten(repr(value))
    return f"an object of type {type(value).__name__}"


def escape_surrogates(text: str) -> str:
    """Return text that is UTF-8: what a file name holds beside is escaped (`os.fsdecode` makes surrogates of it)."""
    return text.encode("utf-8", "backslashreplace").decode()


def count_of(number: int, one: str, many: str = "") -> str:
    """Return such as ``1 image`` or ``2,000 images``; the plural is by default that with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def check_number(value: Any, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite float within [low, high], or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} must be a number, but got {describe(value)}")
    result = float(value)
    if not math.isfinite(result) or not low <= result <= high:
        raise InputError(f"{name} must be a number {_bounds(low, high)}, but got {result!r}")
    return result


def check_integer(value: Any, name: str, *, low: float = -math.inf, high: float = math.inf) -> int:
    """Return an int within [low, high], or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be an integer, but got {describe(value)}")
    if not low <= int(value) <= high:
        raise InputError(f"{name} must be an integer {_bounds(low, high)}, but got {int(value)}")
    return int(value)


def _bounds(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "that is finite"
    if math.isinf(high):
        return f"of at least {low:g}"
    if math.isinf(low):
        return f"of at most {high:g}"
    return f"from {low:g} to {high:g}"


def check_image(value: Any, name: str = "image") -> NDArray[np.uint8]:
    """Return an image as a C-contiguous uint8 array of shape (H, W, 3), or raise `InputError`.

    Gray images of shape (H, W) or (H, W, 1) are spread to three channels; an alpha channel is rejected, because
    what lies behind it is for the reader of the file to decide.  A float array is rejected, with a hint when its values
    lie in 0..1.  Nothing is modified in place; read-only and non-contiguous arrays work.

    Parameters
    ----------
    value : object
        The candidate.
    name : str
        What to call it in the message.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB, C-contiguous.

    Raises
    ------
    InputError
        If the type, dtype or shape is wrong, or the image is empty.
    """
    if not isinstance(value, np.ndarray):
        raise InputError(f"{name} must be a uint8 array of shape (H, W, 3), but got {describe(value)}")
    if value.dtype != np.uint8:
        raise InputError(f"{name} must be uint8 of shape (H, W, 3), but got {describe(value)}{_dtype_hint(value)}")
    array = value[..., None] if value.ndim == 2 else value
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise InputError(f"{name} must be uint8 of shape (H, W, 3), but got {describe(value)}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise InputError(f"{name} must not be empty, but got {describe(value)}")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array)


def check_wave(value: Any, name: str = "wave") -> NDArray[np.float32]:
    """Return a mono waveform as float32 of shape (n,), maybe empty, or raise `InputError`."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not np.issubdtype(value.dtype, np.floating):
        raise InputError(f"{name} must be float32 of shape (n,), but got {describe(value)}")
    if value.size and not np.isfinite(max(float(value.max()), -float(value.min()))):
        raise InputError(f"{name} must be finite, but holds NaN or infinity")
    return value.astype(np.float32, copy=False)


def _dtype_hint(value: NDArray[Any]) -> str:
    if not np.issubdtype(value.dtype, np.floating) or value.size == 0:
        return ""
    if not np.isfinite(value).all():
        return " with NaN or infinite values"
    if value.min() >= 0 and value.max() <= 1:
        return ": values in 0..1 become an image by (255 * image).round().astype('uint8')"
    return ""


def warn(message: str, *, stacklevel: int = 3) -> None:
    """Give a `MienWarning`."""
    warnings.warn(message, MienWarning, stacklevel=stacklevel)
