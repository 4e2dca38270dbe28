"""The ASGI app around a model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sqz_nlu._version import __version__
from sqz_nlu.runtime.bundle import FORMAT_VERSION
from sqz_nlu.serving.metrics import ServerMetrics
from sqz_nlu.serving.model import ModelSource
from sqz_nlu.serving.observe import Observe
from sqz_nlu.serving.parsing import ParsePool
from sqz_nlu.serving.requests import Access, check_text, check_texts, not_authenticated, read_object
from sqz_nlu.serving.responses import (
    RETRY,
    RequestError,
    json_response,
    on_failure,
    on_http_exception,
    on_request_error,
)
from sqz_nlu.serving.settings import ServerSettings
from sqz_nlu.serving.watch import ModelWatcher

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

MakePool = Callable[[ModelSource, ServerSettings, ServerMetrics], ParsePool]


def create_app(
    source: ModelSource, settings: ServerSettings | None = None, make_pool: MakePool = ParsePool
) -> Starlette:
    """The app that answers for a model; it keeps no state outside of itself.

    Load the source before or after: requests get 503 until it has a model. While the app's lifespan runs, the
    source is watched for newer models (unless ``settings.watch`` is 0).

    Args:
        source: where the model comes from.
        settings: limits and access; defaults if left out.
        make_pool: makes what parses texts.

    Returns:
        An ASGI app. ``app.state.server`` is its `ModelServer`, for a signal handler or a supervisor.
    """
    server = ModelServer(source, settings or ServerSettings(), make_pool)
    routes = {
        "/": (server.hello, "GET"),
        "/health": (server.health, "GET"),
        "/ready": (server.ready, "GET"),
        "/version": (server.version, "GET"),
        "/status": (server.status, "GET"),
        "/metrics": (server.show_metrics, "GET"),
        "/model/parse": (server.parse, "POST"),
        "/parse/batch": (server.parse_batch, "POST"),
    }
    paths = {endpoint: path for path, (endpoint, _) in routes.items()}
    middleware = [Middleware(Observe, paths=paths, metrics=server.metrics, stopping=lambda: server.stopping)]
    if server.settings.cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=server.settings.cors,
                allow_methods=("GET", "POST"),
                allow_headers=("Authorization", "Content-Type"),
            )
        )
    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, (endpoint, method) in routes.items()],
        middleware=middleware,
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: on_http_exception,
            Exception: on_failure,
        },
        lifespan=server.lifespan,
    )
    app.state.server = server
    return app


class ModelServer:
    """What an app does on each of its paths.

    Attributes:
        stopping: set when the process is about to end: `ready` says so, connections are closed.
    """

    def __init__(
        self, source: ModelSource, settings: ServerSettings, make_pool: MakePool = ParsePool
    ) -> None:
        self.source = source
        self.settings = settings
        self.metrics = ServerMetrics(source)
        self.stopping = False
        self._access = Access(settings.token)
        self._pool = make_pool(source, settings, self.metrics)
        self._watcher: ModelWatcher | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Watches the model until the app ends, then lets the threads finish."""
        self._watcher = ModelWatcher(self.source, self.settings.watch, self.metrics)
        async with self._watcher.watching():
            yield
        self.stopping = True
        self._pool.close()

    def reload_now(self) -> None:
        """Loads the model again, changed or not. For the event loop's thread."""
        if self._watcher is not None:
            self._watcher.reload_now()

    async def hello(self, _: Request) -> Response:
        """Says who is here, as Rasa's server does."""
        return PlainTextResponse(f"Hello from sqz-nlu: {__version__}")

    async def health(self, _: Request) -> Response:
        """200 as long as the event loop turns."""
        return json_response({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """200 when texts are understood, 503 before and while stopping."""
        if self.stopping:
            raise RequestError(503, "Stopping", "The server is stopping; ask another one.", headers=RETRY)
        return json_response({"status": "ready", "model_id": self._pool.model().fingerprint})

    async def version(self, _: Request) -> Response:
        """The versions of the package and of the bundles it reads."""
        return json_response({"version": __version__, "bundle_format": FORMAT_VERSION})

    async def status(self, request: Request) -> Response:
        """The model, with the names of Rasa's ``/status``."""
        self._access.demand(request)
        model = self._pool.model()
        about = {
            "model_file": model.path.name,
            "model_id": model.fingerprint,
            "num_active_training_jobs": 0,
            "model_age_seconds": round(time.time() - model.loaded, 3),
            "intents": len(model.interpreter.labels.intents),
            "entities": len(model.interpreter.labels.entities),
        }
        return json_response(about)

    async def show_metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        self._access.demand(request)
        return Response(self.metrics.text(), media_type=_PROMETHEUS)

    async def parse(self, request: Request) -> Response:
        """Rasa's ``/model/parse``. The token may also stand in the body, where Rasa's client puts it."""
        granted = self._access.granted(request)
        try:
            body = await read_object(request, self.settings.max_body)
        except RequestError as error:
            raise (error if granted else not_authenticated()) from None
        if not granted and not self._access.matches(body.get("token")):
            raise not_authenticated()
        if request.query_params.get("emulation_mode"):
            message = "This server answers in Rasa's own format only. Leave 'emulation_mode' out."
            raise RequestError(400, "BadRequest", message, {"parameter": "emulation_mode", "in": "query"})
        text = check_text(body.get("text"), self.settings.max_length)
        return json_response(await self._pool.parse(text.strip()))  # Rasa strips messages, too

    async def parse_batch(self, request: Request) -> Response:
        """``{"texts": [...]}`` to a list of parses."""
        self._access.demand(request)
        body = await read_object(request, self.settings.max_body)
        texts = check_texts(body.get("texts"), self.settings.max_batch, self.settings.max_length)
        return json_response(await self._pool.parse_batch(texts))
