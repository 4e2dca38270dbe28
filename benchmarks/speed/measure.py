"""Timing several things side by side: in turns in one process, so that a slow minute is slow for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Call = Callable[[], object]
CALLS_A_TURN, WARM_UP = 5, 3
FEWEST_TURNS = 5


def in_turns(calls: Mapping[str, Call], seconds: float) -> dict[str, dict[str, Any]]:
    """Times calls A B C A B C ... for about ``seconds``; a turn is 5 calls after one that is not counted.

    Returns:
        For each name the median, 10th and 95th percentile in milliseconds, and the number of calls counted.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    end, turns = time.perf_counter() + seconds, 0
    while turns < FEWEST_TURNS or time.perf_counter() < end:
        turns += 1
        for name, call in calls.items():
            call()
            for _ in range(CALLS_A_TURN):
                started = time.perf_counter()
                call()
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: summary(values) for name, values in times.items()}


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
