"""Workers on a cluster: Ray actors, one a core, over the same parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien._extras import import_extra
from mien.batch.parts import PartReader
from mien.batch.plan import Plan
from mien.batch.run import Outcome, Task, work
from mien.errors import InputError, MienError

__all__ = ["RayPool"]

_WAIT_S = 1.0


class _Actor:
    """Reads tasks on some machine of the cluster, which has the dataset's folder under the same name."""

    def __init__(self, folder: str) -> None:
        self._reader = PartReader(Plan.load(Path(folder)))

    def ready(self) -> None:
        """Return once the models are loaded."""
        self._reader.schema  # noqa: B018

    def work(self, task: Task) -> Outcome:
        return work(self._reader, task)


class RayPool:
    """Actors of Ray; one that ends, such as with its machine, is replaced where there is room.

    Parameters
    ----------
    folder : Path
        The dataset, on storage that all machines share.
    address : str
        ``"ray"`` starts Ray on this machine, unless it runs here already; ``"ray://HOST:PORT"`` joins a cluster.
    workers : int, optional
        How many actors; by default as many as the cluster has cores.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    InputError
        If there is no cluster at that address.
    """

    def __init__(self, folder: Path, address: str = "ray", workers: int | None = None) -> None:
        self._ray = import_extra("ray", extra="cluster", purpose="a batch on a cluster")
        self._mine = not self._ray.is_initialized()
        if self._mine:
            try:
                where = {} if address == "ray" else {"address": address}
                self._ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level="error")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InputError(f"cannot join {address}: {error}") from error
        self._make = self._ray.remote(num_cpus=1, max_restarts=0)(_Actor).remote
        self._folder = str(folder.resolve())
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task]] = {}
        self._starting: dict[Any, Any] = {}
        for _ in range(workers or self._cores()):
            self._start()

    @property
    def free(self) -> int:
        """Number of actors that have started and have no task."""
        return len(self._idle)

    def submit(self, task: Task) -> None:
        """Give a task to a free actor."""
        actor = self._idle.pop()
        self._busy[actor.work.remote(task)] = (actor, task)

    def wait(self) -> list[Outcome]:
        """Wait for something to end.

        Raises
        ------
        MienError, OSError
            What an actor raised: nothing of it is the fault of an item.
        """
        outcomes = []
        # An actor that is to replace another may wait for a machine that never comes: it gets a task when it runs.
        for reference in self._ray.wait([*self._busy, *self._starting], timeout=_WAIT_S)[0]:
            if reference in self._starting:
                actor = self._starting.pop(reference)
                try:
                    self._ray.get(reference)
                except self._ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except self._ray.exceptions.RayError:
                    self._start()
                else:
                    self._idle.append(actor)
                continue
            actor, task = self._busy.pop(reference)
            try:
                outcomes.append(self._ray.get(reference))
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, MienError | OSError):
                    raise error.cause from None
                raise
            except self._ray.exceptions.RayError:
                outcomes.append(Outcome(task, is_alive=False))
                self._start()
                continue
            self._idle.append(actor)
        return outcomes

    def _start(self) -> None:
        actor = self._make(self._folder)
        self._starting[actor.ready.remote()] = actor

    def close(self) -> None:
        """End the actors at once, and Ray where it was started or joined here."""
        for actor in [*self._idle, *self._starting.values(), *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)
        if self._mine:
            self._ray.shutdown()

    def _cores(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))
