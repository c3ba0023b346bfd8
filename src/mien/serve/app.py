"""The application: routes, who may ask, what is said about each request."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien import __version__
from mien.api.analysis import check_video_options
from mien.api.sources import make_source
from mien.errors import MienError
from mien.face.detect import DETECTORS
from mien.models import registry
from mien.options import AudioOptions, ModelOptions, VideoOptions, make_options
from mien.results import FailedItem
from mien.serve.engine import Engine, to_json
from mien.serve.jobs import FORMATS, Jobs
from mien.serve.live import LiveConnection
from mien.serve.observe import Metrics
from mien.serve.problems import ProblemError, problem_of
from mien.serve.settings import Settings
from mien.serve.uploads import Memory, read_body
from mien.web import write_site

__all__ = ["Service", "create_app"]

_HERE = Path(__file__).parent
_JobId = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$")]
_log = logging.getLogger("mien.serve")

_FACES = ("model", "output", "detector", "min_face_px")
_VIDEO = ("step_s", "from_s", "to_s", "max_faces", "min_seen_s", "smooth_s", "method", "voice", "fusion")
_HASHED = re.compile(r"[-.][0-9A-Za-z_]{8,}\.\w+$")
_HEADER_BYTES = 16_384
_MOST_SOCKETS = 8
"""Live sockets for each worker."""

_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; sandbox"


class Service:
    """What the routes of an application share.

    Parameters
    ----------
    settings : Settings
        What the service allows.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = Engine(settings)
        self.jobs = Jobs(self.engine)
        self.metrics = Metrics()
        self.memory = Memory(max(2 * settings.max_body, 64_000_000))
        self.live_pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="mien-live")
        self.at_end = contextlib.ExitStack()
        self.sockets = 0
        self.is_ready = False
        self.is_stopping = False

    def begin_stop(self) -> None:
        """Take no further work, and end streams of events; called from a signal handler."""
        self.is_stopping, self.is_ready = True, False

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Load the models, and take up the jobs."""
        await asyncio.to_thread(self.engine.load)
        await asyncio.to_thread(self.jobs.open)
        self.is_ready = True
        try:
            yield
        finally:
            self.begin_stop()
            await asyncio.to_thread(self.jobs.close)
            self.engine.close()
            self.live_pool.shutdown(cancel_futures=True)
            self.at_end.close()

    # --- what several routes do ---------------------------------------------------------------------------------------

    async def read(self, request: Request, *, most_files: int, **more: Any) -> tuple[Any, bool]:
        """Read the body of a request."""
        settings = self.settings
        return await read_body(
            request,
            max_bytes=settings.max_body,
            idle_s=settings.idle_s,
            total_s=settings.upload_s,
            most_files=most_files,
            **more,
        )

    def check_open(self) -> None:
        """Raise `ProblemError` where nothing new is begun."""
        if not self.is_ready:
            raise ProblemError("stopping", "the service starts or stops", retry_after_s=5)
        if self.engine.is_full:
            raise ProblemError("busy", "too many requests wait already; try again", retry_after_s=1)

    def models(self, values: dict[str, Any], task: str = "face-emotion") -> ModelOptions:
        """Take the options of models out of a query."""
        for name, of in (("model", task), ("speech_model", "speech-emotion")):
            named = self.settings.models_for(of)
            if values.get(name) is not None and values[name] not in named:
                raise ProblemError("invalid-option", f"{name} must be one of {', '.join(named)}")
        detector = values.get("detector")
        if detector is not None and detector not in (*DETECTORS, "none"):
            raise ProblemError("invalid-option", f"detector must be one of {', '.join((*DETECTORS, 'none'))}")
        names = [entry.name for entry in fields(ModelOptions)]
        given = {name: values.pop(name) for name in names if name in values}
        if task == "speech-emotion" and "model" in given:
            given["speech_model"] = given.pop("model")
        return self.engine.models(**given)


# --- queries ----------------------------------------------------------------------------------------------------------


def _known(*kinds: tuple[type, tuple[str, ...]]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return type, help and choices of query parameters that are fields of options."""
    found = {}
    for kind, names in kinds:
        for entry in fields(kind):
            if entry.name in names:
                of = str(entry.type).replace(" | None", "").replace("Any", "str").removesuffix(" | int")
                found[entry.name] = of, entry.metadata["help"], entry.metadata.get("choices") or ()
    return found


