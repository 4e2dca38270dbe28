"""Settings for squeezing a tiny teacher in a second or two."""

from __future__ import annotations

from pathlib import Path

from sqz_nlu.squeeze.options import SqueezeOptions


def options(teacher: Path, corpus: Path, out: Path, **changes) -> SqueezeOptions:
    fields = {"layers": 2, "tokens": 9000, "batch_tokens": 120, "max_length": 24, "learning_rate": 2e-3}
    return SqueezeOptions(str(teacher), (corpus,), out, **fields | changes)
