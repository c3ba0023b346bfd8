"""A dataset extended with generated faces, for emotions of which it has too few.

Asks an image service for photographs of faces, keeps those in which exactly one face is found, and writes down where
each came from. Whether the face shows the emotion that was asked for is not checked: a model that judged it would only
confirm itself.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien._checks import check_integer, check_number
from mien.data.prepare.image_service import ImageService, NoAnswerError, NoImageError, ServiceError
from mien.data.prepare.work import read_table, write_bytes, write_table
from mien.errors import DatasetError, InputError, MediaError
from mien.face.detect import Detector, get_detector
from mien.io.image import read_image
from mien.io.paths import format_path
from mien.labels import canonical
from mien.output.write import encode_png

__all__ = [
    "FACTORS",
    "ImageRequest",
    "ImageService",
    "Outcome",
    "ServiceError",
    "design",
    "extend",
    "pending",
    "plan",
]

MANIFEST = (
    *(
        "file",
        "emotion",
        "subject",
        "clip",
        "split",
        "source",
        "prompt",
        "service",
        "model",
        "date",
        "sha256",
        "checks",
    ),
    "box",
)
"""Columns of ``manifest.csv``."""

REJECTED = ("file", "emotion", "reason", "prompt", "service", "model", "date")
"""Columns of ``rejected.csv``."""

MIN_FACE_PX = 48.0
"""Smallest face kept, by the longer side of its box: the side of FER2013's images, so that none is enlarged."""

MAX_PIXELS = 50_000_000
"""Largest image decoded: ten times what services offer."""

FAILURES = 3
"""So many requests without an answer in a row end the work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Parameters
    ----------
    request : ImageRequest
        What was asked for.
    status : str
        ``"kept"``, ``"rejected"`` (written down, not asked again) or ``"failed"`` (no answer; asked again by the next
        run).
    reason : str
        Why it was not kept; empty for a kept one.
    """

    request: ImageRequest
    status: str
    reason: str = ""


class _RejectedError(Exception):
    """An image does not pass a check; the message is the reason."""


