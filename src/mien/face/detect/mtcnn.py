"""MTCNN: three small nets in a cascade, run by our own numpy code over ONNX files.

The first net (P) slides a window of 12 px over a pyramid of the image and proposes boxes; the second (R, 24 px) and
the third (O, 48 px) look again at what is left, in one batch each; the third also gives the five landmarks.

References
----------
Zhang, Zhang, Li and Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks. IEEE
Signal Processing Letters 23 (2016), arXiv:1604.02878.  The weights: see ``weights/mtcnn.toml``.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, describe
from mien.errors import InputError
from mien.face.detect import Detection, SizedDetector
from mien.models import registry, runtime

__all__ = ["ImagePyramid", "MtcnnDetector", "bands", "contained", "non_maximum"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

P_WINDOW, P_STRIDE, R_SIDE, O_SIDE = 12, 2, 24, 48
"""The nets' geometry: Zhang et al. 2016, figure 2."""

FIRST_WINDOW = 1.5
"""P's first window, in sizes of the smallest face: P proposes smaller faces, too, and R and O see them at full size.
Of 144 faces of about 23 px, all but 12 are found, as with windows of their size (10), by 0.44 of P's work; with 1.8
times as large ones 50 are lost.  Tuned on photographs, half of the people, shrunk and laid on a blurred background."""

FACTOR, FINE_FACTOR, FINE_PX = 0.709, 0.842, 40
"""From one level of the pyramid to the next: half the area, as the authors do; half as far between levels whose shorter
side is not above `FINE_PX`, where a step is a large part of the image.  That costs hardly anything, and finds more of
the faces that fill the image or are cut by its border."""

P_SCORE, COARSE_P_SCORE, R_SCORE, O_SCORE = 0.8, 0.7, 0.7, 0.8
"""What the nets must say of a face; P less in the coarse levels (`FINE_PX`), which propose few.  Tuned on
``face_boxes/testing.xml`` at sizes from 0.35 to 3: true faces score 0.97 and more, and the few false ones up to 0.79;
the authors' 0.6, 0.7, 0.7 find the same faces from half as many proposals more."""

SAME_LEVEL, ALL_LEVELS, SAME_FACE, WITHIN = 0.5, 0.6, 0.7, 0.7
"""Overlaps above which the lower score goes: in a level, between levels and after R (intersection over union), and
after O (intersection over the smaller box).  The authors' values, but for 0.7 between levels: a tenth less work."""

MAX_PER_LEVEL, MAX_PROPOSALS = 500, 1000
"""An image of noise or of a stadium must not cost minutes: the best-scored proposals are kept."""

BAND_PIXELS, BAND_ROWS = 60_000, 64
"""P sees a level in bands of about so many pixels, at least so many rows: the maps of a whole large level do not fit
the processor's cache, and take more time."""

SLACK = 0.8
"""Boxes smaller than this part of what is asked for are not given to O."""

MAX_PLACE = 1e6
"""Pixels from the image's corner, more than any image has: what float32 still places to a tenth of a pixel."""

PAD = 4
"""Gray around each level, so that the window also reaches faces at the border: 2 % more of FER2013's bare faces."""

GRAY = (127, 127, 127)
"""What lies beyond the image; zero after the nets' normalization."""


