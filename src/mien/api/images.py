"""Images: a file in, faces out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import warn
from mien.api._many import checked_workers, in_order, path_of
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import Detector, get_detector
from mien.face.prepare import FaceCut, PreparedFace, cut_faces
from mien.io import image as _image
from mien.models import ModelSpec, registry
from mien.options import DEFAULT_MAX_PIXELS
from mien.output.draw import draw
from mien.output.write import encode_png
from mien.results import FailedItem, ImageResult

__all__ = ["analyze_image", "analyze_images", "prepare_faces", "read_image"]

_PREVIEW_PX = 1024


def read_image(source: Any, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        See `mien.io.image.read_image`, which also tells format and warnings.
    max_pixels : int
        Largest width x height to decode, checked from the header.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB, upright.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If the source is of another type.
    """
    image = _image.read_image(source, max_pixels=max_pixels)
    for warning in image.warnings:
        warn(warning)
    return image.pixels


def analyze_image(
    source: Any,
    *,
    model: str | os.PathLike[str] = "face-base",
    detector: str = "mtcnn",
    output: str | None = None,
    min_face_px: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
    engine: str = "onnxruntime",
    precision: str = "float32",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> ImageResult:
    """Find the faces of an image and read their emotions.

    Model and detector stay loaded between calls with the same options.  For many images see `analyze_images`.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The image; an array is uint8 (H, W, 3) in RGB.
    model, detector, output, min_face_px, threads, device, engine, precision
        See `mien.FaceAnalyzer`.
    max_pixels : int
        Largest width x height to decode.

    Returns
    -------
    ImageResult
        Largest face first; in a notebook it shows the drawn image and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If an argument is wrong.
    ModelError
        If the model cannot be loaded.
    """
    analyzer = _analyzer(registry.get(model), detector, output, min_face_px, threads, device, engine, precision)
    result = _analyzed(analyzer, source, max_pixels)
    for warning in result.warnings:
        warn(warning)
    return result


def analyze_images(
    sources: Iterable[Any],
    *,
    analyzer: FaceAnalyzer | None = None,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    seen: Callable[[Any, NDArray[np.uint8], ImageResult], None] | None = None,
) -> Iterator[ImageResult | FailedItem]:
    """Analyze many images as they come; a bad one becomes a `FailedItem` and stops nothing.

    Parameters
    ----------
    sources : iterable
        What `analyze_image` takes, read lazily; at most ``3 * workers`` images are held.
    analyzer : FaceAnalyzer, optional
        What analyzes; by default the shipped model with one thread a worker.
    workers : int, optional
        Images analyzed at the same time; by default the cores of the process, at most four.
    max_pixels : int
        Largest width x height to decode.
    seen : callable, optional
        Gets source, pixels and result of each good image in the worker that read it, such as to draw it; a
        `MienError` that it raises becomes the image's error.

    Yields
    ------
    ImageResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, or ``sources`` is a single path or the bytes of one image.
    """
    count = checked_workers(sources, workers, what="images")
    shared = analyzer or FaceAnalyzer(threads=1)

    yield from in_order(sources, lambda source: _analyzed(shared, source, max_pixels, seen), count)


def prepare_faces(
    image: Any,
    *,
    x_factor: float = 2.1,
    y_factor: float = 3.2,
    size: int = 48,
    smooth: bool = True,
    gray: bool = True,
    detector: str = "mtcnn",
) -> tuple[PreparedFace, ...]:
    """Cut the faces of an image as data for training: upright, by the distance of the eyes, of one size.

    This is what ``mien data prepare`` does to each image; the detector stays loaded between calls.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The image; an array is uint8 (H, W, 3) in RGB.
    x_factor, y_factor, size, smooth, gray
        See `mien.face.align.eye_distance_crop`.
    detector : {"mtcnn", "haar", "yunet"}
        Haar cascades give no landmarks: their faces are not turned, and the eyes are assumed at their usual place.

    Returns
    -------
    tuple of PreparedFace
        All faces with their boxes, largest first; empty when there is none.  Faces in profile are left out.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If an argument is wrong.
    """
    cut = FaceCut(x_factor=x_factor, y_factor=y_factor, size=size, smooth=smooth, gray=gray)
    return cut_faces(read_image(image), _detector(detector), cut)[0]


@functools.lru_cache(maxsize=2)
def _detector(name: str) -> Detector:
    return get_detector(name)


def _analyzed(
    analyzer: FaceAnalyzer,
    source: Any,
    max_pixels: int,
    seen: Callable[[Any, NDArray[np.uint8], ImageResult], None] | None = None,
) -> ImageResult:
    image = _image.read_image(source, max_pixels=max_pixels)
    found = analyzer.analyze(image.pixels, quiet=True)
    path = path_of(source)
    result = replace(
        found,
        path=image.path,
        warnings=(*image.warnings, *found.warnings),
        preview=_Preview(path if path is not None else image.pixels),
    )
    if seen is not None:
        seen(source, image.pixels, result)
    return result


@functools.lru_cache(maxsize=4)
def _analyzer(
    spec: ModelSpec,
    detector: str,
    output: str | None,
    min_face_px: float | None,
    threads: int | None,
    device: str,
    engine: str,
    precision: str,
) -> FaceAnalyzer:
    return FaceAnalyzer(
        spec,
        detector=detector,
        output=output,
        min_face_px=min_face_px,
        threads=threads,
        device=device,
        engine=engine,
        precision=precision,
    )


@dataclass(frozen=True, slots=True)
class _Preview:
    """Draws a result for a notebook; of a file it keeps the path alone, not the pixels."""

    source: Any

    def __call__(self, result: ImageResult) -> bytes:
        """Return the drawn image as PNG, at most `_PREVIEW_PX` a side."""
        drawn = draw(_image.read_image(self.source, max_pixels=result.width * result.height).pixels, result)
        step = -(-max(drawn.shape[:2]) // _PREVIEW_PX)
        return encode_png(np.ascontiguousarray(drawn[::step, ::step]))
