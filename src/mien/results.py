"""What analysis returns: small frozen classes that check themselves and know how to become plain data.

Results hold numbers and words, never pictures and never open files.
"""

from __future__ import annotations

import base64
import html
import importlib.util
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import need
from mien.errors import InputError
from mien.labels import LabelSet, canonical, label_set, mapping

__all__ = ["UNSURE_BELOW", "Box", "Emotion", "Face", "FailedItem", "ImageResult", "Points"]

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original picture; x2 and y2 are exclusive edges."""

Points = tuple[tuple[float, float], ...]
"""Five (x, y): left eye, right eye, nose, left and right mouth corner, as seen in the picture."""

UNSURE_BELOW = 0.5
"""A calibrated top probability below one half means that the answer is more likely wrong than right."""


@dataclass(frozen=True, slots=True)
class Emotion:
    """A distribution over the emotions of one label set.

    Parameters
    ----------
    labels : LabelSet
        Which emotions, in which order.
    probabilities : tuple of float
        One probability a label, summing to one (within 1e-4).

    Raises
    ------
    InputError
        If the length is wrong, a value is negative or not finite, or the sum is not one.
    """

    labels: LabelSet
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        values = tuple(float(p) for p in self.probabilities)
        if len(values) != len(self.labels):
            raise InputError(f"{self.labels.name} needs {len(self.labels)} probabilities, but got {len(values)}")
        if not all(math.isfinite(p) and p >= 0 for p in values):
            raise InputError(f"probabilities must be finite and not negative, but got {values}")
        if abs(sum(values) - 1) > 1e-4:
            raise InputError(f"probabilities must sum to 1, but got a sum of {sum(values):.6g}")
        object.__setattr__(self, "probabilities", values)

    @property
    def top(self) -> str:
        """The most probable emotion (the first of equals)."""
        return self.labels.emotions[self.probabilities.index(max(self.probabilities))]

    @property
    def confidence(self) -> float:
        """The probability of `top`."""
        return max(self.probabilities)

    @property
    def unsure(self) -> bool:
        """Whether the distribution is too flat: `confidence` below `UNSURE_BELOW`."""
        return self.confidence < UNSURE_BELOW

    def __getitem__(self, emotion: str) -> float:
        return self.probabilities[self.labels.index(emotion)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels.emotions)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, emotion: object) -> bool:
        try:
            return isinstance(emotion, str) and canonical(emotion) in self.labels.emotions
        except InputError:
            return False

    def items(self) -> Iterator[tuple[str, float]]:
        """Yield (emotion, probability) in the order of the label set."""
        return iter(zip(self.labels.emotions, self.probabilities, strict=True))

    def ranked(self) -> list[tuple[str, float]]:
        """Return (emotion, probability), most probable first."""
        return sorted(self.items(), key=lambda item: -item[1])

    def to(self, labels: LabelSet | str) -> Emotion:
        """Map the distribution to another label set (see `mien.labels.mapping`)."""
        target = label_set(labels) if isinstance(labels, str) else labels
        mapped = mapping(self.labels, target).apply(np.asarray(self.probabilities))
        return Emotion(target, tuple(mapped.tolist()))

    def to_array(self) -> NDArray[np.float64]:
        """Return the probabilities as float64 of shape (len(labels),)."""
        return np.asarray(self.probabilities, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: labels, top, confidence, unsure, probabilities."""
        return {
            "labels": self.labels.name,
            "top": self.top,
            "confidence": self.confidence,
            "unsure": self.unsure,
            "probabilities": dict(self.items()),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Emotion:
        """Build from what `to_dict` returned."""
        labels = label_set(data["labels"])
        return cls(labels, tuple(data["probabilities"][name] for name in labels.emotions))


@dataclass(frozen=True, slots=True)
class Face:
    """One face in a picture.

    Parameters
    ----------
    box : Box
        x1, y1, x2, y2 in pixels of the original picture.
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
    """The faces of one picture.

    Parameters
    ----------
    width, height : int
        Size of the picture in pixels, after its EXIF orientation was applied.
    faces : tuple of Face
        Largest first; empty when there is none, which is no error.
    path : str or None
        The file, as it was given; ``None`` for arrays and bytes.
    model, detector : str
        Names of what made the answer.
    warnings : tuple of str
        What was wrong with the picture, such as ``"the file is truncated"``.
    preview : callable or None
        Returns the drawn picture as PNG bytes, for notebooks; left out of comparison, data and pickles.
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
            raise InputError(f"a picture must have a size, but got {self.width} x {self.height}")
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
        if library not in (None, "pandas", "polars"):
            raise InputError(f"library must be 'pandas' or 'polars', but got {library!r}")
        if library is None:
            library = "polars" if _only_polars() else "pandas"
        return need(library, extra=library, purpose="to_frame").DataFrame(self.rows())

    def _repr_png_(self) -> bytes | None:
        return None if self.preview is None else self.preview(self)

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return "<p>no face</p>"
        columns = ("face", "emotion", "confidence", "unsure")
        head = "".join(f"<th>{name}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>"
            for row in rows
        )
        return f"{_inline(self._repr_png_())}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item of a batch that could not be read or analysed: its row in the results.

    Parameters
    ----------
    path : str or None
        The file, as it was given.
    error : str
        Name of the error's class, such as ``"DecodeError"``.
    message : str
        The error's message.
    """

    path: str | None
    error: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {"path": self.path, "error": self.error, "message": self.message}


def _only_polars() -> bool:
    def installed(name: str) -> bool:
        return importlib.util.find_spec(name) is not None

    return installed("polars") and not installed("pandas")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def _inline(png: bytes | None) -> str:
    if png is None:
        return ""
    return f'<img alt="the faces found" src="data:image/png;base64,{base64.b64encode(png).decode()}"><br>'
