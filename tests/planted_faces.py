"""Videos with planted faces: heads moved over textured backgrounds by known paths, so that the truth is known.

The heads are all made from the astronaut's portrait: mirrored, stretched, with other skin, hair, glasses, beard or hat,
twelve that differ as much as twelve people do.  A path is a sequence of (time_s, x, y, height): the center of the face
box and its height in pixels, with straight motion between; beyond its ends the head is not there.

``planted(paths, size=(320, 240), seed=0)`` is the simple way in; ``STANDARD`` is the set that trackers are measured on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]
Path = Sequence[tuple[float, float, float, float]]

HEAD = (140, 4, 310, 218)
"""The head in the portrait, x1, y1, x2, y2."""
FACE = (182.0, 63.0, 267.0, 174.0)
"""The face in the portrait, from forehead to chin."""


@dataclass(frozen=True)
class Person:
    """What makes a head another person's: gains of skin and hair in R, G, B, its width, and what it wears."""

    skin: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hair: tuple[float, float, float] = (1.0, 1.0, 1.0)
    wide: float = 1.0
    jaw: float = 0.0
    mirror: bool = False
    glasses: int = 0
    beard: int = 0
    hat: tuple[int, int, int] | None = None
    smile: float = 0.0


PEOPLE: tuple[Person, ...] = (
    Person(),
    Person(skin=(0.50, 0.42, 0.38), hair=(0.15, 0.15, 0.18), wide=1.14, mirror=True, beard=2, smile=-0.5),
    Person(skin=(1.0, 0.92, 0.86), hair=(1.5, 1.5, 1.6), wide=0.92, glasses=2),
    Person(skin=(0.74, 0.62, 0.52), hair=(0.3, 0.22, 0.2), wide=1.05, jaw=0.25, mirror=True, smile=-0.8),
    Person(skin=(0.95, 0.85, 0.8), hair=(1.0, 0.4, 0.25), wide=0.98, hat=(40, 60, 150), glasses=1, mirror=True),
    Person(skin=(0.36, 0.28, 0.26), hair=(0.12, 0.12, 0.12), wide=1.0, glasses=1, smile=-0.3),
    Person(skin=(1.05, 0.95, 0.95), hair=(0.35, 0.3, 0.3), wide=1.18, jaw=0.3, beard=1),
    Person(skin=(0.85, 0.74, 0.6), hair=(0.15, 0.13, 0.13), wide=0.9, jaw=-0.25, mirror=True, hat=(170, 30, 40)),
    Person(skin=(0.62, 0.5, 0.42), hair=(1.2, 1.2, 1.2), wide=1.1, beard=3, glasses=1),
    Person(skin=(0.9, 0.9, 0.78), hair=(0.5, 0.8, 0.4), wide=0.95, jaw=-0.2, smile=-0.8),
    Person(skin=(0.45, 0.4, 0.38), hair=(0.9, 0.8, 0.5), wide=1.08, mirror=True, glasses=2, hat=(220, 200, 60)),
    Person(skin=(1.0, 0.8, 0.72), hair=(0.2, 0.2, 0.3), wide=1.12, jaw=0.2, mirror=True, beard=1, glasses=2),
)


@functools.cache
def portrait() -> Image:
    """Return the astronaut, RGB."""
    from mien.io.image import read_image
    from mien.samples import astronaut_path

    return read_image(astronaut_path()).pixels


def _ellipse(shape: tuple[int, ...], center: tuple[float, float], radii: tuple[float, float], soft: float) -> Any:
    y, x = np.mgrid[: shape[0], : shape[1]]
    radius = np.hypot((x - center[0]) / radii[0], (y - center[1]) / radii[1])
    return np.clip((1 - radius) / soft + 0.5, 0, 1).astype(np.float32)[..., None]


