"""Faces of images: detection, crop, emotion."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, describe, warn
from mien._threads import in_order
from mien.errors import InputError, ModelError
from mien.face.align import Crop, crop_matrix, fit_crop, model_crop
from mien.face.detect import SMALLEST_PX, Detection, Detector, get_detector
from mien.face.detect.search import find_faces
from mien.models import ModelSpec, runtime
from mien.models.emotion import EmotionModel, output_logits, softmax
from mien.options import ModelOptions
from mien.results import Emotion, Face, ImageResult

if TYPE_CHECKING:
    from mien.face.explain import Explanation

__all__ = ["SMALL_FACE_PX", "FaceAnalyzer"]

SMALL_FACE_PX = 24
"""A face narrower than this covers less than half of the model's 48 x 48 crop in each direction."""

Source = TypeVar("Source")
Result = TypeVar("Result")

_BATCH = 64
_HUE_PIXELS = 4096


class FaceAnalyzer(EmotionModel):
    """Finds the faces of images and reads their emotions.

    The model and the detector are loaded once.  Thread-safe: any number of threads may share one analyzer, and get the
    results that one thread would get.

    Parameters
    ----------
    model : str or os.PathLike or ModelSpec
        Name of a shipped model, a record, or a run folder.
    detector : str or Detector
        One of `mien.face.detect.DETECTORS`, or an object with that protocol; ``"none"`` takes each image as one face.
    output : str, optional
        Which of the model's outputs becomes ``face.emotion``, or a label set that its default output maps to; by
        default the output that its record names.
    min_face_px : float, optional
        Longer side in pixels of the smallest face's box; by default 20, and more above 6.25 megapixels.
    threads : int, optional
        Threads within one call; by default the cores of the process, at most four.
    device : str
        ``"cpu"``, or ``"cuda"`` where the installed runtime has it.
    engine : str
        What reads the emotions: ``"onnxruntime"``, or ``"openvino"`` where that extra is installed.  Faces are found by
        ONNX Runtime in float32 whatever is said here: on one thread it is the faster there.
    precision : str
        ``"float32"``; ``"bfloat16"`` for the emotions with OpenVINO, on processors that have it; ``"int8"`` with either
        engine, for models that have such a graph.
    flip : bool
        Average the logits of each face with those of its mirror image, which takes twice the time.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelError
        If the model is not for faces, or its weights are missing or damaged.
    InputError
        If another argument is wrong.
    """

    task, subject, option = "face-emotion", "emotions", "model"
    parts = ("session", "face_detector")

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec = "face-base",
        *,
        detector: str | Detector = "mtcnn",
        output: str | None = None,
        min_face_px: float | None = None,
        threads: int | None = None,
        device: str = "cpu",
        engine: str = "onnxruntime",
        precision: str = "float32",
        flip: bool = False,
    ) -> None:
        self._configure(
            ModelOptions(
                model=model,
                output=output,
                detector=detector,
                min_face_px=min_face_px,
                threads=threads,
                device=device,
                engine=engine,
                precision=precision,
                flip=flip,
            )
        )
        self.load()

    @classmethod
    def from_options(cls, options: ModelOptions) -> Self:
        """Return an analyzer of the options of an analysis, loaded."""
        analyzer = cls._from(options)
        analyzer.load()
        return analyzer

    def _configure(self, options: ModelOptions, *more: Any) -> None:
        super()._configure(options, *more)
        self._crop = Crop.from_dict(self.spec.crop)
        if self.spec.input is None or self._crop.size != self.spec.input.size:
            size = None if self.spec.input is None else self.spec.input.size
            raise ModelError(f"model {self.spec.name!r}: its crop is {self._crop.size} px, but its input is {size} px")

    @cached_property
    def face_detector(self) -> Detector:
        """What finds the faces."""
        options = self.options
        return get_detector(
            options.detector, min_face_px=options.min_face_px, threads=options.threads, device=options.device
        )

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self.face_detector.name

    @property
    def size(self) -> int:
        """Side of the model's crop in pixels."""
        return self._crop.size

    def analyze(self, image: NDArray[np.uint8], *, quiet: bool = False) -> ImageResult:
        """Find the faces of an image and read their emotions.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB; gray (H, W) works too.
        quiet : bool
            Give no Python warning: what is odd about the image is in the result's ``warnings`` anyway.

        Returns
        -------
        ImageResult
            Largest face first; no faces when there is none.

        Raises
        ------
        InputError
            If the array is no image.
        """
        (result,) = self._classify([self._detect(image)])
        for warning in () if quiet else result.warnings:
            warn(warning)
        return result

    def analyze_many(
        self,
        images: Iterable[NDArray[np.uint8]],
        *,
        batch: int = 16,
        workers: int | None = None,
        quiet: bool = False,
    ) -> Iterator[ImageResult]:
        """Analyze images as they come: faces are found in several at once, and their emotions are read together.

        Parameters
        ----------
        images : iterable of numpy.ndarray
            uint8 (H, W, 3), RGB.  They are taken lazily in the caller's thread, so a generator may read them.  At most
            ``3 * workers`` are held at a time; of at most two batches more, the crops of their faces.
        batch : int
            Images whose faces share a run of the model; their results come together.
        workers : int, optional
            Images in which faces are found at the same time; by default the cores of the process, at most four.
        quiet : bool
            As for `analyze`.

        Yields
        ------
        ImageResult
            In the order of the images, the same as `analyze` gives for each.

        Raises
        ------
        InputError
            If an array is no image.
        """
        check_integer(batch, "batch", low=1)
        count = runtime.default_threads() if workers is None else check_integer(workers, "workers", low=1)
        # One worker is the caller's own thread: nothing is taken ahead.  With more, that thread hands out images and
        # another one reads emotions, so that those who find faces need not wait.
        several = in_order if count > 1 else _one_by_one
        found = several(images, self._detect, count)
        groups = iter(lambda: list(islice(found, batch)), [])
        read = several(groups, self._classify, 1)
        with closing(found), closing(read):
            for result in chain.from_iterable(read):
                for warning in () if quiet else result.warnings:
                    warn(warning)
                yield result

    def classify(self, crops: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> list[Emotion]:
        """Read the emotion of ready face crops.

        The crops should show what the model was trained on: the face from brow to chin, filling most of the square.

        Parameters
        ----------
        crops : sequence of numpy.ndarray, or numpy.ndarray
            uint8 crops of any size, color (H, W, 3) or gray (H, W), one by one or as an array (n, H, W[, 3]).

        Returns
        -------
        list of Emotion
            The prediction of `output` for each crop.

        Raises
        ------
        InputError
            If a crop is no image.
        """
        return [self._main_emotion(outputs) for outputs in self._emotions(self.prepare_crops(crops))]

    def logits(self, crops: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the model's logits for ready crops, before temperature and softmax.

        Parameters
        ----------
        crops : sequence of numpy.ndarray, or numpy.ndarray
            As for `classify`.

        Returns
        -------
        dict of str to numpy.ndarray
            float32 of shape (n, labels) for each output of the model, by name.

        Raises
        ------
        InputError
            If a crop is no image.
        """
        return self._logits(self.prepare_crops(crops))

    def tensors(
        self, crops: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return outputs of the model's graph as they are, such as the embeddings of faces.

        Parameters
        ----------
        crops : sequence of numpy.ndarray, or numpy.ndarray
            As for `classify`; at least one.
        names : sequence of str
            Outputs of the graph, such as ``"embedding"``, float32 (n, D), or ``"features"``, float32 (n, C, h, w).

        Returns
        -------
        dict of str to numpy.ndarray
            By name.

        Raises
        ------
        InputError
            If a crop is no image, or there is none.
        ModelError
            If the graph has no such output.
        """
        ready = self.prepare_crops(crops)
        if not len(ready):
            raise InputError("crops must hold at least one image")
        return self._run(ready, names)

    def explain(
        self,
        image: NDArray[np.uint8],
        faces: Iterable[Face],
        *,
        emotion: str | None = None,
        method: str = "auto",
    ) -> list[Explanation]:
        """Show where in each face the model found an emotion.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        faces : iterable of Face
            Faces of that image, such as ``analyze(image).faces``.
        emotion, method
            See `mien.face.explain.explain`, which does the same for ready crops.

        Returns
        -------
        list of Explanation
            One a face; `mien.output.heat` lays them over the image.

        Raises
        ------
        InputError
            If the array is no image, or the output has no such emotion.
        ModelError
            If the method is not possible with this model.
        """
        from mien.face.explain import explain

        image, chosen = check_image(image), list(faces)
        matrices = [crop_matrix(f.box, f.landmarks, self._crop, self.detector) for f in chosen]
        return explain(self, self.crops(image, chosen), emotion=emotion, method=method, matrices=matrices)

    def crops(self, image: NDArray[np.uint8], faces: Iterable[Face]) -> list[NDArray[np.uint8]]:
        """Return what the model sees of each face: uint8 (S, S, 3).

        Raises
        ------
        InputError
            If the array is no image.
        """
        image = check_image(image)
        return [model_crop(image, f.box, f.landmarks, self._crop, self.detector) for f in faces]

    def prepare_crops(self, crops: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return crops of any size as the model takes them, uint8 (n, S, S, 3); see `classify`.

        Raises
        ------
        InputError
            If a crop is no image.
        """
        if isinstance(crops, str | bytes) or not isinstance(crops, Iterable):
            raise InputError(f"crops must be a sequence of images, but got {describe(crops)}")
        if isinstance(crops, np.ndarray) and crops.ndim < 3:
            raise InputError(f"crops must be a sequence of images or an array (n, H, W[, 3]), got {describe(crops)}")
        if isinstance(crops, np.ndarray) and crops.ndim == 3 and crops.shape[2] == 3 and crops.shape[1] != 3:
            raise InputError(
                f"crops must be a sequence of images, but got {describe(crops)}, which looks like one image: "
                "pass [crop]"
            )
        if isinstance(crops, np.ndarray) and crops.dtype == np.uint8 and crops.shape[1:] == (self.size, self.size, 3):
            return crops
        ready = [fit_crop(crop, self.size) for crop in crops]
        return np.stack(ready) if ready else np.zeros((0, self.size, self.size, 3), np.uint8)

    def _detect(self, image: NDArray[np.uint8]) -> _DetectedFaces:
        """Find the faces of an image and cut them out."""
        image = check_image(image)
        detection, seen, notes = find_faces(self.face_detector, image)
        crops = [
            model_crop(seen, box, landmarks, self._crop, self.detector)
            for box, landmarks in zip(detection.boxes, _landmarks(detection), strict=True)
        ]
        height, width = image.shape[:2]
        notes = (*notes, *self._size_note(height, width, detection), *_image_warnings(image, detection))
        return _DetectedFaces(width, height, detection, crops, notes)

    def _size_note(self, height: int, width: int, detection: Detection) -> tuple[str, ...]:
        """Say where the size of the image kept small faces from being found, unless all that are there are large."""
        wanted = self.options.min_face_px or SMALLEST_PX
        smallest = getattr(self.face_detector, "smallest_face_px", lambda *_: 0.0)(height, width)
        sides = (detection.boxes[:, 2:] - detection.boxes[:, :2]).max(axis=1, initial=0)
        if smallest < wanted + 1 or sides.min(initial=math.inf if len(sides) else 0) > 2 * smallest:
            return ()
        more = " (min_face_px, or --min-face, finds smaller ones)" if self.options.min_face_px is None else ""
        return (f"faces of under {smallest:.0f} px were not looked for in so large an image{more}",)

    def _classify(self, group: Sequence[_DetectedFaces]) -> list[ImageResult]:
        """Read the emotions of the faces of several images in one run."""
        crops = [crop for found in group for crop in found.crops]
        emotions = iter(self._emotions(np.stack(crops)) if crops else [])
        return [
            ImageResult(
                width=found.width,
                height=found.height,
                faces=tuple(
                    self._face(box, score, landmarks, next(emotions))
                    for box, score, landmarks in zip(
                        found.detection.boxes, found.detection.scores, _landmarks(found.detection), strict=True
                    )
                ),
                model=self.spec.name,
                detector=self.detector,
                warnings=found.warnings,
                labels=self.labels,
            )
            for found in group
        ]

    def _face(self, box: Any, score: Any, landmarks: Any, outputs: dict[str, Emotion]) -> Face:
        width = float(box[2] - box[0])
        small = f"the face is only {width:.0f} px wide: under {SMALL_FACE_PX} px the answer is a guess"
        return Face(
            box=tuple(box.tolist()),
            score=float(score),
            landmarks=None if landmarks is None else tuple((x, y) for x, y in landmarks.tolist()),
            emotion=self._main_emotion(outputs),
            outputs=outputs,
            warnings=(small,) if width < SMALL_FACE_PX else (),
        )

    def _main_emotion(self, outputs: dict[str, Emotion]) -> Emotion:
        emotion = outputs[self.output.name]
        return emotion if self.labels == self.output.labels else emotion.to(self.labels)

    def _logits(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the logits of all outputs, averaged with those of the mirrored crops where the options say so."""
        if not len(crops):
            return {output.name: np.zeros((0, len(output.labels)), np.float32) for output in self.spec.outputs}
        tensors = [head.tensor for head in self.spec.heads]
        found = self._run(crops, tensors)
        if self.options.flip:
            mirrored = self._run(crops[:, :, ::-1], tensors)
            found = {tensor: (found[tensor] + mirrored[tensor]) / np.float32(2) for tensor in tensors}
        return output_logits(self.spec, found)

    def _run(self, crops: NDArray[np.uint8], tensors: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Run the graph over crops, at least one, batch by batch."""
        assert self.spec.input is not None
        name = self.session.input_names[0]
        batches = (self.spec.input.feed(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH))
        parts = [self.session.run({name: batch}, tensors) for batch in batches]
        return {tensor: np.concatenate([part[tensor] for part in parts]) for tensor in tensors}

    def _emotions(self, crops: NDArray[np.uint8]) -> list[dict[str, Emotion]]:
        logits = self._logits(crops)
        found: list[dict[str, Emotion]] = [{} for _ in range(len(crops))]
        for output in self.spec.outputs:
            for outputs, row in zip(found, softmax(logits[output.name], output.temperature), strict=True):
                outputs[output.name] = Emotion(output.labels, tuple(row.tolist()))
        return found


@dataclass(frozen=True, slots=True)
class _DetectedFaces:
    """What is kept of an image whose faces were found."""

    width: int
    height: int
    detection: Detection
    crops: list[NDArray[np.uint8]]
    warnings: tuple[str, ...]


def _one_by_one(
    sources: Iterable[Source], work: Callable[[Source], Result], _workers: int
) -> Generator[Result, None, None]:
    """Do what `in_order` does in the caller's thread."""
    yield from map(work, sources)


def _landmarks(detection: Detection) -> Sequence[Any]:
    return [None] * len(detection) if detection.landmarks is None else list(detection.landmarks)


def _image_warnings(image: NDArray[np.uint8], detection: Detection) -> tuple[str, ...]:
    if any(_looks_like_bgr(image, box) for box in detection.boxes[:1].tolist()):
        return ("the skin is bluer than it is red: is the array BGR? mien takes RGB",)
    return ()


def _looks_like_bgr(image: NDArray[np.uint8], box: Sequence[float]) -> bool:
    """Tell whether the middle of a face is clearly bluer than red.

    Skin of every tone reflects more long than short wavelengths (Angelopoulou 2001, The reflectance spectrum of human
    skin), so a face whose blue exceeds its red by far has its channels swapped, or stands in colored light.
    """
    x1, y1, x2, y2 = box
    rows = slice(max(int(y1 + 0.4 * (y2 - y1)), 0), max(int(y1 + 0.7 * (y2 - y1)), 1))
    columns = slice(max(int(x1 + 0.3 * (x2 - x1)), 0), max(int(x1 + 0.7 * (x2 - x1)), 1))
    patch = image[rows, columns].reshape(-1, 3)
    if len(patch) == 0:
        return False
    red, _, blue = np.median(patch[:: max(len(patch) // _HUE_PIXELS, 1)], axis=0)
    return bool(blue > red + 20)
