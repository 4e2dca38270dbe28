"""A run on a tiny data set: its figures, and going on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "nlu"
CELLS = ("ours-int8/hwu64/5shot/7", "ours-float/hwu64/5shot/7")
PATIENCE = 120  # seconds


def write_rows(path: Path, examples) -> None:
    """Examples in the format of the data sets."""
    rows = [
        {
            "text": e.text,
            "intent": e.intent,
            "entities": [[s.start, s.end, s.entity, s.role] for s in e.entities],
        }
        for e in examples
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def command(tmp_path: Path, tiny_examples, tiny_encoder) -> list[str]:
    """A run of two cells on twenty examples with the tiny encoder."""
    folder = tmp_path / "data" / "hwu64"
    folder.mkdir(parents=True)
    write_rows(folder / "train_5shot.jsonl", tiny_examples[::2])
    write_rows(folder / "test.jsonl", tiny_examples[1::2])
    places = ["--data", str(folder.parent), "--results", str(tmp_path / "results"), "--logs", str(tmp_path)]
    options = ["--encoder", str(tiny_encoder), "--no-reference", "--only", *CELLS]
    return [sys.executable, str(BENCHMARK), *places, *options]


def children(process: int) -> list[int]:
    """The processes that a process started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    """Whether a process runs."""
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition) -> None:
    """Until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes in /proc")
def test_a_killed_run_goes_on_where_it_was(command: list[str], tmp_path: Path) -> None:
    def results() -> list[Path]:
        return sorted((tmp_path / "results").glob("nlu-*/*"))

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        wait_for(results)
        (first,) = results()
        wait_for(lambda: children(run.pid))
        (worker,) = children(run.pid)
        os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(worker))
    assert results() == [first]
    before = first.read_bytes(), first.stat().st_mtime_ns
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True).stdout
    assert "1 of 2 cells are measured already" in again
    assert "[1/1] ours-float/hwu64/5shot/7" in again
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    assert [json.loads(path.read_text())["pipeline"] for path in results()] == ["ours-float", "ours-int8"]
    check(json.loads(first.read_text()), tmp_path)


def check(record: dict, folder: Path) -> None:
    """A record has all figures, and neither texts nor places."""
    assert 0 <= record["intent_accuracy"] <= 1
    assert record["span_f1"] == record["span_f1_seqeval"]
    assert (record["examples"], record["asked"]) == (
        len(read(folder, "train_5shot")),
        len(read(folder, "test")),
    )
    assert record["precision"] in ("int8", "float32")
    assert 0 < record["parse_p50_ms"] <= record["parse_p95_ms"]
    assert record["train_s"] > 0
    assert record["model_bytes"] == record["archive_bytes"]
    assert len(record["load_average"]["start"]) == len(record["load_average"]["end"]) == 3
    content = json.dumps(record)
    assert str(folder) not in content
    assert not [
        row["text"] for row in read(folder, "test") if len(row["text"]) > 6 and row["text"] in content
    ]


def read(folder: Path, part: str) -> list[dict]:
    """Rows of the tiny data set."""
    return [
        json.loads(line) for line in (folder / "data" / "hwu64" / f"{part}.jsonl").read_text().splitlines()
    ]
