"""The service as clients meet it: one real process for all tests of this module."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import resource
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import mien
from mien.samples import astronaut_path
from serve.service_process import TOKEN, Running, running, wait_done, write_planted_video
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    options = ("--max-body", str(LIMIT), "--max-pixels", "1000000", "--max-seconds", "20", "--workers", "2")
    with running(folder, *options, "--cors", "https://example.org") as found:
        yield found


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as found:
        yield found


@pytest.fixture(scope="module")
def image() -> bytes:
    return astronaut_path().read_bytes()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_planted_video(tmp_path_factory.mktemp("video") / "v.mp4").read_bytes()


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = response.json()
    assert found["type"] == f"urn:mien:{kind}"
    assert found["status"] == status
    assert found["instance"] == response.headers["x-request-id"]
    return found


def close(one: object, other: object) -> None:
    """Compare plain data, numbers by a tolerance: a graph in other numbers of threads rounds differently."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            close(value, other[name])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            close(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=0.01)
    else:
        assert one == other


# --- faces and speech -------------------------------------------------------------------------------------------------


def test_a_raw_image_gives_what_the_library_gives(client: httpx.Client, image: bytes) -> None:
    answer = client.post("/v1/faces", content=image)
    assert answer.status_code == 200
    close(answer.json(), json.loads(json.dumps(mien.analyze_image(image).to_dict())))


def test_several_files_come_back_in_order_and_names_lose_their_folders(client: httpx.Client, image: bytes) -> None:
    files = [("f", ("../../etc/a.jpg", image)), ("f", ("C:\\x\\b.txt", b"no image")), ("f", ("..", image))]
    results = client.post("/v1/faces", files=files, params={"max_faces": "1"}).json()["results"]
    assert [result["path"] for result in results] == ["a.jpg", "b.txt", None]
    assert len(results[0]["faces"]) == 1
    assert results[1]["error"] == "UnsupportedMediaError"


def test_accept_chooses_the_drawn_image(client: httpx.Client, image: bytes) -> None:
    answer = client.post("/v1/faces", content=image, headers={"Accept": "image/png"}, params={"explain": "true"})
    assert answer.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert drawn.shape == (512, 512, 3)
    assert (drawn != mien.read_image(image)).any()
    problem(client.post("/v1/faces", content=image, headers={"Accept": "text/html"}), 406, "not-acceptable")
    problem(client.post("/v1/faces", content=image, params={"explain": "true"}), 422, "invalid-option")


@pytest.mark.parametrize("channel", ["mix", "each", "2"])
def test_speech_gives_what_the_library_gives(client: httpx.Client, tmp_path: Path, channel: str) -> None:
    voices = [voiced(2 * RATE, np.random.default_rng(seed)) for seed in range(2)]
    write_wav(tmp_path / "a.wav", np.stack(voices, axis=1))
    answer = client.post("/v1/speech", content=(tmp_path / "a.wav").read_bytes(), params={"channel": channel})
    expected = mien.analyze_speech((tmp_path / "a.wav").read_bytes(), channel=channel).to_dict()
    close(answer.json(), json.loads(json.dumps(expected)))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("modle=x", "unknown parameter"),
        ("model=speech-base", "model must be one of face-base"),
        ("model=../../etc/passwd", "model must be"),
        ("detector=none&detector=haar", "twice"),
        ("detector=magic", "detector must be"),
        ("max_faces=0", "whole number"),
        ("min_face_px=nan", "number"),
        ("explain=maybe", "true or false"),
        ("output=nothing", "nothing"),
    ],
)
def test_wrong_options_are_named(client: httpx.Client, image: bytes, query: str, words: str) -> None:
    found = problem(client.post(f"/v1/faces?{query}", content=image), 422, "invalid-option")
    assert words in str(found["detail"])


