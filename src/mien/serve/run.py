"""Runs a service by uvicorn."""

from __future__ import annotations

import contextlib
from types import FrameType

import uvicorn

from mien.serve.app import create_app
from mien.serve.live import MAX_MESSAGE_BYTES
from mien.serve.observe import set_up_logs
from mien.serve.settings import Settings

__all__ = ["run"]

_HEADER_BYTES = 16_384


class _Server(uvicorn.Server):
    """Tells the service of the signal, so that its streams end and new work is refused."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        app.state.service.begin_stop()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


def run(settings: Settings, *, host: str, port: int, trusted: str | None = None) -> bool:
    """Serve until a signal ends it; open requests are finished.

    Parameters
    ----------
    settings : Settings
        What the service allows.
    host, port : str and int
        Where it listens.
    trusted : str, optional
        Addresses of proxies whose ``X-Forwarded-*`` headers are believed.

    Returns
    -------
    bool
        Whether it could be started.
    """
    set_up_logs()
    _allow_sockets()
    config = uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        http="h11",  # strict about the framing of requests, and limits their heads
        ws="websockets-sansio",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=trusted is not None,
        forwarded_allow_ips=trusted,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        ws_max_size=MAX_MESSAGE_BYTES,
        backlog=2048,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    server = _Server(config)
    server.run()
    return server.started


def _allow_sockets() -> None:
    """Open as many sockets as the system allows this process."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
