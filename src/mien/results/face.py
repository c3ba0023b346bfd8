"""Faces and the images that they are in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from mien._checks import count_of
from mien.errors import InputError
from mien.labels import FER7, LabelSet
from mien.results.emotion import MAX_SHOWN, Emotion, Record, describe_top, read_emotion, to_plain
from mien.results.tables import Column, Result, box_values, columns, html_preview, html_table, table_row

__all__ = ["Box", "Face", "ImageResult", "Landmarks"]

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original image; x2 and y2 are exclusive edges."""

Landmarks = tuple[tuple[float, float], ...]
"""Five (x, y): left eye, right eye, nose, left and right mouth corner, as seen in the image."""


@dataclass(frozen=True, slots=True)
class Face(Record):
    """One face in an image.

    Parameters
    ----------
    box : Box
        x1, y1, x2, y2 in pixels of the original image.
    score : float
        The detector's confidence in 0..1.
    landmarks : Landmarks or None
        Five landmarks, where the detector has them.
    emotion : Emotion or None
        The prediction of the model's default output.
    outputs : dict of str to Emotion
        The predictions of all of the model's outputs, by name; `emotion` is one of them.
    warnings : tuple of str
        What makes this face hard to read, such as ``"the face is only 18 px wide"``.
    """

    box: Box
    score: float
    landmarks: Landmarks | None = None
    emotion: Emotion | None = None
    outputs: dict[str, Emotion] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        box = tuple(float(v) for v in self.box)
        if len(box) != 4 or not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
            raise InputError(f"box must be finite x1, y1, x2, y2 with x1 < x2 and y1 < y2, but got {self.box}")
        object.__setattr__(self, "box", box)
        if self.landmarks is not None:
            landmarks = tuple((float(x), float(y)) for x, y in self.landmarks)
            if len(landmarks) != 5 or not all(math.isfinite(v) for point in landmarks for v in point):
                raise InputError(f"landmarks must be five finite (x, y), but got {self.landmarks}")
            object.__setattr__(self, "landmarks", landmarks)
        if not 0 <= self.score <= 1:
            raise InputError(f"score must be from 0 to 1, but got {self.score}")

    def __repr__(self) -> str:
        left, top = self.box[:2]
        size = f"{self.width_px:.0f} x {self.height_px:.0f} px"
        return f"<Face of {size} at ({left:.0f}, {top:.0f}): {describe_top(self.emotion)}>"

    @property
    def width_px(self) -> float:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height_px(self) -> float:
        """Height of the box in pixels."""
        return self.box[3] - self.box[1]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Face:
        """Build from what `to_dict` returned."""
        return cls(
            box=tuple(data["box"]),
            score=data["score"],
            landmarks=None if data["landmarks"] is None else tuple((x, y) for x, y in data["landmarks"]),
            emotion=read_emotion(data["emotion"]),
            outputs={name: Emotion.from_dict(emotion) for name, emotion in data["outputs"].items()},
            warnings=tuple(data["warnings"]),
        )


@dataclass(frozen=True, slots=True, repr=False)
class ImageResult(Result):
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
        Their names.
    warnings : tuple of str
        What was wrong with the image, such as ``"the file is truncated"``.
    labels : LabelSet, optional
        The emotions of the model's default output; by default those of the faces, and of none those of ``fer7``.
    preview : callable or None
        Returns the drawn image as PNG bytes, for notebooks; left out of comparison, data and pickles.
    """

    tables: ClassVar[tuple[str, ...]] = ("faces",)

    width: int
    height: int
    faces: tuple[Face, ...] = ()
    path: str | None = None
    model: str = ""
    detector: str = ""
    warnings: tuple[str, ...] = ()
    labels: LabelSet = None  # type: ignore[assignment]  # set below
    preview: Callable[[ImageResult], bytes] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"an image must have a size, but got {self.width} x {self.height}")
        object.__setattr__(self, "faces", tuple(self.faces))
        if self.labels is None:
            found = (face.emotion.labels for face in self.faces if face.emotion is not None)
            object.__setattr__(self, "labels", next(found, FER7))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), tuple(getattr(self, entry.name) for entry in fields(self) if entry.name != "preview"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        names = ("path", "width", "height", "model", "detector", "labels", "warnings", "faces")
        return {name: to_plain(getattr(self, name)) for name in names}

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
            labels=LabelSet.from_data(data["labels"]),
        )

    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of the table ``faces``."""
        return columns(self._table(table), self.labels)

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """Return one row a face, with the image's own warnings in each; one with path and warnings without a face."""
        name = self._table(table)
        if not self.faces:
            return [table_row(name, self.labels, self.path, warnings=self.warnings)]
        return [
            table_row(
                name,
                self.labels,
                self.path,
                {"face": number, **box_values(face.box, face.score)},
                emotion=face.emotion,
                warnings=(*self.warnings, *face.warnings),
            )
            for number, face in enumerate(self.faces, 1)
        ]

    def _summarize(self) -> str:
        shown = ", ".join(["", *(describe_top(face.emotion) for face in self.faces[:MAX_SHOWN])])
        faces = f"{count_of(len(self.faces), 'face')}{shown}{', ...' * (len(self.faces) > MAX_SHOWN)}"
        return f"{self.width} x {self.height} px, {faces}"

    def _repr_html_(self) -> str:
        if not self.faces:
            return "<p>no face</p>"
        table = html_table(self.rows(), ("face", "emotion", "confidence", "unsure"))
        return html_preview(self, "the faces found") + table
