"""The options of ``mien analyze``: which fit each other, and what there is to read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli._analyze_kinds import Kind
from mien.cli._analyze_sources import Plan

if TYPE_CHECKING:
    _Type = click.ParamType[float]
else:
    # Not generic before click 8.2.
    _Type = click.ParamType

__all__ = ["VIDEO_SUFFIXES", "Options", "TimeOfVideo"]

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""Videos are written as these."""

_FILE_SUFFIXES = frozenset(
    {".avi", ".bmp", ".csv", ".gif", ".htm", ".html", ".jpeg", ".jpg", ".json", ".m4v", ".mp3", ".pdf", ".png", ".svg"}
    | {".mkv", ".mov", ".mp4", ".wav", ".webm", ".webp"}
)
"""What a user who names a folder would hardly end it in."""

_FITS: dict[str, tuple[Kind, ...]] = {
    "--out": (Kind.IMAGE, Kind.VIDEO),
    "--save-faces": (Kind.IMAGE, Kind.VIDEO),
    "--min-face": (Kind.IMAGE, Kind.VIDEO),
    "--explain": (Kind.IMAGE,),
    "--explain-by": (Kind.IMAGE,),
    "--plot": (Kind.RECORDING, Kind.VIDEO),
    "--window": (Kind.RECORDING, Kind.VIDEO),
    "--hop": (Kind.RECORDING, Kind.VIDEO),
    "--save-audio": (Kind.RECORDING,),
    "--table": (Kind.VIDEO,),
    "--html": (Kind.VIDEO,),
    "--step": (Kind.VIDEO,),
    "--fps": (Kind.VIDEO,),
    "--from": (Kind.VIDEO,),
    "--to": (Kind.VIDEO,),
    "--max-faces": (Kind.VIDEO,),
    "--method": (Kind.VIDEO,),
    "--smooth": (Kind.VIDEO,),
    "--fusion": (Kind.VIDEO,),
}
"""What options do something for."""

_OF_VOICES = ("--window", "--hop", "--fusion")
"""What does nothing for videos whose faces alone are read."""


