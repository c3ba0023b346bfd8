"""Faces drawn with their emotions on images, and on the frames of a video or a camera steadily from frame to frame.

Lines and letters grow with the image and with the face: legible on 200 and on 8,000 pixels.  On frames, what depends
on thresholds (the size of letters, the side on which a chart stands, the emotion that gives the color) stays as it was
until there is reason enough to change.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.labels import LabelSet
from mien.output import canvas
from mien.output.canvas import COLORS, INK, PLAIN, RGB, WHITE, Rect, Sprite, lay, make_sprite, text_on
from mien.results import UNSURE_BELOW, TrackedFace, VideoFrame

__all__ = ["LivePainter", "Painter", "Person"]

_MIN_TEXT_PX = 8
_PANEL_ALPHA = 0.78
_FAINT: RGB = (205, 205, 210)
"""Names of emotions beside the leading one."""

_MAX_CHARTS = 4
"""With more faces than this, each gets a bar within its box: charts would hide the crowd."""

_MAX_LABELS = 24
"""With more faces than this, labels that would hide a face or another label are left out."""

_MAX_HIDDEN = 0.1
"""Share of its own face that a label may hide in a crowd."""

_RESIZE = 1.25
"""Letters keep their size until it is wrong by this factor."""

_STAY_S = 1.0
"""A chart that had to move stays where it went for at least this long."""

_SHARE_S = 0.2
"""A share in per cent can be read when it changes no more often than this."""

_FORGET_S = 2.0
"""Somebody who comes back after this is drawn as if new."""

_SURE, _UNSURE = 0.53, 0.47
"""The question mark of an unsure prediction comes and goes around `mien.results.UNSURE_BELOW`."""

_MUCH_SMALLER = 0.6
"""From here on, taking the nearest four pixels would leave some out."""

_LEAD = 0.1
"""On live images another emotion takes the label at once when it leads by so much."""

_HOLD_S = 0.5
"""A smaller lead must last: expressions take half a second and more (Ekman 2003, see `mien.video.timeline`)."""

_FORGET_LIVE_S = 5.0
"""Somebody who comes back to live images after this is named as if new."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in an image or a frame.

    Parameters
    ----------
    number : int or None
        Which person of a video, shown in the label; None in an image.
    box : tuple of float
        x1, y1, x2, y2 in pixels.
    labels : LabelSet, optional
        The emotions; without, the face has a white box and nothing else.
    probabilities : tuple of float
        One for each emotion.
    top : str
        The emotion that names and colors the face; in videos steadier than the most probable of each frame.
    """

    number: int | None
    box: Rect
    labels: LabelSet | None = None
    probabilities: tuple[float, ...] = ()
    top: str = ""


@dataclass(slots=True)
class _State:
    """How somebody was drawn last."""

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
        return max(_MIN_TEXT_PX, round(self.text))


class Painter:
    """Draws people on one frame after the other, or on an image.

    A label stays within the image and avoids other labels and faces where it can.  A face with free space
    beside it gets a chart with names; any other gets a bar along the lower edge of its box, parted
    like the distribution.

    Parameters
    ----------
    width, height : int
        Size of the frames in pixels.
    bars, labels : bool
        Whether to draw the distributions and the words.
    scale : float
        Makes letters and lines larger or smaller.
    """

    def __init__(self, width: int, height: int, *, bars: bool = True, labels: bool = True, scale: float = 1.0) -> None:
        self._width, self._height, self._scale = width, height, scale
        self._bars, self._labels = bars, labels
        self._states: dict[int, _State] = {}
        self._crowd_s = self._throng_s = -math.inf

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
        visible = [person for person in people if self._is_visible(person.box)]
        # Small faces last: their boxes and labels lie on top of the large ones.
        visible.sort(key=lambda person: (-_area(person.box), person.number or 0))
        boxes = [person.box for person in visible]
        everyone = [(person, self._update(person, time_s)) for person in visible]
        for person, state in everyone:
            self._draw_box(image, person, state)
        occupied: list[Rect] = []
        if len(visible) > _MAX_LABELS:
            self._throng_s = time_s
        is_throng = time_s - self._throng_s < _STAY_S
        if self._labels:
            for at, (person, state) in enumerate(everyone):
                if person.labels is not None:
                    self._draw_label(image, person, state, occupied, boxes[:at] + boxes[at + 1 :], in_crowd=is_throng)
        if self._bars:
            if len(visible) > _MAX_CHARTS:
                self._crowd_s = time_s
            crowded = time_s - self._crowd_s < _STAY_S
            for at, (person, state) in enumerate(everyone):
                if person.labels is None:
                    continue
                others = boxes[:at] + boxes[at + 1 :]
                emotions = person.labels.emotions
                if crowded or not self._draw_chart(image, person, emotions, state, time_s, occupied, others):
                    self._draw_strip(image, person, emotions, state)

    def _is_visible(self, box: Rect) -> bool:
        return box[0] < self._width and box[1] < self._height and box[2] > 0 and box[3] > 0

    def _update(self, person: Person, time_s: float) -> _State:
        """Return the state of a person, brought up to this frame; in an image everybody is new."""
        text = self._text_height(person.box) * self._scale
        state = None if person.number is None else self._states.get(person.number)
        if state is None or time_s - state.seen_s > _FORGET_S:
            state = _State(text, time_s)
        if person.number is not None:
            self._states[person.number] = state
        if not 1 / _RESIZE < text / state.text < _RESIZE:
            state.text = text
            state.places.clear()
        state.seen_s = time_s
        if person.labels is None:
            return state
        share = person.probabilities[person.labels.index(person.top)]
        state.unsure = share < (UNSURE_BELOW if person.number is None else _SURE if state.unsure else _UNSURE)
        if person.top != state.top or time_s - state.shared_s >= _SHARE_S:
            state.top, state.share, state.shared_s = person.top, round(100 * share), time_s
        return state

    def _text_height(self, box: Rect) -> float:
        """Return the height of letters: on an image as wide as a screen, about that of the letters around it."""
        middle = math.sqrt(self._width * self._height)
        largest, smallest = max(11.0, 5.0 + 0.017 * middle), max(9.0, 0.0095 * middle)
        return min(largest, max(smallest, 0.16 * min(box[2] - box[0], self._width)))

    def _line(self, person: Person, state: _State) -> float:
        """Return the width of lines beside the letters of a label."""
        width = person.box[2] - person.box[0]
        text = state.text / self._scale if person.number is None else state.size
        return self._scale * min(max(1.25, 0.16 * text), max(1.0, 0.08 * width))

    def _draw_box(self, image: NDArray[np.uint8], person: Person, state: _State) -> None:
        """Draw the box, in images dashed where the prediction is unsure; along a box that moves, dashes would crawl."""
        line, box = self._line(person, state), person.box
        radius = min(box[2] - box[0], box[3] - box[1]) * 0.06 + line
        dash = 3.2 * line if state.unsure and person.number is None else 0.0
        color = PLAIN if person.labels is None else COLORS[person.top]
        # The dark rim keeps a light box visible on light ground.
        canvas.outline(image, box, INK, width=line * 1.9, radius=radius, alpha=0.45, dash=dash)
        canvas.outline(image, box, color, width=line, radius=radius, dash=dash)

    # --- labels ------------------------------------------------------------------------------------------------------

    def _draw_label(
        self,
        image: NDArray[np.uint8],
        person: Person,
        state: _State,
        occupied: list[Rect],
        others: list[Rect],
        *,
        in_crowd: bool,
    ) -> None:
        """Draw a label where it hides least; in a crowd only where it hides nothing."""
        line = round(self._line(person, state) * 4) / 4
        name = f"{person.top}{'?' if state.unsure else ''}"
        for size in range(state.size, _MIN_TEXT_PX - 1, -1):
            # Rather fewer words than smaller letters, once they are at nine tenths of the size.
            choices = (f"{name}\n{state.share}%", name) if size > 0.9 * state.size else (name,)
            for words in choices:
                sprite = label_sprite(person.number, words, COLORS[person.top], size, line)
                if sprite.width > self._width:
                    continue
                if sprite.height > self._height:
                    return
                spots = [
                    self._inside(*spot, sprite.width, sprite.height)
                    for spot in _label_spots(person.box, sprite.width, sprite.height, line)
                ]
                rects = [(x, y, x + sprite.width, y + sprite.height) for x, y in spots]
                # Hiding a label is worst, then another face, then the own one; being where it was counts for a bit.
                hidden = [
                    8 * sum(_overlap(rect, other) for other in occupied)
                    + 2 * sum(_overlap(rect, other) for other in others)
                    for rect in rects
                ]
                costs = [cost + _overlap(rect, person.box) for cost, rect in zip(hidden, rects, strict=True)]
                costs[state.label_side] -= 0.3 * sprite.width * sprite.height
                side = min(range(len(costs)), key=lambda k: (costs[k], k))
                own = _overlap(rects[side], person.box)
                if in_crowd and (hidden[side] > 0 or own > _MAX_HIDDEN * _area(person.box)):
                    continue
                if side != state.label_side:
                    state.label_side = side
                    state.places.pop("label", None)
                x, y = _follow(state, "label", spots[side], 0.1 * size)
                occupied.append((x, y, x + sprite.width, y + sprite.height))
                lay(image, sprite, round(x), round(y))
                return

    def _inside(self, x: float, y: float, wide: float, high: float) -> tuple[float, float]:
        return min(max(x, 0.0), max(0.0, self._width - wide)), min(max(y, 0.0), max(0.0, self._height - high))

    # --- distributions -----------------------------------------------------------------------------------------------

    def _draw_chart(
        self,
        image: NDArray[np.uint8],
        person: Person,
        emotions: tuple[str, ...],
        state: _State,
        time_s: float,
        occupied: list[Rect],
        others: list[Rect],
    ) -> bool:
        """Draw a chart beside the face where it hides nothing; return whether that was possible."""
        chart = chart_of(emotions, person.top, state.size)
        rects = self._chart_rects(chart, person, state)
        free = [rect is not None and not any(_overlap(rect, other) for other in (*occupied, *others)) for rect in rects]
        side = state.chart_side
        if side is None or not free[side]:
            settled = time_s - state.moved_s >= _STAY_S
            new = free.index(True) if settled and any(free) else None
            if new != side:
                # What was never shown has not moved.
                state.chart_side, state.moved_s = new, time_s
                state.places.pop("chart", None)
            side = new
        rect = None if side is None else rects[side]
        if rect is None:
            return False
        x, y = _follow(state, "chart", rect[:2], 0.35 * state.size)
        x, y = self._inside(x, y, chart.sprite.width, chart.sprite.height)
        occupied.append((x, y, x + chart.sprite.width, y + chart.sprite.height))
        chart.draw(image, round(x), round(y), person.probabilities)
        return True

    def _chart_rects(self, chart: Chart, person: Person, state: _State) -> list[Rect | None]:
        """Return the places right of the face, left of it, below and above; None where the image ends."""
        wide, high = chart.sprite.width, chart.sprite.height
        x1, y1, x2, y2 = person.box
        # The chart that is there may stay with a somewhat smaller face.
        if high > (1.6 if state.chart_side is None else 1.9) * (y2 - y1):
            return [None] * 4
        gap = self._line(person, state) + 0.75 * state.size
        top = min(max(y1, gap), self._height - high - gap)
        left = min(max(x1, gap), self._width - wide - gap)
        rects: list[Rect | None] = []
        for x, y in ((x2 + gap, top), (x1 - gap - wide, top), (left, y2 + gap), (left, y1 - gap - high)):
            inside = x >= 0 and y >= 0 and x + wide <= self._width and y + high <= self._height
            rects.append((x, y, x + wide, y + high) if inside else None)
        return rects

    def _draw_strip(self, image: NDArray[np.uint8], person: Person, emotions: tuple[str, ...], state: _State) -> None:
        """Draw one bar along the lower edge, within the box, parted by the probabilities."""
        box, line = person.box, self._line(person, state)
        thick = max(2.0, state.size * 0.3)
        margin = line + 1 + min(box[2] - box[0], box[3] - box[1]) * 0.03
        left, right = max(round(box[0] + margin), 0), min(round(box[2] - margin), self._width)
        bottom = round(min(box[3], self._height) - margin)
        top = bottom - round(thick)
        if right - left < 8 or top < 0 or box[3] - box[1] < 4 * thick:
            return
        canvas.fill(image, (left - 1, top - 1, right + 1, bottom + 1), INK, radius=thick / 2, alpha=0.6)
        # A column has the color of the emotion in whose part its middle lies.
        middles = (np.arange(left, right) + 0.5 - (box[0] + margin)) / (box[2] - box[0] - 2 * margin)
        parts = np.searchsorted(np.cumsum(person.probabilities), middles).clip(max=len(person.probabilities) - 1)
        colors = np.array([COLORS[name] for name in emotions], np.uint8)
        image[top:bottom, left:right] = colors[parts]


def _area(box: Rect) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: Rect, b: Rect) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


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


def _follow(state: _State, what: str, place: tuple[float, ...], slack: float) -> tuple[float, float]:
    """Follow a place only as far as it goes beyond some slack: things that belong to a still face stand still."""
    old = state.places.get(what, (place[0], place[1]))
    new = tuple(min(max(was, now - slack), now + slack) for was, now in zip(old, place, strict=True))
    state.places[what] = (new[0], new[1])
    return state.places[what]


# --- labels and charts ----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=128)
def label_sprite(number: int | None, words: str, color: RGB, size: int, line: float) -> Sprite:
    """Return a label: a person's number on dark ground, and words on the color of the emotion.

    `words` are the emotion and, after a line break, its share in per cent.  In videos, where people have numbers, the
    share stands in a field as wide as the widest, so that the label's width does not change with it.
    """
    name, _, share = words.partition("\n")
    pad_x, pad_y = size * 0.42, size * 0.14
    badge = 0.0 if number is None else canvas.text_size(str(number), size)[0] + 2 * pad_x
    name_width, text_height = canvas.text_size(name, size)
    field = canvas.text_size(f" {share}" if number is None else " 100%", size)[0] if share else 0.0
    rim = line * 0.45
    wide, high = badge + name_width + field + 2 * pad_x, text_height + 2 * pad_y

    def draw(pixels: NDArray[np.uint8]) -> None:
        outer = (0.0, 0.0, wide + 2 * rim, high + 2 * rim)
        canvas.fill(pixels, outer, INK, radius=size * 0.38, alpha=0.45)
        inner = (rim, rim, rim + wide, rim + high)
        if number is not None:
            canvas.fill(pixels, inner, INK, radius=size * 0.32)
        canvas.fill(pixels, (rim + badge, *inner[1:]), color, radius=size * 0.32)
        if number is not None:
            # The badge keeps its round corners on the left, the rest those on the right.
            canvas.fill(pixels, (rim + badge, inner[1], rim + badge + size * 0.4, inner[3]), color)
            canvas.text(pixels, rim + pad_x, rim + pad_y, str(number), size, WHITE)
        ink = text_on(color)
        canvas.text(pixels, rim + badge + pad_x, rim + pad_y, name, size, ink)
        if share:
            left = rim + wide - pad_x - canvas.text_size(share, size)[0]
            canvas.text(pixels, left, rim + pad_y, share, size, ink)

    return make_sprite(int(np.ceil(wide + 2 * rim)), int(np.ceil(high + 2 * rim)), draw)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a distribution without its bars, and where they go.

    Parameters
    ----------
    emotions : tuple of str
        From above.
    sprite : Sprite
        The ground, names and empty bars.
    left, width : float
        Where the bars begin within it, and how long a full one is.
    tops : tuple of float
        The upper edge of each.
    thick : float
        Their height.
    """

    emotions: tuple[str, ...]
    sprite: Sprite
    left: float
    width: float
    tops: tuple[float, ...]
    thick: float

    def draw(self, image: NDArray[np.uint8], left: int, top: int, shares: Sequence[float]) -> None:
        """Lay the chart over an image, with its bars."""
        lay(image, self.sprite, left, top)
        x = left + self.left
        for name, y, share in zip(self.emotions, self.tops, shares, strict=True):
            if share * self.width >= 0.25:
                bar = (x, top + y, x + share * self.width, top + y + self.thick)
                canvas.fill(image, bar, COLORS[name], radius=self.thick / 3)