FACES_QUERY = {
    **_known((ModelOptions, _FACES), (VideoOptions, ("max_faces",))),
    "explain": ("bool", "Draw maps of what led to the emotions, with Accept: image/png.", ()),
}
SPEECH_QUERY = _known((ModelOptions, ("model", "output")), (AudioOptions, ("channel", "window_s", "hop_s")))
VIDEO_QUERY = _known((ModelOptions, (*_FACES, "speech_model")), (VideoOptions, _VIDEO))
LIVE_QUERY = _known((ModelOptions, (*_FACES, "speech_model")), (VideoOptions, ("max_faces", "smooth_s", "voice")))
RESULT_QUERY = {
    "format": ("str", "Format of the result.", tuple(FORMATS)),
    "table": ("str", "Table of csv and parquet.", ("frames", "tracks", "segments", "speech", "fused")),
}


def read_query(query: Any, known: dict[str, tuple[str, str, tuple[str, ...]]]) -> dict[str, Any]:
    """Return the values of a query, each of its type.

    Raises
    ------
    ProblemError
        If a parameter is unknown, repeated, or no such value.
    """
    values: dict[str, Any] = {}
    for name, text in query.multi_items():
        if name not in known:
            expected = f"expected one of {', '.join(known)}" if known else "there are none here"
            raise ProblemError("invalid-option", f"unknown parameter {name[:40]!r}: {expected}")
        if name in values:
            raise ProblemError("invalid-option", f"{name} is given twice")
        kind, _, choices = known[name]
        if choices and text not in choices:
            raise ProblemError("invalid-option", f"{name} must be one of {', '.join(choices)}, but got {text[:40]!r}")
        try:
            values[name] = _CONVERT[kind](text)
        except (ValueError, KeyError):
            raise ProblemError("invalid-option", f"{name} must be {_NOUNS[kind]}, but got {text[:40]!r}") from None
    return values


def _integer(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise ValueError
    return value


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e7:
        raise ValueError
    return value


_BOOL = {"true": True, "1": True, "false": False, "0": False}
_CONVERT: dict[str, Callable[[str], Any]] = {
    "str": str,
    "bool": lambda text: _BOOL[text.lower()],
    "int": _integer,
    "float": _number,
}
_NOUNS = {"str": "text", "bool": "true or false", "int": "a whole number from 1 on", "float": "a number from 0 on"}
_SCHEMAS = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}


def _openapi(known: dict[str, tuple[str, str, tuple[str, ...]]], *, body: bool = True) -> dict[str, Any]:
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": text,
            "schema": {"type": _SCHEMAS[kind], **({"enum": list(choices)} if choices else {})},
        }
        for name, (kind, text, choices) in known.items()
    ]
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": {"type": "array", "items": binary}}}
    content = {"*/*": {"schema": binary}, "multipart/form-data": {"schema": form}}
    return {"parameters": parameters, **({"requestBody": {"required": True, "content": content}} if body else {})}


# --- routes -----------------------------------------------------------------------------------------------------------