@functools.cache
def head(number: int) -> tuple[tuple[NDArray[np.float32], ...], Box]:
    """Return a person's head as premultiplied RGBA in 0..255 and its halvings, and the face box in the first."""
    person = PEOPLE[number % len(PEOPLE)]
    x1, y1, x2, y2 = HEAD
    image = portrait()[y1:y2, x1:x2].astype(np.float32)
    # Places below are the portrait's own, measured on it by eye.
    hair = 1 - _ellipse(image.shape, (224 - x1, 128 - y1), (47, 52), 0.25)
    image *= hair * np.float32(person.hair) + (1 - hair) * np.float32(person.skin)
    image = _dressed(np.clip(image, 0, 255), person)
    alpha = _ellipse(image.shape, (227 - x1, 108 - y1), (77, 97), 0.06)
    rgba = np.concatenate([image * alpha, alpha * 255], axis=2)
    rgba = _bent(rgba, person)
    face = np.array(FACE) - (x1, y1, x1, y1)
    width = rgba.shape[1]
    if person.mirror:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
        face[[0, 2]] = width - face[[2, 0]]
    rgba = cv2.resize(rgba, (round(width * person.wide), rgba.shape[0]), interpolation=cv2.INTER_AREA)
    face[[0, 2]] *= rgba.shape[1] / width
    levels = [rgba]
    while min(levels[-1].shape[:2]) > 24:
        half = (levels[-1].shape[1] // 2, levels[-1].shape[0] // 2)
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    return tuple(levels), tuple(face.tolist())


def _dressed(image: NDArray[np.float32], person: Person) -> NDArray[np.float32]:
    """Draw beard, glasses and hat."""
    x1, y1 = HEAD[:2]
    tone = np.float32(person.hair) * 60
    if person.beard:
        ring = _ellipse(image.shape, (224 - x1, 150 - y1), (44, 30), 0.3)
        ring *= 1 - _ellipse(image.shape, (224 - x1, 139 - y1), (20, 9), 0.4)
        rows = np.arange(image.shape[0])[:, None, None]
        ring *= np.clip((rows - ((130 if person.beard < 3 else 142) - y1)) / 4, 0, 1)
        ring *= (0.55, 0.85, 0.95)[person.beard - 1]
        image = image * (1 - ring) + tone * ring
    if person.glasses:
        frame = 3 if person.glasses == 1 else 2
        color = (25, 20, 20) if person.glasses == 1 else (160, 120, 40)
        for x in (203, 246):
            cv2.ellipse(image, (x - x1, 103 - y1), (17, 13), 0, 0, 360, color, frame, cv2.LINE_AA)
        cv2.line(image, (220 - x1, 101 - y1), (229 - x1, 101 - y1), color, frame, cv2.LINE_AA)
        cv2.line(image, (186 - x1, 101 - y1), (176 - x1, 97 - y1), color, frame, cv2.LINE_AA)
        cv2.line(image, (263 - x1, 101 - y1), (273 - x1, 97 - y1), color, frame, cv2.LINE_AA)
    if person.hat:
        cv2.ellipse(image, (227 - x1, 62 - y1), (80, 60), 0, 180, 360, person.hat, -1, cv2.LINE_AA)
        cv2.rectangle(image, (146 - x1, 60 - y1), (308 - x1, 68 - y1), tuple(c * 0.7 for c in person.hat), -1)
    return image


def _bent(rgba: NDArray[np.float32], person: Person) -> NDArray[np.float32]:
    """Widen or narrow the jaw, and pull the corners of the mouth down."""
    x1, y1 = HEAD[:2]
    y, x = np.mgrid[: rgba.shape[0], : rgba.shape[1]].astype(np.float32)
    cx = 224.0 - x1
    lower = np.clip((y - (100 - y1)) / 70, 0, 1)
    from_x = cx + (x - cx) / (1 + person.jaw * lower)
    near = np.exp(-(((x - cx) / 34) ** 2) - ((y - (140 - y1)) / 16) ** 2)
    from_y = y + person.smile * near * (6 - 12 * np.minimum(np.abs(x - cx) / 22, 1.5))
    return cv2.remap(rgba, from_x, from_y.astype(np.float32), cv2.INTER_LINEAR)


@functools.lru_cache(maxsize=8)
def background(size: tuple[int, int], seed: int) -> Image:
    """Return an image, half wider than asked for, of soft noise at several scales; each seed has its own tone."""
    rng = np.random.default_rng([seed, 977])
    width, height = size[0] * 3 // 2, size[1]
    image = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 50), (8, 30), (24, 16), (80, 10)):
        grid = rng.normal(0, weight, (cells, cells * 2, 3)).astype(np.float32)
        image += cv2.resize(
            grid * 0.25 + grid.mean(axis=2, keepdims=True), (width, height), interpolation=cv2.INTER_CUBIC
        )
    return np.clip(image + rng.uniform(90, 150) + rng.normal(0, 12, 3), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Actor:
    """A head and its path; ``rolls`` are the degrees that it nods to the sides."""

    person: int
    path: Path
    rolls: float = 3.0

    def at(self, time_s: float) -> tuple[float, float, float] | None:
        """Return x, y, height of the face, or None while it is away."""
        keys = np.asarray(self.path, dtype=float)
        if not keys[0, 0] <= time_s < keys[-1, 0]:
            return None
        x, y, height = (float(np.interp(time_s, keys[:, 0], keys[:, i])) for i in (1, 2, 3))
        return x, y, height


@dataclass(frozen=True)
class Scene:
    """What stands before the camera from a time on: actors from back to front, pillars (x1, x2), a pan in px/s."""

    start_s: float
    actors: tuple[Actor, ...]
    seed: int = 0
    pillars: tuple[tuple[int, int], ...] = ()
    pan: float = 0.0


@dataclass(frozen=True)
class Truth:
    """A face in a frame: who, where, and the part of its box that can be seen."""

    person: int
    box: Box
    visible: float


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame with its truth."""

    image: Image
    time_s: float
    faces: tuple[Truth, ...]


def steady(_: float) -> float:
    """Return 1: light that does not change."""
    return 1.0


@dataclass(frozen=True, eq=False)
class Video:
    """Scenes one after the other; ``light`` is the gain of the image at a time."""

    name: str
    seconds: float
    scenes: tuple[Scene, ...]
    size: tuple[int, int] = (480, 270)
    light: Callable[[float], float] = steady
    noise: float = 2.0
    ghosts: tuple[tuple[float, float, Box], ...] = field(default=())
    """(from, to, box): a head that is there for this time only and belongs to nobody."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """Where the scenes change."""
        return tuple(scene.start_s for scene in self.scenes[1:])

    def shots(self, rate: int | Fraction = 30, *, zoom: float = 1.0) -> Iterator[Shot]:
        """Give the video at so many frames a second, enlarged by ``zoom``."""
        count = int(self.seconds * rate)
        for index in range(count):
            yield self.shot(float(index / Fraction(rate)), zoom=zoom)

    def shot(self, time_s: float, *, zoom: float = 1.0) -> Shot:
        """Give the frame of a time."""
        # A tick of grace: 1 / 30 is no sum of binary fractions.
        scene = [one for one in self.scenes if one.start_s <= time_s + 1e-6][-1]
        width, height = round(self.size[0] * zoom), round(self.size[1] * zoom)
        canvas = _panned(background((width, height), scene.seed), (width, height), scene.pan * zoom * time_s)
        placed: list[tuple[int, Box]] = []
        for actor in scene.actors:
            at = actor.at(time_s)
            if at is not None:
                x, y, side = (v * zoom for v in at)
                placed.append((actor.person, _stamp(canvas, actor, x, y, side, time_s)))
        for start, end, (x1, y1, x2, y2) in self.ghosts:
            if start <= time_s + 1e-6 < end:
                place = np.array([(x1 + x2) / 2, (y1 + y2) / 2, y2 - y1]) * zoom
                _stamp(canvas, Actor(0, ()), *place.tolist(), time_s)
        for x1, x2 in scene.pillars:
            canvas[:, round(x1 * zoom) : round(x2 * zoom)] = (96, 84, 70)
        rng = np.random.default_rng([scene.seed, round(time_s * 1e6)])
        grain = cv2.resize(rng.normal(0, self.noise, (height // 2, width // 2)).astype(np.float32), (width, height))
        canvas = (canvas + grain[..., None]) * self.light(time_s)
        faces = tuple(
            Truth(person, box, _visible(box, placed[i + 1 :], scene.pillars, (width, height), zoom))
            for i, (person, box) in enumerate(placed)
        )
        return Shot(np.clip(canvas, 0, 255).astype(np.uint8), time_s, faces)


def _panned(wide: Image, size: tuple[int, int], shift: float) -> NDArray[np.float32]:
    room = wide.shape[1] - size[0] - 1
    # There and back again.
    x = room - abs(shift % (2 * room) - room) if shift else 0.0
    matrix = np.array([[1, 0, x], [0, 1, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(wide, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _stamp(canvas: NDArray[np.float32], actor: Actor, x: float, y: float, height: float, time_s: float) -> Box:
    """Draw a head with its face centered here; return the face's box."""
    levels, face = head(actor.person)
    zoom = height / (face[3] - face[1])
    index = min(max(int(np.floor(np.log2(max(1 / zoom, 1)))), 0), len(levels) - 1)
    level = levels[index]
    factor = np.array([level.shape[1] / levels[0].shape[1], level.shape[0] / levels[0].shape[0]])
    center = np.array([(face[0] + face[2]) / 2, (face[1] + face[3]) / 2])
    angle = np.deg2rad(actor.rolls) * np.sin(2 * np.pi * time_s / 1.7 + actor.person)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    turn = np.array([[cos, -sin], [sin, cos]]) / factor
    shift = np.array([x, y]) - turn @ (center * factor)
    # From pixel centers to pixel centers.
    matrix = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])
    corners = turn @ np.array([[0, level.shape[1], 0, level.shape[1]], [0, 0, level.shape[0], level.shape[0]]])
    low = np.floor((corners + shift[:, None]).min(axis=1)).astype(int)
    high = np.ceil((corners + shift[:, None]).max(axis=1)).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, canvas.shape[1::-1])
    if (high > low).all():
        matrix[:, 2] -= low
        drawn = cv2.warpAffine(level, matrix, tuple((high - low).tolist()), flags=cv2.INTER_LINEAR)
        part = canvas[low[1] : high[1], low[0] : high[0]]
        part *= 1 - drawn[..., 3:] / 255
        part += drawn[..., :3]
    half = (face[2] - face[0]) / 2 * zoom, height / 2
    return float(x - half[0]), float(y - half[1]), float(x + half[0]), float(y + half[1])


