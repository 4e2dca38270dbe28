"""Counts and times every request, and says goodbye on connections while the server stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sqz_nlu.serving.metrics import ServerMetrics


class Observe:
    """ASGI middleware.

    Args:
        app: the app inside.
        paths: the path of each endpoint; all else is counted as ``other``.
        metrics: where requests are counted.
        stopping: whether clients shall look for another server.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Mapping[Callable[..., Any], str],
        metrics: ServerMetrics,
        stopping: Callable[[], bool],
    ) -> None:
        self._app = app
        self._paths = paths
        self._metrics = metrics
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection of any ASGI kind."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._stopping():
                    MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        started = time.perf_counter()
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, send_noting)
            finally:
                path = self._paths.get(scope.get("endpoint"), "other")  # type: ignore[arg-type]
                self._metrics.requests.labels(path, str(status)).inc()
                self._metrics.seconds.labels(path).observe(time.perf_counter() - started)