@functools.lru_cache(maxsize=32)
def chart_of(emotions: tuple[str, ...], top: str, text: int) -> Chart:
    """Return the chart for these emotions beside a label with letters of `text` pixels; `top` is written in white."""
    size = max(_MIN_TEXT_PX, round(text * 0.82))
    row, bar, pad = float(round(size * 1.28)), size * 4.2, size * 0.55
    names = max(canvas.text_size(name, size)[0] for name in emotions)
    text_height = canvas.text_size("happiness", size)[1]
    start = 2 * pad + names
    width, height = names + bar + 3 * pad, row * len(emotions) + 2 * pad
    thick = float(max(2, round(row * 0.5)))
    tops = tuple(float(round(pad + k * row + (row - thick) / 2)) for k in range(len(emotions)))

    def draw(pixels: NDArray[np.uint8]) -> None:
        canvas.fill(pixels, (0, 0, width, height), INK, radius=text * 0.5, alpha=_PANEL_ALPHA)
        for k, name in enumerate(emotions):
            ink = WHITE if name == top else _FAINT
            left = start - pad - canvas.text_size(name, size)[0]
            canvas.text(pixels, left, pad + k * row + (row - text_height) / 2, name, size, ink)
            empty = (start, tops[k], start + bar, tops[k] + thick)
            canvas.fill(pixels, empty, WHITE, radius=thick / 3, alpha=0.16)

    return Chart(emotions, make_sprite(int(np.ceil(width)), int(np.ceil(height)), draw), start, bar, tops, thick)


