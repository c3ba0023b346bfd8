"""People drawn on the frames of a video: as on images, but steady from frame to frame.

What depends on thresholds (the size of letters, the side on which a chart stands, the emotion that gives the color)
holds on to what it was until there is reason enough to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.labels import LabelSet
from mien.output import canvas as paint
from mien.output._video_sprites import Chart, chart_of, label_sprite
from mien.output._video_sprites import lay as lay_sprite
from mien.output.draw import _INK, _MOST_CHARTS, _SMALLEST_TEXT_PX, Rect, _grown, _overlap
from mien.output.palette import COLORS, RGB

__all__ = ["Person", "VideoPainter"]

_RESIZE = 1.25
"""Letters keep their size until it is wrong by this factor."""

_STAY_S = 1.0
"""A chart that had to move stays where it went for at least this long."""

_SHARE_S = 0.2
"""A share in per cent can be read when it changes no more often than this."""

_FORGET_S = 2.0
"""Somebody who comes back after this is drawn as if new."""

_SURE, _UNSURE = 0.53, 0.47
"""The question mark of an unsure answer comes and goes around `mien.results.UNSURE_BELOW`."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a frame.

    Parameters
    ----------
    number : int
        Which person.
    box : tuple of float
        x1, y1, x2, y2 in pixels.
    labels : LabelSet
        The emotions.
    shares : tuple of float
        Their probabilities.
    top : str
        The emotion that names and colors the face: steadier than the most probable of each frame.
    """

    number: int
    box: Rect
    labels: LabelSet
    shares: tuple[float, ...]
    top: str


@dataclass(slots=True)
class _Kept:
    """What is remembered of how somebody is drawn."""

    text: float
    seen_s: float
    label_side: int = 0
    chart_side: int | None = None
    moved_s: float = -math.inf
    share: int = 0
    shared_s: float = -math.inf
    unsure: bool = False
    top: str = ""
    places: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return max(_SMALLEST_TEXT_PX, round(self.text))


class VideoPainter:
    """Draws people on one frame after the other.

    Parameters
    ----------
    width, height : int
        Size of the frames in pixels.
    bars, labels : bool
        Whether to draw the distributions and the words.
    """

    def __init__(self, width: int, height: int, *, bars: bool = True, labels: bool = True) -> None:
        self._width, self._height = width, height
        self._bars, self._labels = bars, labels
        self._kept: dict[int, _Kept] = {}
        self._crowd_s = -math.inf

    def paint(self, image: NDArray[np.uint8], people: Sequence[Person], time_s: float) -> None:
        """Draw on a frame, in place.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB, writable.
        people : sequence of Person
            Who is in view.
        time_s : float
            When; frames come in order.
        """
        shown = [person for person in people if self._visible(person.box)]
        # Small faces last: their boxes and labels lie on top of the large ones.
        shown.sort(key=lambda person: (-_area(person.box), person.number))
        boxes = [person.box for person in shown]
        states = [self._state(person, time_s) for person in shown]
        for person, kept in zip(shown, states, strict=True):
            self._box(image, person, kept)
        taken: list[Rect] = []
        everyone = list(zip(shown, states, strict=True))
        if self._labels:
            for at, (person, kept) in enumerate(everyone):
                self._label(image, person, kept, taken, boxes[:at] + boxes[at + 1 :])
        if self._bars:
            if len(shown) > _MOST_CHARTS:
                self._crowd_s = time_s
            crowded = time_s - self._crowd_s < _STAY_S
            for at, (person, kept) in enumerate(everyone):
                if crowded or not self._chart(image, person, kept, time_s, taken, boxes[:at] + boxes[at + 1 :]):
                    self._strip(image, person, kept)

    def _visible(self, box: Rect) -> bool:
        return box[0] < self._width and box[1] < self._height and box[2] > 0 and box[3] > 0

    def _state(self, person: Person, time_s: float) -> _Kept:
        """Return what is kept of a person, brought up to this frame."""
        wanted = self._text(person.box)
        kept = self._kept.get(person.number)
        if kept is None or time_s - kept.seen_s > _FORGET_S:
            kept = self._kept[person.number] = _Kept(wanted, time_s)
        if not 1 / _RESIZE < wanted / kept.text < _RESIZE:
            kept.text = wanted
            kept.places.clear()
        kept.seen_s = time_s
        share = person.shares[person.labels.index(person.top)]
        kept.unsure = share < (_SURE if kept.unsure else _UNSURE)
        if person.top != kept.top or time_s - kept.shared_s >= _SHARE_S:
            kept.top, kept.share, kept.shared_s = person.top, round(100 * share), time_s
        return kept

    def _text(self, box: Rect) -> float:
        """Return the height of letters: as on images (`mien.output.draw`)."""
        middle = math.sqrt(self._width * self._height)
        largest, smallest = max(11.0, 5.0 + 0.017 * middle), max(9.0, 0.0095 * middle)
        return min(largest, max(smallest, 0.16 * min(box[2] - box[0], self._width)))

    @staticmethod
    def _line(person: Person, kept: _Kept) -> float:
        return min(max(1.25, kept.size * 0.16), max(1.0, 0.08 * (person.box[2] - person.box[0])))

    def _box(self, image: NDArray[np.uint8], person: Person, kept: _Kept) -> None:
        """Draw the box.  It is never dashed: dashes crawl along a box that moves."""
        line, box = self._line(person, kept), person.box
        radius = min(box[2] - box[0], box[3] - box[1]) * 0.06 + line
        # The dark rim keeps a light box visible on light ground.
        paint.outline(image, box, _INK, width=line * 1.9, radius=radius, alpha=0.45)
        paint.outline(image, box, _color(person), width=line, radius=radius)

    # --- labels -------------------------------------------------------------------------------------------------------

    def _label(
        self, image: NDArray[np.uint8], person: Person, kept: _Kept, taken: list[Rect], others: list[Rect]
    ) -> None:
        line = round(self._line(person, kept) * 4) / 4
        name = f"{person.top}{'?' if kept.unsure else ''}"
        for size in range(kept.size, _SMALLEST_TEXT_PX - 1, -1):
            fitting = None
            for words in (f"{name}\n{kept.share}%", name):
                sprite = label_sprite(person.number, words, _color(person), size, line)
                # Rather fewer words than smaller letters, once they are at nine tenths of the size.
                if (words == name or size > 0.9 * kept.size) and sprite.width <= self._width:
                    fitting = sprite
                    break
            if fitting is not None:
                break
        else:
            return
        if fitting.height > self._height:
            return
        spots = [
            self._inside(*spot, fitting.width, fitting.height)
            for spot in _label_spots(person.box, fitting.width, fitting.height, line)
        ]
        rects = [(x, y, x + fitting.width, y + fitting.height) for x, y in spots]
        # Hiding a label is worst, then another face, then the own one; being where it was counts for a bit.
        costs = [
            8 * sum(_overlap(rect, other) for other in taken)
            + 2 * sum(_overlap(rect, other) for other in others)
            + _overlap(rect, person.box)
            for rect in rects
        ]
        costs[kept.label_side] -= 0.3 * fitting.width * fitting.height
        side = min(range(len(costs)), key=lambda k: (costs[k], k))
        if side != kept.label_side:
            kept.label_side = side
            kept.places.pop("label", None)
        x, y = _held(kept, "label", spots[side], 0.1 * size)
        taken.append((x, y, x + fitting.width, y + fitting.height))
        lay_sprite(image, fitting, round(x), round(y))

    def _inside(self, x: float, y: float, wide: float, high: float) -> tuple[float, float]:
        return min(max(x, 0.0), max(0.0, self._width - wide)), min(max(y, 0.0), max(0.0, self._height - high))

    # --- distributions ------------------------------------------------------------------------------------------------

    def _chart(
        self,
        image: NDArray[np.uint8],
        person: Person,
        kept: _Kept,
        time_s: float,
        taken: list[Rect],
        others: list[Rect],
    ) -> bool:
        """Draw a chart beside the face where it hides nothing, and tell whether there was room."""
        emotions = tuple(person.labels.emotions)
        chart = chart_of(emotions, person.top, kept.size)
        rects = self._chart_rects(chart, person, kept)
        free = [rect is not None and not any(_overlap(rect, other) for other in (*taken, *others)) for rect in rects]
        side = kept.chart_side
        if side is None or not free[side]:
            settled = time_s - kept.moved_s >= _STAY_S
            new = free.index(True) if settled and any(free) else None
            if new != side:
                # What was never shown has not moved.
                kept.chart_side, kept.moved_s = new, time_s
                kept.places.pop("chart", None)
            side = new
        rect = None if side is None else rects[side]
        if rect is None:
            return False
        x, y = _held(kept, "chart", rect[:2], 0.35 * kept.size)
        x, y = self._inside(x, y, chart.sprite.width, chart.sprite.height)
        taken.append((x, y, x + chart.sprite.width, y + chart.sprite.height))
        chart.draw(image, round(x), round(y), emotions, list(person.shares))
        return True

    def _chart_rects(self, chart: Chart, person: Person, kept: _Kept) -> list[Rect | None]:
        """Return the places right of the face, left of it, below and above; None where the image ends."""
        wide, high = chart.sprite.width, chart.sprite.height
        x1, y1, x2, y2 = person.box
        # The chart that is there may stay with a somewhat smaller face.
        if high > (1.6 if kept.chart_side is None else 1.9) * (y2 - y1):
            return [None] * 4
        gap = self._line(person, kept) + 0.75 * kept.size
        top = min(max(y1, gap), self._height - high - gap)
        left = min(max(x1, gap), self._width - wide - gap)
        rects: list[Rect | None] = []
        for x, y in ((x2 + gap, top), (x1 - gap - wide, top), (left, y2 + gap), (left, y1 - gap - high)):
            inside = x >= 0 and y >= 0 and x + wide <= self._width and y + high <= self._height
            rects.append((x, y, x + wide, y + high) if inside else None)
        return rects

    def _strip(self, image: NDArray[np.uint8], person: Person, kept: _Kept) -> None:
        """Draw one bar along the lower edge, within the box, parted by the probabilities."""
        box, line = person.box, self._line(person, kept)
        thick = max(2.0, kept.size * 0.3)
        margin = line + 1 + min(box[2] - box[0], box[3] - box[1]) * 0.03
        left, right = max(round(box[0] + margin), 0), min(round(box[2] - margin), self._width)
        bottom = round(min(box[3], self._height) - margin)
        top = bottom - round(thick)
        if right - left < 8 or top < 0 or box[3] - box[1] < 4 * thick:
            return
        paint.fill(image, _grown((left, top, right, bottom), 1), _INK, radius=thick / 2, alpha=0.6)
        # A column has the color of the emotion in whose part its middle lies.
        middles = (np.arange(left, right) + 0.5 - (box[0] + margin)) / (box[2] - box[0] - 2 * margin)
        parts = np.searchsorted(np.cumsum(person.shares), middles).clip(max=len(person.shares) - 1)
        colors = np.array([COLORS[name] for name in person.labels.emotions], np.uint8)
        image[top:bottom, left:right] = colors[parts]


def _color(person: Person) -> RGB:
    return COLORS[person.top]


def _area(box: Rect) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _label_spots(box: Rect, wide: float, high: float, line: float) -> list[tuple[float, float]]:
    """Return the places around a box in the order of preference: above, below, within."""
    x1, y1, x2, y2 = box
    half = line / 2
    above, below = y1 - high - line, y2 + line
    return [
        (x1 - half, above),
        (x2 + half - wide, above),
        (x1 - half, below),
        (x2 + half - wide, below),
        (x1 - half, above - high * 1.15),
        (x1 - half, below + high * 1.15),
        (x1 + line, y1 + line),
        (x1 + line, y2 - high - line),
    ]


def _held(kept: _Kept, what: str, place: tuple[float, float] | tuple[float, ...], slack: float) -> tuple[float, float]:
    """Follow a place only as far as it goes beyond some slack: things that belong to a still face stand still."""
    old = kept.places.get(what, (place[0], place[1]))
    new = tuple(min(max(was, now - slack), now + slack) for was, now in zip(old, place, strict=True))
    kept.places[what] = (new[0], new[1])
    return kept.places[what]
