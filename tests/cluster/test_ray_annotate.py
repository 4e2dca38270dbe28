"""Annotation on a real Ray cluster, of which a node dies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from sqz_nlu.errors import AnnotateError
from sqz_nlu.serving.annotate.run import Progress, annotate

TEXTS = (
    "turn on the light in the kitchen",
    "fly from paris to london",
    "hello",
    "bye bye",
    "garden lights off",
)
ROWS = 30_000


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.jsonl"
    rows = ({"id": index, "text": f"{TEXTS[index % len(TEXTS)]} {index}"} for index in range(ROWS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def contents(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("part-*")}


def test_a_node_is_killed_and_nothing_is_lost_or_doubled(tiny_bundle, source, tmp_path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    seen: list[Progress] = []

    def kill_one(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            nodes[1].kill_raylet()  # SIGKILL; the workers of the node die with it

    try:
        summary = annotate(
            source, tmp_path / "ray", tiny_bundle, ray_address=cluster.address, report=kill_one
        )
    finally:
        ray.shutdown()
        cluster.shutdown()

    annotate(source, tmp_path / "here", tiny_bundle, workers=2)
    assert (summary["rows"], summary["failed"]) == (ROWS, 0)
    assert summary["parts"] == len(seen) > 10
    rows = [
        json.loads(line)
        for part in sorted(contents(tmp_path / "ray").items())
        for line in part[1].splitlines()
    ]
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")


def test_nobody_at_the_address(tiny_bundle, source, tmp_path):
    with pytest.raises(AnnotateError, match="No Ray cluster at"):
        annotate(source, tmp_path / "out", tiny_bundle, ray_address="127.0.0.1:1")
