"""Jobs: videos that wait on the disk, are analyzed one after the other, and removed when they expire.

A job is a folder.  It appears whole, by being renamed, and each of its files is written whole or not at all: a process
that is killed leaves nothing half, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any

from mien.api.pipeline import Pipeline, Progress, analyzer_options
from mien.api.sources import Source
from mien.errors import InputError, MediaError, MienError
from mien.options import VideoOptions
from mien.output.write import write, write_bytes
from mien.results import FailedItem, VideoResult
from mien.serve.engine import Engine, check_length, describe_progress, to_json
from mien.serve.problems import ProblemError, problem_of

__all__ = ["FORMATS", "Job", "Jobs"]

FORMATS = {
    "json": ("json", "application/json"),
    "csv": ("csv", "text/csv; charset=utf-8"),
    "parquet": ("parquet", "application/vnd.apache.parquet"),
    "vtt": ("vtt", "text/vtt; charset=utf-8"),
    "html": ("html", "text/html; charset=utf-8"),
    "mp4": ("annotated-video", "video/mp4"),
}
"""Formats of results by name: the name in `mien.output.FORMATS`, and the media type."""

MOST_ATTEMPTS = 3
"""A job that was running so often when the process died is not begun again: it may be why."""

_NOT_KEPT = ("progress", "cancel")
_ID = re.compile(r"[0-9a-f]{32}")
_log = logging.getLogger("mien.serve")


@dataclass
class Job:
    """A video to analyze.

    Parameters
    ----------
    id : str
        32 random hexadecimal digits: who knows them may read the job.
    name : str or None
        As the client calls the video.
    models, video : dict
        Fields of `ModelOptions` and `VideoOptions`.
    created, started, finished : float or None
        Seconds since 1970.
    status : {"queued", "running", "done", "failed"}
        How far it is.
    attempts : int
        How often it was begun.
    error : dict or None
        The problem of a failed job.
    size : int
        Bytes of the video.
    progress : dict or None
        See `describe_progress`; not kept on the disk.
    """

    id: str
    name: str | None
    models: dict[str, Any]
    video: dict[str, Any]
    created: float
    size: int
    started: float | None = None
    finished: float | None = None
    status: str = "queued"
    attempts: int = 0
    error: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def to_record(self) -> dict[str, Any]:
        """Return what is kept on the disk."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _NOT_KEPT}


