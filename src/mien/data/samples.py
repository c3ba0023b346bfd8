"""The table of labeled images, audio files or videos that every dataset is read as."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, describe, warn
from mien.data.files import HEADER, own_label_set
from mien.errors import DatasetError, InputError, MienError
from mien.io.image import read_image
from mien.io.paths import format_path
from mien.labels import LabelSet
from mien.video.clips import choose_frames

__all__ = ["COLUMNS", "KINDS", "Row", "Samples", "choose_frames", "concatenate", "content_hashes", "count_frames"]

KINDS = ("image", "audio", "video")
"""What a sample can be; a video is a file or a sequence of images."""

COLUMNS = ("subject", "clip", "split", "sex", "intensity", "statement", "corpus", "method", "crop")
"""Columns that datasets of mien have: who is seen or heard; the video, sequence or original recording that a sample is
of; the published split; ``male`` or ``female``; how strongly; what is said; the dataset; how a copy was made
(``stretch0.81``; empty for originals); how a face was cut (`mien.face.prepare.crop_name`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample as datasets list it; an empty word means unknown.

    Parameters
    ----------
    file : str
        Its file, relative to the dataset; of a video in images, their folder.
    emotion : str
        A word of the label set, or empty for no label.
    frames : tuple of str
        The images of a video in order; empty for a file.
    subject, clip, split, sex, intensity, statement, method, crop : str
        See `COLUMNS`.
    """

    file: str
    emotion: str
    subject: str = ""
    clip: str = ""
    split: str = ""
    sex: str = ""
    intensity: str = ""
    statement: str = ""
    method: str = ""
    crop: str = ""
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Labeled images, audio files or videos, in memory or in files that are read one by one.

    Parameters
    ----------
    name : str
        Name of the dataset, such as ``"fer2013"``.
    kind : {"image", "audio", "video"}
        What the samples are.
    source : str
        The file or folder of the dataset.
    labels : numpy.ndarray
        int64 of shape (n,): index into ``label_set``, or -1 for no label.
    label_set : LabelSet
        The emotions that the labels index.
    files : sequence of str
        The file of each sample relative to ``source``; of a video in images, their folder. Empty for rows of a table.
    pixels : numpy.ndarray, optional
        uint8 of shape (n, H, W), gray: the images, where they are in memory.
    frames : sequence of tuple of str, optional
        The images of each video in order, relative to ``source``; empty for a video file.
    columns : mapping of str to array_like of str
        What else is known of each sample, each of shape (n,) and empty where unknown; see `COLUMNS`.
    distribution : numpy.ndarray, optional
        float32 of shape (n, len(label_set)): votes of annotators as a distribution; zero for rows without a
        usable vote.
    rows : numpy.ndarray
        int64 of shape (n,): position in the published order; by default 0 to n - 1.
    protocol : str
        How annotations became labels, where there is a choice.
    problems : tuple of str
        One line for everything that is missing, wrong or left out.

    Raises
    ------
    DatasetError
        If the parts do not have the same length, or two videos have the same name.
    """

    name: str
    kind: str
    source: str
    labels: NDArray[np.int64]
    label_set: LabelSet
    files: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    pixels: NDArray[np.uint8] | None = None
    frames: tuple[tuple[str, ...], ...] = ()
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    distribution: NDArray[np.float32] | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    protocol: str = ""
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.labels)

        def set_default(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if self.kind not in KINDS:
            raise DatasetError(f"{self.name}: kind must be {', '.join(KINDS)}, but got {self.kind!r}")
        if self.pixels is not None and (self.pixels.ndim != 3 or self.pixels.dtype != np.uint8):
            raise DatasetError(f"{self.name}: images must be uint8 (n, H, W), but got {describe(self.pixels)}")
        set_default("labels", np.asarray(self.labels, np.int64))
        set_default("files", np.asarray(self.files, np.str_) if len(self.files) else np.broadcast_to(np.array(""), n))
        set_default("frames", tuple(self.frames) or ((),) * n)
        set_default("rows", self.rows if len(self.rows) else np.arange(n))
        set_default("columns", {name: np.asarray(values, np.str_) for name, values in self.columns.items()})
        named = {name: getattr(self, name) for name in ("files", "frames", "rows", "pixels", "distribution")}
        for name, part in {**named, **self.columns}.items():
            if part is not None and len(part) != n:
                raise DatasetError(f"{self.name}: {n} labels, but {len(part)} values of {name}")
        if self.kind == "video" and len(set(self.clips.tolist())) != n:
            raise DatasetError(f"{self.name}: two videos have the same name")

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Row],
        *,
        name: str,
        kind: str,
        source: str | Path,
        label_set: LabelSet,
        problems: Iterable[str] = (),
    ) -> Samples:
        """Return the samples of a dataset that was listed row by row."""
        columns = [entry.name for entry in fields(Row) if entry.name not in ("file", "emotion", "frames")]
        return cls(
            name=name,
            kind=kind,
            source=str(source),
            labels=np.array([label_set.index(row.emotion) if row.emotion else -1 for row in rows], np.int64),
            label_set=label_set,
            files=np.array([row.file for row in rows], np.str_),
            frames=tuple(row.frames for row in rows),
            columns={
                column: np.array(values, np.str_)
                for column in columns
                if any(values := [getattr(row, column) for row in rows])
            },
            problems=tuple(problems),
        )

    def __len__(self) -> int:
        return len(self.labels)

    # --- what is known of the samples -----------------------------------------------------------------

    def column(self, name: str) -> NDArray[np.str_]:
        """Return a column as str (n,); empty where it is unknown, also if there is no such column."""
        values = self.columns.get(name)
        return np.broadcast_to(np.array(""), len(self)) if values is None else values

    def has(self, column: str) -> bool:
        """Return whether a column says something of any sample."""
        return bool((self.column(column) != "").any())

    @property
    def subjects(self) -> NDArray[np.str_]:
        """Who is seen or heard in each sample."""
        return self.column("subject")

    @property
    def clips(self) -> NDArray[np.str_]:
        """The video, sequence or original recording that each sample is of; the name of a video itself."""
        return self.column("clip")

    @property
    def splits(self) -> NDArray[np.str_]:
        """The published split of each sample."""
        return self.column("split")

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images in memory, uint8 (n, H, W).

        Raises
        ------
        DatasetError
            If they are in files; `faces` reads them.
        """
        if self.pixels is None:
            raise DatasetError(f"{self.name}: its {self.kind} files are not in memory: faces() reads them")
        return self.pixels

    def split_names(self) -> list[str]:
        """Return the splits present, in order of first appearance; an empty name stands for none."""
        return list(dict.fromkeys(self.splits.tolist()))

    def emotion(self, index: int) -> str:
        """Return the label of a sample in words; empty for none."""
        label = int(self.labels[index])
        return "" if label < 0 else self.label_set.emotions[label]

    def where(self, index: int) -> str:
        """Return where a sample is, for messages and for opening it: its path, or its row as a spreadsheet shows it."""
        if file := str(self.files[index]):
            return str(Path(self.source) / file)
        return f"{self.source}, row {self.rows[index] + HEADER + 1}"

    # --- some of the samples --------------------------------------------------------------------------

    def take(self, index: NDArray[Any] | Sequence[int]) -> Samples:
        """Return the samples that a boolean mask or an index array selects."""
        chosen = np.arange(len(self))[np.asarray(index, dtype=None if len(index) else np.int64)]
        return replace(
            self,
            labels=self.labels[chosen],
            files=self.files[chosen],
            pixels=None if self.pixels is None else self.pixels[chosen],
            frames=tuple(self.frames[i] for i in chosen),
            columns={name: values[chosen] for name, values in self.columns.items()},
            distribution=None if self.distribution is None else self.distribution[chosen],
            rows=self.rows[chosen],
        )

    def split(self, name: str) -> Samples:
        """Return the samples of one published split; its name in any case, unless two differ in it.

        Raises
        ------
        DatasetError
            If no sample is of that split; the message names those present.
        """
        mask = self.splits == name
        if not mask.any():
            mask = np.char.lower(self.splits) == name.lower()
        if not mask.any():
            present = ", ".join(filter(None, self.split_names())) or "none"
            raise DatasetError(f"{format_path(self.source)} has no split {name!r}: it has {present}")
        return self.take(mask)

    def fingerprint(self) -> str:
        """Return a digest of labels, columns and content, as 32 hex digits: it changes with the data, not its place.

        Names of files and times of change are left out; their order is not. A file that cannot be read counts as empty.
        """
        digest = hashlib.blake2b(digest_size=16)
        columns = {name: self.columns[name].tolist() for name in sorted(self.columns) if self.has(name)}
        table = (self.kind, self.label_set.emotions, self.labels.tolist(), columns)
        digest.update(repr(table).encode("utf-8", "surrogatepass"))
        if self.distribution is not None:
            digest.update(np.ascontiguousarray(self.distribution).tobytes())
        if self.pixels is not None:
            digest.update(repr(self.pixels.shape).encode() + self.pixels.tobytes())
            return digest.hexdigest()
        for row in range(len(self)):
            for path in [Path(self.source) / frame for frame in self.frames[row]] or [Path(self.where(row))]:
                try:
                    with path.open("rb") as file:
                        digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
                except OSError:
                    digest.update(b"unreadable")
        return digest.hexdigest()

    def with_present_classes(self) -> Samples:
        """Return the samples with a label set of only the classes that occur, if some do not and at least two do."""
        present = np.isin(np.arange(len(self.label_set)), self.labels)
        if self.distribution is not None:
            present |= (self.distribution > 0).any(axis=0)
        if present.all() or present.sum() < 2:
            return self
        classes = tuple(word for word, occurs in zip(self.label_set.emotions, present, strict=True) if occurs)
        return replace(
            self,
            label_set=own_label_set(classes),
            labels=np.where(self.labels < 0, -1, (np.cumsum(present) - 1)[self.labels]),
            distribution=None if self.distribution is None else self.distribution[:, present],
        )

    def labeled(self) -> Samples:
        """Return the samples that have a label."""
        return self.take(self.labels >= 0)

    def with_columns(self, **columns: NDArray[np.str_] | Sequence[str]) -> Samples:
        """Return the samples with some columns added or replaced."""
        changed = {name: np.asarray(values, np.str_) for name, values in columns.items()}
        return replace(self, columns={**self.columns, **changed})

    def groups(self, by: Sequence[str] = ("subject", "clip", "content")) -> NDArray[np.int64]:
        """Return which samples must stay together: those that share a value, directly or through others.

        Parameters
        ----------
        by : sequence of str
            Columns; ``"content"`` stands for the pixels of images in memory. Unknown values tie nothing together.

        Returns
        -------
        numpy.ndarray
            int64 of shape (n,): group numbers from 0, in order of first appearance.
        """
        keys: list[Sequence[Any]] = [self.column(name).tolist() for name in by if name != "content"]
        if "content" in by and self.pixels is not None:
            keys.append(content_hashes(self.pixels))
        parent = list(range(len(self)))

        def root(row: int) -> int:
            while parent[row] != row:
                parent[row] = parent[parent[row]]
                row = parent[row]
            return row

        for values in keys:
            first: dict[Any, int] = {}
            for row, key in enumerate(values):
                if key:
                    a, b = root(first.setdefault(key, row)), root(row)
                    parent[max(a, b)] = min(a, b)
        number_of: dict[int, int] = {}
        return np.array([number_of.setdefault(root(row), len(number_of)) for row in range(len(self))], np.int64)

    # --- reading --------------------------------------------------------------------------------------

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return an image, or the middle frame of a video, as uint8 (H, W, 3) RGB.

        Raises
        ------
        DatasetError
            If it cannot be read, or not to its end; the message names the file.
        """
        if self.pixels is not None:
            return np.repeat(self.pixels[index][..., None], 3, axis=2)
        if self.kind == "audio":
            raise DatasetError(f"{format_path(self.where(index))} is audio, no image")
        if self.kind == "video":
            ((_, image),) = self.iter_frames(index, 1)
            return image
        return _read_whole(self.where(index))

    def read_audio(self, index: int, rate_hz: int | None = None) -> NDArray[np.float32]:
        """Return an audio file, or the sound of a video, as float32 (n,) mono in [-1, 1].

        Parameters
        ----------
        index : int
            Which sample.
        rate_hz : int, optional
            Rate to resample to; by default the file's own.

        Raises
        ------
        DatasetError
            If it cannot be read, or is empty; the message names the file.
        """
        from mien.io.audio import read_audio

        path = self.where(index)
        try:
            wave = read_audio(path, rate_hz=rate_hz).wave
        except MienError as error:
            raise DatasetError(f"{format_path(path)}: {error}") from error
        if not len(wave):
            raise DatasetError(f"{format_path(path)}: expected sound, but it holds none")
        return wave

    def iter_frames(
        self, index: int, count: int | None = None, *, every: int = 1
    ) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
        """Yield frames of a video in color, with their numbers from 0.

        Parameters
        ----------
        index : int
            Which sample.
        count, every : int, optional
            See `choose_frames`.

        Yields
        ------
        number : int
            The frame's place in the video, from 0.
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.

        Raises
        ------
        DatasetError
            If a frame cannot be read, or the video ends before its end; the message names the file. What comes before
            was yielded.
        """
        choose_frames(0, count, every)
        if images := self.frames[index]:
            for number in choose_frames(len(images), count, every):
                yield number, _read_whole(str(Path(self.source) / images[number]))
        else:
            yield from _video_frames(self.where(index), count, every)

    def read_frames(self, index: int, count: int | None = None, *, size: int = 48) -> NDArray[np.uint8]:
        """Read frames of a video whole, as gray squares; for datasets that are cut to the face already.

        Frames that show more than a face become squares, too, but say little: run ``mien data frames`` on such a
        dataset first.

        Parameters
        ----------
        index : int
            Which sample.
        count : int, optional
            See `choose_frames`.
        size : int
            Side of the squares in pixels; frames of another size are resampled (by area when they shrink).

        Returns
        -------
        numpy.ndarray
            uint8 of shape (k, size, size), gray, in order; k is at least 1, and at most ``count``.

        Raises
        ------
        DatasetError
            See `iter_frames`.
        """
        check_integer(size, "size", low=1)
        return np.stack([_gray_square(image, size) for _, image in self.iter_frames(index, count)])

    def faces(
        self,
        size: int = 48,
        *,
        count: int | None = 16,
        problems: str = "raise",
        progress: Callable[[int], None] | None = None,
        cut: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> Samples:
        """Read all images as gray squares in memory: whole, since they are cut to the face already, or cut here.

        Images that are in memory stay as they are. Of videos, frames are read: a row each.

        Parameters
        ----------
        size : int
            Side of the squares in pixels; images of another size are resampled (by area when they shrink).
        count : int, optional
            Frames of each video, see `choose_frames`.
        problems : {"raise", "skip"}
            What to do with a file that cannot be read: raise, or leave it out with a `MienWarning` that names it.
            Left-out images keep their number: ``rows`` then has gaps.
        progress : callable, optional
            Called with the number of files read since the last call.
        cut : callable, optional
            Returns what is kept of an image, uint8 (H, W, 3) RGB, in RGB; by default all of it.

        Returns
        -------
        Samples
            Of the kind ``image``, with ``pixels`` of shape (n, size, size).

        Raises
        ------
        DatasetError
            If a file cannot be read, or there is none (left).
        InputError
            If an option has another value.
        """
        check_integer(size, "size", low=1)
        if problems not in ("raise", "skip"):
            raise InputError(f"problems must be raise or skip, but got {describe(problems)}")
        if self.pixels is not None:
            return self
        keep = cut or (lambda image: image)
        images: list[NDArray[np.uint8]] = []
        owners: list[int] = []
        files: list[str] = []
        for row in range(len(self)):
            try:
                read = [(name, _gray_square(keep(image), size)) for name, image in self._images_of(row, count)]
            except DatasetError as error:
                if problems == "raise":
                    raise
                warn(f"left out {error}")
                read = []
            images += [image for _, image in read]
            owners += [row] * len(read)
            files += [name for name, _ in read]
            if progress is not None:
                progress(1)
        if not images:
            what = f"{self.kind}s{' that can be read' if len(self) else ''}"
            raise DatasetError(f"{format_path(self.source)} has no {what}")
        chosen = replace(self, kind="image", frames=()).take(owners)
        rows = chosen.rows if self.kind == "image" else np.arange(len(images))
        return replace(chosen, files=np.array(files), pixels=np.stack(images), rows=rows)

    def _images_of(self, row: int, count: int | None) -> Generator[tuple[str, NDArray[np.uint8]], None, None]:
        """Yield what `faces` reads of a sample, with its file."""
        file = str(self.files[row])
        if self.kind == "video":
            names = self.frames[row]
            for number, image in self.iter_frames(row, count):
                yield names[number] if names else f"{file}, frame {number}", image
        else:
            yield file, self.read(row)


def concatenate(first: Samples, second: Samples) -> Samples:
    """Return two datasets of files as one, such as audio files and a folder of changed copies of them.

    The column ``corpus`` says where each sample comes from.

    Raises
    ------
    DatasetError
        If their kinds or label sets differ, or one is in memory.
    """
    if (first.kind, first.label_set) != (second.kind, second.label_set):
        what = [f"{part.kind} with {part.label_set.name} of {format_path(part.source)}" for part in (first, second)]
        raise DatasetError(f"cannot join {what[0]} and {what[1]}")
    parts = (first, second)
    if any(part.pixels is not None for part in parts):
        raise DatasetError("cannot join images in memory: see mien.data.join")
    roots = [Path(part.source).absolute() for part in parts]
    root = Path(os.path.commonpath(roots))
    columns = {
        name: np.concatenate([part.column(name) for part in parts])
        for name in dict.fromkeys([*first.columns, *second.columns, "corpus"])
    }
    owners = np.repeat([part.name for part in parts], [len(part) for part in parts])
    columns["corpus"] = np.where(columns["corpus"] == "", owners, columns["corpus"])
    files: list[str] = []
    frames: list[tuple[str, ...]] = []
    for part, base in zip(parts, roots, strict=True):
        inside = base.relative_to(root)
        files += [(inside / file).as_posix() for file in part.files.tolist()]
        frames += [tuple((inside / image).as_posix() for image in images) for images in part.frames]
    return Samples(
        name=first.name if first.name == second.name else f"{first.name}+{second.name}",
        kind=first.kind,
        source=str(root),
        labels=np.concatenate([part.labels for part in parts]),
        label_set=first.label_set,
        files=np.array(files, np.str_),
        frames=tuple(frames),
        columns=columns,
        problems=first.problems + second.problems,
    )


def content_hashes(images: NDArray[Any] | Sequence[NDArray[Any]]) -> list[bytes]:
    """Return a digest of each array, for finding exact copies.

    Parameters
    ----------
    images : numpy.ndarray or sequence of numpy.ndarray
        Usually uint8 images; the shape is part of the content.

    Returns
    -------
    list of bytes
        BLAKE2b digests of 16 bytes.
    """
    digests = []
    for image in images:
        header = repr(image.shape).encode()
        digests.append(hashlib.blake2b(header + image.tobytes(), digest_size=16).digest())
    return digests


def count_frames(path: str) -> int:
    """Return how many frames a video file has.

    Raises
    ------
    DatasetError
        If it cannot be read; the message names the file.
    """
    # Imported when a video is read, so that datasets of images need no decoder.
    from mien.io.video import count_frames

    try:
        return count_frames(path)
    except MienError as error:
        raise DatasetError(f"{format_path(path)}: {error}") from error


def _read_whole(path: str) -> NDArray[np.uint8]:
    try:
        image = read_image(path)
    except MienError as error:
        raise DatasetError(f"{format_path(path)}: {error}") from error
    for warning in image.warnings:
        if "truncated" in warning:  # the missing part would be learned as if it were the image
            raise DatasetError(f"{format_path(path)}: {warning}")
    return image.pixels


def _video_frames(path: str, count: int | None, every: int) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    from mien.io.video import iter_frames

    length = count_frames(path)
    numbers = choose_frames(length, count, every)
    if not numbers:
        raise DatasetError(f"{format_path(path)}: the video has no frame")
    # One more than there is, so that the video is read to its end, and says what is missing there.
    beyond = [length] if numbers[-1] == length - 1 else []
    came = 0
    try:
        with iter_frames(path, numbers=[*numbers, *beyond], threads=1) as stream:
            for number, frame in zip(numbers, stream, strict=False):
                yield number, frame.image
                came += 1
            if beyond:
                next(stream, None)
            lost, warnings = stream.frames_failed, stream.warnings
    except MienError as error:
        raise DatasetError(f"{format_path(path)}: {error}") from error
    cut = next((line for line in warnings if "truncated" in line or "ended early" in line), "")
    # Some containers hold packets that show nothing, so that a whole video may have fewer frames than were counted.
    if cut or lost or not came:
        what = cut or f"{came} of {len(numbers)} frames came, {lost} frames could not be decoded"
        raise DatasetError(f"{format_path(path)}: the video is damaged: {what}")


def _gray_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    gray = image[..., 0] if (image[..., :1] == image).all() else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if gray.shape == (size, size):
        return np.ascontiguousarray(gray, dtype=np.uint8)
    shrinks = min(gray.shape) > size
    resized = cv2.resize(gray, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
