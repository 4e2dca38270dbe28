"""Annotation on a real Ray cluster, of which a node dies."""

from __future__ import annotations

import json

import pytest

from sqz_nlu.errors import AnnotateError
from sqz_nlu.serving.annotate.run import Progress, annotate

TEXTS = ("turn on the light in the kitchen", "fly from paris to london", "hello", "bye", "garden lights off")
ROWS = 20_000


def test_a_node_is_killed_and_nothing_is_lost_or_doubled(cluster, tiny_bundle, tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [{"id": index, "text": f"{TEXTS[index % len(TEXTS)]} {index}"} for index in range(ROWS)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    seen: list[Progress] = []

    def kill_one(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            nodes[1].kill_raylet()  # SIGKILL; the workers of the node die with it

    summary = annotate(source, tmp_path / "ray", tiny_bundle, ray_address=cluster.address, report=kill_one)
    annotate(source, tmp_path / "here", tiny_bundle, workers=1)

    assert (summary["rows"], summary["failed"]) == (ROWS, 0)
    assert summary["parts"] == len(seen) > 10
    parts = {path.name: path.read_bytes() for path in sorted((tmp_path / "ray").glob("part-*"))}
    lines = b"".join(parts.values()).splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(ROWS))
    assert parts == {path.name: path.read_bytes() for path in (tmp_path / "here").glob("part-*")}


def test_nobody_at_the_address(tiny_bundle, tmp_path):
    (tmp_path / "in.txt").write_text("hello\n")
    with pytest.raises(AnnotateError, match="No Ray cluster at"):
        annotate(tmp_path / "in.txt", tmp_path / "out", tiny_bundle, ray_address="127.0.0.1:1")
