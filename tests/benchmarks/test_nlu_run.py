"""A run on a tiny data set: its figures, and going on after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nlu.main import Run, parser, run
from nlu.measure import Order, train_and_ask
from nlu.pipelines import PIPELINES
from nlu.places import Sources
from nlu.resume import Kept
from nlu.store import write_json

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "nlu"
CELLS = ("ours-int8/hwu64/5shot/7", "ours-float/hwu64/5shot/7")
PATIENCE = 600  # seconds


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
def data(tmp_path: Path, tiny_examples) -> Path:
    """A folder with a data set of forty examples."""
    folder = tmp_path / "data" / "hwu64"
    folder.mkdir(parents=True)
    write_rows(folder / "train_5shot.jsonl", tiny_examples[::2])
    write_rows(folder / "test.jsonl", tiny_examples[1::2])
    return folder.parent


@pytest.fixture
def options(data: Path, tmp_path: Path, tiny_encoder) -> list[str]:
    """A run of two cells with the tiny encoder."""
    places = ["--data", str(data), "--results", str(tmp_path / "results"), "--logs", str(tmp_path)]
    return [*places, "--encoder", str(tiny_encoder), "--no-reference", "--only", *CELLS]


@pytest.mark.usefixtures("as_it_was")
def test_a_cell_has_all_figures_and_no_texts(data: Path, tiny_encoder) -> None:
    material = Sources(str(data), None, str(tiny_encoder), "").material("hwu64", "5shot")
    kept = Kept(data.parent / "kept", {})
    figures = train_and_ask(PIPELINES["ours-int8"].steps(7, str(tiny_encoder), ""), material, kept)
    check({**figures, "model_bytes": figures["archive_bytes"]}, data)


def test_a_run_goes_on_where_it_was_and_tells_what_failed(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    asked: list[str] = []

    def process(self: Run, order: Order, name: str) -> bool:
        asked.append(order.pipeline)
        if order.pipeline == "ours-float":
            return False
        facts = {"pipeline": order.pipeline, "dataset": "hwu64", "part": "5shot", "seed": 7, "wall_s": 1.0}
        write_json(Path(order.out), {**facts, "examples": 20, **order.facts})
        return True

    monkeypatch.setattr(Run, "_process", process)
    arguments = parser().parse_args(options)
    assert run(arguments) == 1
    assert run(arguments) == 1
    assert asked == ["ours-int8", "ours-float", "ours-float"]
    assert "1 of 1 cells failed: ours-float/hwu64/5shot/7" in capsys.readouterr().out
    with (tmp_path / "data" / "hwu64" / "test.jsonl").open("a") as file:
        file.write('{"text": "more", "intent": "bye", "entities": []}\n')
    run(arguments)
    assert asked[3:] == ["ours-int8", "ours-float"]
    assert "ours-int8/hwu64/5shot/7 was measured with another data" in capsys.readouterr().out


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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes in /proc")
def test_a_killed_run_goes_on_where_it_was(options: list[str], data: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), *options]

    def results() -> list[Path]:
        return sorted((tmp_path / "results").glob("nlu-*/*"))

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        try:
            wait_for(results)
            (first,) = results()
            wait_for(lambda: children(killed.pid))
            (worker,) = children(killed.pid)
        finally:
            killed.kill()
    wait_for(lambda: not is_alive(worker))
    assert results() == [first]
    before = first.read_bytes(), first.stat().st_mtime_ns
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True).stdout
    assert "1 of 2 cells are measured already" in again
    assert "[1/1] ours-float/hwu64/5shot/7" in again
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    assert [json.loads(path.read_text())["pipeline"] for path in results()] == ["ours-float", "ours-int8"]
    record = json.loads(first.read_text())
    check(record, data)
    assert len(record["load_average"]["start"]) == len(record["load_average"]["end"]) == 3


def check(record: dict, data: Path) -> None:
    """A record has all figures, and neither texts nor places."""
    assert 0 <= record["intent_accuracy"] <= 1
    assert record["span_f1"] == record["span_f1_seqeval"]
    assert (record["examples"], record["asked"]) == (
        len(read(data, "train_5shot")),
        len(read(data, "test")),
    )
    assert record["precision"] in ("int8", "float32")
    assert 0 < record["parse_p50_ms"] <= record["parse_p95_ms"]
    assert record["train_s"] > 0
    assert record["model_bytes"] == record["archive_bytes"]
    content = json.dumps(record)
    assert str(data) not in content
    assert not [row["text"] for row in read(data, "test") if len(row["text"]) > 6 and row["text"] in content]


def read(data: Path, part: str) -> list[dict]:
    """Rows of the tiny data set."""
    return [json.loads(line) for line in (data / "hwu64" / f"{part}.jsonl").read_text().splitlines()]
