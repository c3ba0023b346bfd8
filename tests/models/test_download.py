"""Downloads from a local server that stands in for an https server: urllib's own chain, without a network."""

from __future__ import annotations

import errno
import hashlib
import http.client
import http.server
import os
import random
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mien.errors import ModelError, WeightsError
from mien.models import ModelSpec, registry, store

CONTENT = random.Random(3).randbytes(300_000)
URL = "https://models.test/zoo/tiny.onnx"


class Server:
    """Sends `content`; what each request gets is the next of `answers`, or all of it."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.answers: list[Callable[[Any], None]] = []
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                (outer.answers.pop(0) if outer.answers else outer.send)(self)

            def do_CONNECT(self) -> None:
                outer.requests.append(f"CONNECT {self.path}")
                self.send_error(403, "Not through here")

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def send(self, to: Any, *, size: int | None = None, length: bool = True) -> None:
        """Send the content, or only its first bytes."""
        to.send_response(200)
        if length:
            to.send_header("Content-Length", str(len(self.content)))
        to.end_headers()
        to.wfile.write(self.content[:size])

    def opener(self, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
        """Return an opener whose https connections end here."""
        address = self.address

        class Https(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                def connect(host: str, **options: Any) -> http.client.HTTPConnection:
                    assert host == "models.test"
                    return http.client.HTTPConnection(address, timeout=options["timeout"])

                return self.do_open(connect, req)

        return urllib.request.build_opener(store.HttpsRedirects(), Https(), urllib.request.ProxyHandler({}))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(store, "_PAUSE_S", 0.0)
    running = Server()
    yield running
    running.close()


@pytest.fixture
def remote(record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """Return a model that must be downloaded."""
    monkeypatch.setenv("MIEN_CACHE_DIR", str(tmp_path / "cache"))
    record["files"][0] |= {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "url": URL}
    store.write_record(record, tmp_path / "tiny.toml")
    return store.read_record(tmp_path / "tiny.toml")


def place_of(spec: ModelSpec) -> Path:
    return spec.path.parent / spec.file().file


def list_files(spec: ModelSpec) -> list[str]:
    folder = spec.path.parent
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def download(spec: ModelSpec, server: Server, **options: Any) -> None:
    store.download(spec, opener=server.opener(), **options)


def test_comes_whole_to_its_place_and_only_once(remote: ModelSpec, server: Server, tmp_path: Path) -> None:
    progress: list[int] = []
    assert not store.is_installed(remote)
    download(remote, server, on_progress=progress.append)
    assert place_of(remote) == tmp_path / "cache" / "models" / "tiny.onnx"
    assert store.read_weights(remote) == CONTENT
    assert progress == sorted(progress)
    assert progress[-1] == len(CONTENT)
    assert list_files(remote) == ["tiny.onnx"]
    assert store.is_installed(remote)
    download(remote, server)
    assert server.requests == ["/zoo/tiny.onnx"]


def test_a_damaged_file_in_place_is_downloaded_again(remote: ModelSpec, server: Server) -> None:
    download(remote, server)
    place_of(remote).write_bytes(CONTENT[:-1] + b"?")
    download(remote, server)
    assert place_of(remote).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_connection_is_tried_again(remote: ModelSpec, server: Server, *, length: bool) -> None:
    server.answers = [lambda to: server.send(to, size=100_000, length=length)] * 2
    download(remote, server)
    assert store.read_weights(remote) == CONTENT
    assert len(server.requests) == 3
    place_of(remote).unlink()
    server.answers = [lambda to: server.send(to, size=1000, length=length)] * 10
    with pytest.raises(ModelError, match=r"model 'tiny': models\.test broke off 4 times"):
        download(remote, server)
    assert list_files(remote) == []


def test_other_content_is_rejected(remote: ModelSpec, server: Server) -> None:
    server.content = bytes(len(CONTENT))
    found = hashlib.sha256(server.content).hexdigest()
    expected = (
        f"expected 300000 bytes with sha256 {remote.file().sha256}, but {URL} has 300000 bytes with sha256 {found}"
    )
    with pytest.raises(WeightsError, match=expected):
        download(remote, server)
    assert list_files(remote) == []


@pytest.mark.parametrize(("content", "length", "size"), [(CONTENT * 4, True, "1200000"), (CONTENT * 4, False, "more"),
                                                         (CONTENT[:200], True, "200")])  # fmt: skip
def test_another_size_is_rejected(
    remote: ModelSpec, server: Server, content: bytes, size: str, *, length: bool
) -> None:
    server.content = content
    server.answers = [lambda to: server.send(to, length=length)]
    with pytest.raises(WeightsError, match=f"expected 300000 bytes.*, but .* has {size}"):
        download(remote, server)
    assert list_files(remote) == []


@pytest.mark.parametrize(("code", "words"), [(404, "Not Found"), (403, "Forbidden"), (503, "Service Unavailable")])
def test_an_error_of_the_server(remote: ModelSpec, server: Server, code: int, words: str) -> None:
    server.answers = [lambda to: to.send_error(code)]
    with pytest.raises(ModelError, match=f"models.test says {code} {words}; .*mien models get tiny --from FILE"):
        download(remote, server)
    assert list_files(remote) == []
    assert len(server.requests) == 1


def redirect(address: str) -> Callable[[Any], None]:
    def answer(to: Any) -> None:
        to.send_response(302)
        to.send_header("Location", address)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


@pytest.mark.parametrize(
    "address", ["http://models.test/tiny.onnx", "ftp://models.test/tiny.onnx", "file:///etc/hosts"]
)
def test_redirects_to_anything_but_https_are_rejected(remote: ModelSpec, server: Server, address: str) -> None:
    server.answers = [redirect(address)]
    with pytest.raises(ModelError, match=r"redirects? to|Redirection to url"):
        download(remote, server)
    assert list_files(remote) == []


def test_redirects_to_https_are_followed(remote: ModelSpec, server: Server) -> None:
    server.answers = [redirect("https://models.test/elsewhere")]
    download(remote, server)
    assert server.requests == ["/zoo/tiny.onnx", "/elsewhere"]


def test_the_proxy_of_the_environment_is_used(
    remote: ModelSpec, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://{server.address}")
    with pytest.raises(ModelError, match=r"cannot reach models\.test: .*403"):
        store.download(remote)
    assert server.requests == ["CONNECT models.test:443"]


def test_a_full_disk(remote: ModelSpec, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot write .*tiny\.onnx: No space left on device"):
        download(remote, server)
    assert list_files(remote) == []


def test_a_folder_that_cannot_be_made(remote: ModelSpec, server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot write"):
        download(remote, server)


def test_two_at_once_do_not_disturb_each_other(remote: ModelSpec, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(remote, server), range(4)))
    assert store.read_weights(remote) == CONTENT
    assert list_files(remote) == ["tiny.onnx"]


def test_a_file_that_the_user_has_is_installed(remote: ModelSpec, tmp_path: Path) -> None:
    own = tmp_path / "någon fil.bin"
    own.write_bytes(CONTENT)
    store.install(remote, own)
    assert place_of(remote).read_bytes() == own.read_bytes() == CONTENT
    assert list_files(remote) == ["tiny.onnx"]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], bytes(len(CONTENT)), CONTENT + b"1"])
def test_another_file_is_rejected_and_the_good_one_stays(remote: ModelSpec, tmp_path: Path, content: bytes) -> None:
    own = tmp_path / "own"
    own.write_bytes(CONTENT)
    store.install(remote, own)
    own.write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected 300000 bytes.*, but .*own has"):
        store.install(remote, own)
    assert own.read_bytes() == content
    assert place_of(remote).read_bytes() == CONTENT
    assert list_files(remote) == ["tiny.onnx"]


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_missing_file_and_a_folder(remote: ModelSpec, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        store.install(remote, tmp_path / name)
    assert list_files(remote) == []


def test_missing_weights_name_the_command(remote: ModelSpec) -> None:
    with pytest.raises(WeightsError, match=r"are missing: expected .*tiny\.onnx; get them by: mien models get tiny"):
        store.read_weights(remote)


def test_every_download_has_address_and_license() -> None:
    assert registry.names(downloads=True) == ["yunet"]
    for name in registry.names(downloads=True):
        spec = registry.get(name)
        assert all(entry.url.endswith(entry.file) for entry in spec.files)
        assert spec.license.weights == "MIT"
        assert spec.license.attribution
        assert name not in registry.names()


def test_the_folder_is_the_users_own_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE_DIR", "")
    assert "mien" in store.download_folder().parts
    assert store.download_folder().is_absolute()
