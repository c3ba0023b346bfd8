"""Small data sets in the published forms, made by the tests."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.data import Samples
from mien.labels import FER7, LabelSet

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


@dataclass
class Row:
    emotion: str
    pixels: str
    usage: str


def make_rows(usages: list[str], seed: int = 0) -> list[Row]:
    generator = np.random.default_rng(seed)
    return [
        Row(str(i % 7), " ".join(map(str, generator.integers(0, 256, 48 * 48))), usage)
        for i, usage in enumerate(usages)
    ]


def pixels_of(rows: list[Row]) -> np.ndarray:
    return np.array([[int(v) for v in row.pixels.split()] for row in rows], dtype=np.uint8).reshape(-1, 48, 48)


def table_text(rows: list[Row], columns: tuple[str, ...] = ("emotion", "pixels", "Usage")) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([getattr(row, name.strip().lower()) for name in columns])
    return stream.getvalue()


def write_table(path: Path, text: str) -> Path:
    data = text.encode()
    if path.suffix == ".xz":
        data = lzma.compress(data)
    elif path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("fer2013/fer2013.csv", data)
            archive.writestr("fer2013/README", "text")
    else:
        path.write_bytes(data)
    return path


def votes_text(rows: list[tuple[str, list[int]]], first: int = 0, names: bool = True) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("Usage", "Image name", *VOTES))
    for number, (usage, votes) in enumerate(rows, first):
        writer.writerow((usage, f"fer{number:07d}.png" if names else "", *votes))
    return stream.getvalue()


def table_samples(
    images: np.ndarray,
    labels: np.ndarray,
    label_set: LabelSet = FER7,
    *,
    name: str = "made",
    source: str = "made by the test",
    distribution: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    files: np.ndarray | tuple[str, ...] = (),
    **columns: Any,
) -> Samples:
    """Return images in memory as a dataset; columns of None are left out, and single words stand in every row."""
    n = len(images)
    return Samples(
        name=name,
        kind="image",
        source=source,
        pixels=images,
        labels=labels,
        label_set=label_set,
        files=np.array(files, np.str_),
        distribution=distribution,
        rows=np.arange(n) if rows is None else rows,
        columns={
            key: np.full(n, values) if isinstance(values, str) else np.array(values, np.str_)
            for key, values in columns.items()
            if values is not None
        },
    )
