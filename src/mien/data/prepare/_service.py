"""A service that makes images from words, over the interface of OpenAI's ``images/generations``.

Nothing is sent before `ImageService.ask` is called, and then words only, never an image.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from time import sleep
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from mien._extras import import_extra
from mien.data.prepare._patience import AgainError, NoAnswerError, NoImageError, Patience, ServiceError, told_s
from mien.errors import InputError, MienError

__all__ = ["BASE_URL", "MODEL", "ImageService"]

BASE_URL = "https://api.openai.com/v1"
MODEL = "gpt-image-1"

MAX_BYTES = 64 << 20
"""Largest image taken: sixteen times what a PNG of 1024 x 1024 takes at most."""

TIMEOUT_S = 300.0
"""How long one answer may take: slow services take a minute or two for an image."""

_T = TypeVar("_T")

_ALWAYS_INLINE = ("gpt-image", "chatgpt-image")
"""Models that always answer with the image itself, and refuse to be asked for it (OpenAI's API reference)."""

_POLICY = re.compile(r"polic|safety|moderat|content[ _-]?filter|blocked|refus", re.IGNORECASE)

_PAST_HOPE = re.compile(r"quota|billing", re.IGNORECASE)


class ImageService:
    """A service that makes images from words.

    Parameters
    ----------
    key : str
        The key that the service gave; services without keys take any word.
    base_url : str
        Where the interface lies, such as ``"http://localhost:8080/v1"``.
    model : str
        The service's name of its model.
    size : str
        Width and height in pixels, such as ``"1024x1024"``, or ``"auto"``.
    image_hosts : sequence of str
        Hosts from which images are fetched where the service answers with addresses.  Its own host is always
        allowed; an address on any other ends the work, since it may lead anywhere.  Only over HTTP(S), without the
        key, without following redirections, and up to 64 MiB.
    patience : Patience, optional
        When to give up.
    say : callable, optional
        Takes a line for people before every pause.

    Raises
    ------
    InputError
        If the address, the key or the size cannot be right.
    MissingExtraError
        If the package ``openai`` is not installed.

    Notes
    -----
    ``proven`` is true once a request of this kind has given an image.  Until then, a request that the service does
    not accept ends the work, unless it speaks of its policy: the size or the model may be wrong, and each further
    request would fail in the same way.  Afterwards only that one prompt can be at fault.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = BASE_URL,
        model: str = MODEL,
        size: str = "1024x1024",
        image_hosts: Sequence[str] = (),
        patience: Patience | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.base_url, self.model, self.proven = _checked_url(base_url), model, False
        if not key.strip() or not key.isascii() or not key.isprintable():
            raise InputError("the key of the service must be a word of printable ASCII signs, but it is not")
        if not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}|auto", size):
            raise InputError(f"size must be WIDTHxHEIGHT, such as 1024x1024, or auto, but got {size!r}")
        self._openai = import_extra("openai", extra="generate", purpose="asking an image service")
        # The retries are ours: they report, and they know when it is of no use.
        self._client: Any = self._openai.OpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=TIMEOUT_S)
        self._key, self._size = key, size
        self._inline = not model.startswith(_ALWAYS_INLINE)
        self._hosts = {host.lower() for host in image_hosts}
        self._patience = patience or Patience()
        self._say = say or (lambda _: None)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._opener.close()

    def ask(self, prompt: str) -> bytes:
        """Ask for one image.

        Parameters
        ----------
        prompt : str
            What it shall show.

        Returns
        -------
        bytes
            The file, undecoded and unchecked.

        Raises
        ------
        NoImageError
            If the service refuses the prompt, or what it sent is no base64.
        NoAnswerError
            If it fails, or the connection does, each time.
        ServiceError
            If it is of no use to ask for anything else.
        """
        answer = self._retried(lambda: self._generate(prompt))
        data = self._image(answer)
        self.proven = True
        return data

    # --- asking again ---------------------------------------------------------------------------

    def _retried(self, call: Callable[[], _T]) -> _T:
        limits = faults = 0
        while True:
            try:
                return call()
            except AgainError as again:
                if again.limit:
                    limits += 1
                    if limits >= self._patience.limits:
                        raise ServiceError(
                            f"stopped after {limits} answers in a row that there were too many requests ({again}); "
                            "run the same command later to go on"
                        ) from again
                else:
                    faults += 1
                    if faults > self._patience.faults:
                        raise NoAnswerError(f"no answer after {faults} attempts: {again}") from again
                self._wait(again, limits if again.limit else faults)

    def _wait(self, again: AgainError, turn: int) -> None:
        wait_s = self._patience.pause_s(turn - 1)
        if again.wait_s is not None:
            if again.wait_s > self._patience.told_s:
                raise ServiceError(
                    f"the service says to come back in {again.wait_s:.0f} s ({again}); "
                    "run the same command then to go on"
                ) from again
            wait_s = again.wait_s
        self._say(f"{again}; trying again in {wait_s:.1f} s")
        sleep(wait_s)

    # --- one request ----------------------------------------------------------------------------

    def _generate(self, prompt: str) -> dict[str, Any]:
        """Send a request and return the first image of the answer, as the service describes it."""
        wanted: dict[str, Any] = {"prompt": prompt, "model": self.model, "n": 1, "size": self._size}
        if self._inline:
            wanted["response_format"] = "b64_json"
        openai = self._openai
        try:
            content: bytes = self._client.images.with_raw_response.generate(**wanted).content
        except openai.APIStatusError as error:
            raise self._judged(error) from error
        except openai.APIConnectionError as error:
            reason = self._clean(error.__cause__ or error)
            raise AgainError(f"the connection to {self.base_url} failed ({reason})") from error
        except openai.OpenAIError as error:
            raise ServiceError(f"the request cannot be sent to {self.base_url}: {self._clean(error)}") from error
        try:
            return dict(json.loads(content)["data"][0])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            came = self._clean(content[:80].decode("utf-8", "replace"))
            raise self._useless(f"expected JSON with a list 'data' of images, but the answer is {came!r}") from error

    def _judged(self, error: Any) -> MienError:
        """Say what an answer with an error means."""
        status: int = error.status_code
        body = error.body if isinstance(error.body, dict) else {}
        code = " ".join(str(body.get(name) or "") for name in ("code", "type"))
        said = self._clean(body.get("message") or error.message)
        if status == 401 or status == 403:
            return ServiceError(f"{self.base_url} does not accept the key ({status}): {said}")
        if _PAST_HOPE.search(code):
            return ServiceError(f"{self.base_url} gives no more images on this account ({status}): {said}")
        if status == 429:
            return AgainError(f"too many requests (429): {said}", limit=True, wait_s=told_s(error.response.headers))
        if status >= 500 or status in (408, 409, 425):
            told = told_s(error.response.headers)
            return AgainError(f"the service failed ({status}): {said}", wait_s=told)
        if status in (400, 422) and self._inline and "response_format" in f"{body.get('param')} {said}":
            self._inline = False
            return AgainError("the service does not know response_format", wait_s=0.0)
        if status in (400, 422) and (self.proven or _POLICY.search(f"{code} {said}")):
            return NoImageError(f"refused by the service ({status}): {said}")
        return ServiceError(f"{self.base_url} does not accept the request ({status}): {said}")

    def _useless(self, message: str) -> MienError:
        return NoImageError(message) if self.proven else ServiceError(f"{self.base_url}: {message}")

    def _clean(self, text: object) -> str:
        """Return what a service says as one short line, without the key, which some repeat."""
        line = " ".join(str(text).replace(self._key, "***").split())
        line = "".join(c if c.isprintable() else "?" for c in line)
        return line if len(line) <= 300 else line[:297] + "..."

    # --- the image ----------------------------------------------------------------------------

    def _image(self, answer: dict[str, Any]) -> bytes:
        inline, address = answer.get("b64_json"), answer.get("url")
        if isinstance(inline, str) and inline:
            if len(inline) > MAX_BYTES * 4 // 3 + 4:
                raise NoImageError(f"the image is larger than {MAX_BYTES >> 20} MiB")
            try:
                return base64.b64decode(inline, validate=True)
            except (binascii.Error, ValueError) as error:
                raise NoImageError(f"malformed base64: {error}") from error
        if isinstance(address, str) and address:
            parts = self._allowed(address)
            return self._retried(lambda: self._fetch(parts))
        raise self._useless("expected an image as b64_json or url, but the answer has neither")

    def _allowed(self, address: str) -> SplitResult:
        """Return the parts of an address from which an image may be fetched."""
        try:
            parts, own = urlsplit(address), urlsplit(self.base_url)
            same = (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port)
        except ValueError as error:
            raise NoImageError(f"the service names an address that is none: {self._clean(address)!r}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NoImageError(f"the service names an address that is not fetched: {self._clean(address)!r}")
        if not same and parts.hostname not in self._hosts:
            raise ServiceError(
                f"{self.base_url} lays its images on {parts.hostname}, from where nothing is fetched unless you "
                f"allow it: --image-host {parts.hostname}"
            )
        return parts

    def _fetch(self, parts: SplitResult) -> bytes:
        where = f"the image on {parts.hostname}"
        try:
            with self._opener.open(parts.geturl(), timeout=TIMEOUT_S) as response:
                data: bytes = response.read(MAX_BYTES + 1)
                announced = response.headers.get("content-length")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 429 or error.code >= 500:
                told = told_s(error.headers)
                raise AgainError(f"{where}: {error.code}", limit=error.code == 429, wait_s=told) from error
            raise NoImageError(f"{where} cannot be fetched: {error.code}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AgainError(f"{where} did not arrive ({self._clean(error)})") from error
        if len(data) > MAX_BYTES:
            raise NoImageError(f"{where} is larger than {MAX_BYTES >> 20} MiB")
        if announced is not None and announced.isdigit() and len(data) < int(announced):
            raise AgainError(f"{where} did not arrive ({len(data)} of {announced} bytes)")
        return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirection could lead where the address itself may not."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Answer that there is no new request; the status is then an error."""
        return


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or not url.isprintable() or " " in url:
        raise InputError(f"base_url must be an address such as {BASE_URL}, but got {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        # It is written into the manifest.
        raise InputError("base_url must hold no user, password, query or fragment, but it does")
    return url.rstrip("/")
