"""A service that makes images from words, over the interface of OpenAI's ``images/generations``.

Nothing is sent before `ImageService.generate` is called, and then words only, never an image.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mien._extras import import_extra
from mien.errors import InputError, MienError

__all__ = ["BASE_URL", "MODEL", "ImageService", "NoAnswerError", "NoImageError", "ServiceError"]

BASE_URL = "https://api.openai.com/v1"
MODEL = "gpt-image-1"

RETRIES = 8
"""So many times a request is repeated that failed or met a limit: by the client of OpenAI, after as long as the service
says, else after 0.5 to 8 seconds."""

MAX_BYTES = 64 << 20
"""Largest image taken: sixteen times what a PNG of 1024 x 1024 takes at most."""

TIMEOUT_S = 300.0
"""How long one answer may take: slow services take a minute or two for an image."""

_FETCHES = 4
"""So many times an image is fetched whose address a service gave."""

_INLINE_MODELS = ("gpt-image", "chatgpt-image")
"""Models that always answer with the image itself, and reject being asked for it (OpenAI's API reference)."""

_POLICY = re.compile(r"polic|safety|moderat|content[ _-]?filter|blocked|refus", re.IGNORECASE)
_NO_MONEY = re.compile(r"quota|billing", re.IGNORECASE)


class ServiceError(MienError):
    """The service cannot be used (any longer): wrong key, no money, limits that do not end, or it is not there."""


class NoAnswerError(MienError):
    """The service failed at this request again and again; it may work another time."""


class NoImageError(MienError):
    """The service answered this request for good, but with no usable image; asking again would not help."""


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
        Hosts from which images are fetched where the service answers with addresses. Its own host is always allowed; an
        address on any other ends the work, since it may lead anywhere. Only over HTTP(S), without the key, without
        following redirections, and up to 64 MiB.
    retries : int
        How often a failed request is repeated.
    on_note : callable, optional
        Gets a line for people whenever the service fails or says that there are too many requests.

    Raises
    ------
    InputError
        If the address, the key or the size cannot be right.
    MissingExtraError
        If the package ``openai`` is not installed.

    Notes
    -----
    ``is_proven`` is true once a request of this kind has given an image. Until then, a request that the service does
    not accept ends the work, unless it speaks of its policy: the size or the model may be wrong, and each further
    request would fail in the same way. Afterwards only that one prompt can be at fault.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = BASE_URL,
        model: str = MODEL,
        size: str = "1024x1024",
        image_hosts: Sequence[str] = (),
        retries: int = RETRIES,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        self.base_url, self.model, self.is_proven = _checked_url(base_url), model, False
        if not key.strip() or not key.isascii() or not key.isprintable():
            raise InputError("the key of the service must be a word of printable ASCII characters, but it is not")
        if not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}|auto", size):
            raise InputError(f"size must be WIDTHxHEIGHT, such as 1024x1024, or auto, but got {size!r}")
        self._openai = import_extra("openai", extra="generate", purpose="asking an image service")
        self._client: Any = self._openai.OpenAI(
            api_key=key,
            base_url=self.base_url,
            max_retries=retries,
            timeout=TIMEOUT_S,
            http_client=self._openai.DefaultHttpxClient(event_hooks={"response": [self._note_failure]}),
        )
        self._key, self._size, self._retries = key, size, retries
        self._inline = not model.startswith(_INLINE_MODELS)
        self._hosts = {host.lower() for host in image_hosts}
        self._on_note = on_note or (lambda _: None)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._opener.close()

    def generate(self, prompt: str) -> bytes:
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
            If the service rejects the prompt, or what it sent is no base64.
        NoAnswerError
            If it fails, or the connection does, each time.
        ServiceError
            If it is of no use to ask for anything else.
        """
        data = self._image(self._request(prompt))
        self.is_proven = True
        return data

    # --- one request ----------------------------------------------------------------------------------

    def _request(self, prompt: str) -> dict[str, Any]:
        """Send a request and return the first image of the answer, as the service describes it."""
        body: dict[str, Any] = {"prompt": prompt, "model": self.model, "n": 1, "size": self._size}
        if self._inline:
            body["response_format"] = "b64_json"
        openai = self._openai
        try:
            content: bytes = self._client.images.with_raw_response.generate(**body).content
        except openai.APIStatusError as error:
            if (
                self._inline
                and error.status_code in (400, 422)
                and "response_format" in f"{error.body} {error.message}"
            ):
                self._inline = False
                return self._request(prompt)
            raise self._error_of(error) from error
        except openai.APIConnectionError as error:
            reason = self._clean(error.__cause__ or error)
            raise self._no_answer(f"the connection to {self.base_url} failed ({reason})") from error
        except openai.OpenAIError as error:
            raise ServiceError(f"the request cannot be sent to {self.base_url}: {self._clean(error)}") from error
        try:
            return dict(json.loads(content)["data"][0])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            came = self._clean(content[:80].decode("utf-8", "replace"))
            raise self._unusable(f"expected JSON with a list 'data' of images, but the answer is {came!r}") from error

    def _note_failure(self, response: Any) -> None:
        """Note that the service failed, before the client asks again; keep it from asking where there is no money."""
        if response.status_code == 429 or response.status_code >= 500:
            self._on_note(f"the service answered {response.status_code} ({response.reason_phrase})")
        if response.status_code == 429 and _NO_MONEY.search(response.read().decode("utf-8", "replace")):
            response.headers["x-should-retry"] = "false"

    def _error_of(self, error: Any) -> MienError:
        """Return what an answer with an error means."""
        status: int = error.status_code
        body = error.body if isinstance(error.body, dict) else {}
        code = " ".join(str(body.get(name) or "") for name in ("code", "type"))
        message = self._clean(body.get("message") or error.message)
        if status in (401, 403):
            return ServiceError(f"{self.base_url} does not accept the key ({status}): {message}")
        if _NO_MONEY.search(code):
            return ServiceError(f"{self.base_url} gives no more images on this account ({status}): {message}")
        if status == 429:
            wait = error.response.headers.get("retry-after")
            pause = f", to come back in {self._clean(wait)} s" if wait else ""
            return ServiceError(
                f"the service says that there are too many requests{pause} (429): {message}; "
                "run the same command later to go on"
            )
        if status >= 500 or status in (408, 409, 425):
            return self._no_answer(f"the service failed ({status}): {message}")
        if status in (400, 422) and (self.is_proven or _POLICY.search(f"{code} {message}")):
            return NoImageError(f"rejected by the service ({status}): {message}")
        return ServiceError(f"{self.base_url} does not accept the request ({status}): {message}")

    def _no_answer(self, reason: str) -> MienError:
        return NoAnswerError(f"no answer after {self._retries + 1} attempts: {reason}")

    def _unusable(self, message: str) -> MienError:
        return NoImageError(message) if self.is_proven else ServiceError(f"{self.base_url}: {message}")

    def _clean(self, text: object) -> str:
        """Return what a service says as one short line, without the key, which some repeat."""
        line = " ".join(str(text).replace(self._key, "***").split())
        line = "".join(c if c.isprintable() else "?" for c in line)
        return line if len(line) <= 300 else line[:297] + "..."

    # --- the image ------------------------------------------------------------------------------------

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
            return self._fetch(self._allowed(address))
        raise self._unusable("expected an image as b64_json or url, but the answer has neither")

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
        """Fetch an image that was paid for; it is not ordered again because its way was cut."""
        where, reason = f"the image on {parts.hostname}", ""
        for attempt in range(_FETCHES):
            if attempt:
                time.sleep(2.0 ** (attempt - 1))
            try:
                with self._opener.open(parts.geturl(), timeout=TIMEOUT_S) as response:
                    data: bytes = response.read(MAX_BYTES + 1)
                    announced = response.headers.get("content-length", "")
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 429 and error.code < 500:
                    raise NoImageError(f"{where} cannot be fetched: {error.code}") from error
                reason = str(error.code)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = self._clean(error)
            else:
                if len(data) > MAX_BYTES:
                    raise NoImageError(f"{where} is larger than {MAX_BYTES >> 20} MiB")
                if not announced.isdigit() or len(data) >= int(announced):
                    return data
                reason = f"{len(data)} of {announced} bytes"
        raise NoAnswerError(f"{where} did not arrive in {_FETCHES} attempts ({reason})")


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
