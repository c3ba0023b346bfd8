"""Colors: told apart with every common kind of color vision, and readable; sprites on any background."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from mien.labels import FERPLUS8, LABEL_SETS
from mien.output import canvas
from mien.output.canvas import COLORS, PLAIN, contrast, lay, luminance, text_on
from mien.output.paint import chart_of, label_sprite

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_every_emotion_has_a_color() -> None:
    assert set(COLORS) == {emotion for labels in LABEL_SETS.values() for emotion in labels.emotions}


def test_words_of_ones_own_have_colors_of_their_own() -> None:
    words = ("bored", "very happy", "tea & cake")
    assert len({COLORS[word] for word in words}) == len(words)
    assert all(COLORS[word] == COLORS[word] and word not in COLORS for word in words)
    assert all(contrast(text_on(COLORS[word]), COLORS[word]) >= 4.5 for word in words)


@pytest.mark.parametrize(
    ("vision", "least"), [("normal", 20), ("protanopia", 10), ("deuteranopia", 10), ("tritanopia", 10)]
)
def test_any_two_colors_are_told_apart(vision: str, least: float) -> None:
    srgb = np.array(list(COLORS.values())) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear @ np.asarray(VISION[vision]).T, 0, 1)
    lit = np.where(lit <= 0.0031308, 12.92 * lit, 1.055 * lit ** (1 / 2.4) - 0.055)
    lab = rgb2lab(lit[None])[0]
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


# --- shapes and sprites ---------------------------------------------------------------------------------------------


def test_filled_shapes_cover_their_area() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    canvas.fill(image, (10.25, 12.5, 40.75, 33.0), (255, 255, 255))
    assert image[..., 0].sum() / 255 == pytest.approx(30.5 * 20.5, rel=0.02)
    image[:] = 0
    canvas.fill(image, (10, 10, 50, 50), (255, 255, 255), radius=20)
    assert image[..., 0].sum() / 255 == pytest.approx(np.pi * 20**2, rel=0.01)


def test_outline_has_its_length_times_its_width() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    canvas.outline(image, (20.3, 30.7, 260.1, 170.2), (255, 255, 255), width=3, radius=20)
    length = 2 * (239.8 - 40) + 2 * (139.5 - 40) + 2 * np.pi * 20
    assert image[..., 0].sum() / 255 == pytest.approx(3 * length, rel=0.02)


def test_sprites_look_like_what_is_drawn_on_any_ground() -> None:
    sprite = chart_of(FERPLUS8.emotions, "anger", 20).sprite
    random = np.random.default_rng(0)
    ground = random.integers(0, 256, (sprite.height, sprite.width, 3)).astype(np.uint8)
    image = ground.copy()
    lay(image, sprite, 0, 0)
    expected = sprite.ink + ground.astype(float) * sprite.through / 255
    assert np.abs(image - expected).max() <= 1
    # The middle of the ground is dark, but lets some through; corners are round.
    assert sprite.through[0, 0].min() > 240
    assert 30 < sprite.through[3, sprite.width // 2].mean() < 80


@pytest.mark.parametrize(("x", "y"), [(-5, -5), (30, 20), (-500, 0), (0, 500), (3, 4)])
def test_sprites_are_cut_off_at_the_edges(x: int, y: int) -> None:
    sprite = label_sprite(12, "anger\n75%", COLORS["anger"], 12, 2.0)
    image = np.full((30, 40, 3), 128, np.uint8)
    lay(image, sprite, x, y)
    whole = np.full((2000, 2000, 3), 128, np.uint8)
    lay(whole, sprite, x + 900, y + 900)
    assert (image == whole[900:930, 900:940]).all()


def test_labels_keep_their_width_while_the_share_changes() -> None:
    widths = {label_sprite(1, f"anger\n{share}%", COLORS["anger"], 14, 2.0).width for share in (1, 9, 11, 55, 99, 100)}
    assert len(widths) == 1
