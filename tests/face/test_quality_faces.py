"""Sharpness of crops: against its definition, against known blur, and what it must not depend on."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mien.errors import InputError
from mien.face.align import fit_crop
from mien.face.quality import sharpness
from mien.io.image import read_image
from mien.samples import astronaut_path


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Return a sharp face of 48 x 48 pixels, in the middle grays."""
    crop = fit_crop(np.ascontiguousarray(read_image(astronaut_path()).pixels[60:190, 160:290]), 48)
    return (64 + crop.astype(np.float64) / 2).astype(np.uint8)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def test_it_is_the_variance_of_the_laplacian_over_the_variance(face: np.ndarray) -> None:
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)
    expected = ndimage.laplace(gray, mode="nearest").var() / gray.var()
    assert sharpness(face) == pytest.approx(expected, rel=1e-5)


def test_white_noise_is_twenty() -> None:
    """The kernel 1 1 -4 1 1 has a sum of squares of 20: that is the ratio for gray levels without any relation."""
    noise = np.clip(np.random.default_rng(0).normal(128, 20, (400, 400)), 0, 255).astype(np.uint8)
    assert sharpness(noise) == pytest.approx(20, rel=0.02)


def test_blur_lowers_it_step_by_step(face: np.ndarray) -> None:
    values = [sharpness(face), *(sharpness(blurred(face, sigma)) for sigma in (0.5, 1, 2, 3, 4))]
    assert (np.diff(values) < 0).all()
    assert values[0] > 10 * values[3]


def test_so_does_enlarging_a_small_face(face: np.ndarray) -> None:
    sizes = (48, 32, 16, 8)
    values = [sharpness(cv2.resize(cv2.resize(face, (n, n), interpolation=cv2.INTER_AREA), (48, 48))) for n in sizes]
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 40), (1.0, -50), (0.5, 60), (0.3, 100)])
def test_brightness_and_contrast_do_not_matter(face: np.ndarray, gain: float, offset: float) -> None:
    changed = np.clip(np.round(face.astype(np.float64) * gain + offset), 0, 255).astype(np.uint8)
    # Rounding to whole levels is noise, of which little contrast has more.
    assert sharpness(changed) == pytest.approx(sharpness(face), rel=0.1 if gain < 0.5 else 0.03)


def test_an_image_without_anything_on_it_is_not_sharp() -> None:
    assert sharpness(np.full((48, 48, 3), 77, np.uint8)) == 0
    flat = np.random.default_rng(0).integers(100, 102, (48, 48, 3)).astype(np.uint8)
    assert sharpness(flat) == 0


def test_it_costs_next_to_nothing(face: np.ndarray) -> None:
    taken = []
    for _ in range(300):
        begin = time.perf_counter()
        sharpness(face)
        taken.append(time.perf_counter() - begin)
    assert min(taken) < 1e-4


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="crop must be uint8"):
        sharpness(np.zeros((48, 48, 3)))
    with pytest.raises(InputError, match="crop"):
        sharpness(np.zeros((0, 48, 3), np.uint8))
