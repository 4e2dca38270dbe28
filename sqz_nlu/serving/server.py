"""The app in a process of its own: sockets, signals, a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from sqz_nlu.errors import OptionError
from sqz_nlu.serving.app import create_app
from sqz_nlu.serving.logs import log_event
from sqz_nlu.serving.model import ModelSource
from sqz_nlu.serving.settings import ServerSettings

_BACKLOG = 2048
# How long connections that clients keep open are still served after SIGTERM, then how long answers may take.
_DRAIN_SECONDS = 1.0
_STOP_SECONDS = 20  # Kubernetes kills after 30


def serve(source: ModelSource, settings: ServerSettings, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT. SIGHUP loads the model again.

    Args:
        source: where the model comes from; loaded here.
        settings: limits and access.
        host: address to listen on.
        port: port to listen on; 0 for a free one, named in the log.

    Raises:
        OptionError: the address cannot be listened on.
        BundleError: there is no usable model at the start.
        KeyboardInterrupt: after a graceful end by SIGINT.
    """
    _allow_connections()
    listener = _listen(host, port)
    server = _Server(create_app(source, settings), source)
    with listener, _sigterm_ends_well():
        server.run([listener])
    if server.failure is not None:
        raise server.failure


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette, source: ModelSource) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="on"
        )
        config.timeout_graceful_shutdown = _STOP_SECONDS
        super().__init__(config)
        self.failure: Exception | None = None
        self._source = source
        self._model_server = app.state.server

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, then loads: until the model is there, `/ready` says 503."""
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._model_server.reload_now)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            log_event(logging.INFO, "listening", host=host, port=port)
        try:
            model = await asyncio.to_thread(self._source.load)
        except Exception as error:
            self.failure = error
            self.should_exit = True
        else:
            log_event(logging.INFO, "ready", fingerprint=model.fingerprint, path=model.path)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no new connections, answers what comes on the open ones for a moment, then ends."""
        log_event(logging.INFO, "stopping")
        self._model_server.stopping = True
        for server in self.servers:
            server.close()
        waited = 0.0
        while self.server_state.connections and waited < _DRAIN_SECONDS and self.failure is None:
            await asyncio.sleep(0.05)
            waited += 0.05
        await super().shutdown(sockets)
        log_event(logging.INFO, "stopped")


def _allow_connections() -> None:
    """As many descriptors as this process may have: each connection is one."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise OptionError(
            f"Cannot listen on port {port} of '{host}' ({error}). Give a free --port and an address of this "
            "machine as --host."
        ) from error


@contextlib.contextmanager
def _sigterm_ends_well() -> Iterator[None]:
    """Uvicorn sends a caught signal again when it is done; after SIGTERM the exit code shall be 0."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
