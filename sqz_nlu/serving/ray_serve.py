"""The HTTP app on Ray Serve: replicas, autoscaling, and texts of different requests parsed together.

``serve run deploy/serve.yaml``, or ``serve run sqz_nlu.serving.ray_serve:build model=PATH``.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.applications import Starlette

from sqz_nlu.errors import OptionError, did_you_mean
from sqz_nlu.runtime.results import ParseResult
from sqz_nlu.serving.app import create_app
from sqz_nlu.serving.batches import parse_each
from sqz_nlu.serving.metrics import ServerMetrics
from sqz_nlu.serving.model import ModelSource
from sqz_nlu.serving.parsing import ParsePool
from sqz_nlu.serving.responses import encode_json
from sqz_nlu.serving.settings import ServerSettings

_BATCHING = {"max_batch_size": 16, "batch_wait_seconds": 0.002}


def build(arguments: dict[str, Any]) -> Application:
    """Builds the application; Ray Serve calls this with the ``args`` of its configuration.

    Args:
        arguments: ``model``, a path that every node can read; ``max_batch_size`` and ``batch_wait_seconds``
            of the batches that are made of waiting requests; and the fields of `ServerSettings`, of which
            ``threads`` is 1 if left out: a replica has a core.

    Raises:
        OptionError: an argument is missing or unknown.
    """
    known = ("model", *_BATCHING, *(field.name for field in fields(ServerSettings)))
    for name in arguments:
        if name not in known:
            raise OptionError(f"'{name}' is no argument of sqz-nlu on Ray Serve.{did_you_mean(name, known)}")
    if "model" not in arguments:
        raise OptionError("No model given. Add model: PATH to args: of the application.")
    rest = {"threads": 1, **arguments}
    model = rest.pop("model")
    batching = {name: rest.pop(name, default) for name, default in _BATCHING.items()}
    settings = ServerSettings(**rest)

    def build_app() -> Starlette:
        """Runs in each replica; one that cannot load the model does not start."""
        source = ModelSource(model)
        source.load()

        def make_pool(source: ModelSource, settings: ServerSettings, metrics: ServerMetrics) -> ParsePool:
            return BatchingPool(source, settings, metrics, **batching)

        return create_app(source, settings, make_pool)

    return serve.deployment(serve.ingress(build_app)(), name="SqzNlu").bind()


class BatchingPool(ParsePool):
    """Parses texts of requests that come at the same time in one batch.

    Args:
        source: see `ParsePool`.
        settings: see `ParsePool`.
        metrics: see `ParsePool`.
        max_batch_size: most texts of a batch.
        batch_wait_seconds: how long the first text of a batch waits for others.
    """

    def __init__(
        self,
        source: ModelSource,
        settings: ServerSettings,
        metrics: ServerMetrics,
        max_batch_size: int,
        batch_wait_seconds: float,
    ) -> None:
        super().__init__(source, settings, metrics)
        # Ray before 2.48 cannot have more than one batch at a time.
        more = {"max_concurrent_batches": settings.threads} if settings.threads > 1 else {}
        together = serve.batch(max_batch_size=max_batch_size, batch_wait_timeout_s=batch_wait_seconds, **more)
        self._parse_together = together(self._parse_texts)

    async def _parse(self, text: str) -> bytes:
        with self._accepted(1):  # counted from here on, as batches may have to wait
            outcome: ParseResult | Exception = await self._parse_together(text)
            if isinstance(outcome, Exception):
                raise outcome
            return encode_json(outcome.to_dict())

    async def _parse_texts(self, texts: list[str]) -> list[ParseResult | Exception]:
        model = self.model().interpreter
        return await self._on_thread(len(texts), lambda model: parse_each(model, texts), model)
