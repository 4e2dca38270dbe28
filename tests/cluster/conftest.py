"""Runs in .venv-ray, where nothing can be trained: tests/serving/test_cluster.py brings the model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """A trained bundle; tests must not change it."""
    return Path(os.environ["SQZ_NLU_TEST_BUNDLE"])


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    """A Ray cluster of this machine: a head that does no work. Tests add the nodes they need."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()