# --- live images ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Label:
    """The emotion that names somebody."""

    top: str
    agreed_s: float
    seen_s: float


class _LivePeople:
    """Turns results into people to draw, each with an emotion that is steadier than the most probable."""

    def __init__(self) -> None:
        self._labels: dict[int, _Label] = {}

    def people(self, frame: VideoFrame | None, *, scale: float = 1.0) -> list[Person]:
        """Return who is in a frame (the same one may come again), scaled from the analyzed size to the drawn one."""
        if frame is None:
            return []
        people = []
        for face in frame.faces:
            x1, y1, x2, y2 = (scale * value for value in face.face.box)
            emotion = face.smoothed
            top = self._top(face, frame.time_s)
            people.append(Person(face.track, (x1, y1, x2, y2), emotion.labels, emotion.probabilities, top))
        if len(self._labels) > 64:
            self._labels = {n: one for n, one in self._labels.items() if frame.time_s - one.seen_s < _FORGET_LIVE_S}
        return people

    def _top(self, face: TrackedFace, time_s: float) -> str:
        emotion = face.smoothed
        label = self._labels.get(face.track)
        if label is None or time_s - label.seen_s > _FORGET_LIVE_S:
            label = self._labels[face.track] = _Label(emotion.top, time_s, time_s)
        label.seen_s = time_s
        if emotion.top == label.top:
            label.agreed_s = time_s
        elif emotion.confidence - emotion[label.top] >= _LEAD or time_s - label.agreed_s >= _HOLD_S:
            label.top, label.agreed_s = emotion.top, time_s
        return label.top


