"""Faces and the images that they are in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mien.errors import InputError
from mien.results._notebook import frame, html_table, inline
from mien.results.emotion import Emotion

__all__ = ["Box", "Face", "ImageResult", "Points"]

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original image; x2 and y2 are exclusive edges."""

Points = tuple[tuple[float, float], ...]
"""Five (x, y): left eye, right eye, nose, left and right mouth corner, as seen in the image."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face in an image.

    Parameters
    ----------
    box : Box
        x1, y1, x2, y2 in pixels of the original image.
    score : float
        The detector's confidence in 0..1.
    points : Points or None
        Five landmarks, where the detector has them.
    emotion : Emotion or None
        The answer of the model's default output.
    outputs : dict of str to Emotion
        The answers of all of the model's outputs, by name; `emotion` is one of them.
    warnings : tuple of str
        What makes this face hard to read, such as ``"the face is only 18 px wide"``.
    """

    box: Box
    score: float
    points: Points | None = None
    emotion: Emotion | None = None
    outputs: dict[str, Emotion] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        box = tuple(float(v) for v in self.box)
        if len(box) != 4 or not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
            raise InputError(f"box must be finite x1, y1, x2, y2 with x1 < x2 and y1 < y2, but got {self.box}")
        object.__setattr__(self, "box", box)
        if self.points is not None:
            points = tuple((float(x), float(y)) for x, y in self.points)
            if len(points) != 5 or not all(math.isfinite(v) for point in points for v in point):
                raise InputError(f"points must be five finite (x, y), but got {self.points}")
            object.__setattr__(self, "points", points)
        if not 0 <= self.score <= 1:
            raise InputError(f"score must be from 0 to 1, but got {self.score}")

    @property
    def width_px(self) -> float:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height_px(self) -> float:
        """Height of the box in pixels."""
        return self.box[3] - self.box[1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "box": list(self.box),
            "score": self.score,
            "points": None if self.points is None else [list(point) for point in self.points],
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "outputs": {name: emotion.to_dict() for name, emotion in self.outputs.items()},
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Face:
        """Build from what `to_dict` returned."""
        return cls(
            box=tuple(data["box"]),
            score=data["score"],
            points=None if data["points"] is None else tuple((x, y) for x, y in data["points"]),
            emotion=None if data["emotion"] is None else Emotion.from_dict(data["emotion"]),
            outputs={name: Emotion.from_dict(emotion) for name, emotion in data["outputs"].items()},
            warnings=tuple(data["warnings"]),
        )


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The faces of one image.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels, after its EXIF orientation was applied.
    faces : tuple of Face
        Largest first; empty when there is none, which is no error.
    path : str or None
        The file, as it was given; ``None`` for arrays and bytes.
    model, detector : str
        Names of what made the answer.
    warnings : tuple of str
        What was wrong with the image, such as ``"the file is truncated"``.
    preview : callable or None
        Returns the drawn image as PNG bytes, for notebooks; left out of comparison, data and pickles.
    """

    width: int
    height: int
    faces: tuple[Face, ...] = ()
    path: str | None = None
    model: str = ""
    detector: str = ""
    warnings: tuple[str, ...] = ()
    preview: Callable[[ImageResult], bytes] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"an image must have a size, but got {self.width} x {self.height}")
        object.__setattr__(self, "faces", tuple(self.faces))

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.width, self.height, self.faces, self.path, self.model, self.detector, self.warnings)
        return (type(self), fields)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "model": self.model,
            "detector": self.detector,
            "warnings": list(self.warnings),
            "faces": [face.to_dict() for face in self.faces],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ImageResult:
        """Build from what `to_dict` returned."""
        return cls(
            width=data["width"],
            height=data["height"],
            faces=tuple(Face.from_dict(face) for face in data["faces"]),
            path=data["path"],
            model=data["model"],
            detector=data["detector"],
            warnings=tuple(data["warnings"]),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row a face: path, face, box, score, emotion, confidence, unsure, one column an emotion."""
        rows = []
        for number, face in enumerate(self.faces, 1):
            row: dict[str, Any] = {"path": self.path, "face": number}
            row.update(zip(("x1", "y1", "x2", "y2"), face.box, strict=True))
            row["score"] = face.score
            if face.emotion is not None:
                row.update(emotion=face.emotion.top, confidence=face.emotion.confidence, unsure=face.emotion.unsure)
                row.update(face.emotion.items())
            rows.append(row)
        return rows

    def to_frame(self, library: str | None = None) -> Any:
        """Return the rows as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, optional
            Which library; by default pandas where it is installed, else polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            One row a face (see `rows`).

        Raises
        ------
        MissingExtraError
            If the library is not installed.
        InputError
            If the library has another name.
        """
        return frame(self.rows(), library)

    def _repr_png_(self) -> bytes | None:
        return None if self.preview is None else self.preview(self)

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return "<p>no face</p>"
        table = html_table(rows, ("face", "emotion", "confidence", "unsure"))
        return inline(self._repr_png_(), "the faces found") + table
