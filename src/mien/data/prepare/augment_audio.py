"""Changed copies of the recordings of a corpus, each with its origin, so that no split can separate them.

On training data only such copies may help; where a copy of a test recording is trained on, the test tells nothing. So
every copy carries the clip that it was made of, in the table and in its name, and `mien.data.speech.folds` keeps
all copies of a clip together.
"""

from __future__ import annotations

import io
import os
import re
import wave as wave_files
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.prepare.audio_work import ABOUT, AudioWork, Outcome, Task
from mien.data.prepare.work import write_bytes
from mien.data.samples import Samples
from mien.data.speech import COPY, METHODS, split_copy
from mien.errors import DatasetError, InputError, MienError
from mien.io.audio import read_audio
from mien.io.paths import format_path
from mien.speech.warp import add_noise, pitch_shift, time_stretch

__all__ = ["FORMATS", "MANIFEST", "MEL_CNN_CHANGES", "Changes", "Copies", "Outcome", "encode_audio"]

FORMATS = ("flac", "wav")

_BLOCK = 4096
"""Samples in a block of FLAC."""

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
        a part of the recording's largest magnitude (its amplitude on the peak-normalized recording). Empty for no
        such copy.
    seed : int
        Seed of amounts and noise. Each recording has its own, so order and number of processes change nothing.
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
"""As `mel_cnn` was first trained: speeds 0.81 and 1.07, one semitone down and two up, noise of 0.005 to 0.008."""


class Copies(AudioWork):
    """Changed copies of a corpus in a folder.

    Writes ``<recording>__<method><value>.flac`` (16 bit, at the recording's rate), the originals in the same form,
    ``manifest.csv``, and ``augment.json`` with the settings. The names keep what the corpus says by them, so the
    folder can be read as the same corpus, or as a ``speech_folder``. Where ``out`` is the corpus itself, the copies
    lie beside the originals. Copies of copies are not made.

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
            about = self._about(row)
            if self._beside:
                rows.append({"file": str(self.clips.files[row]), **about, "method": "", "value": ""})
            for file, method, value in self._files(row, stem):
                if (self.out / file).is_file():
                    rows.append({"file": file, **about, "method": method, "value": value})
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
        write_bytes(Path(target), encode_audio(wave, audio.rate_hz, file_format))
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


# --- sound files ---------------------------------------------------------------------------------------


def encode_audio(wave: NDArray[np.float32], rate_hz: int, file_format: str) -> bytes:
    """Return a sound as a file, mono and of 16 bits.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, finite. Louder than full scale, it is made quieter as a whole, not clipped.
    rate_hz : int
        Sampling rate.
    file_format : {"flac", "wav"}
        Without loss, but for the rounding.

    Returns
    -------
    bytes
        The file.
    """
    peak = float(np.abs(wave).max(initial=0))
    # A full scale of 32768 gives 16-bit recordings back bit by bit; only +1 itself has to give way by one step.
    scaled = np.rint(wave * np.float32(32768 / max(peak, 1.0)))
    samples = np.clip(scaled, -32768, 32767).astype("<i2")
    return _flac(samples, rate_hz) if file_format == "flac" else _wav(samples, rate_hz)


def _wav(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    stream = io.BytesIO()
    with wave_files.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def _flac(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="flac") as container:
        track = container.add_stream("flac", rate=rate_hz, layout="mono", format="s16")
        for start in range(0, len(samples), _BLOCK):
            block = np.ascontiguousarray(samples[None, start : start + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()