class Jobs:
    """All jobs of a service.

    Parameters
    ----------
    engine : Engine
        Whose settings and models are used.

    Raises
    ------
    InputError
        If another service uses the folder.
    MediaError
        If the folder cannot be written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._settings = engine, engine.settings
        self.folder = self._settings.jobs_folder
        self._jobs: dict[str, Job] = {}
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._incoming = 0
        self._makers: dict[Path, asyncio.Lock] = {}
        self._thread = threading.Thread(target=self._work, name="mien-jobs", daemon=True)

    def open(self) -> None:
        """Take up the jobs on the disk, and begin."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock_folder(self.folder)
        except OSError as error:
            raise MediaError(f"the folder for jobs cannot be written: {error}", path=self.folder) from error
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(".new-") or path.name.startswith(".old-"):
                shutil.rmtree(path, ignore_errors=True)
            elif _ID.fullmatch(path.name):
                self._take_up(path)
        self._thread.start()

    def _take_up(self, path: Path) -> None:
        try:
            job = Job(**json.loads((path / "job.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            _log.warning("removed a damaged job", extra={"job": path.name})
            shutil.rmtree(path, ignore_errors=True)
            return
        for leftover in path.rglob(".*"):
            leftover.unlink(missing_ok=True)
        if job.status == "running":
            job.status = "queued"
            if job.attempts >= MOST_ATTEMPTS:
                detail = f"the service ended {job.attempts} times while it analyzed this video"
                self._fail(job, ProblemError("internal", detail))
        self._jobs[job.id] = job

    def close(self) -> None:
        """Stop; a job that is running goes back to the queue."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)
        os.close(self._lock)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by status."""
        counted = dict.fromkeys(("queued", "running", "done", "failed"), 0)
        for job in list(self._jobs.values()):
            counted[job.status] += 1
        return counted

    # --- for requests -------------------------------------------------------------------------------------------------

    def check_room(self) -> None:
        """Raise `ProblemError` where no further job is taken."""
        jobs = list(self._jobs.values())
        if len(jobs) + self._incoming >= self._settings.max_jobs:
            raise ProblemError("queue-full", f"there are {len(jobs)} jobs already, the limit", retry_after_s=60)
        used = sum(job.size for job in jobs)
        free = shutil.disk_usage(self.folder).free
        if used >= self._settings.max_job_bytes or free < 2 * self._settings.max_body:
            raise ProblemError("queue-full", "the space for jobs is full", retry_after_s=60)

    @contextlib.contextmanager
    def receive(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Give a new job's id and the file for its video; without `add`, everything is removed at the end."""
        self.check_room()
        number = secrets.token_hex(16)
        path = self.folder / f".new-{number}"
        self._incoming += 1
        try:
            path.mkdir(mode=0o700)
            with (path / "video").open("xb") as file:
                yield number, file
        finally:
            self._incoming -= 1
            shutil.rmtree(path, ignore_errors=True)

    def add(
        self, number: str, file: IO[bytes], *, name: str | None, models: dict[str, Any], video: dict[str, Any]
    ) -> Job:
        """Queue a job whose video was received."""
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
        job = Job(number, name, models, video, time.time(), size)
        new = self.folder / f".new-{number}"
        (new / "out").mkdir()
        (new / "job.json").write_bytes(to_json(job.to_record()))
        new.rename(self.folder / number)
        with self._news:
            self._jobs[number] = job
            self._news.notify_all()
        return job

    def get(self, number: str) -> Job:
        """Return a job.

        Raises
        ------
        ProblemError
            If there is none of that id.
        """
        job = self._jobs.get(number)
        if job is None:
            raise ProblemError("not-found", "there is no such job")
        return job

    def remove(self, number: str) -> None:
        """Cancel a job and remove its files."""
        job = self.get(number)
        job.cancel.set()
        del self._jobs[number]
        old = self.folder / f".old-{number}"
        with contextlib.suppress(OSError):
            (self.folder / number).rename(old)
        shutil.rmtree(old, ignore_errors=True)

    def describe(self, job: Job, prefix: str) -> dict[str, Any]:
        """Return a job as clients get it."""
        url = f"{prefix}/v1/jobs/{job.id}"
        waiting = [other for other in list(self._jobs.values()) if other.status == "queued"]
        ahead = sum((other.created, other.id) < (job.created, job.id) for other in waiting)
        expires = None if job.finished is None else job.finished + self._settings.keep_s
        done = job.status == "done"
        return {
            "id": job.id,
            "status": job.status,
            "name": job.name,
            **{name: _clock(getattr(job, name)) for name in ("created", "started", "finished")},
            "expires": _clock(expires),
            "position": ahead + 1 if job.status == "queued" else None,
            "attempts": job.attempts,
            "progress": job.progress,
            "error": job.error,
            "url": url,
            "events": f"{url}/events",
            "results": {name: f"{url}/result?format={name}" for name in _formats()} if done else {},
        }

    async def result(self, job: Job, name: str, table: str | None) -> Path:
        """Return the file of a result, which is made where it is not there yet.

        Raises
        ------
        ProblemError
            If the job is not done, or the format or table does not exist.
        """
        if job.status != "done":
            raise ProblemError("not-done", f"the job is {job.status}")
        if name not in FORMATS:
            raise ProblemError("invalid-option", f"format must be one of {', '.join(FORMATS)}, but got {name[:40]!r}")
        if table is not None and (table not in VideoResult.tables or name not in ("csv", "parquet")):
            tables = ", ".join(VideoResult.tables)
            raise ProblemError("invalid-option", f"table must be one of {tables}, and is for csv and parquet")
        folder = self.folder / job.id
        if name == "json":
            return folder / "result.json"
        path = folder / "out" / f"{table or 'result'}.{name}"
        async with self._makers.setdefault(path, asyncio.Lock()):
            try:
                if not path.is_file():
                    await self._engine.run(self._make, folder, path, name, table)
            except MienError as error:
                raise problem_of(error) from error
            finally:
                self._makers.pop(path, None)
        return path

    @staticmethod
    def _make(folder: Path, path: Path, name: str, table: str | None) -> None:
        result = VideoResult.from_dict(json.loads((folder / "result.json").read_text("utf-8")))
        source = folder / "video" if name in ("html", "mp4") else result.path
        write(replace(result, path=None if source is None else str(source)), path, format=FORMATS[name][0], table=table)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            self._expire()
            job = self._next()
            if job is None:
                with self._news:
                    self._news.wait(1.0)
                continue
            try:
                self._run(job)
            except Exception as error:  # noqa: BLE001 - one job must not end the others
                _log.exception("a job failed", extra={"job": job.id})
                self._fail(job, ProblemError("internal", f"the service failed ({type(error).__name__})"))

    def _next(self) -> Job | None:
        waiting = [job for job in list(self._jobs.values()) if job.status == "queued"]
        return min(waiting, key=lambda job: (job.created, job.id), default=None)

    def _expire(self) -> None:
        for job in list(self._jobs.values()):
            if job.finished is not None and time.time() > job.finished + self._settings.keep_s:
                with contextlib.suppress(ProblemError):
                    self.remove(job.id)

    def _run(self, job: Job) -> None:
        job.status, job.started, job.attempts = "running", time.time(), job.attempts + 1
        self._save(job)

        def advance(progress: Progress) -> None:
            length_s = None if progress.end_s is None else progress.end_s - progress.start_s
            check_length(max(progress.time_s - progress.start_s, length_s or 0.0), self._settings)
            job.progress = describe_progress(progress)

        def is_over() -> bool:
            return job.cancel.is_set() or self._stop.is_set()

        source = Source(str(self.folder / job.id / "video"), "video", label=job.name or "the video")
        options = VideoOptions(**job.video)
        try:
            models, kept = self._engine.models(**job.models), analyzer_options(options)
            analyzers = self._engine.analyzers("video", models, video=kept)
            items = list(Pipeline(analyzers, video=options).run([source], on_progress=advance, cancel=is_over))
        except MienError as error:
            self._fail(job, problem_of(error))
            return
        if job.cancel.is_set():
            return
        if self._stop.is_set():
            job.status, job.attempts, job.progress = "queued", job.attempts - 1, None
            self._save(job)
            return
        result = items[0].result
        if isinstance(result, FailedItem):
            self._fail(job, problem_of(result))
            return
        document = to_json(replace(result, path=job.name).to_dict())
        write_bytes(self.folder / job.id / "result.json", ".json", lambda: document)
        job.status, job.finished = "done", time.time()
        self._save(job)

    def _fail(self, job: Job, problem: ProblemError) -> None:
        job.status, job.finished, job.error = "failed", time.time(), problem.to_dict(job.id)
        self._save(job)

    def _save(self, job: Job) -> None:
        if job.cancel.is_set():
            return
        record = to_json(job.to_record())
        with contextlib.suppress(MienError):  # removed meanwhile
            write_bytes(self.folder / job.id / "job.json", ".json", lambda: record)


def _formats() -> list[str]:
    import importlib.util

    return [name for name in FORMATS if name != "parquet" or importlib.util.find_spec("pyarrow")]


def _clock(time_s: float | None) -> str | None:
    return None if time_s is None else dt.datetime.fromtimestamp(time_s, dt.UTC).isoformat(timespec="milliseconds")


def _lock_folder(folder: Path) -> int:
    """Hold the folder for this process."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        import fcntl
    except ImportError:  # Windows
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise InputError(f"another service keeps its jobs in {folder}") from error
    return handle
