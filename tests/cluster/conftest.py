"""Runs in .venv-ray, where nothing can be trained: tests/serving/test_cluster.py brings the model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """A trained bundle; tests must not change it."""
    return Path(os.environ["SQZ_NLU_TEST_BUNDLE"])