def test_wrong_files_have_their_status(client: httpx.Client, image: bytes, video: bytes) -> None:
    problem(client.post("/v1/faces", content=b""), 422, "undecodable")
    problem(client.post("/v1/faces", content=b"hello there"), 415, "unsupported-media")
    problem(client.post("/v1/faces", content=video), 415, "unsupported-media")
    problem(client.post("/v1/faces", content=image[:20]), 422, "undecodable")
    problem(client.post("/v1/faces", json={"image": "x"}), 415, "unsupported-media")
    problem(client.post("/v1/videos", content=image), 415, "unsupported-media")
    assert client.post("/v1/speech", content=image).status_code in (415, 422)


def test_bombs_are_refused_by_their_header(client: httpx.Client) -> None:
    large = io.BytesIO()
    Image.new("1", (2000, 1000)).save(large, "PNG")
    problem(client.post("/v1/faces", content=large.getvalue()), 413, "too-large")


def test_long_recordings_are_refused(client: httpx.Client, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(30 * RATE, np.float32))
    problem(client.post("/v1/speech", content=(tmp_path / "a.wav").read_bytes()), 413, "too-large")


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_a_declared_length_over_the_limit_is_refused_unread(service: Running) -> None:
    with service.connect() as raw:
        raw.sendall(head("POST", "/v1/faces", "Content-Length: 30000000"))
        assert b" 413 " in raw.recv(65536)


