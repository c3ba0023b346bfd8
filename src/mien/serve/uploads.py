"""Bodies of requests: read piece by piece, within limits, into memory or a file."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mien.serve.problems import ProblemError

__all__ = ["Memory", "Sink", "Upload", "clean_name", "read_body"]

MOST_FILES = 32
_MOST_PARTS = 64
_MOST_HEADER_BYTES = 8192


class Sink(Protocol):
    """Takes the bytes of a file."""

    def write(self, data: bytes, /) -> Any:
        """Take a piece."""


@dataclass
class Upload:
    """A file of a request.

    Parameters
    ----------
    name : str or None
        As the client calls it, without folders; never a path here.
    sink : Sink
        Where its bytes are.
    size : int
        Bytes.
    """

    name: str | None
    sink: Any
    size: int = 0


class Memory:
    """Counts the bytes of uploads that are held in memory, over all requests.

    Parameters
    ----------
    most : int
        Bytes at the same time.
    """

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0

    @asynccontextmanager
    async def account(self) -> AsyncIterator[Callable[[int], None]]:
        """Give a function that takes bytes; they are given back at the end."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self.used + size > self.most:
                raise ProblemError("busy", "too many uploads are held in memory; try again", retry_after_s=2)
            self.used += size
            taken += size

        try:
            yield take
        finally:
            self.used -= taken


def clean_name(name: str | None) -> str | None:
    """Return the last part of a client's file name, printable and at most 200 characters; None where none is left."""
    last = re.split(r"[/\\]", name or "")[-1]
    last = "".join(c for c in last if c.isprintable()).strip()[-200:]
    return None if last in ("", ".", "..") else last


async def read_body(
    request: Request,
    *,
    max_bytes: int,
    idle_s: float,
    total_s: float,
    make_sink: Callable[[], Sink] | None = None,
    take: Callable[[int], None] = lambda _: None,
    most_files: int = MOST_FILES,
) -> tuple[list[Upload], bool]:
    """Read the files of a request.

    Parameters
    ----------
    request : Request
        The request.
    max_bytes : int
        Bytes of the body.
    idle_s, total_s : float
        Seconds without a byte, and in all.
    make_sink : callable, optional
        Makes where a file goes; by default memory.
    take : callable
        Called with the size of each piece that is kept.
    most_files : int
        Files.

    Returns
    -------
    (list of Upload, bool)
        The files, and whether the body was multipart.

    Raises
    ------
    ProblemError
        If there is none, or too much, or it comes too slowly or broken.
    """
    make_sink = make_sink or _Buffer
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"application/json":
        raise ProblemError("unsupported-media", "the body must be a file or multipart/form-data, but it is JSON")
    is_multipart = kind.startswith(b"multipart/")
    if is_multipart and (kind != b"multipart/form-data" or not options.get(b"boundary")):
        raise ProblemError("bad-request", "a multipart body must be multipart/form-data with a boundary")
    declared = request.headers.get("content-length", "")
    too_large = ProblemError(
        "too-large", f"the body has more than {max_bytes:,} bytes, the limit", headers={"Connection": "close"}
    )
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    parts = _Parts(options[b"boundary"], make_sink, most_files) if is_multipart else None
    upload = None if is_multipart else Upload(None, make_sink())
    size, until = 0, time.monotonic() + total_s
    stream = request.stream()
    try:
        while True:
            wait_s = min(idle_s, until - time.monotonic())
            try:
                piece = await asyncio.wait_for(anext(stream), max(wait_s, 0.001))
            except StopAsyncIteration:
                break
            size += len(piece)
            if size > max_bytes:
                raise too_large
            take(len(piece))
            if parts is not None:
                parts.feed(piece)
            elif upload is not None:
                upload.sink.write(piece)
                upload.size += len(piece)
    except TimeoutError:
        raise ProblemError("timeout", "the body came too slowly", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise ProblemError("bad-request", "the body was cut off") from None
    files = parts.finish() if parts is not None else [upload] if upload is not None and upload.size else []
    if not files:
        raise ProblemError("undecodable", "the body is empty: expected a file")
    return files, is_multipart


class _Buffer:
    """Bytes in memory."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data

    def getvalue(self) -> bytes:
        data = bytes(self._data)
        self._data = bytearray()
        return data


class _Parts:
    """The files of a multipart body; fields without a file name are left out."""

    def __init__(self, boundary: bytes, make_sink: Callable[[], Sink], most_files: int) -> None:
        self.files: list[Upload] = []
        self._make_sink, self._most = make_sink, most_files
        self._parts, self._header_bytes, self._is_over = 0, 0, False
        self._field, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._current: Upload | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._take_field,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._take_data,
                    "on_end": self._end,
                },
            )
        except ParseError as error:
            raise ProblemError("bad-request", f"the multipart body is broken: {error}") from error

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except ParseError as error:
            raise ProblemError("bad-request", f"the multipart body is broken: {error}") from error

    def finish(self) -> list[Upload]:
        if not self._is_over:
            raise ProblemError("bad-request", "the multipart body ends before its last boundary")
        return self.files

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise ProblemError("bad-request", f"the multipart body has more than {_MOST_PARTS} parts")
        self._headers, self._header_bytes, self._current = {}, 0, None

    def _count(self, start: int, end: int) -> None:
        self._header_bytes += end - start
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise ProblemError("bad-request", "the headers of a part are too long")

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"filename")
        if name is None:
            return
        if len(self.files) >= self._most:
            files = f"{self._most} files" if self._most > 1 else "one file"
            raise ProblemError("too-large", f"the body has more than {files}, the limit")
        self._current = Upload(clean_name(name.decode("utf-8", "replace")), self._make_sink())
        self.files.append(self._current)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.sink.write(data[start:end])
            self._current.size += end - start

    def _end(self) -> None:
        self._is_over = True
