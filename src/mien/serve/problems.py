"""Errors as clients get them: problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from mien.errors import MienError
from mien.results import FailedItem

__all__ = ["PROBLEMS", "LimitError", "ProblemError", "problem_of"]

PROBLEMS = {
    "bad-request": (400, "The request is broken"),
    "unauthorized": (401, "A valid token is needed"),
    "forbidden-origin": (403, "Pages of this origin may not connect"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The route has no such method"),
    "not-acceptable": (406, "No accepted type can be given"),
    "timeout": (408, "The body came too slowly"),
    "not-done": (409, "The job is not done"),
    "too-large": (413, "The upload is over a limit"),
    "unsupported-media": (415, "The file is of the wrong kind"),
    "invalid-option": (422, "An option is wrong"),
    "undecodable": (422, "The file cannot be decoded"),
    "queue-full": (429, "No further job is taken now"),
    "headers-too-large": (431, "The headers are too long"),
    "internal": (500, "The service failed"),
    "busy": (503, "The service is busy"),
    "stopping": (503, "The service is not ready"),
}
"""Status and title by the last part of the type."""

_OF_ERRORS = {
    "LimitError": "too-large",
    "UnsupportedMediaError": "unsupported-media",
    "DecodeError": "undecodable",
    "MediaError": "undecodable",
    "MediaNotFoundError": "undecodable",
    "InputError": "invalid-option",
    "UnknownModelError": "invalid-option",
    "MissingExtraError": "invalid-option",
    "ModelError": "invalid-option",
    "WeightsError": "internal",
}


class LimitError(MienError):
    """A file is over a limit of the service."""


class ProblemError(Exception):
    """An error with its answer.

    Parameters
    ----------
    kind : str
        Of `PROBLEMS`.
    detail : str
        For people.
    retry_after_s : int, optional
        When to try again, in seconds.
    headers : dict of str to str, optional
        Further headers.
    """

    def __init__(
        self, kind: str, detail: str, *, retry_after_s: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail
        self.status, self.title = PROBLEMS[kind]
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)

    def to_dict(self, instance: str = "") -> dict[str, Any]:
        """Return the document."""
        return {
            "type": f"urn:mien:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }

    def response(self, instance: str = "") -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            self.to_dict(instance), self.status, headers=self.headers, media_type="application/problem+json"
        )


def problem_of(error: MienError | FailedItem) -> ProblemError:
    """Return the problem of an error of the library, or of an item that failed."""
    failed = isinstance(error, FailedItem)
    name, text = (error.error, error.message) if failed else (type(error).__name__, str(error))  # type: ignore[union-attr]
    kind = _OF_ERRORS.get(name, "internal")
    if kind == "unsupported-media" and "more than the limit" in text:
        kind = "too-large"
    # What is no error of mien is a defect: its words are for the log alone.
    return ProblemError(kind, text if name in _OF_ERRORS else "the service failed; its log says why")
