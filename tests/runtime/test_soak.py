from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqz_nlu import Interpreter


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.slow
def test_memory_does_not_grow_with_texts_of_every_length(interpreter: Interpreter) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from /proc, which this system does not have")
    rng = np.random.default_rng(0)
    words = ["turn", "on", "the", "light", "kitchen", "paris", "x" * 30]
    after_warm_up = 0.0
    for turn in range(20_000):
        interpreter.parse(" ".join(rng.choice(words, rng.integers(1, 60))))
        if turn == 1_000:
            after_warm_up = resident_megabytes()
    growth = resident_megabytes() - after_warm_up
    assert growth <= max(10.0, 0.05 * after_warm_up)