def _routes(service: Service) -> APIRouter:
    router = APIRouter()
    engine, jobs, settings = service.engine, service.jobs, service.settings
    problems: dict[int | str, dict[str, Any]] = {
        "default": {"description": "An error.", "content": {"application/problem+json": {}}}
    }

    @router.post("/v1/faces", openapi_extra=_openapi(FACES_QUERY), responses=problems)
    async def faces(request: Request) -> Response:
        """Read the faces of one or several images."""
        query = read_query(request.query_params, FACES_QUERY)
        drawn = _wants_png(request.headers.get("accept"))
        max_faces, explain = query.pop("max_faces", None), query.pop("explain", False)
        if explain and not drawn:
            raise ProblemError("invalid-option", "explain draws on the image: ask for it with Accept: image/png")
        models = service.models(query)
        service.check_open()
        async with service.memory.account() as take:
            uploads, several = await service.read(request, most_files=1 if drawn else 32, take=take)
            async with engine.admit():
                results = []
                for upload in uploads:
                    result, png = await engine.run(
                        lambda one: engine.faces(one, models, max_faces=max_faces, drawn=drawn, explain=explain), upload
                    )
                    if isinstance(result, FailedItem):
                        if drawn or not several:
                            raise problem_of(result)
                    else:
                        service.metrics.faces.labels("/v1/faces").inc(len(result.faces))
                    results.append(result.to_dict())
        if drawn and png is not None:
            return Response(png, media_type="image/png")
        return Response(to_json({"results": results} if several else results[0]), media_type="application/json")

    @router.post("/v1/speech", openapi_extra=_openapi(SPEECH_QUERY), responses=problems)
    async def speech(request: Request) -> Response:
        """Read the speech of a recording."""
        query = read_query(request.query_params, SPEECH_QUERY)
        models = service.models(query, "speech-emotion")
        audio = make_options(AudioOptions, query)
        service.check_open()
        async with service.memory.account() as take:
            uploads, _ = await service.read(request, most_files=1, take=take)
            async with engine.admit():
                result = await engine.run(engine.speech, uploads[0], models, audio)
        if isinstance(result, FailedItem):
            raise problem_of(result)
        return Response(to_json(result.to_dict()), media_type="application/json")

    @router.post("/v1/videos", status_code=202, openapi_extra=_openapi(VIDEO_QUERY), responses=problems)
    async def videos(request: Request) -> Response:
        """Queue a video."""
        query = read_query(request.query_params, VIDEO_QUERY)
        service.models(dict(query))
        models = {name: value for name, value in query.items() if name in (*_FACES, "speech_model")}
        video = {name: value for name, value in query.items() if name in _VIDEO}
        check_video_options(VideoOptions(**video))
        if not service.is_ready:
            raise ProblemError("stopping", "the service starts or stops", retry_after_s=5)
        with jobs.receive() as (number, file):
            uploads, _ = await service.read(request, most_files=1, make_sink=lambda: file)
            file.flush()
            if (await asyncio.to_thread(make_source, file.name)).kind != "video":
                raise ProblemError("unsupported-media", "the upload must be a video")
            job = await asyncio.to_thread(
                lambda: jobs.add(number, file, name=uploads[0].name, models=models, video=video)
            )
        described = jobs.describe(job, settings.root_path)
        return JSONResponse(described, 202, headers={"Location": described["url"]})

    @router.get("/v1/jobs/{number}", responses=problems)
    async def get_job(number: _JobId) -> Response:
        """Return a job."""
        return JSONResponse(jobs.describe(jobs.get(number), settings.root_path), headers={"Cache-Control": "no-store"})

    @router.delete("/v1/jobs/{number}", status_code=204, responses=problems)
    async def delete_job(number: _JobId) -> Response:
        """Cancel a job and remove its files."""
        await asyncio.to_thread(jobs.remove, number)
        return Response(status_code=204)

    @router.get("/v1/jobs/{number}/events", responses=problems)
    async def events(number: _JobId) -> Response:
        """Follow the progress of a job."""
        jobs.get(number)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(service, number), media_type="text/event-stream", headers=headers)

    @router.get("/v1/jobs/{number}/result", openapi_extra=_openapi(RESULT_QUERY, body=False), responses=problems)
    async def result(number: _JobId, request: Request) -> Response:
        """Return the result of a job as a file."""
        query = read_query(request.query_params, RESULT_QUERY)
        name, table = query.get("format", "json"), query.get("table")
        job = jobs.get(number)
        path = await jobs.result(job, name, table)
        stem = Path(job.name or "video").stem or "video"
        headers = {"Cache-Control": "private, max-age=0", "Content-Security-Policy": _REPORT_CSP}
        return FileResponse(path, media_type=FORMATS[name][1], filename=f"{stem}.{name}", headers=headers)

    @router.get("/v1/models")
    async def models() -> Response:
        """List the models that requests may name."""
        defaults = {settings.default(task) for task in ("face-emotion", "speech-emotion")}
        specs = [registry.get(name) for name in settings.models]
        listed = [
            {
                "name": spec.name,
                "task": spec.task,
                "outputs": [output.name for output in spec.outputs],
                "default": spec.name in defaults,
                "license": spec.license.weights,
            }
            for spec in specs
        ]
        return JSONResponse({"models": listed})

    @router.get("/healthz")
    async def healthz() -> Response:
        """Tell that the process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", responses=problems)
    async def readyz() -> Response:
        """Tell whether requests are taken."""
        if not service.is_ready:
            raise ProblemError("stopping", "the service starts or stops", retry_after_s=5)
        return JSONResponse({"status": "ready"})

    @router.get("/metrics")
    async def metrics() -> Response:
        """Return counts for Prometheus."""
        counted = service.metrics
        counted.active.set(engine.admitted)
        counted.sockets.set(service.sockets)
        counted.uploads.set(service.memory.used)
        for status, count in jobs.counts().items():
            counted.jobs.labels(status).set(count)
        return Response(counted.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await _serve_live(service, socket)

    return router


def _wants_png(accept: str | None) -> bool:
    """Tell whether a PNG is asked for, and not JSON; raise where neither is."""
    kinds = [part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    for kind in kinds:
        if kind in ("application/json", "application/*", "*/*"):
            return False
        if kind in ("image/png", "image/*"):
            return True
    raise ProblemError("not-acceptable", "application/json and image/png can be given")


async def _events(service: Service, number: str) -> AsyncIterator[bytes]:
    jobs, last, quiet_s = service.jobs, b"", 0.0
    while not service.is_stopping:
        try:
            job = jobs.get(number)
        except ProblemError:
            yield b"event: removed\ndata: {}\n\n"
            return
        data = to_json(jobs.describe(job, service.settings.root_path))
        if data != last:
            yield b"event: job\ndata: " + data + b"\n\n"
            last, quiet_s = data, 0.0
        elif quiet_s >= 15.0:
            yield b": still here\n\n"
            quiet_s = 0.0
        if job.finished is not None and job.status in ("done", "failed"):
            return
        await asyncio.sleep(0.2)
        quiet_s += 0.2


async def _serve_live(service: Service, socket: WebSocket) -> None:
    settings, protocols = service.settings, socket.scope.get("subprotocols", [])
    query = read_query(socket.query_params, LIVE_QUERY)
    voice = query.pop("voice", True)
    video = make_options(VideoOptions, query)
    models = service.models(query)
    if not service.is_ready:
        raise ProblemError("stopping", "the service starts or stops", retry_after_s=5)
    await socket.accept("mien.v1" if "mien.v1" in protocols else None)
    if service.sockets >= _MOST_SOCKETS * settings.workers:
        await socket.close(1013, "too many live sockets")
        return
    service.sockets += 1

    def count(faces: int, delay_s: float) -> None:
        service.metrics.faces.labels("/v1/live").inc(faces)
        service.metrics.delay.observe(delay_s)

    try:
        analyzers = await asyncio.to_thread(service.engine.analyzers, "video", models, video=video)
        speech = await asyncio.to_thread(lambda: analyzers.voices) if voice else None
        await LiveConnection(
            socket, analyzers.videos, speech, service.live_pool, max_pixels=settings.max_pixels, on_frame=count
        ).run()
    except MienError as error:
        await socket.send_text(to_json({"type": "error", "problem": problem_of(error).to_dict()}).decode())
        await socket.close(1008)
    finally:
        service.sockets -= 1


# --- around the routes ------------------------------------------------------------------------------------------------


class _OuterMiddleware:
    """Around all routes: the id, the token, headers for safety, the log and the counts, errors as problems."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._token = None if service.settings.token is None else service.settings.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        scope["request_id"] = number = given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else secrets.token_hex(8)
        began_s, status = time.perf_counter(), 0
        is_socket = scope["type"] == "websocket"

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                self._add_headers(message, number)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            self._check(scope, headers, is_socket=is_socket)
            await self._app(scope, receive, send_with_headers)
        except (ProblemError, MienError) as error:
            problem = error if isinstance(error, ProblemError) else problem_of(error)
            if status == 0:
                await _answer(problem, number, scope, receive, send_with_headers)
            elif not is_socket:
                raise
        except Exception:
            _log.exception("a request failed", extra={"request": number})
            if status != 0:
                raise
            await _answer(ProblemError("internal", "the service failed"), number, scope, receive, send_with_headers)
        finally:
            self._log_request(scope, status, began_s, number)

    def _check(self, scope: Scope, headers: dict[bytes, bytes], *, is_socket: bool) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _HEADER_BYTES:
            raise ProblemError("headers-too-large", f"the headers have more than {_HEADER_BYTES:,} bytes, the limit")
        path = scope["path"].removeprefix(self._service.settings.root_path)
        if is_socket:
            origin = headers.get(b"origin", b"").decode("latin-1")
            host = headers.get(b"host", b"").decode("latin-1")
            allowed = self._service.settings.cors
            if origin and urlsplit(origin).netloc != host and origin not in allowed and "*" not in allowed:
                raise ProblemError("forbidden-origin", "pages of this origin may not connect")
        if self._token is None or not (path.startswith("/v1") or path == "/metrics"):
            return
        if scope.get("method") == "OPTIONS":
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        candidates = [token.strip() if scheme.lower() == b"bearer" else b""]
        if is_socket:
            candidates += [p[7:].encode() for p in scope.get("subprotocols", []) if p.startswith("bearer.")]
        if not any(hmac.compare_digest(one, self._token) for one in candidates):
            raise ProblemError("unauthorized", "a valid token is needed", headers={"WWW-Authenticate": "Bearer"})

    @staticmethod
    def _add_headers(message: Message, number: str) -> None:
        there = {name.lower() for name, _ in message["headers"]}
        more = {
            b"x-request-id": number.encode(),
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"no-referrer",
            b"content-security-policy": _CSP.encode(),
            b"cross-origin-resource-policy": b"same-origin",
        }
        message["headers"] = [*message["headers"], *((n, v) for n, v in more.items() if n not in there)]

    def _log_request(self, scope: Scope, status: int, began_s: float, number: str) -> None:
        route = scope.get("route")
        path = getattr(route, "path", None) or ("page" if status < 400 else "none")
        method = scope.get("method", "WS")
        self._service.metrics.answered(path, method, status, began_s)
        took_ms = round(1000 * (time.perf_counter() - began_s), 1)
        _log.info(
            "request", extra={"request": number, "method": method, "route": path, "status": status, "ms": took_ms}
        )


