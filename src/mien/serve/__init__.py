"""The service: HTTP and WebSocket in front of `mien.api`.

`mien.serve.app.create_app` makes the application from `Settings`, `mien.serve.app.run` serves it.  It needs the extra
``serve``.
"""

from __future__ import annotations

from mien.serve.settings import Settings

__all__ = ["Settings"]
