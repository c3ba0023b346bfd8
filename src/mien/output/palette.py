"""One color an emotion, everywhere: told apart with every common kind of color vision.

References
----------
Seven colors are those of Okabe and Ito, "Color Universal Design" (2008, jfly.uni-koeln.de/color), and wine is from
Paul Tol's "muted" scheme (SRON/EPS/TN/09-002, 2021).  The gray of ``neutral`` is as light as it is because there its
smallest CIEDE2000 distance to the others is largest.  Under normal vision any two colors are at least 20 apart; with
protanopia, deuteranopia and tritanopia (Machado et al. 2009, doi:10.1109/TVCG.2009.113) at least 10.
"""

from __future__ import annotations

__all__ = ["COLORS", "PLAIN", "RGB", "contrast", "luminance", "text_on"]

RGB = tuple[int, int, int]
"""Red, green, blue, each 0 to 255, sRGB."""


class _Colors(dict[str, RGB]):
    """Colors by emotion; words that mien does not know are light gray."""

    def __missing__(self, emotion: str) -> RGB:
        return (0xDD, 0xDD, 0xDD)


COLORS: dict[str, RGB] = _Colors(
    {
        "anger": (0xD5, 0x5E, 0x00),  # vermillion
        "disgust": (0x00, 0x9E, 0x73),  # bluish green
        "fear": (0xCC, 0x79, 0xA7),  # reddish purple
        "happiness": (0xF0, 0xE4, 0x42),  # yellow
        "sadness": (0x00, 0x72, 0xB2),  # blue
        "surprise": (0xE6, 0x9F, 0x00),  # orange
        "neutral": (0xBB, 0xBB, 0xBB),  # gray
        "contempt": (0x88, 0x22, 0x55),  # wine
        "calm": (0x56, 0xB4, 0xE9),  # sky blue
    }
)
"""The color of each emotion that mien knows; others are light gray."""

PLAIN: RGB = (255, 255, 255)
"""The color of a face without an emotion."""


def luminance(color: RGB) -> float:
    """Return the relative luminance of a color, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: RGB, second: RGB) -> float:
    """Return the contrast ratio of two colors, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_on(color: RGB) -> RGB:
    """Return black or white, whichever reads better on a color; the contrast is always 4.5 or more (WCAG level AA)."""
    black, white = (0, 0, 0), (255, 255, 255)
    return black if contrast(black, color) >= contrast(white, color) else white
