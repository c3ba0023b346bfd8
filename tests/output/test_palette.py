"""The palette: told apart with every common kind of color vision, and readable."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from mien.labels import LABEL_SETS
from mien.output.palette import COLORS, PLAIN, contrast, luminance, text_on

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_every_emotion_has_a_color() -> None:
    assert set(COLORS) == {emotion for labels in LABEL_SETS.values() for emotion in labels.emotions}


@pytest.mark.parametrize(
    ("vision", "least"), [("normal", 20), ("protanopia", 10), ("deuteranopia", 10), ("tritanopia", 10)]
)
def test_any_two_colors_are_told_apart(vision: str, least: float) -> None:
    srgb = np.array(list(COLORS.values())) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.asarray(VISION[vision]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    distance = deltaE_ciede2000(lab[:, None], lab[None]) + np.diag(np.full(len(lab), np.inf))
    assert distance.min() >= least


@pytest.mark.parametrize("color", [*COLORS.values(), PLAIN, (0, 0, 0), (118, 118, 118), (117, 117, 117)])
def test_text_is_readable(color: tuple[int, int, int]) -> None:
    assert text_on(color) in ((0, 0, 0), (255, 255, 255))
    assert contrast(text_on(color), color) >= 4.5


def test_luminance_and_contrast_of_known_colors() -> None:
    assert luminance((255, 255, 255)) == pytest.approx(1)
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 255, 255), (0x76, 0x76, 0x76)) == pytest.approx(4.54, abs=0.01)  # the gray that WCAG names
