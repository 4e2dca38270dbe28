"""Looks for a newer model and puts it in the old one's place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from sqz_nlu.errors import SqzNluError
from sqz_nlu.serving.logs import log_event, logger
from sqz_nlu.serving.metrics import ServerMetrics
from sqz_nlu.serving.model import ModelSource


class ModelWatcher:
    """Reloads when the files changed and then rested for one interval, or when told to.

    Args:
        source: what is watched.
        seconds: between two looks; 0 never looks.
        metrics: where reloads are counted.
    """

    def __init__(self, source: ModelSource, seconds: float, metrics: ServerMetrics) -> None:
        self._source = source
        self._seconds = seconds or None
        self._metrics = metrics
        self._told = asyncio.Event()

    def reload_now(self) -> None:
        """Loads the model at the path again, changed or not. For the event loop's thread."""
        self._told.set()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watches while the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._told.wait(), self._seconds)
            told = self._told.is_set()
            self._told.clear()
            if told or await asyncio.to_thread(self._source.has_news):
                await asyncio.to_thread(self._reload)

    def _reload(self) -> None:
        try:
            model = self._source.load()
        except SqzNluError as error:
            self._metrics.reloads.labels("refused").inc()
            log_event(logging.ERROR, "model-refused", reason=error)
        except Exception:  # whatever a new file brings, the old model goes on answering
            self._metrics.reloads.labels("refused").inc()
            logger.exception("model-refused")
        else:
            self._metrics.reloads.labels("loaded").inc()
            log_event(logging.INFO, "model-loaded", fingerprint=model.fingerprint, path=model.path)