def pending(
    out: str | os.PathLike[str], requests: Sequence[ImageRequest], *, limit: int | None = None
) -> list[ImageRequest]:
    """Return those images of a plan that a folder neither has nor has rejected, in the plan's order.

    Parameters
    ----------
    out : str or os.PathLike
        The folder; need not exist.
    requests : sequence of ImageRequest
        From `plan`.
    limit : int, optional
        At most so many.

    Raises
    ------
    DatasetError
        If the folder's tables are none that this wrote, or a file that is not in them stands where an image would go.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"expected a folder, but {format_path(folder)} is a file")
    done = {row["file"] for name, columns in _TABLES.items() for row in read_table(folder / name, columns)}
    left = [one for one in requests if one.file not in done]
    foreign = next((one.file for one in left if os.path.lexists(folder / one.file)), None)
    if foreign is not None:
        raise DatasetError(
            f"will not write over {format_path(folder / foreign)}, which manifest.csv does not name: "
            "move it away, or choose another folder or seed"
        )
    return left if limit is None else left[: check_integer(limit, "limit", low=1)]


def extend(
    out: str | os.PathLike[str],
    requests: Sequence[ImageRequest],
    service: ImageService,
    *,
    min_face_px: float = MIN_FACE_PX,
    limit: int | None = None,
    detector: Detector | None = None,
) -> Iterator[Outcome]:
    """Ask for images one after the other, check them, and write those that pass.

    Each outcome is on the disk before it is yielded, so the work can be ended at any time and goes on with the same
    call. What the folder has, or has rejected, is not asked for again, and no file is ever written over.

    Parameters
    ----------
    out : str or os.PathLike
        The folder: gets ``<emotion>/<name>.png``, ``manifest.csv`` (file, emotion, subject, clip, split, source,
        prompt, service, model, date in UTC, sha256 of the file, checks, box as x1 y1 x2 y2 in pixels) and
        ``rejected.csv`` (file, emotion, reason, prompt, service, model, date). Other files in it are left alone.
    requests : sequence of ImageRequest
        From `plan`.
    service : ImageService
        Whom to ask.
    min_face_px : float
        Smallest face to keep, by the longer side of its box.
    limit : int, optional
        At most so many requests; attempts to repeat a failed one do not count.
    detector : Detector, optional
        By default the toolkit's.

    Yields
    ------
    Outcome
        One for each request.

    Raises
    ------
    ServiceError
        If it is of no use to go on; what was done until then is kept.
    DatasetError
        If the folder cannot be used or written to.
    """
    smallest = check_number(min_face_px, "min_face_px", low=1)
    left = pending(out, requests, limit=limit)
    folder = _Folder(Path(out))
    folder.finish()
    if not left:
        return
    detector = detector or get_detector()
    if any((r["service"], r["model"]) == (service.base_url, service.model) for r in folder.manifest.rows):
        service.is_proven = True
    failures, has_answered = 0, False
    for one in left:
        try:
            outcome = _ask(one, service, folder, detector, smallest)
        except NoAnswerError as error:
            failures += 1
            if failures >= FAILURES or not has_answered:
                raise ServiceError(f"{service.base_url}: {error}; run the same command later to go on") from error
            outcome = Outcome(one, "failed", str(error))
        else:
            failures, has_answered = 0, True
        yield outcome


def _ask(one: ImageRequest, service: ImageService, folder: _Folder, detector: Detector, smallest: float) -> Outcome:
    """Ask for one image and write down what comes."""
    row = {"file": one.file, "emotion": one.emotion, "prompt": one.prompt}
    row |= {"service": service.base_url, "model": service.model}
    try:
        data = service.generate(one.prompt)
        row["date"] = _now()
        file, checks, box = _checked(data, detector, smallest)
    except (NoImageError, _RejectedError) as error:
        folder.rejected.add({**row, "date": _now(), "reason": str(error)})
        return Outcome(one, "rejected", str(error))
    folder.keep({**row, "source": "generated", "checks": checks, "box": box}, file)
    return Outcome(one, "kept")


def _checked(data: bytes, detector: Detector, smallest: float) -> tuple[bytes, str, str]:
    """Return an image as PNG, what was found, and the box of its face; or raise `_RejectedError`."""
    try:
        image = read_image(data, max_pixels=MAX_PIXELS)
    except MediaError as error:
        raise _RejectedError(f"no usable image: {error}") from error
    cut = next((warning for warning in image.warnings if "truncated" in warning), None)
    if cut is not None:
        raise _RejectedError(f"damaged image: {cut}")
    found = detector.detect(image.pixels)
    if len(found) != 1:
        raise _RejectedError(f"{len(found) or 'no'} face{'s' * (len(found) != 1)} found, expected one")
    x1, y1, x2, y2 = found.boxes[0].tolist()
    side = max(x2 - x1, y2 - y1)
    if side < smallest:
        raise _RejectedError(f"the face is {side:.0f} px long, expected at least {smallest:.0f}")
    # A PNG is kept as it came, with all that the service wrote into it about its origin.
    file = data if image.format == "png" else encode_png(image.pixels)
    height, width = image.pixels.shape[:2]
    checks = f"whole; {width}x{height}; one face by {detector.name}, score {found.scores[0]:.3f}, {side:.0f} px"
    return file, checks, " ".join(f"{value:.1f}" for value in found.boxes[0])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


# --- the folder ---------------------------------------------------------------------------------------

_TABLES = {"manifest.csv": MANIFEST, "rejected.csv": REJECTED}


class _Folder:
    """A folder with ``manifest.csv`` and ``rejected.csv``, and the way of an image into it.

    An image is first written under a hidden name, then entered, then given its name: whenever the work is cut off, the
    next run finds either no trace or a row with a hidden image, and finishes it. A row whose image is gone is left
    alone: its owner threw it away. Nothing is written before the first image or rejection.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest, self.rejected = (_Table(folder / name, columns) for name, columns in _TABLES.items())

    def finish(self) -> None:
        """Give those images their names that were entered when the work was cut off."""
        for row in self.manifest.rows:
            target = self._folder / row["file"]
            hidden = _hidden(target)
            if hidden.is_file() and not os.path.lexists(target) and _sha256(hidden.read_bytes()) == row["sha256"]:
                with _writing(target):
                    hidden.rename(target)

    def keep(self, row: dict[str, str], data: bytes) -> None:
        """Enter an image and write it; ``sha256`` is added to the row."""
        target = self._folder / row["file"]
        hidden = _hidden(target)
        with _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise DatasetError(f"will not write over {format_path(target)}, which was not there before")
            try:
                write_bytes(hidden, data, sync=True)
                self.manifest.add({**row, "sha256": _sha256(data)})
            except BaseException:
                # Entered or not is what decides: the row may have been written before Ctrl-C came.
                if not self.manifest.has(row["file"]):
                    hidden.unlink(missing_ok=True)
                raise
            hidden.rename(target)


