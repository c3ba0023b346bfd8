"""Images that the tests make themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def scene() -> NDArray[np.uint8]:
    """Return a smooth 61 x 43 image in which no two corners look alike."""
    y, x = np.mgrid[0:43, 0:61]
    red = 255 * x / 60
    green = 255 * y / 42
    blue = 127.5 + 127.5 * np.sin(x / 9.0) * np.cos(y / 7.0)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Return a function that writes an array or PIL image to bytes with Pillow."""

    def write(image: NDArray[Any] | Image.Image, name: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, name, **options)
        return stream.getvalue()

    return write
