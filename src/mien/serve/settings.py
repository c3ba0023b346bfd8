"""What a service allows."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

from mien._checks import check_integer, check_number
from mien.errors import InputError
from mien.models import registry

__all__ = ["Settings"]


@functools.cache
def _task_of(name: str) -> str:
    """Return a model's task; a record takes milliseconds to read, and every request asks."""
    return registry.get(name).task


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("mien", appauthor=False)) / "serve"


@dataclass(frozen=True)
class Settings:
    """What a service allows.

    Parameters
    ----------
    models : tuple of str
        Models that requests may name: the first for faces and the first for speech are the defaults.
    token : str, optional
        What requests must carry; without it, everybody may ask.
    cors : tuple of str
        Origins whose pages may ask, such as ``"https://example.org"``; ``"*"`` for all.
    root_path : str
        Prefix of the service's URLs behind a proxy.
    workers : int
        Requests that are analyzed at the same time.
    max_waiting : int, optional
        Requests that may wait for that; by default 8 for each worker.
    max_wait_s : float
        Fewer wait where they would wait for longer than about so many seconds, as the last analyses took.
    max_body : int
        Bytes of a request.
    max_pixels : int
        Width x height of an image or frame.
    max_seconds : float
        Seconds of a recording or video.
    jobs_folder : Path
        Where jobs are kept; one service at a time.
    max_jobs : int
        Jobs that are kept, done or not.
    max_job_bytes : int
        Bytes of the uploads of all jobs.
    keep_s : float
        Seconds after its end when a job is removed.
    idle_s, upload_s : float
        Seconds that a request may send nothing, and take in all.
    drain_s : float
        Seconds that open requests get when the service stops.

    Raises
    ------
    InputError
        If a value makes no sense, or there is no model for faces or none for speech.
    """

    models: tuple[str, ...] = ("face-base", "speech-base")
    token: str | None = field(default=None, repr=False)
    cors: tuple[str, ...] = ()
    root_path: str = ""
    workers: int = field(default_factory=lambda: max(1, min(4, os.cpu_count() or 1)))
    max_waiting: int | None = None
    max_wait_s: float = 0.5
    max_body: int = 200_000_000
    max_pixels: int = 50_000_000
    max_seconds: float = 3600.0
    jobs_folder: Path = field(default_factory=_default_folder)
    max_jobs: int = 100
    max_job_bytes: int = 10_000_000_000
    keep_s: float = 3600.0
    idle_s: float = 20.0
    upload_s: float = 300.0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("workers", "max_body", "max_pixels", "max_jobs", "max_job_bytes"):
            check_integer(getattr(self, name), name, low=1)
        for name in ("max_wait_s", "max_seconds", "keep_s", "idle_s", "upload_s", "drain_s"):
            check_number(getattr(self, name), name, low=0)
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise InputError(f"root_path must begin with a slash and not end with one, but got {self.root_path!r}")
        if self.token is not None and not self.token:
            raise InputError("the token is empty")
        for task in ("face-emotion", "speech-emotion"):
            self.default(task)

    @property
    def waiting(self) -> int:
        """Requests that may wait."""
        return 8 * self.workers if self.max_waiting is None else self.max_waiting

    def models_for(self, task: str) -> tuple[str, ...]:
        """Return the models for a task."""
        return tuple(name for name in self.models if _task_of(name) == task)

    def default(self, task: str) -> str:
        """Return the first model for a task.

        Raises
        ------
        InputError
            If there is none.
        """
        for name in self.models_for(task):
            return name
        raise InputError(f"models must have one for {task}, but got {', '.join(self.models)}")
