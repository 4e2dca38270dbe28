"""Parsing off the event loop: a few threads, and a queue that ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.serving.logs import log_event, logger
from sqz_nlu.serving.metrics import ServerMetrics
from sqz_nlu.serving.model import ModelSource, ServedModel
from sqz_nlu.serving.responses import RETRY, RequestError, encode_json
from sqz_nlu.serving.settings import ServerSettings
from sqz_nlu.serving.shortcuts import read_shortcut

_SECONDS_BETWEEN_WARNINGS = 5.0
Answer = TypeVar("Answer")


class ParsePool:
    """Parses on threads. Its methods are called on one event loop.

    Args:
        source: the model of each request.
        settings: threads and queue.
        metrics: where parses are counted.
    """

    def __init__(self, source: ModelSource, settings: ServerSettings, metrics: ServerMetrics) -> None:
        self._source = source
        self._metrics = metrics
        self._most = settings.threads + settings.queue
        self._threads = ThreadPoolExecutor(settings.threads, "parse")
        self._texts = 0  # accepted and not yet answered
        self._warned = float("-inf")

    def model(self) -> ServedModel:
        """The served model.

        Raises:
            RequestError: 503 until there is one.
        """
        if self._source.current is None:
            raise RequestError(503, "NotReady", "The model is still being loaded; try again.", headers=RETRY)
        return self._source.current

    async def parse(self, text: str) -> bytes:
        """The answer to one message, as JSON in UTF-8.

        Raises:
            RequestError: no model yet, too many texts waiting, or the model failed.
        """
        shortcut = read_shortcut(text)
        return await self._parse(text) if shortcut is None else encode_json(shortcut)

    async def _parse(self, text: str) -> bytes:
        """The model's answer to one text."""
        return await self._run(1, lambda model: encode_json(model.parse(text).to_dict()))

    async def parse_batch(self, texts: list[str]) -> bytes:
        """The answers to texts, as a JSON list in UTF-8.

        Raises:
            RequestError: as `parse`.
        """
        return await self._run(
            len(texts), lambda model: encode_json([parse.to_dict() for parse in model.parse_batch(texts)])
        )

    def close(self) -> None:
        """Waits for what is being parsed and ends the threads."""
        self._threads.shutdown(wait=True)

    async def _run(self, texts: int, work: Callable[[Interpreter], Answer]) -> Answer:
        with self._accepted(texts) as interpreter:
            return await self._on_thread(texts, work, interpreter)

    @contextlib.contextmanager
    def _accepted(self, texts: int) -> Iterator[Interpreter]:
        """Counts texts while they wait and are parsed, and gives the model of now.

        Raises:
            RequestError: no model yet, too many texts waiting, or what is inside fails.
        """
        interpreter = self.model().interpreter
        if self._texts and self._texts + texts > self._most:
            raise self._overloaded()
        self._texts += texts
        try:
            yield interpreter
        except Exception:
            logger.exception("parse-failed")
            raise RequestError(500, "ParsingError", "The model failed; the log says where.") from None
        finally:
            self._texts -= texts

    async def _on_thread(
        self, texts: int, work: Callable[[Interpreter], Answer], interpreter: Interpreter
    ) -> Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._timed, texts, work, interpreter)

    def _timed(self, texts: int, work: Callable[[Interpreter], Answer], interpreter: Interpreter) -> Answer:
        started = time.perf_counter()
        answer = work(interpreter)
        self._metrics.parse_seconds.observe(time.perf_counter() - started)
        self._metrics.texts.inc(texts)
        return answer

    def _overloaded(self) -> RequestError:
        self._metrics.refused.inc()
        now = time.monotonic()
        if now - self._warned > _SECONDS_BETWEEN_WARNINGS:
            self._warned = now
            log_event(logging.WARNING, "overloaded", waiting=self._texts)
        message = f"{self._texts} texts are waiting, the most this server queues. Try again later."
        return RequestError(503, "Overloaded", message, headers=RETRY)