def _visible(
    box: Box,
    before: Sequence[tuple[int, Box]],
    pillars: Sequence[tuple[int, int]],
    size: tuple[int, int],
    zoom: float,
) -> float:
    """Return the part of a face's box that is in the image and behind nothing."""
    u, v = np.meshgrid((np.arange(20) + 0.5) / 20, (np.arange(20) + 0.5) / 20)
    x, y = box[0] + u * (box[2] - box[0]), box[1] + v * (box[3] - box[1])
    seen = (x > 0) & (x < size[0]) & (y > 0) & (y < size[1])
    for x1, x2 in pillars:
        seen &= (x < x1 * zoom) | (x > x2 * zoom)
    for _, (x1, y1, x2, y2) in before:
        # The head is a larger ellipse than its face, a little above it.
        middle, unit_x, unit_y = (x1 + x2) / 2, (x2 - x1) / 85, (y2 - y1) / 111
        seen &= np.hypot((x - middle) / (79 * unit_x), (y - (y1 + 45 * unit_y)) / (98 * unit_y)) > 1
    return float(seen.mean())


def planted(
    paths: Mapping[int, Path],
    *,
    size: tuple[int, int] = (320, 240),
    seed: int = 0,
    rate: int | Fraction = 30,
    seconds: float | None = None,
) -> Iterator[tuple[Image, float, dict[int, Box]]]:
    """Give the frames of people who move by paths: uint8 (H, W, 3) RGB, time_s, the box of each face that can be seen.

    ``paths`` are by the number of the person (0..11); later ones walk before earlier ones.  A face counts as seen when
    95 % of its box is in the image and behind nobody.
    """
    actors = tuple(Actor(person, path) for person, path in paths.items())
    length = max((path[-1][0] for path in paths.values()), default=1.0) if seconds is None else seconds
    for shot in Video("planted", length, (Scene(0.0, actors, seed),), size).shots(rate):
        yield shot.image, shot.time_s, {face.person: face.box for face in shot.faces if face.visible >= 0.95}


