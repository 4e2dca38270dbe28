"""Timing several things side by side: in turns in one process, so that a slow minute is slow for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Call = Callable[[], object]
CALLS_A_TURN, WARM_UP = 5, 3
SLOW = 0.2  # seconds; a call that takes longer is made once a turn
FEWEST_TURNS = 5


def in_turns(
    calls: Mapping[str, Call], seconds: float, counted: int = CALLS_A_TURN, uncounted: int = 1
) -> dict[str, dict[str, Any]]:
    """Times calls A B C A B C ... for about ``seconds``; a turn is some calls after some that do not count.

    Of a call above 0.2 s a turn is one call.

    Args:
        calls: what is timed, by name.
        seconds: how long in all.
        counted: calls of a turn.
        uncounted: calls before these, so that what others left in the caches does not matter.

    Returns:
        For each name the median, 10th and 95th percentile in milliseconds, and the number of calls counted.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    slow = {name: min(_time(call) for _ in range(WARM_UP)) > SLOW for name, call in calls.items()}
    end, turns = time.perf_counter() + seconds, 0
    while turns < FEWEST_TURNS or time.perf_counter() < end:
        turns += 1
        for name, call in calls.items():
            for _ in range(0 if slow[name] else uncounted):
                call()
            times[name] += [1000 * _time(call) for _ in range(1 if slow[name] else counted)]
    return {name: summary(values) for name, values in times.items()}


def _time(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def summary(milliseconds: list[float]) -> dict[str, Any]:
    """The percentiles of a list of times."""
    low, median, high = np.percentile(milliseconds, (10, 50, 95))
    return {
        "median_ms": round(float(median), 4),
        "p10_ms": round(float(low), 4),
        "p95_ms": round(float(high), 4),
        "calls": len(milliseconds),
    }


def ratio(figures: Mapping[str, Mapping[str, Any]], slow: str, fast: str) -> float:
    """How many times faster ``fast`` is, by medians."""
    return round(float(figures[slow]["median_ms"]) / float(figures[fast]["median_ms"]), 2)