def test_a_chunked_body_is_refused_before_it_is_read_whole(service: Running) -> None:
    sent, chunk = 0, b"10000\r\n" + bytes(65536) + b"\r\n"
    with service.connect() as raw:
        raw.sendall(head("POST", "/v1/faces", "Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            while sent < 30_000_000 and not select.select([raw], [], [], 0)[0]:
                raw.sendall(chunk)
                sent += 65536
        assert b" 413 " in raw.recv(65536)
    assert LIMIT < sent < 30_000_000


def test_a_cut_upload_leaves_nothing(service: Running, client: httpx.Client, video: bytes) -> None:
    for path in ("/v1/faces", "/v1/videos"):
        with service.connect() as raw:
            raw.sendall(head("POST", path, f"Content-Length: {len(video)}") + video[:5000])
    jobs = service.log.parent / "jobs"
    until = time.monotonic() + 10
    while list(jobs.glob(".new-*")):
        assert time.monotonic() < until
        time.sleep(0.05)
    problem(
        client.post("/v1/faces", content=b"--x\r\nhello", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        400,
        "bad-request",
    )


def head(method: str, path: str, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x"])
def test_a_token_is_needed(service: Running, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value}
    for path in ("/v1/models", "/metrics", "/v1/nothing"):
        answer = httpx.get(service.url + path, headers=headers, trust_env=False)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert httpx.get(service.url + path, headers=headers, trust_env=False).status_code == 200


def test_only_listed_origins_may_ask(service: Running) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, allowed in (("https://example.org", "https://example.org"), ("https://example.com", None)):
        answer = httpx.options(f"{service.url}/v1/faces", headers={"Origin": origin, **asked}, trust_env=False)
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_unclear_framing_and_long_heads_are_refused(service: Running) -> None:
    smuggled = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    heads = [
        head("POST", "/healthz", "Content-Length: 4", "Content-Length: 5") + b"abcd",
        head("POST", "/healthz", "Transfer-Encoding: chunked, identity") + smuggled,
        head("POST", "/healthz", "Transfer-Encoding : chunked") + smuggled,
        head("GET", "/healthz", "A: b\n c: d\x00"),
        head("GET", "/healthz", *(f"X-{n}: {'y' * 100}" for n in range(1000))),
    ]
    for data in heads:
        with service.connect() as raw:
            try:
                raw.sendall(data)
                answer = raw.recv(65536)
            except ConnectionError:
                continue
            assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
            assert answer.count(b"HTTP/1.1") == 1


def test_idle_sockets_do_not_keep_others_out(service: Running, client: httpx.Client) -> None:
    idle: list[socket.socket] = []
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        for _ in range(1000):
            idle.append(service.connect())  # noqa: PERF401 - those that were opened are closed in any case
        for one in idle[::2]:
            one.sendall(b"GET /heal")
        assert client.get("/healthz").status_code == 200
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


# --- what is said about it --------------------------------------------------------------------------------------------


def test_docs_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert "http" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/faces", "/v1/speech", "/v1/videos", "/v1/jobs/{number}", "/metrics"} <= set(paths)
    problem(client.get("/v1/jobs/nothing"), 404, "not-found")
    problem(client.put("/v1/faces"), 405, "method-not-allowed")


def test_metrics_and_log_count_requests_without_content(service: Running, client: httpx.Client, image: bytes) -> None:
    answer = client.post("/v1/faces", files={"f": ("secret-name.jpg", image)}, headers={"X-Request-ID": "my-1"})
    assert answer.headers["x-request-id"] == "my-1"
    text = client.get("/metrics").text
    assert 'mien_requests_total{method="POST",route="/v1/faces",status="200"}' in text
    assert "mien_faces_total" in text
    assert "process_resident_memory_bytes" in text
    (line,) = (line for line in service.lines() if line.get("request") == "my-1")
    assert (line["route"], line["status"], line["method"]) == ("/v1/faces", 200, "POST")
    assert "secret-name" not in service.log.read_text("utf-8")
    assert TOKEN not in service.log.read_text("utf-8")


def test_the_page_may_load_its_own_files_alone(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    files = re.findall(r'(?:src|href)="([^"#:]+)"', page.text)
    for name in files:
        assert not name.startswith("/"), "a path that no proxy can prefix"
        assert client.get(f"/{name.removeprefix('./')}").status_code == 200
    assert client.get("/../app.py").status_code == 404
    assert client.get("/%2e%2e/app.py").status_code == 404


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_a_video_job_runs_to_its_results(service: Running, client: httpx.Client, video: bytes) -> None:
    answer = client.post("/v1/videos", files={"f": ("../../x.mp4", video)}, params={"step_s": "0.5"})
    assert answer.status_code == 202
    url = answer.headers["location"]
    assert answer.json()["name"] == "x.mp4"
    with client.stream("GET", f"{url}/events") as events:
        data = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    assert data[-1]["status"] == "done"
    assert data[-1]["progress"]["fraction"] == pytest.approx(1, abs=0.05)
    results = {name: client.get(link) for name, link in data[-1]["results"].items()}
    assert all(result.status_code == 200 for result in results.values())
    assert results["csv"].text.startswith("path,")
    assert results["vtt"].text.startswith("WEBVTT")
    assert results["parquet"].content[:4] == b"PAR1"
    assert results["mp4"].content[4:8] == b"ftyp"
    assert "sandbox" in results["html"].headers["content-security-policy"]
    found = mien.VideoResult.from_dict(results["json"].json())
    assert len(found.tracks) == 1
    assert found.path == "x.mp4"
    ranged = client.get(data[-1]["results"]["mp4"], headers={"Range": "bytes=4-7"})
    assert (ranged.status_code, ranged.content) == (206, b"ftyp")
    problem(client.get(f"{url}/result", params={"format": "exe"}), 422, "invalid-option")
    problem(client.get(f"{url}/result", params={"table": "../x", "format": "csv"}), 422, "invalid-option")
    assert client.delete(url).status_code == 204
    problem(client.get(url), 404, "not-found")
    assert not list((service.log.parent / "jobs").glob("[0-9a-f.n-]*[0-9a-f]"))


def test_a_damaged_video_fails_with_its_reason(client: httpx.Client, video: bytes) -> None:
    url = client.post("/v1/videos", content=video[: len(video) // 3]).headers.get("location")
    if url is not None:
        job = wait_done(client, url)
        assert job["status"] == "failed"
        assert str(job["error"]["type"]).startswith("urn:mien:un")  # type: ignore[index]
        problem(client.get(f"{url}/result"), 409, "not-done")


# --- live -------------------------------------------------------------------------------------------------------------


def frame(number: int, time_s: float, data: bytes) -> bytes:
    return struct.pack("<B3xId", 1, number, time_s) + data


def live_url(service: Running, query: str = "") -> str:
    return f"ws://127.0.0.1:{service.port}/v1/live{query}"


def test_a_live_socket_answers_frames_and_sound(service: Running, image: bytes) -> None:
    async def talk() -> list[dict[str, object]]:
        protocols = ["mien.v1", f"bearer.{TOKEN}"]
        async with connect(live_url(service), subprotocols=protocols, proxy=None) as socket:
            assert socket.subprotocol == "mien.v1"
            ready = json.loads(await socket.recv())
            assert ready["type"] == "ready"
            for number in range(4):  # a person is certain after some frames
                await socket.send(frame(4 + number, number / 2, image))
                first = json.loads(await socket.recv())
            await socket.send(frame(8, 2.5, b"no image"))
            second = json.loads(await socket.recv())
            wave = voiced(4 * RATE, np.random.default_rng(1))
            for block in np.split(wave, 8):
                await socket.send(struct.pack("<B3xId", 3, RATE, 0) + block.astype("<f4").tobytes())
            await socket.send('{"type": "end"}')
            rest = [json.loads(message) async for message in socket]
            assert socket.close_code == 1000
            return [first, second, *rest]

    first, second, *rest = asyncio.run(talk())
    assert (first["type"], first["number"], first["dropped"]) == ("frame", 7, 0)
    assert len(first["frame"]["faces"]) == 1  # type: ignore[index]
    assert (second["type"], second["problem"]["instance"]) == ("error", "8")  # type: ignore[index]
    segments = [message["segment"] for message in rest if message["type"] == "speech"]
    assert segments[-1]["end_s"] == pytest.approx(4, abs=0.1)  # type: ignore[index]


def test_the_newest_frame_wins(service: Running, image: bytes) -> None:
    async def talk() -> list[int]:
        async with connect(
            live_url(service, "?voice=false"), additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
        ) as socket:
            await socket.recv()
            for number in range(30):
                await socket.send(frame(number, number / 30, image))
            await socket.send('{"type": "end"}')
            return [json.loads(message)["number"] async for message in socket]

    numbers = asyncio.run(talk())
    assert numbers == sorted(numbers)
    assert numbers[-1] == 29
    assert len(numbers) < 30


def test_live_sockets_of_others_are_refused(service: Running) -> None:
    async def status(**more: object) -> int:
        try:
            async with connect(live_url(service), proxy=None, **more):  # type: ignore[arg-type]
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    token = {"Authorization": f"Bearer {TOKEN}"}
    assert asyncio.run(status()) == 401
    assert asyncio.run(status(additional_headers=token, origin="https://evil.example")) == 403
    assert asyncio.run(status(additional_headers=token, origin="https://example.org")) == 101


def test_wrong_options_of_a_live_socket_answer_the_handshake(service: Running) -> None:
    async def ask(query: str) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with pytest.raises(InvalidStatus) as caught:
            async with connect(live_url(service, query), additional_headers=headers, proxy=None):
                pass
        return caught.value.response.status_code, json.loads(caught.value.response.body)

    for query in ("?foo=1", "?model=nothing", "?voice=maybe"):
        status, found = asyncio.run(ask(query))
        assert (status, found["type"]) == (422, "urn:mien:invalid-option")


def test_a_client_that_does_not_read_gets_no_more_frames(service: Running, client: httpx.Client, image: bytes) -> None:
    async def talk() -> int:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = live_url(service, "?voice=false&detector=none")
        async with connect(url, additional_headers=headers, proxy=None, max_queue=1) as socket:
            await socket.recv()
            for number in range(60):
                await socket.send(frame(number, number / 30, image))
            await asyncio.sleep(0.5)
            await socket.send('{"type": "end"}')
            return [json.loads(message) async for message in socket][-1]["number"]

    assert asyncio.run(talk()) == 59
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "message", [b"", b"x", struct.pack("<B3xId", 9, 0, 0) + b"x", frame(1, float("nan"), b"x"), "hi"]
)
def test_a_broken_message_closes_the_socket(service: Running, message: bytes | str) -> None:
    async def code() -> int | None:
        async with connect(
            live_url(service, "?voice=false"), additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
        ) as socket:
            await socket.recv()
            await socket.send(message)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return socket.close_code

    assert asyncio.run(code()) == 1007
