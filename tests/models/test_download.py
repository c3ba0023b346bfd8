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

from mien.errors import ModelError, UnknownModelError, WeightsError
from mien.models import download, registry, store
from mien.models.store import Offer

CONTENT = random.Random(3).randbytes(300_000)
URL = "https://models.test/zoo/tiny.onnx"


class Server:
    """Answers with `content`; what each request gets is the next of `answers`, or all of it."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.answers: list[Callable[[Any], None]] = []
        self.asked: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.headers["Range"])
                (outer.answers.pop(0) if outer.answers else outer.whole)(self)

            def do_CONNECT(self) -> None:
                outer.asked.append(f"CONNECT {self.path}")
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

    def whole(self, to: Any, *, sent: int | None = None, ranges: bool = True, length: bool = True) -> None:
        """Answer as asked, with ``sent`` bytes of it only."""
        begin = int(to.headers["Range"][6:-1]) if ranges and to.headers["Range"] else 0
        to.send_response(206 if begin else 200)
        if begin:
            to.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        if length:
            to.send_header("Content-Length", str(len(self.content) - begin))
        to.end_headers()
        to.wfile.write(self.content[begin:][:sent])

    def cut(self, sent: int, **how: bool) -> Callable[[Any], None]:
        return lambda to: self.whole(to, sent=sent, **how)

    def opened(self, *handlers: urllib.request.BaseHandler) -> download.Opener:
        """Return an opener whose https connections end here."""
        address = self.address

        class Https(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                def connection(host: str, **options: Any) -> http.client.HTTPConnection:
                    assert host == "models.test"
                    return http.client.HTTPConnection(address, timeout=options["timeout"])

                return self.do_open(connection, req)

        return download.opener(Https(), *(handlers or (urllib.request.ProxyHandler({}),)))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def offer(record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    monkeypatch.setenv("MIEN_CACHE_DIR", str(tmp_path / "cache"))
    record["files"][0] |= {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    store.write_record(record, tmp_path / "tiny.toml")
    path = tmp_path / "tiny.toml"
    path.write_text(f'{path.read_text(encoding="utf-8")}\n[download]\nurl = "{URL}"\n', encoding="utf-8")
    return store.read_offer(path)


def left(offer: Offer) -> list[str]:
    folder = offer.path.parent
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def fetched(offer: Offer, server: Server, **options: Any) -> Path:
    return download.fetch(offer, opened=server.opened(), pause=lambda _: None, **options)


def test_comes_whole_to_its_place_and_only_once(offer: Offer, server: Server, tmp_path: Path) -> None:
    seen: list[int] = []
    path = fetched(offer, server, told=seen.append)
    assert path == tmp_path / "cache" / "models" / "tiny.onnx"
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert left(offer) == ["tiny.onnx"]
    assert store.read_weights(offer.spec) == CONTENT
    fetched(offer, server)
    assert server.asked == [None]


def test_a_damaged_file_in_place_is_fetched_again(offer: Offer, server: Server) -> None:
    fetched(offer, server).write_bytes(CONTENT[:-1] + b"?")
    assert fetched(offer, server).read_bytes() == CONTENT


def test_a_cut_connection_is_taken_up_where_it_broke(offer: Offer, server: Server) -> None:
    server.answers = [server.cut(100_000), server.cut(50_000)]
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_what_came_is_kept_for_the_next_call(offer: Offer, server: Server) -> None:
    server.answers = [server.cut(100_000)] + [server.cut(0)] * download.TRIES
    said = "models.test broke off after 100000 of 300000 bytes .*: the same command goes on from there"
    with pytest.raises(ModelError, match=said):
        fetched(offer, server)
    assert not store.is_there(offer)
    assert len(server.asked) == 1 + download.TRIES
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"
    assert left(offer) == ["tiny.onnx"]


def test_a_server_without_ranges_begins_anew(offer: Offer, server: Server) -> None:
    server.answers = [server.cut(100_000, ranges=False, length=False), server.cut(400_000, ranges=False, length=False)]
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_wrong_range_is_not_taken(offer: Offer, server: Server) -> None:
    def other(to: Any) -> None:
        to.send_response(206)
        to.send_header("Content-Range", "bytes 5-9/300000")
        to.end_headers()
        to.wfile.write(b"other")

    server.answers = [server.cut(1000), other]
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", None]


def test_a_range_that_the_server_refuses_begins_anew(offer: Offer, server: Server) -> None:
    server.answers = [server.cut(1000), lambda to: to.send_error(416)]
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", None]


def test_other_content_is_refused_and_not_kept(offer: Offer, server: Server) -> None:
    server.content = bytes(len(CONTENT))
    found = hashlib.sha256(server.content).hexdigest()
    said = f"expected 300000 bytes with sha256 {offer.file.sha256}, but {URL} has 300000 bytes with sha256 {found}"
    with pytest.raises(WeightsError, match=said):
        fetched(offer, server)
    assert left(offer) == []


@pytest.mark.parametrize("length", [True, False])
def test_too_much_is_refused_and_not_kept(offer: Offer, server: Server, *, length: bool) -> None:
    server.content = CONTENT * 4
    server.answers = [lambda to: server.whole(to, length=length)]
    said = "expected 300000 bytes, but .* has " + ("1200000" if length else "more")
    with pytest.raises(WeightsError, match=said):
        fetched(offer, server)
    assert left(offer) == []


def test_too_little_is_refused(offer: Offer, server: Server) -> None:
    server.content = CONTENT[:200]
    with pytest.raises(WeightsError, match=r"expected 300000 bytes, but .* has 200"):
        fetched(offer, server)
    assert left(offer) == []


@pytest.mark.parametrize(("code", "words"), [(404, "Not Found"), (403, "Forbidden"), (503, "Service Unavailable")])
def test_a_refusal_names_the_server_and_the_way_around(offer: Offer, server: Server, code: int, words: str) -> None:
    server.answers = [lambda to: to.send_error(code)]
    with pytest.raises(ModelError, match=f"models.test says {code} {words}; .*mien models get tiny --from FILE"):
        fetched(offer, server)
    assert left(offer) == []


def test_offline_is_said_at_once_with_the_way_around(offer: Offer) -> None:
    def opened(request: urllib.request.Request, timeout: float) -> Any:
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    said = r"cannot reach models\.test: .*Name or service not known; if you have the file: mien models get tiny --from"
    with pytest.raises(ModelError, match=said):
        download.fetch(offer, opened=opened, pause=lambda _: pytest.fail("waited"))


def _to(address: str) -> Callable[[Any], None]:
    def answer(to: Any) -> None:
        to.send_response(302)
        to.send_header("Location", address)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


@pytest.mark.parametrize(
    "address", ["http://models.test/tiny.onnx", "ftp://models.test/tiny.onnx", "file:///etc/hosts"]
)
def test_redirects_to_anything_but_https_are_refused(offer: Offer, server: Server, address: str) -> None:
    server.answers = [_to(address)]
    with pytest.raises(ModelError, match=r"redirects? to|Redirection to url"):
        fetched(offer, server)
    assert left(offer) == []


def test_redirects_to_https_are_followed_with_the_range(offer: Offer, server: Server) -> None:
    server.answers = [_to("https://models.test/elsewhere"), server.cut(1000), _to("https://models.test/elsewhere")]
    assert fetched(offer, server).read_bytes() == CONTENT
    assert server.asked == [None, None, "bytes=1000-", "bytes=1000-"]


def test_the_proxy_of_the_environment_is_asked(offer: Offer, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://{server.address}")
    with pytest.raises(ModelError, match=r"cannot reach models\.test: .*403"):
        download.fetch(offer, pause=lambda _: None)
    assert server.asked == ["CONNECT models.test:443"]


def test_a_full_disk_is_told_and_leaves_no_file(offer: Offer, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot write .*\.part: No space left on device"):
        fetched(offer, server)
    assert not store.is_there(offer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_disk_that_fills_up_while_writing(offer: Offer, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open
    monkeypatch.setattr(store.os, "open", lambda _, flags: opened("/dev/full", flags))
    with pytest.raises(ModelError, match="No space left on device"):
        fetched(offer, server)
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made(offer: Offer, server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot write"):
        fetched(offer, server)
    assert server.asked == []


def test_two_at_once_do_not_disturb_each_other(offer: Offer, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetched(offer, server), range(4)))
    assert set(paths) == {offer.path}
    assert offer.path.read_bytes() == CONTENT
    assert left(offer) == ["tiny.onnx"]


def test_takes_a_file_that_the_user_has(offer: Offer, tmp_path: Path) -> None:
    own = tmp_path / "någon fil.bin"
    own.write_bytes(CONTENT)
    assert download.take(offer, own).read_bytes() == own.read_bytes() == CONTENT
    assert left(offer) == ["tiny.onnx"]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], bytes(len(CONTENT)), CONTENT + b"1"])
def test_takes_no_other_file_and_leaves_the_good_one(offer: Offer, tmp_path: Path, content: bytes) -> None:
    own = tmp_path / "own"
    own.write_bytes(CONTENT)
    download.take(offer, own)
    own.write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected 300000 bytes.*, but .*own has"):
        download.take(offer, own)
    assert own.read_bytes() == content
    assert offer.path.read_bytes() == CONTENT
    assert left(offer) == ["tiny.onnx"]


@pytest.mark.parametrize("name", ["nothing", "."])
def test_takes_no_missing_file_and_no_folder(offer: Offer, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        download.take(offer, tmp_path / name)
    assert left(offer) == []


def test_missing_weights_name_the_command(offer: Offer) -> None:
    with pytest.raises(WeightsError, match=r"are missing: expected .*tiny\.onnx; get them by: mien models get tiny"):
        store.read_weights(offer.spec)


@pytest.mark.parametrize("line", ['url = "http://models.test/tiny.onnx"', "url = 5", ""])
def test_a_record_must_say_where_by_https(offer: Offer, tmp_path: Path, line: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(f'url = "{URL}"', line), encoding="utf-8")
    with pytest.raises(ModelError, match="key 'url' must be an address that begins with https://"):
        store.read_offer(path)


def test_every_optional_model_has_record_address_and_license() -> None:
    assert registry.optional_names() == ["yunet"]
    for name in registry.optional_names():
        offer = registry.offer(name)
        assert registry.get(name) == offer.spec
        assert offer.spec.name == name
        assert offer.url.endswith(offer.file.file)
        assert offer.spec.license.weights == "MIT"
        assert offer.spec.license.attribution
        assert name not in registry.names()


def test_only_optional_models_are_offered() -> None:
    with pytest.raises(UnknownModelError, match="'mtcnn' is no download, since it ships with mien: expected"):
        registry.offer("mtcnn")
    with pytest.raises(UnknownModelError, match=r"'\.\./x' is no download: expected one of yunet"):
        registry.offer("../x")


def test_the_folder_is_the_users_own_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE_DIR", "")
    assert "mien" in store.optional_folder().parts
    assert store.optional_folder().is_absolute()
