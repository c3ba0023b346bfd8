"""One frame of a video, with its faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.results.emotion import Emotion
from mien.results.face import Face, ImageResult

__all__ = ["TrackedFace", "VideoFrame", "told"]


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face in a frame of a video.

    Parameters
    ----------
    track : int
        Number of the person, 1 and up: the same in all frames.
    face : Face
        Box, points and score; its emotion is the answer to this frame alone.
    smoothed : Emotion
        The answer in the light of the frames around it; of those before it while the video is still read.
    detected : bool
        Whether the detector looked at the whole frame; otherwise the face was followed from an earlier one.
    sharpness : float or None
        How sharp the face is, see `mien.face.quality.sharpness`; None where that was not measured.
    """

    track: int
    face: Face
    smoothed: Emotion
    detected: bool = True
    sharpness: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "track": self.track,
            "detected": self.detected,
            "box": list(self.face.box),
            "score": self.face.score,
            "sharpness": self.sharpness,
            "points": None if self.face.points is None else [list(point) for point in self.face.points],
            "emotion": None if self.face.emotion is None else self.face.emotion.to_dict(),
            "smoothed": self.smoothed.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrackedFace:
        """Build from what `to_dict` returned."""
        face = Face.from_dict({**data, "outputs": {}, "warnings": []})
        return cls(data["track"], face, Emotion.from_dict(data["smoothed"]), data["detected"], data["sharpness"])


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One analyzed frame of a video.

    Parameters
    ----------
    time_s : float
        When it is shown, by the video's own clock; zero is where the video begins.
    width, height : int
        Size in pixels, upright.
    faces : tuple of TrackedFace
        By the numbers of the persons; empty when nobody is seen.
    """

    time_s: float
    width: int
    height: int
    faces: tuple[TrackedFace, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "faces", tuple(self.faces))

    def image(self) -> ImageResult:
        """Return the frame as the result of an image; its faces have the smoothed emotions."""
        faces = tuple(Face(f.face.box, f.face.score, f.face.points, f.smoothed) for f in self.faces)
        return ImageResult(self.width, self.height, faces)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {"time_s": self.time_s, "faces": [face.to_dict() for face in self.faces]}

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return one flat row a face: see `VideoResult.rows`."""
        rows = []
        for tracked in self.faces:
            row: dict[str, Any] = {"path": path, "time_s": self.time_s, "track": tracked.track}
            row.update(zip(("x1", "y1", "x2", "y2"), tracked.face.box, strict=True))
            row.update(score=tracked.face.score, detected=tracked.detected)
            row.update(told(tracked.smoothed))
            rows.append(row)
        return rows


def told(emotion: Emotion) -> dict[str, Any]:
    """Return the columns of a table that tell a distribution."""
    return {
        "emotion": emotion.top,
        "confidence": emotion.confidence,
        "unsure": emotion.unsure,
        **dict(emotion.items()),
    }
