"""Spectrograms of a dataset of audio files: an array for each, a table of all, images."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien._extras import import_extra
from mien.data.prepare.audio_work import ABOUT, AudioWork, Outcome, Task
from mien.data.prepare.work import write_bytes
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, MienError
from mien.io.audio import read_audio
from mien.io.paths import atomic_path, format_path
from mien.output.write import encode_png
from mien.speech.features import (
    MEL_CNN,
    MEL_CNN_FRAMES,
    Settings,
    centered,
    log_mel,
    mfcc,
    peak_normalized,
    stft_db,
)

__all__ = ["KINDS", "SETTINGS", "Outcome", "Spectrograms", "spectrogram", "spectrogram_image"]

KINDS = ("stft", "mel", "mfcc")
"""Power spectrum in dB, mel energies in dB, mel-frequency cepstral coefficients."""

SETTINGS: dict[str, Settings] = {"default": Settings(), "mel-cnn": MEL_CNN}
"""``mel-cnn`` also scales each file to a peak of 1, and pads or cuts it to 272 frames around its middle."""

MANIFEST = ("file", "source", *ABOUT, "method", "bands", "frames")
"""Columns of ``manifest.csv``: the array, the audio file, what the dataset says about it, and the array's shape."""

_TABLE = "spectrograms.parquet"
_PARTS = ".parts"


def spectrogram(
    wave: NDArray[np.float32], *, kind: str = "mel", settings: str = "default", coefficients: int = 20
) -> NDArray[np.float32]:
    """Return a spectrogram by the name of its kind and settings.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, at the rate of the settings.
    kind : {"stft", "mel", "mfcc"}
        See `KINDS`.
    settings : {"default", "mel-cnn"}
        See `SETTINGS`.
    coefficients : int
        Number of cepstral coefficients (``mfcc`` only).

    Returns
    -------
    numpy.ndarray
        float32 of shape (bands, frames), low frequencies first.

    Raises
    ------
    InputError
        If the waveform is none, or a name unknown.
    """
    chosen = _settings(kind, settings)
    prepared = peak_normalized(wave) if settings == "mel-cnn" else wave
    if kind == "stft":
        made = stft_db(prepared, chosen)
    elif kind == "mel":
        made = log_mel(prepared, chosen)
    else:
        made = mfcc(prepared, chosen, n=coefficients)
    return centered(made, MEL_CNN_FRAMES) if settings == "mel-cnn" else made


def _settings(kind: str, settings: str) -> Settings:
    if kind not in KINDS:
        raise InputError(f"kind must be {', '.join(KINDS)}, but got {kind!r}")
    if settings not in SETTINGS:
        raise InputError(f"settings must be {' or '.join(SETTINGS)}, but got {settings!r}")
    return SETTINGS[settings]


# Black over violet, red and amber to pale yellow: lighter throughout, so it also reads in gray.
_ANCHORS = np.array(
    [(0, 0, 8), (38, 14, 92), (118, 26, 118), (196, 50, 84), (240, 112, 42), (250, 186, 62), (255, 250, 200)]
)
_COLORS = np.stack(
    [np.interp(np.linspace(0, len(_ANCHORS) - 1, 256), np.arange(len(_ANCHORS)), part) for part in _ANCHORS.T], axis=1
)
_COLORS = _COLORS.round().astype(np.uint8)


