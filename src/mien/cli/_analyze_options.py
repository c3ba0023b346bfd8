"""The options of ``mien analyze``: which fit each other, and what there is to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from mien.cli._analyze_sources import Plan

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The options, as they were given: see ``mien analyze --help``."""

    as_json: bool
    as_csv: bool
    parquet: Path | None
    out: Path | None
    save_faces: Path | None
    explain: bool
    explain_by: str | None
    plot: Path | None
    window: float | None
    hop: float | None
    save_audio: Path | None
    audio_rate: int | None
    audio_float: bool
    models: tuple[str, ...]
    labels_as: str | None
    detector: str
    min_face: float | None
    threads: int | None
    device: str
    max_pixels: int

    @property
    def explained(self) -> bool:
        """Whether maps are laid over the drawn faces."""
        return self.explain or self.explain_by is not None

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.as_json and self.as_csv:
            raise click.UsageError("choose one of --json and --csv")
        if self.explained and self.out is None:
            raise click.UsageError("--explain draws on the pictures: say with --out where they go")
        if (self.audio_rate or self.audio_float) and self.save_audio is None:
            raise click.UsageError("--audio-rate and --audio-float say how --save-audio writes: say where")

    def fit(self, plan: Plan) -> None:
        """Refuse options that do nothing for what there is."""
        of_pictures = {"--out": self.out, "--save-faces": self.save_faces, "--min-face": self.min_face}
        of_sound = {"--plot": self.plot, "--save-audio": self.save_audio, "--window": self.window, "--hop": self.hop}
        for given, none, what in (
            (of_pictures, plan.recordings and not plan.pictures, "pictures, but there are only recordings"),
            (of_sound, plan.pictures and not plan.recordings, "recordings, but there are only pictures"),
        ):
            for name, value in given.items():
                if none and value is not None:
                    raise click.UsageError(f"{name} is for {what}")
        for name, target, suffix in (("--plot", self.plot, ".png"), ("--save-audio", self.save_audio, ".wav")):
            if plan.many and target is not None and target.suffix.lower() == suffix:
                raise click.UsageError(f"{name} {target} is one file, but there are several to read: name a folder")