def _video(name: str, seconds: float, *scenes: Scene, **options: Any) -> Video:
    return Video(name, seconds, scenes, **options)


def _flash(time_s: float) -> float:
    return 2.6 if 1.5 <= time_s + 1e-6 < 1.53 or 2.4 <= time_s + 1e-6 < 2.43 else 1.0


def _dimming(time_s: float) -> float:
    return float(np.interp(time_s, [0, 1, 1.6, 2.4, 3.4], [1, 1, 0.35, 0.35, 1.25]))


def _still(person: int, x: float, y: float, height: float, end: float = 60.0, start: float = 0.0) -> Actor:
    return Actor(person, ((start, x, y, height), (end, x, y, height)))


CROWD = tuple(
    Actor(i, ((0, 50 + 55 * i, 80 + 90 * (i % 2), 48), (4, 80 + 45 * i, 90 + 80 * (i % 2), 52))) for i in range(8)
)

STANDARD: tuple[Video, ...] = (
    _video("still", 3, Scene(0, (_still(0, 240, 140, 90),))),
    _video("walk", 4, Scene(0, (Actor(1, ((0, 60, 120, 70), (2, 400, 160, 80), (4, 90, 110, 75))),), 1, pan=40)),
    _video(
        "two cross",
        4,
        Scene(0, (Actor(2, ((0, 80, 135, 76), (4, 400, 140, 76))), Actor(3, ((0, 400, 140, 80), (4, 80, 135, 80)))), 2),
    ),
    _video(
        "two cross fast",
        3,
        Scene(
            0, (Actor(0, ((0, 60, 130, 80), (3, 420, 135, 80))), Actor(5, ((0.8, 440, 140, 84), (2, 40, 130, 84)))), 3
        ),
    ),
    _video(
        "two meet and turn back",
        4,
        Scene(
            0,
            (
                Actor(4, ((0, 80, 135, 76), (1.9, 225, 135, 76), (2.2, 225, 135, 76), (4, 80, 135, 76))),
                Actor(1, ((0, 400, 140, 80), (1.9, 255, 140, 80), (2.2, 255, 140, 80), (4, 400, 140, 80))),
            ),
            4,
        ),
    ),
    _video(
        "three cross",
        5,
        Scene(
            0,
            (
                Actor(6, ((0, 60, 120, 66), (5, 420, 150, 66))),
                Actor(7, ((0, 420, 130, 70), (5, 60, 140, 70))),
                Actor(5, ((0, 240, 60, 74), (2.5, 250, 150, 78), (5, 240, 210, 74))),
            ),
            5,
        ),
    ),
    _video("pillar", 4, Scene(0, (Actor(8, ((0, 60, 130, 76), (4, 420, 140, 76))),), 6, pillars=((215, 262),))),
    _video(
        "exit and return",
        6,
        Scene(
            0,
            (
                _still(3, 120, 140, 80),
                Actor(
                    2,
                    ((0, 330, 130, 80), (1.5, 560, 130, 80), (3.5, 560, 130, 80), (5, 330, 130, 80), (6, 330, 130, 80)),
                ),
            ),
            7,
        ),
    ),
    _video("scale", 4, Scene(0, (Actor(9, ((0, 240, 140, 36), (2, 240, 140, 160), (4, 230, 130, 40))),), 8)),
    _video(
        "fast",
        3,
        Scene(0, (Actor(7, tuple((k * 0.5, 80 if k % 2 else 400, 120 + 20 * (k % 3), 80) for k in range(7))),), 9),
    ),
    _video(
        "light",
        4,
        Scene(0, (_still(0, 150, 140, 90), Actor(8, ((0, 350, 120, 76), (4, 320, 150, 80)))), 10),
        light=_dimming,
    ),
    _video(
        "cut at the same place",
        4,
        Scene(0, (_still(1, 240, 140, 90),), 11),
        Scene(1.3, (_still(2, 242, 138, 92),), 12),
        Scene(2.7, (_still(1, 240, 140, 90),), 11),
    ),
    _video(
        "cut with as many faces",
        4,
        Scene(0, (_still(4, 130, 130, 80), _still(5, 350, 140, 76)), 13),
        Scene(2.1, (_still(6, 140, 135, 80), _still(0, 340, 135, 80)), 14),
    ),
    _video(
        "flash",
        4,
        Scene(0, (_still(6, 140, 130, 80), Actor(9, ((0, 300, 140, 70), (4, 380, 130, 70)))), 15),
        light=_flash,
    ),
    _video(
        "ghost",
        4,
        Scene(0, (Actor(2, ((0, 130, 130, 80), (4, 180, 140, 80))),), 16),
        ghosts=(
            (0.45, 0.57, (330, 80, 390, 158)),
            (1.98, 2.04, (60, 170, 100, 222)),
            (2.98, 3.04, (300, 70, 360, 148)),
        ),
    ),
    _video("crowd", 4, Scene(0, CROWD, 17)),
)
"""What every tracker should follow without an error, at 30 and at 5 frames a second."""


def wandering(seed: int, *, people: int = 4, seconds: float = 8.0, size: tuple[int, int] = (480, 270)) -> Video:
    """Return a video in which people walk about at random, before and behind each other, out of the image and back."""
    rng = np.random.default_rng([seed, 4242])
    who = rng.permutation(len(PEOPLE))[:people]
    actors = []
    for person in who.tolist():
        height, time_s, path = rng.uniform(50, 95), 0.0, []
        while time_s < seconds + 2:
            x, y = rng.uniform(-0.15, 1.15) * size[0], rng.uniform(0.35, 0.7) * size[1]
            path.append((time_s, x, y, height * rng.uniform(0.85, 1.15)))
            if rng.random() < 0.3:
                time_s += rng.uniform(0.3, 1.0)
                path.append((time_s, *path[-1][1:]))
            time_s += rng.uniform(1.0, 3.0)
        actors.append(Actor(person, tuple(path)))
    return Video(f"wandering {seed}", seconds, (Scene(0, tuple(actors), 100 + seed),), size)