class _Table:
    """A CSV that grows by a row at a time and is whole at any time."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._path, self._columns = path, columns
        self.rows = self._read()

    def _read(self) -> list[dict[str, str]]:
        return read_table(self._path, self._columns)

    def add(self, row: dict[str, str]) -> None:
        """Add a row, on the disk first."""
        if self._read() != self.rows:
            raise DatasetError(
                f"{format_path(self._path)} was changed while mien worked on it: is it run twice at once?"
            )
        rows = [*self.rows, {name: row.get(name, "") for name in self._columns}]
        write_table(self._path, self._columns, rows, sync=True)
        self.rows = rows

    def has(self, file: str) -> bool:
        """Return whether the table on the disk names a file."""
        return any(row["file"] == file for row in self._read())


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error


# --- whom to ask for ----------------------------------------------------------------------------------

FACTORS: dict[str, tuple[str, ...]] = {
    # Adults only: services refuse much of what concerns children, rightly.
    "age": ("20", "30", "40", "50", "60", "75"),
    # Six steps from light to dark, as many as the scale of Fitzpatrick (1988, doi:10.1001/archderm.124.6.869).
    "skin": ("very light", "light", "light brown", "medium brown", "dark brown", "very dark"),
    "sex": ("woman", "man"),
    "light": (
        "soft daylight from a window",
        "bright sun outdoors",
        "a warm lamp in the evening",
        "plain office light from above",
        "light from one side with deep shadows",
    ),
    "pose": (
        "looking straight into the camera",
        "the head turned a little to the left",
        "the head turned a little to the right",
        "the head slightly lowered",
        "the head slightly raised",
    ),
    "strength": ("subtle", "clear", "strong"),
}
"""What is varied, with its levels."""

MARKS: dict[str, str] = {
    "anger": "the brows drawn together and down, a hard stare, the lips pressed together or bared",
    "disgust": "the nose wrinkled, the upper lip raised, the cheeks pushed up",
    "fear": "the brows raised and drawn together, the eyes wide open, the mouth tense and stretched sideways",
    "happiness": "the corners of the mouth drawn up, the cheeks raised, small wrinkles beside the eyes",
    "sadness": "the inner ends of the brows raised, the lids drooping, the corners of the mouth pulled down",
    "surprise": "the brows raised high, the eyes wide open, the jaw dropped and relaxed",
    "neutral": "no expression at all, the face relaxed and the mouth closed",
    "contempt": "one corner of the mouth tightened and raised, the gaze from above",
}
"""What each emotion does to a face, after the prototypes of Ekman and Friesen: Unmasking the Face (1975), and for
contempt Ekman and Friesen 1986 (doi:10.1007/BF00992253)."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to ask for.

    Parameters
    ----------
    file : str
        Where it will lie in the folder, such as ``"fear/generated_0_00001.png"``: emotion, seed and number.
    emotion : str
        The lower-case noun.
    prompt : str
        What the service is asked for.
    """

    file: str
    emotion: str
    prompt: str


def design(count: int, *, seed: int) -> list[dict[str, str]]:
    """Choose the level of every factor for a number of images, evenly and in an order that the seed decides.

    However many are taken from the beginning, the levels of each factor come equally often (give or take one). Among
    the levels that are due, the one is taken that has met the levels already chosen for this image least often, so
    that the factors do not run along with each other; the seed decides what is left. A longer design begins with the
    shorter one.

    Parameters
    ----------
    count : int
        How many images.
    seed : int
        At least 0.

    Returns
    -------
    list of dict
        For each image the level of each of `FACTORS`.
    """
    random = np.random.default_rng(seed)
    used: Counter[tuple[str, str]] = Counter()
    together: Counter[frozenset[tuple[str, str]]] = Counter()
    rows = []
    for _ in range(count):
        row: dict[str, str] = {}
        for factor, levels in FACTORS.items():
            ties = random.permutation(len(levels))
            ranked = []
            for level, tie in zip(levels, ties, strict=True):
                # Squares: two pairs met once are better than one met twice.
                met = sum(together[frozenset({(factor, level), other})] ** 2 for other in row.items())
                ranked.append((used[factor, level], met, int(tie), level))
            chosen = min(ranked)[-1]
            for other in row.items():
                together[frozenset({(factor, chosen), other})] += 1
            used[factor, chosen] += 1
            row[factor] = chosen
        rows.append(row)
    return rows


def plan(emotions: Sequence[str], *, count: int, seed: int = 0) -> list[ImageRequest]:
    """Return which images to ask for.

    Every emotion gets the same people in the same light and pose: what a person looks like then says nothing about
    the emotion. The emotions take turns, so that an early end leaves them balanced. The same arguments always give
    the same plan, and a larger count begins with the smaller one's images.

    Parameters
    ----------
    emotions : sequence of str
        Words for emotions of FER2013 or FER+; synonyms are understood, repetitions are taken once.
    count : int
        Images of each emotion, at least 1.
    seed : int
        Decides the design; another seed gives other people under other names.

    Returns
    -------
    list of ImageRequest
        ``count`` times the number of emotions.

    Raises
    ------
    InputError
        If there is no emotion, one is unknown, or a number is out of range.
    """
    count = check_integer(count, "count", low=1, high=99_999)
    seed = check_integer(seed, "seed", low=0)
    words = list(dict.fromkeys(canonical(word) for word in emotions))
    if not words:
        raise InputError(f"expected at least one emotion of {', '.join(MARKS)}, but got none")
    for word in words:
        if word not in MARKS:
            raise InputError(f"faces are asked for as {', '.join(MARKS)}, but got {word!r}")
    return [
        ImageRequest(f"{word}/generated_{seed}_{number:05d}.png", word, _prompt(word, row))
        for number, row in enumerate(design(count, seed=seed), 1)
        for word in words
    ]


def _prompt(emotion: str, row: dict[str, str]) -> str:
    if emotion == "neutral":
        expression = f"with {MARKS[emotion]}"
    else:
        expression = f"whose face shows {row['strength']} {emotion}: {MARKS[emotion]}"
    return (
        f"A realistic photograph of one {row['sex']} about {row['age']} years old with {row['skin']} skin, "
        f"{expression}. Head and shoulders, {row['pose']}, in {row['light']}. "
        "An unposed image of an ordinary person who does not exist; nobody else, no other face and no text in it."
    )
