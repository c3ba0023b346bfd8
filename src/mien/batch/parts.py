"""The results of a part: one row an item, with its faces, tracks and segments as nested lists, in one Parquet file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from mien._checks import escape_surrogates
from mien._extras import import_extra
from mien.api.pipeline import Analyzers, Pipeline, Result
from mien.batch.inputs import Entry, open_sources
from mien.batch.plan import Plan, Settings
from mien.errors import shorten
from mien.labels import FER7, LabelSet
from mien.results import Column, FailedItem, ImageResult, VideoResult, columns

__all__ = ["NESTED", "PartReader", "make_schema"]

NESTED = ("faces", "frames", "tracks", "segments", "speech", "fused")
"""Columns with the rows of the tables of these names, see `mien.results.columns`."""

_EMOTION = ("emotion", "confidence", "unsure", "valence", "arousal")

WORKER_DIED = "WorkerDied"
"""The error of an item that ends the process that reads it."""


def make_schema(labels: Mapping[str, Sequence[LabelSet]], metadata: Mapping[str, str]) -> Any:
    """Return the schema of parts.

    Parameters
    ----------
    labels : mapping
        The emotions of each table of `NESTED`; several sets give the columns of all.
    metadata : mapping of str to str
        What stands in the schema.

    Returns
    -------
    pyarrow.Schema
        Columns of the item, the nested tables, and where the answers come from.
    """
    arrow = import_extra("pyarrow", extra="parquet", purpose="a batch")
    types = {str: arrow.string(), int: arrow.int32(), float: arrow.float64(), bool: arrow.bool_()}
    words = arrow.dictionary(arrow.int32(), arrow.string())

    def nested(table: str) -> Any:
        own = columns_of(table, labels[table])
        return arrow.list_(arrow.struct([(column.name, types[column.type]) for column in own]))

    fields = [
        ("item", arrow.int64()),
        ("path", arrow.string()),
        ("member", arrow.string()),
        ("kind", words),
        ("width", arrow.int32()),
        ("height", arrow.int32()),
        ("duration_s", arrow.float64()),
        ("emotion", words),
        ("confidence", arrow.float64()),
        ("unsure", arrow.bool_()),
        ("valence", arrow.float64()),
        ("arousal", arrow.float64()),
        *((table, nested(table)) for table in NESTED),
        ("warnings", arrow.list_(arrow.string())),
        ("error", words),
        ("message", arrow.string()),
        ("model", words),
        ("model_version", words),
        ("model_sha256", words),
        ("settings_sha256", words),
        ("mien_version", words),
    ]
    return arrow.schema(fields, metadata=dict(metadata))


def columns_of(table: str, labels: Sequence[LabelSet]) -> tuple[Column, ...]:
    """Return the columns of a nested table: all but path, warnings and error, which the item has."""
    return columns(table, labels)[1:-3]


class PartReader:
    """Reads the items of a plan into tables.

    Parameters
    ----------
    plan : Plan
        The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        settings = plan.settings
        self._only = settings.only
        self._analyzers = _load(settings)
        self._pipeline = Pipeline(self._analyzers, video=replace(settings.video, voice=self._only is None))

    @cached_property
    def schema(self) -> Any:
        """The schema of the tables; loads the models, whose labels it has."""
        faces, voices = self._analyzers.labels("image"), self._analyzers.labels("audio")
        labels = {table: [faces] for table in NESTED} | {"speech": [voices], "fused": [FER7]}
        beside = self._analyzers.labels("video", "speech")
        if beside != voices:
            labels["speech"].append(beside)
        metadata = {"mien": json.dumps({name: self.plan.data[name] for name in ("settings", "settings_sha256")})}
        return make_schema(labels, metadata)

    def read(self, items: Sequence[tuple[int, Entry]], on_item: Callable[[], None] | None = None) -> Any:
        """Analyze items.

        Parameters
        ----------
        items : sequence of (int, Entry)
            Numbers and entries.
        on_item : callable, optional
            Called after each.

        Returns
        -------
        pyarrow.Table
            A row an item, in their order.
        """
        rows = []
        sources: Any = open_sources((entry for _, entry in items), root=self.plan.root, only=self._only)
        run: Any = self._pipeline.run(sources)
        with closing(sources), closing(run) as results:
            for (number, entry), item in zip(items, results, strict=True):
                rows.append(self._row(number, entry, item.result, item.source.kind))
                if on_item is not None:
                    on_item()
        return self._table(rows)

    def make_dead_rows(self, items: Sequence[tuple[int, Entry]]) -> Any:
        """Return the table of items that end any process that reads them: rows with the error `WORKER_DIED`."""
        message = "the process that read it ended; read alone, too"
        failed = FailedItem(None, WORKER_DIED, message)
        return self._table([self._row(number, entry, failed, "") for number, entry in items])

    def _table(self, rows: list[dict[str, Any]]) -> Any:
        import pyarrow as pa

        return pa.Table.from_pylist(rows, schema=self.schema)

    def _row(self, number: int, entry: Entry, result: Result | FailedItem, kind: str) -> dict[str, Any]:
        settings = self.plan.data["settings"]
        model = settings["models"]["voice" if kind == "audio" else "face"]
        row: dict[str, Any] = {
            "item": number,
            "path": escape_surrogates(entry.path),
            "member": None if entry.member is None else escape_surrogates(entry.member),
            "kind": kind or None,
            "model": model["name"],
            "model_version": model["version"],
            "model_sha256": model["sha256"],
            "settings_sha256": self.plan.data["settings_sha256"],
            "mien_version": settings["mien"],
        }
        if isinstance(result, FailedItem):
            return row | {"error": result.error, "message": escape_surrogates(shorten(result.message, 500))}
        for table in result.tables:
            if table in NESTED:
                row[table] = [_nested(one) for one in result.rows(table) if _has_content(table, one)]
        row["warnings"] = [escape_surrogates(text) for text in result.warnings]
        if isinstance(result, ImageResult):
            row |= {"width": result.width, "height": result.height}
            largest = row["faces"][0] if row["faces"] else None
        else:
            summary = result.summary
            row["duration_s"] = summary.duration_s
            largest = None if summary.emotion is None else summary.emotion.to_dict()
            if largest is not None:
                largest["emotion"] = largest["top"]
        if isinstance(result, VideoResult):
            row |= {"width": result.width, "height": result.height}
        if largest is not None:
            row |= {name: largest[name] for name in _EMOTION}
        return row


@lru_cache(maxsize=1)
def _load(settings: Settings) -> Analyzers:
    """Return the analyzers of a process, which loads its models once."""
    return Analyzers(replace(settings.models, threads=1), settings.video, settings.audio, are_shared=True)


def _has_content(table: str, row: Mapping[str, Any]) -> bool:
    """Tell whether a row is more than the place of an item in which nothing was found."""
    key = {"faces": "face", "frames": "track", "tracks": "track"}.get(table, "segment")
    return row[key] is not None


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("path", "warnings", "error", "message")}
