"""People drawn on frames: where, how steadily, and on live images of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.labels import FER7, FERPLUS8
from mien.output.canvas import COLORS, Sprite
from mien.output.paint import LivePainter, Painter, Person, label_sprite
from mien.results import Emotion, Face, TrackedFace, VideoFrame
from planted_video import distribution

GRAY = np.full((120, 160, 3), 128, np.uint8)


def emotion(**shares: float) -> Emotion:
    rest = (1 - sum(shares.values())) / (len(FER7) - len(shares))
    return Emotion(FER7, tuple(shares.get(name, rest) for name in FER7.emotions))


def frame(time_s: float, smoothed: Emotion | None = None, *, box: tuple[float, ...] = (20, 30, 60, 80)) -> VideoFrame:
    shown = smoothed or emotion(happiness=0.7)
    x1, y1, x2, y2 = box
    return VideoFrame(time_s, 160, 120, (TrackedFace(3, Face((x1, y1, x2, y2), 0.9, None, shown), shown),))


# --- steadiness -----------------------------------------------------------------------------------------------------


def person(box: tuple[float, float, float, float], top: str = "anger", share: float = 0.75, number: int = 1) -> Person:
    return Person(number, box, FERPLUS8, distribution(top, share).probabilities, top)


Place = tuple[int, int, int, int]


class Placed:
    """Where a painter lays labels and charts of one person: left, top, width, height, frame by frame."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.labels: list[Place] = []
        self.charts: list[Place] = []
        self._frame: list[Place] = []
        patch.setattr("mien.output.paint.lay", self._lay)

    def _lay(self, image: NDArray[np.uint8], sprite: Sprite, x: int, y: int) -> None:
        self._frame.append((x, y, sprite.width, sprite.height))

    def paint(self, painter: Painter, image: NDArray[np.uint8], somebody: Person, time_s: float) -> bool:
        """Paint, and return whether there is a chart."""
        self._frame.clear()
        painter.paint(image, [somebody], time_s)
        self.labels.append(self._frame[0])
        self.charts += self._frame[1:]
        return len(self._frame) > 1


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    return Placed(monkeypatch)


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (3840, 2160)])
def test_what_belongs_to_a_still_face_stands_still(placed: Placed, size: tuple[int, int]) -> None:
    width, height = size
    random = np.random.default_rng(5)
    image = np.zeros((height, width, 3), np.uint8)
    painter = Painter(width, height)
    side = 0.45 * height
    for k in range(60):
        # A detector's box trembles by about half a per cent of its size.
        jitter = random.normal(0, 0.0025 * side, 4)
        box = np.array([0.3 * width, 0.3 * height, 0.3 * width + 0.8 * side, 0.3 * height + side]) + jitter
        placed.paint(painter, image, person(tuple(box.tolist()), share=float(random.uniform(0.6, 0.8))), k / 30)
    assert len(placed.labels) == len(placed.charts) == 60
    for places in (placed.labels, placed.charts):
        spread = np.ptp(np.array(places), axis=0)
        assert (spread[:2] <= 1 + 0.004 * height).all()
        assert (spread[2:] == 0).all()
        assert sum(a != b for a, b in pairwise(places)) <= 15


def test_a_chart_changes_sides_once_when_its_face_moves_to_the_edge(placed: Placed) -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    painter = Painter(1280, 720)
    sides = []
    for k in range(150):
        left = 500 + 3.5 * k + 6 * np.sin(k)
        if placed.paint(painter, image, person((left, 200, left + 200, 450)), k / 30):
            sides.append("right" if placed.charts[-1][0] > left else "left")
    assert len(sides) == 150
    assert sum(a != b for a, b in pairwise(sides)) == 1
    assert (sides[0], sides[-1]) == ("right", "left")


def test_a_chart_that_loses_its_place_does_not_come_back_at_once(placed: Placed) -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    painter = Painter(1280, 720)
    shown = []
    for k in range(120):
        # The face fills the image in every other tenth of a second.
        box = (20.0, 20.0, 1260.0, 700.0) if k // 3 % 2 else (500.0, 200.0, 700.0, 450.0)
        shown.append(placed.paint(painter, image, person(box), k / 30))
    assert sum(a != b for a, b in pairwise(shown)) <= 2 * 120 / 30


def test_shares_change_five_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []

    def record(number: int, words: str, *rest: Any) -> Any:
        labels.append(words)
        return label_sprite(number, words, *rest)

    monkeypatch.setattr("mien.output.paint.label_sprite", record)
    painter = Painter(640, 480)
    for k in range(60):
        painter.paint(np.zeros((480, 640, 3), np.uint8), [person((200, 150, 350, 350), share=0.3 + k / 100)], k / 30)
    assert 8 <= sum(a != b for a, b in pairwise(labels)) <= 12
    # Unsure up to 0.53, then sure for good.
    marks = ["?" in words for words in labels]
    assert sum(a != b for a, b in pairwise(marks)) == 1


