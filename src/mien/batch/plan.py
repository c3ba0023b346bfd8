"""The plan of a batch: its items in parts, and the settings that they are read with, fixed at the first run.

A dataset is a folder::

    manifest.json            settings, models, inputs and counts
    plan/plan-00000.parquet  the items, in order, each with the number of its part
    part-000000.parquet      the results of a part, see `mien.batch.parts`
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import mien
from mien._checks import escape_surrogates
from mien._extras import import_extra
from mien.batch.inputs import Entry
from mien.errors import DatasetError, InputError, MediaNotFoundError
from mien.io.paths import format_path
from mien.models import registry
from mien.options import AudioOptions, ModelOptions, VideoOptions
from mien.output.write import replace_atomically

__all__ = ["MANIFEST", "PART_BYTES", "PART_ITEMS", "Plan", "Settings", "write_durably"]

MANIFEST = "manifest.json"

PART_ITEMS = 500
"""Items of a part, at most: about five seconds of images."""

PART_BYTES = 64 << 20
"""A part is closed when its files have so many bytes, so that one of videos takes minutes and not hours."""

_SHARD_ROWS = 100_000
_GROUP_ROWS = 10_000
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What the answers of a batch depend on.

    Parameters
    ----------
    models, video, audio : ModelOptions, VideoOptions, AudioOptions
        As of `mien.api.Analyzers`; ``models.threads`` does not matter.
    only : {"face", "voice"}, optional
        What is read of videos.
    """

    models: ModelOptions = field(default_factory=ModelOptions)
    video: VideoOptions = field(default_factory=VideoOptions)
    audio: AudioOptions = field(default_factory=AudioOptions)
    only: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the version and the checksum of each model and of mien.

        Raises
        ------
        MienError
            If there is no such model.
        InputError
            If an option is an object, which other processes cannot read.
        """
        models, video = asdict(self.models), asdict(self.video)
        names = {"face": models.pop("model"), "voice": models.pop("speech_model"), "clips": video.pop("clip_model")}
        del models["threads"]
        options = {"only": self.only, **models, **video, **asdict(self.audio)}
        for name, value in options.items():
            if not isinstance(value, str | int | float | bool | None):
                raise InputError(f"{name} must be a name in a batch, but is an object of type {type(value).__name__}")
        return {
            "mien": mien.__version__,
            "models": {task: _describe_model(name) for task, name in names.items() if name is not None},
            "options": options,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Build from what `to_dict` returned."""
        options, models = data["options"], data["models"]

        def pick(kind: type, **more: Any) -> Any:
            names = kind.__dataclass_fields__.keys() & options.keys()  # type: ignore[attr-defined]
            return kind(**{name: options[name] for name in names}, **more)

        return cls(
            pick(ModelOptions, model=models["face"]["source"], speech_model=models["voice"]["source"]),
            pick(VideoOptions, clip_model=models.get("clips", {}).get("source")),
            pick(AudioOptions),
            options["only"],
        )


def _describe_model(name: Any) -> dict[str, str]:
    spec = registry.get(name)
    source = os.fspath(name) if isinstance(name, str | os.PathLike) else spec.name
    if source not in registry.MODELS:
        source = os.path.abspath(source)  # noqa: PTH100
    return {"source": source, "name": spec.name, "version": spec.version, "sha256": spec.files[0].sha256}


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was made.

    Parameters
    ----------
    folder : Path
        The dataset.
    data : dict
        What `MANIFEST` holds.
    """

    folder: Path
    data: dict[str, Any]

    @property
    def parts(self) -> int:
        """Number of parts."""
        return int(self.data["parts"])

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.data["items"])

    @property
    def settings(self) -> Settings:
        """The settings, of the models as they were named."""
        return Settings.from_dict(self.data["settings"])

    @property
    def root(self) -> str:
        """Folder that relative paths start from."""
        return str(self.data["root"])

    @classmethod
    def create(
        cls,
        folder: Path,
        entries: Iterable[Entry],
        settings: Settings,
        *,
        inputs: Iterable[str],
        root: str,
        column: str | None = None,
        part_items: int = PART_ITEMS,
    ) -> Plan:
        """Write a plan; the manifest comes last, so that a plan that was interrupted is none.

        Parameters
        ----------
        folder : Path
            The dataset; made if it is missing.
        entries : iterable of Entry
            The items; taken one by one.
        settings : Settings
            What they are read with.
        inputs, root, column
            What they were listed from, see `mien.batch.inputs.list_entries`; compared when the batch goes on.
        part_items : int
            Items of a part, at most.

        Raises
        ------
        MediaNotFoundError
            If there are no items.
        MienError
            If a model is missing, or the folder cannot be written.
        """
        described = settings.to_dict()
        (folder / "plan").mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        parts, items, shards = 0, 0, []
        for number, rows in enumerate(_shards(entries, part_items)):
            write_durably(folder / "plan" / f"plan-{number:05d}.parquet", _plan_table(rows), row_group_size=_GROUP_ROWS)
            for row in rows:
                digest.update(repr(row).encode("utf-8", "surrogateescape"))
            shards.append([rows[0][0], rows[-1][0]])
            parts, items = rows[-1][0] + 1, items + len(rows)
        if not items:
            raise MediaNotFoundError(f"no image, video or audio file in {', '.join(map(format_path, inputs))}")
        data = {
            "format": _FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "inputs": _printable(inputs),
            "root": root,
            "column": column,
            "items": items,
            "parts": parts,
            "shards": shards,
            "inputs_sha256": digest.hexdigest(),
            "settings": described,
            "settings_sha256": _hash(described),
        }
        write_durably(folder / MANIFEST, json.dumps(data, indent=2).encode())
        return cls(folder, data)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Read the plan of a dataset.

        Raises
        ------
        DatasetError
            If there is none, or it is damaged or of a later mien.
        """
        try:
            data = json.loads((folder / MANIFEST).read_text("utf-8"))
            known = data["format"]
        except FileNotFoundError:
            raise DatasetError(f"{format_path(folder)} holds no batch: there is no {MANIFEST}") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DatasetError(f"cannot read {format_path(folder / MANIFEST)}: {error}") from error
        if known != _FORMAT:
            raise DatasetError(f"{format_path(folder)} has format {known}, but this mien reads {_FORMAT}")
        return cls(folder, data)

    def check(self, settings: Settings | None = None, inputs: Iterable[str] | None = None) -> None:
        """Refuse to go on with other settings, models or inputs than the plan's.

        Raises
        ------
        DatasetError
            Names the differences.
        """
        before = dict(_flatten(self.data["settings"]))
        now = dict(_flatten((settings or self.settings).to_dict()))
        differences = [
            f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name) and not name.endswith(".source")
        ]
        if inputs is not None:
            given = _printable(inputs)
            if given != self.data["inputs"]:
                differences.append(f"the inputs were {', '.join(self.data['inputs'])} and are {', '.join(given)}")
        if differences:
            raise DatasetError(
                f"{format_path(self.folder)} was begun otherwise: {'; '.join(differences)}; choose another folder"
            )

    def part_path(self, part: int) -> Path:
        """Return the file of a part's results."""
        return self.folder / f"part-{part:06d}.parquet"

    def missing(self, shard: tuple[int, int] = (0, 1)) -> Iterator[int]:
        """Yield the parts that are not there, of every n-th the i-th for ``shard`` (i, n)."""
        index, count = shard
        done = {entry.name for entry in os.scandir(self.folder)}
        for part in range(index, self.parts, count):
            if self.part_path(part).name not in done:
                yield part

    def entries(self, part: int) -> list[tuple[int, Entry]]:
        """Return the items of a part, each with its number.

        Raises
        ------
        DatasetError
            If the plan is damaged.
        """
        for number, (first, last) in enumerate(self.data["shards"]):
            if first <= part <= last:
                return _read_part(str(self.folder / "plan" / f"plan-{number:05d}.parquet"), part)
        raise DatasetError(f"{format_path(self.folder)} has {self.parts} parts, but got part {part}")