async def _answer(problem: ProblemError, number: str, scope: Scope, receive: Receive, send: Send) -> None:
    await problem.response(number)(scope, receive, send)


class _Page(StaticFiles):
    """The files of the page: what has a hash in its name may be kept forever."""

    def file_response(self, full_path: Any, *arguments: Any, **more: Any) -> Response:
        """Return a file."""
        response = super().file_response(full_path, *arguments, **more)
        kept = "public, max-age=31536000, immutable" if _HASHED.search(str(full_path)) else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


class _App(_Page):
    """The in-browser app, written into a temporary folder when it is first asked for."""

    def __init__(self, at_end: contextlib.ExitStack) -> None:
        self._site = Path(tempfile.gettempdir()) / f"mien-app-{secrets.token_hex(8)}"
        self._lock = asyncio.Lock()
        self._at_end = at_end
        super().__init__(directory=self._site, html=True, check_dir=False)
        self.config_checked = True  # the folder comes later

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        async with self._lock:
            if not self._site.exists():
                self._at_end.callback(shutil.rmtree, self._site, ignore_errors=True)
                await asyncio.to_thread(write_site, self._site)
        return await super().get_response(path, scope)


def create_app(settings: Settings) -> FastAPI:
    """Return the application of a service.

    Parameters
    ----------
    settings : Settings
        What it allows.

    Returns
    -------
    fastapi.FastAPI
        With the `Service` as ``app.state.service``.
    """
    service = Service(settings)
    app = FastAPI(
        title="mien",
        version=__version__,
        description="Reads emotion from faces and voices, on this machine.",
        root_path=settings.root_path,
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
    )
    app.state.service = service

    async def on_problem(request: Request, error: Exception) -> Response:
        if request.scope["type"] == "websocket":
            raise error  # for `_OuterMiddleware`, which answers the handshake
        if isinstance(error, HTTPException):
            kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
            problem = ProblemError(kind, str(error.detail), headers=dict(error.headers or {}))
        elif isinstance(error, MienError):
            problem = problem_of(error)
        elif isinstance(error, ProblemError):
            problem = error
        else:
            problem = ProblemError("not-found", "there is no such job")
        return problem.response(request.scope.get("request_id", ""))

    from fastapi.exceptions import RequestValidationError

    for kind in (ProblemError, MienError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_problem)
    app.include_router(_routes(service))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_describe(app.openapi()))

    app.mount("/app", _App(service.at_end), name="app")
    app.mount("/", _Page(directory=_HERE / "page", html=True), name="page")
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
        )
    app.add_middleware(_OuterMiddleware, service=service)
    return app


def _describe(document: dict[str, Any]) -> str:
    """Return the routes as a page that loads nothing."""
    parts = []
    for path, methods in document["paths"].items():
        for method, of in methods.items():
            rows = "".join(
                f"<tr><td><code>{html.escape(p['name'])}</code><td>{html.escape(p['schema'].get('type', ''))}"
                f"<td>{html.escape(p.get('description', ''))} {html.escape(', '.join(p['schema'].get('enum', ())))}"
                for p in of.get("parameters", ())
            )
            table = f"<table><tr><th>parameter<th>type<th>meaning{rows}</table>" if rows else ""
            text = html.escape(of.get("description", ""))
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{text}</p>{table}")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>mien API</title><h1>mien {html.escape(document['info']['version'])}: API</h1>"
        '<p><a href="openapi.json">openapi.json</a> describes the same for programs.</p>' + "".join(parts) + "</html>"
    )
