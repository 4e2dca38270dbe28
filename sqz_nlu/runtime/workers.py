"""Threads that start on first use, and anew in a forked process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqz_nlu.runtime.forks import forget_after_fork

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Calls a function on many items, on several threads at the same time. Safe to share between threads.

    Args:
        threads: at the same time; with 1 the caller's own thread does the work.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        forget_after_fork(self)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The function's results in the items' order.

        Raises:
            Exception: what the function raised first, in the items' order.
        """
        if self._threads == 1 or len(items) < 2:
            return [function(item) for item in items]
        return list(self._started().map(function, items))

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "sqz-nlu")
            return self._pool

    def forget(self) -> None:
        """Leaves the threads, and a lock that may be held, to the parent of this forked process."""
        self._lock = threading.Lock()
        self._pool = None