@pytest.mark.parametrize(("size", "least"), [((320, 240), 8), ((1280, 720), 14), ((3840, 2160), 40)])
def test_letters_are_as_high_as_eyes_need(size: tuple[int, int], least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def record(number: int, words: str, color: Any, text: int, line: float) -> Any:
        sizes.append(text)
        return label_sprite(number, words, color, text, line)

    monkeypatch.setattr("mien.output.paint.label_sprite", record)
    width, height = size
    box = (0.4 * width, 0.3 * height, 0.4 * width + 0.4 * height, 0.8 * height)
    Painter(width, height).paint(np.zeros((height, width, 3), np.uint8), [person(box)], 0.0)
    assert sizes[-1] >= least


@pytest.mark.parametrize(
    "box",
    [
        (-50.0, -50.0, 40.0, 40.0),
        (300.0, 220.0, 400.0, 300.0),
        (-500.0, 0.0, -400.0, 50.0),
        (0.0, 0.0, 320.0, 240.0),
        (100.0, 100.0, 101.0, 101.0),
    ],
)
def test_faces_at_and_beyond_the_edge_are_no_trouble(box: tuple[float, float, float, float]) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    painter = Painter(320, 240)
    for k in range(3):
        painter.paint(image, [person(box), person((5.0, 5.0, 60.0, 60.0), number=2)], k / 30)
    assert image.any()


def test_an_image_smaller_than_any_label_is_no_trouble() -> None:
    image = np.zeros((6, 9, 3), np.uint8)
    Painter(9, 6).paint(image, [person((1.0, 1.0, 8.0, 5.0))], 0.0)
    assert image.any()


# --- live images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "size", "place"),
    [
        ((160, 120), (160, 120), (0, 0, 160, 120)),
        ((160, 120), (160, 400), (0, 140, 160, 120)),
        ((4000, 10), (100, 100), (0, 49, 100, 1)),
        ((1, 1), (30, 20), (5, 0, 20, 20)),
    ],
)
def test_live_images_are_as_large_as_they_can_be(
    image: tuple[int, int], size: tuple[int, int], place: tuple[int, ...]
) -> None:
    drawn = LivePainter(*size).draw(np.full((image[1], image[0], 3), 200, np.uint8), None, 0.0)
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1) == place


@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_are_drawn_where_the_faces_are(mirror: bool) -> None:
    image = LivePainter(320, 300)  # twice as large, with a black strip of 30 above and below
    drawn = image.draw(GRAY, frame(0.0), 0.0, mirror=mirror).astype(int)
    assert drawn[:25].max() == 0
    assert drawn[-25:].max() == 0
    near = np.abs(drawn - np.array(COLORS["happiness"])).max(axis=2) < 25
    column = near[30 + 2 * 45 : 30 + 2 * 65].all(axis=0)
    # x = 20 and 60 of 160 are 40 and 120 of 320, and 280 and 200 in a mirror.
    left, right = (200, 280) if mirror else (40, 120)
    assert column[left - 2 : left + 3].any()
    assert column[right - 2 : right + 3].any()
    assert not column[: left - 4].any()


def test_a_mirror_turns_the_image_but_not_the_one_given() -> None:
    image = GRAY.copy()
    image[:, :40] = (250, 0, 0)
    before = image.copy()
    drawn = LivePainter(160, 120).draw(image, None, 0.0, mirror=True)
    assert np.array_equal(drawn, image[:, ::-1])
    assert np.array_equal(image, before)


def test_the_emotion_of_a_label_does_not_flicker(monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[str] = []
    monkeypatch.setattr(Painter, "paint", lambda _, image, people, time_s: painted.append(people[0].top))
    painter = LivePainter(160, 120)

    def tops(start_s: float, *emotions: Emotion) -> list[str]:
        painted.clear()
        for k, shown in enumerate(emotions):
            painter.draw(GRAY, frame(start_s + 0.1 * k, shown), start_s + 0.1 * k)
        return list(painted)

    close, other = emotion(happiness=0.45, sadness=0.42), emotion(happiness=0.42, sadness=0.45)
    assert set(tops(0.0, *[close, other] * 6)) == {"happiness"}
    # A lead that lasts takes the label after half a second.
    names = tops(1.2, *[other] * 12)
    assert names.index("sadness") in {3, 4, 5}
    assert set(names[6:]) == {"sadness"}
    # A clear lead takes it at once.
    assert tops(4.0, emotion(fear=0.8)) == ["fear"]
