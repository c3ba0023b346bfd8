"""What needs no process: limits, queues, the files of jobs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from mien.errors import InputError
from mien.serve.app import create_app
from mien.serve.engine import Engine
from mien.serve.jobs import MOST_ATTEMPTS, Job, Jobs
from mien.serve.problems import ProblemError
from mien.serve.settings import Settings
from mien.serve.uploads import clean_name
from serve.service_process import running, wait_done, write_planted_video


def ask(app: Any, method: str, path: str, pieces: list[bytes], *, pause_s: float = 0.0) -> tuple[int, dict[str, Any]]:
    """Send a request without a server."""
    waiting, messages = list(pieces), []

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        await asyncio.sleep(pause_s)
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("x", 80),
    }
    asyncio.run(app(scope, receive, send))
    head = messages[0]
    headers = {name.decode(): value.decode() for name, value in head["headers"]}
    return head["status"], {**json.loads(messages[1]["body"]), "headers": headers}


def ready_app(tmp_path: Path, **more: Any) -> Any:
    app = create_app(Settings(jobs_folder=tmp_path, **more))
    app.state.service.is_ready = True
    return app


def test_slow_bodies_time_out(tmp_path: Path) -> None:
    for limits in ({"idle_s": 0.05}, {"upload_s": 0.05}):
        app = ready_app(tmp_path, **limits)
        status, found = ask(app, "POST", "/v1/faces", [b"x"] * 20, pause_s=0.1 if "idle_s" in limits else 0.01)
        assert (status, found["type"]) == (408, "urn:mien:timeout")


def test_a_full_line_gives_retry_after(tmp_path: Path) -> None:
    app = ready_app(tmp_path, workers=1, max_waiting=2)
    app.state.service.engine.admitted = 3
    status, found = ask(app, "POST", "/v1/faces", [b"x"])
    assert (status, found["type"], found["headers"]["retry-after"]) == (503, "urn:mien:busy", "1")


def test_fewer_wait_where_analyses_take_long(tmp_path: Path) -> None:
    engine = Engine(Settings(jobs_folder=tmp_path, workers=2, max_waiting=100, max_wait_s=1.0))
    engine._mean_s = 0.25
    full = []
    for engine.admitted in (3, 8, 9):
        full.append(engine.is_full)
    assert full == [False, False, True]  # 8 of 0.25 s take two workers one second
    engine._mean_s, engine.admitted = 60.0, 3
    assert not engine.is_full  # one for each worker may always wait


def test_memory_for_uploads_is_bounded_and_given_back(tmp_path: Path) -> None:
    app = ready_app(tmp_path)
    memory = app.state.service.memory
    memory.used = memory.most
    status, found = ask(app, "POST", "/v1/faces", [b"x"])
    assert (status, found["type"]) == (503, "urn:mien:busy")
    assert memory.used == memory.most


def test_an_application_that_is_not_ready_says_so(tmp_path: Path) -> None:
    app = create_app(Settings(jobs_folder=tmp_path))
    status, found = ask(app, "GET", "/readyz", [b""])
    assert (status, found["type"]) == (503, "urn:mien:stopping")
    assert "retry-after" in found["headers"]


def test_a_full_queue_takes_no_job(tmp_path: Path) -> None:
    jobs = Jobs(Engine(Settings(jobs_folder=tmp_path, max_jobs=1)))
    with jobs.receive() as (number, file):
        file.write(b"x")
        jobs.add(number, file, name=None, models={}, video={})
    with pytest.raises(ProblemError, match="1 jobs already") as caught, jobs.receive():
        pass
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] == "60"


def test_half_uploads_and_damaged_records_are_removed_and_poison_is_not_tried_forever(tmp_path: Path) -> None:
    engine = Engine(Settings(jobs_folder=tmp_path))
    (tmp_path / (".new-" + "a" * 32)).mkdir()
    (tmp_path / ("b" * 32)).mkdir()
    (tmp_path / ("b" * 32) / "job.json").write_text("{")
    poison = Job("c" * 32, None, {}, {}, created=0.0, size=1, status="running", attempts=MOST_ATTEMPTS)
    (tmp_path / poison.id / "out").mkdir(parents=True)
    (tmp_path / poison.id / "out" / ".half.csv").write_text("half")
    (tmp_path / poison.id / "job.json").write_text(json.dumps(poison.to_record()))
    (tmp_path / "somebody's file").write_text("kept")
    jobs = Jobs(engine)
    jobs.open()
    try:
        found = jobs.describe(jobs.get(poison.id), "")
    finally:
        jobs.close()
    assert found["status"] == "failed"
    assert "3 times" in found["error"]["detail"]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".lock", "c" * 32, "somebody's file"]
    assert not list((tmp_path / poison.id / "out").iterdir())


def test_jobs_are_removed_when_they_expire(tmp_path: Path) -> None:
    done = Job("d" * 32, None, {}, {}, created=0.0, size=1, status="done", finished=1.0)
    (tmp_path / done.id / "out").mkdir(parents=True)
    (tmp_path / done.id / "job.json").write_text(json.dumps(done.to_record()))
    jobs = Jobs(Engine(Settings(jobs_folder=tmp_path)))
    jobs.open()
    for _ in range(50):
        if not (tmp_path / done.id).exists():
            break
        threading.Event().wait(0.05)
    jobs.close()
    assert not (tmp_path / done.id).exists()
    with pytest.raises(ProblemError, match="no such job"):
        jobs.get(done.id)


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = (Jobs(Engine(Settings(jobs_folder=tmp_path))) for _ in range(2))
    first.open()
    try:
        with pytest.raises(InputError, match="another service"):
            second.open()
    finally:
        first.close()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\a\\b.jpg", "b.jpg"),
        ("a\0b\n.jpg", "ab.jpg"),
        ("..", None),
        ("", None),
        (None, None),
        ("é" * 300, "é" * 200),
    ],
)
def test_names_are_no_paths(name: str | None, kept: str | None) -> None:
    assert clean_name(name) == kept


@pytest.mark.parametrize(
    "more", [{"workers": 0}, {"root_path": "x"}, {"root_path": "/x/"}, {"token": ""}, {"models": ("face-base",)}]
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Settings(**more)


def test_a_job_outlives_kill_9(tmp_path: Path) -> None:
    video = write_planted_video(tmp_path / "v.mp4", seconds=3).read_bytes()
    with running(tmp_path) as service, service.client() as client:
        url = client.post("/v1/videos", content=video).headers["location"]
        while client.get(url).json()["progress"] is None:
            threading.Event().wait(0.02)
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
    with running(tmp_path) as service, service.client() as client:
        assert client.get(f"{url}/result").status_code in (409, 200)
        job = wait_done(client, url)
        assert (job["status"], job["attempts"]) == ("done", 2)
        assert client.get(f"{url}/result").json()["tracks"]
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) in (0, -signal.SIGTERM)


def test_the_app_in_the_browser_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("starlette.testclient").TestClient
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with client(create_app(Settings(jobs_folder=tmp_path / "jobs"))) as found:
        assert list((tmp_path / "tmp").glob("mien-app-*")) == []
        page = found.get("/app/")
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-cache"
        script = page.text.partition('type="module" src="')[2].partition('"')[0]
        assert "immutable" in found.get(f"/app/{script}").headers["cache-control"]
        assert found.get("/app/models/manifest.json").json()["face"]["name"] == "face-small"
        assert len(list((tmp_path / "tmp").glob("mien-app-*"))) == 1
    assert list((tmp_path / "tmp").glob("mien-app-*")) == []
