"""What is known about a running service: a line of JSON for each request, and metrics.  Neither holds content."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["JsonFormatter", "Metrics", "set_up_logs"]

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """A line of JSON for each record, with the fields of its ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up_logs() -> None:
    """Write the logs of the service and of uvicorn to stderr, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("mien.serve", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    # Its lines have the query; those of `mien.serve` take their place.
    logging.getLogger("uvicorn.access").disabled = True


class Metrics:
    """Counts of a service, in the text format of Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ("route", "method", "status")
        self.requests = Counter("mien_requests", "Requests that were answered.", labels, registry=registry)
        self.latency = Histogram(
            "mien_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.faces = Counter("mien_faces", "Faces that were found.", ("route",), registry=registry)
        self.active = Gauge("mien_requests_active", "Requests that are analyzed or wait.", registry=registry)
        self.jobs = Gauge("mien_jobs", "Jobs that are kept, by status.", ("status",), registry=registry)
        self.sockets = Gauge("mien_live_sockets", "Live sockets that are open.", registry=registry)
        self.delay = Histogram(
            "mien_live_delay_seconds", "From a live frame to its result.", buckets=_BUCKETS, registry=registry
        )
        self.uploads = Gauge("mien_upload_bytes", "Bytes of uploads in memory.", registry=registry)

    def answered(self, route: str, method: str, status: int, began_s: float) -> None:
        """Count a request."""
        known = method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        self.requests.labels(route, known, str(status)).inc()
        self.latency.labels(route).observe(time.perf_counter() - began_s)

    def text(self) -> bytes:
        """Return all of them."""
        return generate_latest(self.registry)