class MtcnnDetector(SizedDetector):
    """Find faces and their five landmarks with MTCNN.  Thread-safe and deterministic.

    Boxes are tight around the face (forehead to chin, higher than wide) and cut off at the image's border;
    landmarks may lie slightly beyond it.

    Parameters
    ----------
    min_face_px : float, optional
        See `get_detector`; values under 8 enlarge the image.
    threads : int, optional
        Threads within one call; by default one, since the nets are too small to gain from more.
    device : str
        ``"cpu"`` or ``"cuda"``, see `mien.models.runtime.load`.
    engine : str
        One of `mien.models.runtime.ENGINES`; always in float32.

    Raises
    ------
    InputError
        If an argument is out of range.
    ModelError
        If the weights are missing or damaged, or the device is not there.
    """

    name = "mtcnn"
    searched_px = P_WINDOW / FIRST_WINDOW

    def __init__(
        self,
        *,
        min_face_px: float | None = None,
        threads: int | None = None,
        device: str = "cpu",
        engine: str = "onnxruntime",
    ) -> None:
        super().__init__(min_face_px)
        spec = registry.get("mtcnn")
        threads = 1 if threads is None else threads
        self._p, self._r, self._o = (
            runtime.load(spec, role, threads=threads, device=device, engine=engine) for role in ("pnet", "rnet", "onet")
        )

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Find the faces in an image, with landmarks: see `Detector.detect`."""
        pyramid = ImagePyramid(check_image(image))
        min_face = self.smallest_face_px(*pyramid.size)
        boxes = self._propose(pyramid, min_face)
        if len(boxes):
            boxes = self._refine(pyramid, boxes)
            # O changes a box by less than that.
            boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= SLACK * min_face]
        return self._finish(pyramid, boxes, min_face) if len(boxes) else Detection.empty(landmarks=True)

    def follow(self, image: NDArray[np.uint8], boxes: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Look again for faces near places where they are expected, without searching the image.

        The third net (O) moves each box onto the face that it sees there: about 0.3 ms a face, where `detect` takes 20.
        Where it sees none, the second net (R) moves the box first, which finds faces that have moved by up to half
        their size.  Faces are not compared: two boxes may be moved onto the same face.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.
        boxes : numpy.ndarray
            Shape (n, 4): x1, y1, x2, y2 in pixels of the image, finite; they may reach beyond it.

        Returns
        -------
        boxes : numpy.ndarray
            float32 of shape (n, 4), row for row; they may reach beyond the image.
        scores : numpy.ndarray
            float32 of shape (n,), as those of `detect`; what is not above `O_SCORE` is no face.
        landmarks : numpy.ndarray
            float32 of shape (n, 5, 2), in the order of `Detection`.

        Raises
        ------
        InputError
            If the image or the boxes are malformed.
        """
        pyramid, places = ImagePyramid(check_image(image)), _places(boxes)
        found, scores, landmarks = self._look_again(pyramid, places)
        weak = np.flatnonzero(scores <= O_SCORE)
        if len(weak):
            squares = _square(places[weak])
            offsets = self._r.run({"image": pyramid.patches(squares, R_SIDE)}, ["offsets"])["offsets"]
            second = self._look_again(pyramid, _moved(squares, offsets))
            better = second[1] > scores[weak]
            for first, again in zip((found, scores, landmarks), second, strict=True):
                first[weak[better]] = again[better]
        return found, scores, landmarks

    def _look_again(self, pyramid: ImagePyramid, boxes: Floats) -> tuple[Floats, Floats, Floats]:
        """Run O over boxes; return boxes, scores and landmarks, row for row."""
        if not len(boxes):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        squares = _square(boxes)
        result = self._o.run({"image": pyramid.patches(squares, O_SIDE)})
        return _moved(squares, result["offsets"]), result["scores"][:, 0], _landmarks(squares, result["points"])

    def _propose(self, pyramid: ImagePyramid, min_face: float) -> Floats:
        """Run P over the pyramid; return boxes (n, 4), best first."""
        height, width = pyramid.size
        scale = self.searched_px / min_face
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        while min(height, width) * scale + 2 * PAD >= P_WINDOW:
            columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
            found, found_scores = self._window(pyramid.resized(columns, rows))
            boxes.append(found * np.array([width / columns, height / rows] * 2, np.float32))
            scores.append(found_scores)
            scale *= FACTOR if min(height, width) * scale > FINE_PX else FINE_FACTOR
        every, every_score = np.concatenate(boxes), np.concatenate(scores)
        kept: Floats = every[non_maximum(every, every_score, ALL_LEVELS)][:MAX_PROPOSALS]
        return kept

    def _window(self, level: Image) -> tuple[Floats, Floats]:
        """Run P over one level; return boxes in its pixels and scores."""
        framed = cv2.copyMakeBorder(level, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=GRAY)
        parts = [self._p.run({"image": framed[None, rows]}) for rows in bands(*framed.shape[:2])]
        score_map, offset_map = (np.concatenate([part[name][0] for part in parts], 1) for name in ("scores", "offsets"))
        score_map = score_map[0]
        least = P_SCORE if min(level.shape[:2]) > FINE_PX else COARSE_P_SCORE
        rows, columns = np.nonzero(score_map > least)
        scores = score_map[rows, columns]
        if len(scores) > MAX_PER_LEVEL:
            best = np.argsort(-scores, kind="stable")[:MAX_PER_LEVEL]
            rows, columns, scores = rows[best], columns[best], scores[best]
        corners = np.stack([columns, rows], axis=1) * P_STRIDE - PAD
        offsets = offset_map[:, rows, columns].T
        boxes = (np.concatenate([corners, corners + P_WINDOW], axis=1) + offsets * P_WINDOW).astype(np.float32)
        kept = non_maximum(boxes, scores, SAME_LEVEL)
        return boxes[kept], scores[kept]

    def _refine(self, pyramid: ImagePyramid, boxes: Floats) -> Floats:
        """Run R over the proposals; return the boxes that are left, moved."""
        squares = _square(boxes)
        result = self._r.run({"image": pyramid.patches(squares, R_SIDE)})
        scores = result["scores"][:, 0]
        likely = scores > R_SCORE
        moved = _moved(squares[likely], result["offsets"][likely])
        kept: Floats = moved[non_maximum(moved, scores[likely], SAME_FACE)]
        return kept

    def _finish(self, pyramid: ImagePyramid, boxes: Floats, min_face: float) -> Detection:
        """Run O over what R left."""
        moved, scores, landmarks = self._look_again(pyramid, boxes)
        likely = scores > O_SCORE
        moved, scores, landmarks = moved[likely], scores[likely], landmarks[likely]
        height, width = pyramid.size
        inside = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
        kept = contained(moved, scores, WITHIN)
        sides = inside[kept, 2:] - inside[kept, :2]
        kept = kept[(sides >= 1).all(axis=1) & (sides.max(axis=1) >= min_face)]
        return Detection(inside[kept], scores[kept], landmarks[kept])


