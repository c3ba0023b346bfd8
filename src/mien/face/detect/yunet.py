"""YuNet: one tiny net for faces and five landmarks, run by OpenCV; an optional download (``mien models get yunet``).

References
----------
Wu, Peng and Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20 (2023),
doi:10.1007/s11633-023-1423-y.  The weights: see ``weights/optional/yunet.toml``.
"""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, describe
from mien.errors import InputError, ModelError
from mien.face.detect import Detection, SizedDetector
from mien.face.detect.mtcnn import contained
from mien.models import registry, store

__all__ = ["YunetDetector"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

SCORE = 0.8
"""Tuned on ``face_boxes/testing.xml`` at half, full and twice the size: at full and twice the size all 25 faces and no
false box, up to 0.85; the demo of the OpenCV Zoo (``models/face_detection_yunet/demo.py``) has 0.9, which misses seven
of the 25 at full size, and OpenCV's default is 0.9, too."""

OVERLAP, MOST = 0.3, 5000
"""Intersection over union above which the lower score goes, and how many boxes are compared: the demo's values."""

COARSER, LONG_PX = 4, 320
"""The image is looked at again, so many times coarser, as long as its longer side is above this: the net sees no
faces of more than about 300 px."""

SPLIT_PX = 240
"""Faces above this size are left to the coarser look, where they have a quarter of it."""

WITHIN = 0.7
"""Overlap of the smaller box above which two looks have found the same face."""

SIDE_PX = 64
"""Twice the net's coarsest stride.  Narrower images are filled up with black, as OpenCV does to whole strides: on maps
of one row or column it reads memory that nobody has written, and finds faces at random (OpenCV 4.14)."""


class YunetDetector(SizedDetector):
    """Find faces and their five landmarks with YuNet.  Thread-safe: each thread has its own nets.

    Boxes are tight around the face (forehead to chin) and cut off at the image's border; landmarks may lie slightly
    beyond it.

    Parameters
    ----------
    min_face_px : float, optional
        See `get_detector`.  The image is scaled so that such a face has `searched_px`.
    threads : int, optional
        Accepted for the sake of the contract; OpenCV manages its threads for the whole process.
    device : str
        Only ``"cpu"``.
    engine : str
        Accepted for the sake of the contract: OpenCV runs it.

    Raises
    ------
    InputError
        If an argument is out of range.
    ModelError
        If the file is not there (``mien models get yunet``) or damaged.
    """

    name = "yunet"

    sure_score = 0.91
    searched_px = 16
    """The zoo's page says that the net sees faces of about 10 to 300 px; at 12 px scores fall under `SCORE` for some of
    the true faces, and at 20 px the work is half as much again for nothing."""

    def __init__(
        self,
        *,
        min_face_px: float | None = None,
        threads: int | None = None,
        device: str = "cpu",
        engine: str = "onnxruntime",  # noqa: ARG002
    ) -> None:
        if device != "cpu":
            raise InputError(f"device of the detector yunet must be 'cpu', but got {describe(device)}")
        super().__init__(min_face_px)
        self.threads = threads
        self._content = np.frombuffer(store.read_weights(registry.get("yunet")), np.uint8)
        self._local = threading.local()
        self._net(0)  # a file that OpenCV cannot read raises now, not with the first image

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Find the faces in an image, with landmarks: see `Detector.detect`."""
        image = check_image(image)
        height, width = image.shape[:2]
        min_face = self.smallest_face_px(height, width)
        found = self._search_scales(image, self.searched_px / min_face)
        boxes, scores = found[:, :4].copy(), np.clip(found[:, 14], 0, 1)
        boxes[:, 2:] += boxes[:, :2]
        inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
        sides = inside[:, 2:] - inside[:, :2]
        kept = np.flatnonzero((sides >= 1).all(axis=1) & (sides.max(axis=1) >= min_face))
        if not len(kept):
            return Detection.empty(landmarks=True)
        kept = kept[contained(boxes[kept], scores[kept], WITHIN)]
        # OpenCV names the landmarks by the person's sides, right eye first: as seen in the image, that is the left one.
        return Detection(inside[kept], scores[kept], found[kept, 4:14].reshape(-1, 5, 2))

    def _search_scales(self, image: Image, scale: float) -> Floats:
        """Return what the net says of the image at this scale and coarser ones: rows of 15, in pixels."""
        height, width = image.shape[:2]
        rows: list[Floats] = []
        low = 0.0
        while True:
            columns, lines = max(1, round(width * scale)), max(1, round(height * scale))
            found = self._search(image, columns, lines, len(rows))
            size = found[:, 2:4].max(axis=1, initial=0)
            last = max(columns, lines) <= LONG_PX
            found = found[(size > low) & (np.True_ if last else size <= SPLIT_PX)]
            found[:, :14] *= np.array([width / columns, height / lines] * 7, np.float32)
            rows.append(found)
            if last:
                return np.concatenate(rows)
            # A little lower than the split: a face at the border of both looks must not be lost.
            scale, low = scale / COARSER, 0.8 * SPLIT_PX / COARSER

    def _search(self, image: Image, columns: int, lines: int, number: int) -> Floats:
        """Run a net over the image at one size; return rows of 15: box (x, y, width, height), landmarks, score."""
        if (lines, columns) != image.shape[:2]:
            how = cv2.INTER_AREA if columns < image.shape[1] else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (columns, lines), interpolation=how), dtype=np.uint8)
        blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        below, beside = max(0, SIDE_PX - lines), max(0, SIDE_PX - columns)
        if below or beside:
            blue_first = cv2.copyMakeBorder(blue_first, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        net = self._net(number)
        net.setInputSize((blue_first.shape[1], blue_first.shape[0]))
        found = net.detect(blue_first)[1]
        if found is None:
            return np.zeros((0, 15), np.float32)
        rows = np.asarray(found, dtype=np.float32)
        return rows[np.isfinite(rows).all(axis=1)]

    def _net(self, look: int) -> Any:
        """Return this thread's net for the first, second, ... look at an image.

        OpenCV's objects keep state while they run; and one that sees another size than before plans its work anew,
        which takes as long as the work: 29 ms instead of 13 for both looks at 1280 x 720.
        """
        nets = self._local.__dict__.setdefault("nets", {})
        if look not in nets:
            try:
                nets[look] = cv2.FaceDetectorYN.create(
                    "onnx", self._content, np.zeros(0, np.uint8), (SIDE_PX, SIDE_PX), SCORE, OVERLAP, MOST
                )
            except (cv2.error, AttributeError) as error:
                raise ModelError(f"this OpenCV ({cv2.__version__}) cannot run YuNet: it needs 4.8 or newer") from error
        return nets[look]