def _fit(width: int, height: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of an image that fills an area as far as it can."""
    scale = min(size[0] / width, size[1] / height)
    wide, high = max(1, min(size[0], round(width * scale))), max(1, min(size[1], round(height * scale)))
    return (size[0] - wide) // 2, (size[1] - high) // 2, wide, high


class LivePainter:
    """Draws live images with the people in them, one after the other, fitted into an area of any size.

    Lines and letters are drawn at the size of the area, so they are sharp.

    Parameters
    ----------
    width, height : int
        Size of the area in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._pixels = np.zeros((height, width, 3), np.uint8)
        self._place = (0, 0, width, height)
        self._painter = Painter(width, height)
        self._live = _LivePeople()

    def draw(
        self, image: NDArray[np.uint8], frame: VideoFrame | None, time_s: float, *, mirror: bool = False
    ) -> NDArray[np.uint8]:
        """Draw an image with its people.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        frame : VideoFrame or None
            The newest result.
        time_s : float
            Time of the image; images come in order.
        mirror : bool
            Show it as a mirror does; words stay readable.

        Returns
        -------
        numpy.ndarray
            uint8 of the area's size, RGB; valid until the next call.
        """
        place = left, top, wide, high = _fit(image.shape[1], image.shape[0], self.size)
        if place != self._place:
            self._place = place
            self._painter = Painter(wide, high)
            self.blank()
        part = self._pixels[top : top + high, left : left + wide]
        if (wide, high) == (image.shape[1], image.shape[0]):
            np.copyto(part, image)
        else:
            method = cv2.INTER_AREA if wide / image.shape[1] < _MUCH_SMALLER else cv2.INTER_LINEAR
            cv2.resize(image, (wide, high), dst=part, interpolation=method)
        if mirror:
            np.copyto(part, cv2.flip(part, 1))
        people = self._live.people(frame, scale=1.0 if frame is None else wide / frame.width)
        if mirror:
            people = [
                replace(person, box=(wide - person.box[2], person.box[1], wide - person.box[0], person.box[3]))
                for person in people
            ]
        self._painter.paint(part, people, time_s)
        return self._pixels

    def blank(self) -> NDArray[np.uint8]:
        """Return the area without an image."""
        self._pixels[:] = 0
        return self._pixels