class ImagePyramid:
    """An image and its halvings, made when first asked for: what is sampled from them is not aliased."""

    def __init__(self, image: Image) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        self._levels = [image]

    def _level(self, shrink: float) -> Image:
        """Return the smallest halving that is not coarser than the image shrunk so many times."""
        index = math.floor(math.log2(max(shrink, 1.0)))
        while len(self._levels) <= index and min(self._levels[-1].shape[:2]) >= 2:
            height, width = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(half, dtype=np.uint8))
        return self._levels[min(index, len(self._levels) - 1)]

    def resized(self, width: int, height: int) -> Image:
        """Return the whole image in another size."""
        level = self._level(min(self.size[0] / height, self.size[1] / width))
        return np.asarray(cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def patches(self, squares: Floats, side: int) -> Image:
        """Return the squares (n, 4), which may reach beyond the image, as uint8 of shape (n, side, side, 3)."""
        out = np.empty((len(squares), side, side, 3), np.uint8)
        matrix = np.zeros((2, 3))
        for patch, (x, y, right, _) in zip(out, squares.tolist(), strict=True):
            step = (right - x) / side
            level = self._level(step)
            zoom_x, zoom_y = level.shape[1] / self.size[1], level.shape[0] / self.size[0]
            # OpenCV counts from the center of the first pixel.
            matrix[0] = step * zoom_x, 0, (x + step / 2) * zoom_x - 0.5
            matrix[1] = 0, step * zoom_y, (y + step / 2) * zoom_y - 0.5
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            cv2.warpAffine(
                level, matrix, (side, side), dst=patch, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=GRAY
            )
        return out


def bands(height: int, width: int) -> list[slice]:
    """Return the rows of a level that P sees at a time; its maps for them, one below the other, are the level's.

    Two neighbors share as many rows as the window has more than its stride.
    """
    at_once = max(BAND_PIXELS // width, BAND_ROWS)
    count = -(-height // at_once)
    step = -(-height // (count * P_STRIDE)) * P_STRIDE
    starts = [top for top in range(0, height, step) if top == 0 or height - top >= P_WINDOW]
    return [slice(top, top + step + P_WINDOW - P_STRIDE) for top in starts[:-1]] + [slice(starts[-1], height)]


def _square(boxes: Floats) -> Floats:
    """Widen boxes to squares about the same center, at least one pixel wide."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True), 1) / 2
    return np.concatenate([center - half, center + half], axis=1)


def _moved(squares: Floats, offsets: Floats) -> Floats:
    """Move the corners by the nets' offsets, which are in parts of the square's side."""
    moved: Floats = squares + offsets * (squares[:, 2:3] - squares[:, :1])
    return moved


def _landmarks(squares: Floats, parts: Floats) -> Floats:
    """Return O's landmarks (n, 5, 2) in the image: it gives five x, then five y, in parts of the square."""
    parts = parts.reshape(-1, 2, 5).transpose(0, 2, 1)
    landmarks: Floats = squares[:, None, :2] + parts * (squares[:, 2:] - squares[:, :2])[:, None]
    return landmarks


def _places(boxes: Any) -> Floats:
    """Return boxes to look at as float32 (n, 4), or raise `InputError`."""
    if not isinstance(boxes, np.ndarray) or boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
        raise InputError(f"boxes must be a float array of shape (n, 4), but got {describe(boxes)}")
    places = boxes.astype(np.float32)
    if not (np.abs(places) < MAX_PLACE).all():
        raise InputError(f"boxes must be finite and within {MAX_PLACE:g} pixels, but got others")
    return places


def non_maximum(boxes: Floats, scores: Floats, limit: float) -> NDArray[np.intp]:
    """Return the boxes that no better one overlaps by more than ``limit`` (intersection over union), best first."""
    if not len(boxes):
        return np.zeros(0, np.intp)
    corners = boxes.astype(np.float64)
    corners[:, 2:] -= corners[:, :2]
    return np.asarray(cv2.dnn.NMSBoxes(corners, scores, 0.0, limit), dtype=np.intp)  # type: ignore[arg-type]


def contained(boxes: Floats, scores: Floats, limit: float) -> NDArray[np.intp]:
    """Return the boxes that no better one overlaps by more than ``limit`` of the smaller's area, best first."""
    order = np.argsort(-scores, kind="stable")
    ranked = boxes[order]
    low = np.maximum(ranked[:, None, :2], ranked[None, :, :2])
    high = np.minimum(ranked[:, None, 2:], ranked[None, :, 2:])
    area = (ranked[:, 2:] - ranked[:, :2]).prod(axis=1)
    covered = np.maximum(high - low, 0).prod(axis=2) > limit * np.minimum(area[:, None], area)
    alive = np.ones(len(order), dtype=bool)
    for index in range(len(order)):
        if alive[index]:
            alive[index + 1 :] &= ~covered[index, index + 1 :]
    return order[alive]
