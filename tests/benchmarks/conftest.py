"""The benchmarks are scripts: their folder is put on the path, as Python does when one is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back what measuring sets for its whole process."""
    for name in ("RASA_CACHE_DIRECTORY", "RASA_MAX_CACHE_SIZE"):
        monkeypatch.setenv(name, os.getenv(name, "1"))
    before = structlog.get_config()
    yield
    structlog.configure(**before)
