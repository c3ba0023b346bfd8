"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mien.models.runtime import Session

ROOT = Path(__file__).resolve().parents[1]
POLICY = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None

# A shell starts background jobs with Ctrl-C ignored, and so would be the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def same_priority() -> Iterator[None]:
    """Let no test make the process a real-time one, as codecs of root's do: what it starts would starve the machine."""
    yield
    assert POLICY is None or os.sched_getscheduler(0) == POLICY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of research data, or skip: MIEN_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "README.md").is_file():
        pytest.skip(f"no research data in {folder}: set MIEN_DATA to its folder (see docs/data.md)")
    return folder


@pytest.fixture(scope="session")
def fer2013_dir(data_dir: Path) -> Path:
    """Return the folder of FER2013 and FER+, or skip where the table is not there (a data folder may hold a part)."""
    table = data_dir / "fer2013" / "fer2013.csv.xz"
    if not table.is_file() or table.stat().st_size == 0:
        pytest.skip(f"incomplete research data: {table} is missing or empty")
    return table.parent


@pytest.fixture(scope="session")
def fer2013_copy(fer2013_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with copies of FER2013 and FER+: for commands that could write where they should only read."""
    folder = tmp_path_factory.mktemp("fer2013")
    # The tables are told by content, so the compressed one may stand under the plain one's name.
    shutil.copyfile(fer2013_dir / "fer2013.csv.xz", folder / "fer2013.csv")
    shutil.copyfile(fer2013_dir / "fer2013new.csv", folder / "fer2013new.csv")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is cached out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def planted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model whose answers stand in its crops' first pixels (see tests/planted.py)."""
    from planted import write_planted

    return write_planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def sessions_made(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Collect the sessions that a command makes."""
    from mien.models import runtime

    sessions: list[runtime.Session] = []
    begin = runtime.Session.__init__

    def kept(self: runtime.Session, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        sessions.append(self)

    monkeypatch.setattr(runtime.Session, "__init__", kept)
    return sessions


@pytest.fixture
def ctrl_c_at_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come when the frame at two seconds has been taken from a video."""
    from mien.io.video import VideoReader

    take = VideoReader.__next__

    def interrupted(self: VideoReader) -> Any:
        frame = take(self)
        if frame.time_s >= 2:
            raise KeyboardInterrupt
        return frame

    monkeypatch.setattr(VideoReader, "__next__", interrupted)