def _printable(names: Iterable[str]) -> list[str]:
    return [escape_surrogates(name) for name in names]


_Row = tuple[int, int, str, str | None, int | None, int | None]


def _shards(entries: Iterable[Entry], part_items: int) -> Iterator[list[_Row]]:
    """Yield rows (part, item, path, member, offset, size); a part never stands in two shards."""
    rows: list[_Row] = []
    part = count = size = 0
    for item, entry in enumerate(entries):
        if count and (count >= part_items or size >= PART_BYTES):
            part, count, size = part + 1, 0, 0
            if len(rows) >= _SHARD_ROWS:
                yield rows
                rows = []
        rows.append((part, item, entry.path, entry.member, entry.offset, entry.size))
        count, size = count + 1, size + (entry.size or 0)
    if rows:
        yield rows


def _plan_table(rows: list[_Row]) -> Any:
    arrow = import_extra("pyarrow", extra="parquet", purpose="a batch")
    part, item, path, member, offset, size = zip(*rows, strict=True)
    # Names may hold what is not UTF-8.
    encoded = [os.fsencode(name) for name in path]
    return arrow.table(
        {
            "part": arrow.array(part, arrow.int32()),
            "item": arrow.array(item, arrow.int64()),
            "path": arrow.array(encoded, arrow.binary()),
            "member": arrow.array([None if m is None else os.fsencode(m) for m in member], arrow.binary()),
            "offset": arrow.array(offset, arrow.int64()),
            "size": arrow.array(size, arrow.int64()),
        }
    )


@lru_cache(maxsize=4)
def _plan_file(path: str) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path)


def _read_part(path: str, part: int) -> list[tuple[int, Entry]]:
    from pyarrow import ArrowInvalid, compute

    found: list[tuple[int, Entry]] = []
    try:
        file = _plan_file(path)
        for group in range(file.num_row_groups):
            limits = file.metadata.row_group(group).column(0).statistics
            if limits.min <= part <= limits.max:
                rows = file.read_row_group(group)
                for row in rows.filter(compute.equal(rows["part"], part)).to_pylist():
                    member = None if row["member"] is None else os.fsdecode(row["member"])
                    entry = Entry(os.fsdecode(row["path"]), member, row["offset"], row["size"])
                    found.append((row["item"], entry))
    except (OSError, ArrowInvalid) as error:
        raise DatasetError(f"cannot read the plan {format_path(path)}: {error}") from error
    return found


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix.removeprefix("options.") + name, value


def write_durably(target: Path, content: Any, **options: Any) -> None:
    """Write a file whole or not at all, and onto the disk before it appears.

    Parameters
    ----------
    target : Path
        The file; replaced if it is there.
    content : bytes or pyarrow.Table
        What to write; tables become Parquet.
    **options
        Of `pyarrow.parquet.write_table`.

    Raises
    ------
    MediaError
        If it cannot be written.
    """
    with replace_atomically(target) as temporary, temporary.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            from pyarrow import parquet

            parquet.write_table(content, file, compression="zstd", **options)
        file.flush()
        os.fsync(file.fileno())
    # The folder, too, so that the new name outlasts a loss of power.
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