@dataclass(frozen=True)
class Options:
    """The options, as they were given: see ``mien analyze --help``."""

    as_json: bool
    as_jsonl: bool
    as_csv: bool
    parquet: Path | None
    table: str | None
    out: Path | None
    save_faces: Path | None
    explain: bool
    explain_by: str | None
    plot: Path | None
    html: Path | None
    window: float | None
    hop: float | None
    save_audio: Path | None
    audio_rate: int | None
    audio_float: bool
    only: str | None
    step: float | None
    fps: float | None
    from_: float | None
    to: float | None
    max_faces: int | None
    method: str | None
    smooth: float | None
    fusion: str | None
    models: tuple[str, ...]
    labels_as: str | None
    detector: str
    min_face: float | None
    threads: int | None
    device: str
    engine: str
    precision: str
    max_pixels: int

    @property
    def explained(self) -> bool:
        """Whether maps are laid over the drawn faces."""
        return self.explain or self.explain_by is not None

    @property
    def timed(self) -> bool:
        """Whether videos are followed over time, and not judged by single frames."""
        return self.method in (None, "timeline")

    @property
    def voices(self) -> bool:
        """Whether the voices of videos are read beside their faces."""
        return self.only is None

    @property
    def by_kind(self) -> bool:
        """Whether it must be known what kinds there are before the first is read: for columns, and what fits them."""
        return bool(
            (self.as_csv or self.parquet or self.only or self.models or self.labels_as)
            or self.precision != "float32"
            or any(self._given(name) for name in _FITS)
        )

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.as_json + self.as_jsonl + self.as_csv > 1:
            raise click.UsageError("choose one of --json, --jsonl and --csv")
        if self.explained and self.out is None:
            raise click.UsageError("--explain draws on the images: say with --out where they go")
        if (self.audio_rate or self.audio_float) and self.save_audio is None:
            raise click.UsageError("--audio-rate and --audio-float say how --save-audio writes: say where")
        if self.table is not None and not self.as_csv and self.parquet is None:
            raise click.UsageError("--table says what --csv and --parquet write: give one of them")
        self._check_times()

    def _check_times(self) -> None:
        for name, value in (("--step", self.step), ("--fps", self.fps), ("--smooth", self.smooth)):
            if value is not None and not (math.isfinite(value) and value >= 0 and (value > 0 or name != "--fps")):
                least = "more than 0" if name == "--fps" else "at least 0"
                raise click.UsageError(f"{name} must be {least}, but got {value:g}")
        if self.step is not None and self.fps is not None:
            raise click.UsageError("give --step or --fps, not both")
        if self.to is not None and self.to <= (self.from_ or 0.0):
            raise click.UsageError(f"--to must be after --from, but got {self.from_ or 0:g} to {self.to:g} s")
        if self.timed:
            return
        for name, value in (
            ("--step", self.step),
            ("--fps", self.fps),
            ("--from", self.from_),
            ("--to", self.to),
            ("--smooth", self.smooth),
        ):
            if value is not None:
                message = f"--method {self.method} chooses frames of the whole video, each by itself: leave out {name}"
                raise click.UsageError(message)

    def fit(self, plan: Plan) -> None:
        """Refuse options that do nothing for what there is."""
        if self.only is not None and plan.counts and not plan.videos:
            raise click.UsageError("--only says what is read of videos, but there are none")
        for name, kinds in _FITS.items():
            if self._given(name) and plan.counts and not any(kind in plan.counts for kind in kinds):
                message = f"{name} is for {_and(kinds)}, but there are only {_and(plan.kinds)}"
                if self.only == "voice":
                    message += ": of videos only the sound is read"
                elif Kind.VIDEO in plan.counts and Kind.RECORDING in kinds:
                    message += ": with --only voice the sound of videos is read"
                raise click.UsageError(message)
        self._fit_voices(plan)
        if Kind.VIDEO in plan.counts and len(plan.counts) > 1 and (self.as_csv or self.parquet is not None):
            raise click.UsageError(
                "videos have tables of their own: name them and other files in two calls, or use --json or --jsonl"
            )
        self._fit_places(plan)

    def _fit_voices(self, plan: Plan) -> None:
        """Refuse what is about voices where only faces are read."""
        if self.only != "face" or Kind.RECORDING in plan.counts:
            return
        for name in _OF_VOICES:
            if self._given(name):
                raise click.UsageError(f"{name} is about voices: leave out --only face")
        if self.table in ("speech", "fused"):
            raise click.UsageError(f"--table {self.table} needs the voice: leave out --only face")

    def _fit_places(self, plan: Plan) -> None:
        """Refuse a file for many things, and names of files that would become folders."""
        for name, place, suffixes in (
            ("--plot", self.plot, (".png",)),
            ("--save-audio", self.save_audio, (".wav",)),
            ("--html", self.html, (".html",)),
            ("--out", self.out, VIDEO_SUFFIXES if Kind.VIDEO in plan.counts else ()),
        ):
            if place is None or place.is_dir() or not suffixes:
                continue
            suffix = place.suffix.lower()
            if plan.many and suffix in suffixes:
                raise click.UsageError(f"{name} {place} is one file, but there are several to read: name a folder")
            if suffix in _FILE_SUFFIXES and suffix not in suffixes and not place.exists():
                told = ", ".join(suffixes)
                raise click.UsageError(f"{name} {place}: expected a file that ends in {told}, or a folder")

    def _given(self, name: str) -> bool:
        attribute = "from_" if name == "--from" else name.removeprefix("--").replace("-", "_")
        value: Any = getattr(self, attribute)
        return value is not None and value is not False


def _and(kinds: tuple[Kind, ...]) -> str:
    return " and ".join(kind.many for kind in kinds)


class TimeOfVideo(_Type):
    """A time in a video: seconds, or minutes and seconds as ``12:05``, or hours as ``1:02:05.5``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if not re.fullmatch(r"(?:(?:\d+:)?\d+:)?(?:\d+\.?\d*|\.\d+)", text, re.ASCII):
            self.fail(f"expected seconds, m:ss or h:mm:ss, but got {value!r}", param, ctx)
        *above, last = text.split(":")
        seconds = float(last)
        if above and (seconds >= 60 or any(int(part) >= 60 for part in above[1:])):
            self.fail(f"a minute has 60 seconds and an hour 60 minutes, but got {value!r}", param, ctx)
        for power, part in enumerate(reversed(above), 1):
            seconds += int(part) * 60.0**power
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is too long", param, ctx)
        return seconds
