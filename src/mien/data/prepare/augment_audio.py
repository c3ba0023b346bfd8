"""Changed copies of the recordings of a corpus, each with its origin, so that no split can separate them.

On training data only such copies may help; where a copy of a test recording is trained on, the test tells nothing.  So
every copy carries the clip that it was made of, in the table and in its name, and `mien.data.speech.folds` keeps
all copies of a clip together.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.prepare._sound_files import FORMATS, encode
from mien.data.prepare._sound_work import ABOUT, Outcome, SoundWork, Task, about, stems, write_whole
from mien.data.samples import Samples
from mien.data.speech import COPY, METHODS, split_copy
from mien.errors import DatasetError, InputError, MienError
from mien.io.audio import read_audio
from mien.io.paths import format_path
from mien.speech.warp import add_noise, pitch_shift, time_stretch

__all__ = ["MANIFEST", "MEL_CNN_CHANGES", "Changes", "Copies", "Outcome"]

MANIFEST = ("file", *ABOUT, "method", "value", "source")
"""Columns of ``manifest.csv``: the file, what the corpus says about its original (``clip`` is the origin), how it was
made, and the recording that it was made of."""


_CHANGE = re.compile(rf"({'|'.join(METHODS)})(.+)")
"""What stands in a copy's name behind `COPY`."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What copies are made of a recording.

    Parameters
    ----------
    stretch : tuple of float
        A copy at each of these speeds; see `mien.speech.warp.time_stretch`.
    pitch : tuple of float
        A copy moved by each of these numbers of semitones.
    noise : tuple of float
        Lowest and highest amount, of which each recording gets one at random: the standard deviation of white noise as
        a part of the recording's largest magnitude (its amplitude on the peak-normalized recording).  Empty for no
        such copy.
    seed : int
        Seed of amounts and noise.  Each recording has its own, so order and number of processes change nothing.
    """

    stretch: tuple[float, ...] = (0.81, 1.07)
    pitch: tuple[float, ...] = (-1.0, 2.0)
    noise: tuple[float, ...] = (0.005, 0.008)
    seed: int = 0

    def __post_init__(self) -> None:
        for factor in self.stretch:
            check_number(factor, "stretch", low=0.25, high=4)
        for semitones in self.pitch:
            check_number(semitones, "pitch", low=-24, high=24)
        for amount in self.noise:
            check_number(amount, "noise", low=0, high=1)
        if self.noise and (len(self.noise) != 2 or self.noise[0] > self.noise[1]):
            raise InputError(f"noise must be a lowest and a highest amount, but got {self.noise}")
        check_integer(self.seed, "seed", low=0)
        if not (self.stretch or self.pitch or self.noise):
            raise InputError("there must be a copy to make: stretch, pitch and noise are all empty")

    def of(self, clip: str) -> list[tuple[str, str]]:
        """Return method and value of each copy of a recording."""
        made = [("stretch", f"{factor:g}") for factor in dict.fromkeys(self.stretch)]
        made += [("pitch", f"{semitones:+g}") for semitones in dict.fromkeys(self.pitch)]
        if self.noise:
            low, high = self.noise
            amount = np.random.default_rng([self.seed, zlib.crc32(os.fsencode(clip))]).uniform(low, high)
            made.append(("noise", f"{amount:.5f}"))
        return made


MEL_CNN_CHANGES = Changes()
"""System A's: speeds 0.81 and 1.07, one semitone down and two up, noise of 0.005 to 0.008."""