def spectrogram_image(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a spectrogram as an image: one pixel a value, low frequencies at the bottom.

    Parameters
    ----------
    values : numpy.ndarray
        float32 of shape (bands, frames), finite.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (bands, frames, 3), RGB: the smallest value dark, the largest light.
    """
    low, high = float(values.min()), float(values.max())
    levels = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return np.ascontiguousarray(_COLORS[levels.round().astype(np.uint8)][::-1])


class Spectrograms(AudioWork):
    """Spectrograms of a dataset in a folder.

    Writes ``<file>.npy`` (float32, bands x frames) and ``manifest.csv``, or one ``spectrograms.parquet`` with the
    same columns and the values row by row; ``<file>.png`` if asked for; ``spectrograms.json`` with the settings.

    Parameters
    ----------
    clips : Samples
        The dataset, of audio files.
    out : str or os.PathLike
        The folder; need not exist.
    kind, settings, coefficients
        See `spectrogram`.
    png : bool
        Draw images, too; see `spectrogram_image`.
    parquet : bool
        One table instead of arrays in files.

    Raises
    ------
    InputError
        If a name is unknown.
    DatasetError
        If the folder holds spectrograms that were made otherwise.
    MissingExtraError
        If there is no pyarrow for Parquet.
    """

    def __init__(
        self,
        clips: Samples,
        out: str | os.PathLike[str],
        *,
        kind: str = "mel",
        settings: str = "default",
        coefficients: int = 20,
        png: bool = False,
        parquet: bool = False,
    ) -> None:
        chosen = _settings(kind, settings)
        if kind == "mfcc":
            check_integer(coefficients, "coefficients", low=1, high=chosen.mels)
        if parquet:
            import_extra("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
        record: dict[str, Any] = {"corpus": clips.name, "kind": kind, "settings": settings, **asdict(chosen)}
        if kind == "mfcc":
            record["coefficients"] = coefficients
        super().__init__(clips, Path(out), record="spectrograms.json", settings=record)
        self._kind, self._name, self._coefficients = kind, settings, coefficients
        self._png, self._parquet = png, parquet

    def left(self) -> list[Task]:
        """Return what is not there yet, in the order of the dataset."""
        there = _table_sources(self.out / _TABLE) if self._parquet else set()
        tasks = []
        for row, stem in enumerate(self._stems):
            array, image = self._array(stem), self.out / f"{stem}.png"
            done = (str(self.clips.files[row]) in there or array.is_file()) and (not self._png or image.is_file())
            if not done:
                targets = (str(array), str(image)) if self._png else (str(array),)
                tasks.append(Task(row, self.clips.where(row), targets))
        return tasks

    def _array(self, stem: str) -> Path:
        return self.out / _PARTS / f"{stem}.npy" if self._parquet else self.out / f"{stem}.npy"

    @property
    def _work(self) -> Callable[[Task], str]:
        return partial(_make, kind=self._kind, settings=self._name, coefficients=self._coefficients)

    def _finish(self, *, complete: bool) -> None:
        if not self._parquet:
            rows = [{"file": f"{self._stems[row]}.npy", **line} for row, line, _ in self._arrays()]
            self._write_manifest(MANIFEST, rows)
        elif complete:
            _write_parquet(self.out / _TABLE, ((line, values) for _, line, values in self._arrays()))
            shutil.rmtree(self.out / _PARTS, ignore_errors=True)

    def _arrays(self) -> Iterator[tuple[int, dict[str, str], NDArray[np.float32]]]:
        """Yield the row, the line of the manifest and the values of each array that lies in a file of its own."""
        for row, stem in enumerate(self._stems):
            path = self._array(stem)
            if not path.is_file():
                continue
            try:
                values = np.load(path, mmap_mode="r", allow_pickle=False)
                bands, frames = values.shape
            except (OSError, EOFError, ValueError) as error:
                raise DatasetError(
                    f"{format_path(path)} is damaged; delete it to have it made again: {error}"
                ) from error
            shape = {"bands": str(bands), "frames": str(frames)}
            yield row, self._about(row) | {"method": str(self.clips.column("method")[row])} | shape, values


def _make(task: Task, *, kind: str, settings: str, coefficients: int) -> str:
    """Write a spectrogram, or return why there is none."""
    try:
        wave = read_audio(task.source, rate_hz=SETTINGS[settings].rate_hz).wave
        values = spectrogram(wave, kind=kind, settings=settings, coefficients=coefficients)
    except MienError as error:
        return str(error)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, allow_pickle=False)
    array, *image = task.targets
    # The array comes last: where it is, all is there.
    for target in image:
        write_bytes(Path(target), encode_png(spectrogram_image(values)))
    write_bytes(Path(array), stream.getvalue())
    return ""


# --- one table -----------------------------------------------------------------------------------------

TABLE_COLUMNS = ("source", *ABOUT, "method", "bands", "frames", "values")
"""``values`` is the array row by row, float32, ``bands * frames`` long."""

_AT_ONCE = 64
"""Rows in memory, and in a group of the file."""


def _table_sources(path: Path) -> set[str]:
    """Return the files whose spectrograms a table holds; none if there is no table."""
    if not path.exists():
        return set()
    arrow, parquet = _arrow()
    try:
        return set(parquet.read_table(path, columns=["source"])["source"].to_pylist())
    except (arrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise DatasetError(f"cannot read {format_path(path)}: {error}") from error


def _write_parquet(path: Path, rows: Iterable[tuple[dict[str, str], NDArray[np.float32]]]) -> None:
    """Write a table of what the old one holds and of new rows: the columns but ``values`` as text, and the array.

    Without new rows, an old one stays as it is.
    """
    arrow, parquet = _arrow()
    rest = iter(rows)
    group = list(islice(rest, _AT_ONCE))
    if not group and path.exists():
        return
    types = {"bands": arrow.int32(), "frames": arrow.int32(), "values": arrow.list_(arrow.float32())}
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in TABLE_COLUMNS])
    try:
        with atomic_path(path) as hidden, parquet.ParquetWriter(hidden, schema) as writer:
            if path.exists():
                with parquet.ParquetFile(path) as old:
                    for batch in old.iter_batches(_AT_ONCE):
                        writer.write_table(arrow.Table.from_batches([batch]).cast(schema))
            while group:
                writer.write_table(arrow.table(_table_columns(group, arrow), schema=schema))
                group = list(islice(rest, _AT_ONCE))
    except arrow.ArrowException as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error}") from error


def _table_columns(rows: list[tuple[dict[str, str], NDArray[np.float32]]], arrow: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [line[name] for line, _ in rows] for name in TABLE_COLUMNS[:-1]}
    columns |= {name: [int(value) for value in columns[name]] for name in ("bands", "frames")}
    flat = [np.ascontiguousarray(values).ravel() for _, values in rows]
    ends = np.concatenate([[0], np.cumsum([len(values) for values in flat])]).astype(np.int32)
    return columns | {"values": arrow.ListArray.from_arrays(ends, arrow.array(np.concatenate(flat)))}


def _arrow() -> tuple[Any, Any]:
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
    return import_extra("pyarrow", extra="parquet", purpose="writing Parquet"), parquet
