"""Work on all audio files of a dataset: files made of each, and tables of what was made and what was not."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mien.data.prepare.work import read_table, run_tasks, write_bytes, write_table
from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.io.paths import format_path

__all__ = ["ABOUT", "AudioWork", "Outcome", "Task", "file_stems"]

ABOUT = ("emotion", "subject", "sex", "clip", "split", "intensity", "statement")
"""Columns that say about an audio file what its dataset says; see `mien.data.samples.COLUMNS`."""

REJECTED = ("file", "reason")
"""Columns of ``rejected.csv``."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is made of one audio file.

    Parameters
    ----------
    row : int
        Its place in the dataset.
    source : str
        Its path.
    targets : tuple of str
        Paths of the files to make.
    """

    row: int
    source: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one audio file.

    Parameters
    ----------
    file : str
        The file, relative to its dataset.
    reason : str
        Why nothing was made of it; empty where all went well.
    """

    file: str
    reason: str = ""


class AudioWork(ABC):
    """Files to make of a dataset in a folder, and the tables of what was made.

    Parameters
    ----------
    clips : Samples
        The dataset, of audio files.
    out : pathlib.Path
        The folder; need not exist.
    record : str
        Name of the file that says how things were made; the work goes on only where it says the same.
    settings : dict
        What it says; JSON.

    Raises
    ------
    DatasetError
        If the folder holds what was made otherwise.
    """

    def __init__(self, clips: Samples, out: Path, *, record: str, settings: dict[str, Any]) -> None:
        self.clips, self.out = clips, out
        self._record, self._settings = out / record, json.dumps(settings, indent=2) + "\n"
        self._stems = file_stems(clips.files.tolist())
        if out.exists() and not out.is_dir():
            raise DatasetError(f"expected a folder to write to, but {format_path(out)} is a file")
        try:
            before = json.loads(self._record.read_text("utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise DatasetError(f"cannot read {format_path(self._record)}: {error}") from error
        if before != json.loads(self._settings):
            raise DatasetError(
                f"{format_path(self._record)} says that this folder was made with other settings: choose another folder"
            )

    @abstractmethod
    def left(self) -> list[Task]:
        """Return what is not there yet, in the order of the dataset."""

    @property
    @abstractmethod
    def _work(self) -> Callable[[Task], str]:
        """What does one task and returns why it could not; must be picklable."""

    @abstractmethod
    def _finish(self, *, complete: bool) -> None:
        """Write the tables of what is there; ``complete`` tells whether everything was tried."""

    def run(self, *, workers: int = 1) -> Generator[Outcome, None, None]:
        """Make what is missing.

        Every file is whole on the disk before its outcome is yielded, so the work can be ended at any time and goes on
        with the same call. What could not be used is listed in ``rejected.csv``, and tried again by the next call.

        Parameters
        ----------
        workers : int
            Processes; 1 works in this one.

        Yields
        ------
        Outcome
            One for each file that was left, in the order in which they are done.

        Raises
        ------
        DatasetError
            If nothing can be written, or a process died.
        """
        tasks = self.left()
        write_bytes(self._record, self._settings.encode())
        rejected: dict[int, Outcome] = {}
        complete = False
        try:
            with closing(run_tasks(self._work, tasks, len(tasks), workers=workers)) as results:
                for task, reason in results:
                    outcome = Outcome(str(self.clips.files[task.row]), reason)
                    if reason:
                        rejected[task.row] = outcome
                    yield outcome
            complete = True
        finally:
            table = self.out / "rejected.csv"
            if rejected:
                rows = [{"file": one.file, "reason": one.reason} for _, one in sorted(rejected.items())]
                write_table(table, REJECTED, rows, errors="surrogateescape")
            else:
                table.unlink(missing_ok=True)
            self._finish(complete=complete)

    def _about(self, row: int) -> dict[str, str]:
        """Return what the dataset says about a file, by `ABOUT`, and the file as ``source``."""
        about = {name: str(self.clips.column(name)[row]) for name in ABOUT}
        return about | {"emotion": self.clips.emotion(row), "source": str(self.clips.files[row])}

    def _write_manifest(self, columns: Sequence[str], rows: list[dict[str, str]]) -> None:
        """Write ``manifest.csv``: these rows, and those of earlier calls on other files whose results are there."""
        path = self.out / "manifest.csv"
        mine = {row["source"] for row in rows} | set(self.clips.files.tolist())
        earlier = [row for row in read_table(path, columns) if row["source"] not in mine]
        there = [row for row in earlier if (self.out / row["file"]).is_file()]
        write_table(path, columns, [*there, *rows], errors="surrogateescape")


def file_stems(files: Sequence[str]) -> list[str]:
    """Return relative paths without their suffixes; with them where two would be the same.

    Raises
    ------
    DatasetError
        If two are the same nevertheless.
    """
    cut = [PurePosixPath(file).with_suffix("").as_posix() for file in files]
    # In lower case, because some file systems take both for the same.
    times = Counter(stem.lower() for stem in cut)
    made = [stem if times[stem.lower()] == 1 else file for stem, file in zip(cut, files, strict=True)]
    twice = next((stem for stem, n in Counter(stem.lower() for stem in made).items() if n > 1), None)
    if twice is not None:
        raise DatasetError(f"two audio files would give the same file, {format_path(twice)}: rename one")
    return made