class Copies(SoundWork):
    """Changed copies of a corpus in a folder.

    Writes ``<recording>__<method><value>.flac`` (16 bit, at the recording's rate), the originals in the same form,
    ``manifest.csv``, and ``augment.json`` with the settings.  The names keep what the corpus says by them, so the
    folder can be read as the same corpus, or as a ``speech_folder``.  Where ``out`` is the corpus itself, the copies
    lie beside the originals.  Copies of copies are not made.

    Parameters
    ----------
    clips : Samples
        The corpus.
    out : str or os.PathLike
        The folder; need not exist.
    changes : Changes
        What copies to make.
    originals : bool
        Write the originals, too.
    file_format : {"flac", "wav"}
        What to write.

    Raises
    ------
    InputError
        If there is no such format.
    DatasetError
        If the folder holds copies that were made otherwise, or a manifest of somebody else.
    """

    def __init__(
        self,
        clips: Samples,
        out: str | os.PathLike[str],
        *,
        changes: Changes = MEL_CNN_CHANGES,
        originals: bool = True,
        file_format: str = "flac",
    ) -> None:
        if file_format not in FORMATS:
            raise InputError(f"file_format must be {' or '.join(FORMATS)}, but got {file_format!r}")
        first = clips.take(clips.column("method") == "")
        if not len(first):
            raise DatasetError(f"{clips.source} holds copies only: there is no original to change")
        self._beside = _same(Path(out), Path(clips.source))
        record = {
            "corpus": clips.name,
            "stretch": list(changes.stretch),
            "pitch": list(changes.pitch),
            "noise": list(changes.noise),
            "seed": changes.seed,
            "format": file_format,
        }
        super().__init__(first, Path(out), record="augment.json", settings=record)
        self._changes, self._format = changes, file_format
        self._originals = originals and not self._beside
        self._stems = stems(first.files.tolist())
        if (self.out / "manifest.csv").exists() and not self._record.exists():
            raise DatasetError(f"will not write over {format_path(self.out / 'manifest.csv')}: choose another folder")

    def left(self) -> list[Task]:
        """Return the recordings of which a copy is missing, in the order of the corpus."""
        tasks = []
        for row, stem in enumerate(self._stems):
            missing = [
                path for path in (self.out / file for file, _, _ in self._files(row, stem)) if not path.is_file()
            ]
            if missing:
                tasks.append(Task(row, self.clips.where(row), tuple(map(str, missing))))
        return tasks

    def _files(self, row: int, stem: str) -> list[tuple[str, str, str]]:
        """Return file, method and value of all that is written of a recording."""
        copies = self._changes.of(str(self.clips.clips[row]))
        files = [(f"{stem}{COPY}{method}{value}.{self._format}", method, value) for method, value in copies]
        return [(f"{stem}.{self._format}", "", ""), *files] if self._originals else files

    @property
    def _work(self) -> Callable[[Task], str]:
        return partial(_make, file_format=self._format, seed=self._changes.seed)

    def _finish(self, *, complete: bool) -> None:  # noqa: ARG002 - the table tells what is there at any time
        rows = []
        for row, stem in enumerate(self._stems):
            told = {**about(self.clips, row), "source": str(self.clips.files[row])}
            if self._beside:
                rows.append({"file": str(self.clips.files[row]), **told, "method": "", "value": ""})
            for file, method, value in self._files(row, stem):
                if (self.out / file).is_file():
                    rows.append({"file": file, **told, "method": method, "value": value})
        self._write_manifest(MANIFEST, rows)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _make(task: Task, *, file_format: str, seed: int) -> str:
    """Write the copies of a recording that are missing, or return why there are none."""
    try:
        audio = read_audio(task.source)
        made = [_changed(audio.wave, audio.rate_hz, target, seed) for target in task.targets]
    except MienError as error:
        return str(error)
    for target, wave in zip(task.targets, made, strict=True):
        write_whole(Path(target), encode(wave, audio.rate_hz, file_format))
    return ""


def _changed(wave: NDArray[np.float32], rate_hz: int, target: str, seed: int) -> NDArray[np.float32]:
    """Return what belongs into a file by its name."""
    original, change = split_copy(target)
    match = _CHANGE.fullmatch(change)
    if match is None:
        return wave
    method, value = match[1], float(match[2])
    if method == "stretch":
        return time_stretch(wave, value, rate_hz=rate_hz)
    if method == "pitch":
        return pitch_shift(wave, value, rate_hz=rate_hz)
    return add_noise(wave, value, np.random.default_rng([seed, zlib.crc32(os.fsencode(original)), 1]))
