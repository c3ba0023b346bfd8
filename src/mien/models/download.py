"""Optional models: fetched by https, or taken from a file that the user has, and kept only when they are as recorded.

Nothing is fetched unless somebody asks for it by `fetch`.  Proxies are those of the environment (``https_proxy``,
``no_proxy``), as `urllib.request` reads them.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from mien.errors import ModelError, WeightsError
from mien.models import store
from mien.models.store import Offer, Receiving

__all__ = ["Opener", "fetch", "opener", "take"]

Opener = Callable[..., Any]
"""What answers ``(request, timeout=seconds)``, as `urllib.request.urlopen` does."""

TIMEOUT_S = 30.0
"""Longest silence of a server."""

TRIES, PAUSE_S = 4, 1.0
"""How often a broken connection is taken up again when nothing new came, and how long is waited before."""

PART_BYTES = 1 << 16

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_PARTIAL, _BAD_RANGE = 206, 416


class _BrokenError(Exception):
    """The connection ended before all had come."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects as `urllib.request` does, but to https alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise ModelError(f"{_place(req.full_url)} redirects to {newurl}: only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(*handlers: urllib.request.BaseHandler) -> Opener:
    """Return what opens addresses: `urllib.request`'s, with its proxies, but with redirects to https alone.

    Parameters
    ----------
    *handlers : urllib.request.BaseHandler
        More handlers, in the place of those of the same kind.

    Returns
    -------
    callable
        Takes a request and ``timeout``.
    """
    return cast("Opener", urllib.request.build_opener(_OnlyHttps(), *handlers).open)


def fetch(
    offer: Offer,
    *,
    opened: Opener | None = None,
    told: Callable[[int], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Download the file of an optional model, unless it is there and whole.

    What has come is kept when the work breaks off; the next call goes on from there.

    Parameters
    ----------
    offer : Offer
        The model.
    opened : callable, optional
        Opens requests; by default `opener`'s.
    told : callable, optional
        Takes how many bytes are there, again and again.
    pause : callable
        Waits so many seconds between tries.

    Returns
    -------
    pathlib.Path
        The file, whose sha256 is that of the record.

    Raises
    ------
    ModelError
        If the server cannot be reached, refuses, or breaks off again and again, or the file cannot be written.
    WeightsError
        If what came is not what the record says; nothing of it is kept.
    """
    if _whole(offer):
        return offer.path
    opened = opener() if opened is None else opened
    with Receiving(offer) as file:
        if file.have > offer.file.bytes:
            file.discard()
        left = TRIES
        while file.have < offer.file.bytes:
            before = file.have
            try:
                _request(offer, file, opened, told)
            except _BrokenError as error:
                left = TRIES if file.have > before else left - 1
                if not left:
                    raise ModelError(_gave_up(offer, file.have, error)) from error
                pause(PAUSE_S)
        return file.finish(offer.url)


def take(offer: Offer, path: str | Path) -> Path:
    """Copy the file of an optional model from a file that the user has, after checking it.

    Parameters
    ----------
    offer : Offer
        The model.
    path : str or pathlib.Path
        The file; its name does not matter.

    Returns
    -------
    pathlib.Path
        The copy.

    Raises
    ------
    WeightsError
        If the file is not what the record says.
    ModelError
        If it cannot be read, or the copy cannot be written.
    """
    with Receiving(offer, resumable=False) as file:
        for part in store.file_parts(path):
            file.write(part, source=str(path))
        return file.finish(str(path))


def _whole(offer: Offer) -> bool:
    """Return whether the file is in its place as recorded."""
    try:
        store.verify(offer.spec)
    except WeightsError:
        return False
    return True


def _request(offer: Offer, file: Receiving, opened: Opener, told: Callable[[int], None] | None) -> None:
    """Ask for what is still missing and write it, or raise `_BrokenError` where it pays to try again."""
    headers = {"User-Agent": "mien", "Accept-Encoding": "identity"}
    if file.have:
        headers["Range"] = f"bytes={file.have}-"
    try:
        # That the address is https was checked with the record.
        request = urllib.request.Request(offer.url, headers=headers)  # noqa: S310
        with opened(request, timeout=TIMEOUT_S) as answer:
            _begin(offer, file, answer)
            while part := answer.read(PART_BYTES):
                file.write(part, source=offer.url)
                if told is not None:
                    told(file.have)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != _BAD_RANGE or not file.have:
                raise ModelError(_refused(offer, error)) from error
            file.discard()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.URLError) and not file.have:
            raise ModelError(_unreachable(offer, error.reason)) from error
        raise _BrokenError(str(error) or type(error).__name__) from error
    if file.have < offer.file.bytes:
        raise _BrokenError("the connection ended")


def _begin(offer: Offer, file: Receiving, answer: Any) -> None:
    """Check an answer's head: from where on it gives the file, and that it is as long as recorded."""
    wanted = offer.file.bytes
    if answer.status == _PARTIAL:
        segment = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not segment or int(segment[1]) != file.have or int(segment[3]) != wanted:
            file.discard()
            raise _BrokenError("the server gave another part of the file than was asked for")
        return
    file.restart()
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != wanted:
        file.discard()
        raise WeightsError(f"model {offer.spec.name!r}: expected {wanted} bytes, but {offer.url} has {length}")


def _place(url: str) -> str:
    return urlsplit(url).hostname or url


def _instead(offer: Offer) -> str:
    return f"if you have the file: mien models get {offer.spec.name} --from FILE (it is {offer.url})"


def _unreachable(offer: Offer, reason: object) -> str:
    return f"model {offer.spec.name!r}: cannot reach {_place(offer.url)}: {reason}; {_instead(offer)}"


def _refused(offer: Offer, error: urllib.error.HTTPError) -> str:
    return f"model {offer.spec.name!r}: {_place(offer.url)} says {error.code} {error.reason}; {_instead(offer)}"


def _gave_up(offer: Offer, have: int, error: Exception) -> str:
    return (
        f"model {offer.spec.name!r}: {_place(offer.url)} broke off after {have} of {offer.file.bytes} bytes ({error}); "
        "what has come is kept: the same command goes on from there"
    )
