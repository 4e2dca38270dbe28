"""Which cells there are, which are stale, how long they take, and what the page makes of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from common import RESULTS, put_between_marks
from nlu import readme
from nlu.cells import Cell, cells, select
from nlu.estimate import duration, in_words
from nlu.measure import scores
from nlu.pipelines import PIPELINES
from nlu.places import PROTOCOL, Sources, States
from nlu.report import PAGE, README, choose, page
from nlu.scoring import Answer
from nlu.store import Store, run_name, stale_because, write_json
from nlu.summary import Summary
from nlu.targets import judge

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folders that look like data sets."""
    row = json.dumps({"text": "turn on", "intent": "on", "entities": []}) + "\n"
    for name in ("hwu64", "snips"):
        (tmp_path / name).mkdir()
        for part in ("test", "train", "train_5shot", "train_10shot"):
            (tmp_path / name / f"{part}.jsonl").write_text(row)
    return tmp_path


def test_cells_and_seeds(data: Path) -> None:
    every = list(cells(data, None))
    assert {cell.dataset for cell in every} == {"hwu64", "snips"}
    count = {
        (pipeline, part): len(
            [c for c in every if (c.pipeline, c.dataset, c.part) == (pipeline, "hwu64", part)]
        )
        for pipeline in PIPELINES
        for part in ("5shot", "full")
    }
    assert [count["ours-int8", "5shot"], count["ours-int8", "full"]] == [3, 2]
    assert [count["diet", "5shot"], count["diet", "full"]] == [1, 1]
    assert [cell.part for cell in every] == sorted(
        (cell.part for cell in every), key=["5shot", "10shot", "full"].index
    )


def test_only_some_cells(data: Path) -> None:
    every = list(cells(data, None))
    assert {cell.dataset for cell in select(every, ["diet/hwu64"])} == {"hwu64"}
    assert [str(cell) for cell in select(every, ["ours-*/hwu64/5shot/7"])] == [
        "ours-int8/hwu64/5shot/7",
        "ours-float/hwu64/5shot/7",
    ]
    assert select(every, []) == every
    with pytest.raises(SystemExit, match="matches no cell"):
        select(every, ["dite/hwu64"])


def test_a_cell_is_stale_when_data_or_pipeline_change(data: Path) -> None:
    sources = Sources(str(data), None, "embedded", "some/teacher")
    ours, diet = Cell("ours-int8", "hwu64", "5shot", 7), Cell("diet", "hwu64", "5shot", 7)
    key = States(sources).key(ours)
    assert key["protocol"] == PROTOCOL
    assert stale_because({"key": json.loads(json.dumps(key))}, key) is None
    assert stale_because({"key": {**key, "source": "before"}}, key) == "source"
    assert "source" not in States(sources).key(diet)  # our code does not make DIET's cells stale
    assert str(data) not in json.dumps(key)
    with (data / "hwu64" / "test.jsonl").open("a") as file:
        file.write('{"text": "more", "intent": "on", "entities": []}\n')
    assert stale_because({"key": key}, States(sources).key(ours)) == "data"


def test_scores_hold_no_text() -> None:
    rows = [{"text": "secret words", "intent": "on", "entities": [[0, 6, "room", None]]}]
    answers = [Answer("on", 0.9, frozenset({(0, 6, "room")}))]
    figures = scores(rows, answers, [Answer("on", 0.4, frozenset())])
    assert figures["intent_accuracy"] == figures["span_f1"] == figures["span_f1_seqeval"] == 1
    assert figures["auroc_out_of_scope"] == 1
    assert figures["ece"] == pytest.approx(0.1)
    assert all(isinstance(value, float) for value in figures.values())
    assert "span_f1" not in scores(rows, answers, [], entities=False)  # of a pipeline without entities


def record(pipeline: str, place: str = "hwu64/full", seed: int = 7, **figures: object) -> dict:
    """A cell's record."""
    dataset, part = place.split("/")
    facts = {
        "pipeline": pipeline, "dataset": dataset, "part": part, "seed": seed, "run": "r1", "examples": 1000,
        "intent_accuracy": 0.9, "ece": 0.02, "train_s": 10.0, "parse_p50_ms": 1.0, "parse_p95_ms": 2.0,
        "model_bytes": 2**20, "wall_s": 100.0, "precision": "int8", "key": {}, "commit": None,
        "threads": {"cores": 2, "usable": 2, "OMP_NUM_THREADS": None},
        "load_average": {"start": [0.5, 0, 0], "end": [1.0, 0, 0]},
        "machine": {"processor": "a processor", "sqz-nlu": "1"},
    }  # fmt: skip
    return facts | figures


def summary(*records: dict, **references: float) -> Summary:
    """A summary; references are the seconds of each run's."""
    return Summary(records, {run: {"train_s": seconds} for run, seconds in references.items()})


def verdicts(made: Summary) -> dict[tuple[str, str, str], str]:
    """Verdicts by data set and part, metric and target."""
    return {("/".join(one.place), one.what, one.target): one.verdict for one in judge(made)}


def test_the_page_says_which_crf_diet_was_trained_with() -> None:
    ours = record("ours-int8")
    assert "matrix products" not in page(summary(ours, record("diet")))
    said = page(summary(ours, record("diet", crf="products")))
    faster = json.loads((RESULTS / "diet-crf.json").read_text())["times_as_fast"]
    assert f"{faster:.1f} times as long" in said


def test_targets_are_met_missed_or_open() -> None:
    ours = [record("ours-int8", seed=seed, intent_accuracy=value) for seed, value in ((7, 0.91), (8, 0.932))]
    found = verdicts(summary(*ours, record("diet", intent_accuracy=0.93), r1=20.0))
    assert found["hwu64/full", "intents", "at least 92"] == "met"  # the mean of the seeds is 92.1
    assert found["hwu64/full", "intents", "above DIET"] == "**missed**"
    assert found["banking77/full", "intents", "at least 93"] == "not measured"
    assert found["hwu64/full", "ECE", "at most 0.04"] == "met"


def test_out_of_scope_targets() -> None:
    pair = [
        record("ours-int8", "clinc150/full", auroc_out_of_scope=0.96),
        record("diet", "clinc150/full", auroc_out_of_scope=0.94),
    ]
    found = verdicts(summary(*pair))
    assert found["clinc150/full", "AUROC", "at least 0.95"] == "met"
    assert found["clinc150/full", "AUROC", "above DIET by 0.03"] == "**missed**"


def test_every_bot_is_to_be_above_diet() -> None:
    pair = [
        record("ours-int8", "some-bot/split", span_f1=0.8),
        record("diet", "some-bot/split", intent_accuracy=0.89, span_f1=0.81),
    ]
    found = verdicts(summary(*pair, record("ours-int8", "other-bot/split", span_f1=None)))
    assert found["some-bot/split", "intents", "above DIET"] == "met"
    assert found["some-bot/split", "span F1", "above DIET"] == "**missed**"
    assert found["other-bot/split", "intents", "above DIET"] == "not measured"
    assert ("other-bot/split", "span F1", "above DIET") not in found
    made = readme.block(summary(*pair))
    assert "| some-bot, four fifths of a bot's examples | 90.0 | 89.0 | 80.0 | 81.0 |" in made


def test_training_times_are_in_units_of_each_runs_reference() -> None:
    ours, diet = record("ours-int8", train_s=10.0), record("diet", train_s=200.0, run="r2")
    target = ("hwu64/full", "training", "at most 0.15 of DIET's")
    assert verdicts(summary(ours, diet, r1=20.0, r2=20.0))[target] == "met"
    assert verdicts(summary(ours, diet, r1=20.0, r2=80.0))[target] == "**missed**"  # that run was slower
    assert verdicts(summary(ours, diet, r1=20.0))[target] == "not measured"
    ours["train_cpu_s"], diet["train_cpu_s"] = 9.0, 100.0
    assert verdicts(summary(ours, diet, r1=20.0))[target] == "met"
    assert (
        verdicts(summary(ours, diet, r1=20.0, r2=80.0))[target] == "**missed**"
    )  # times of processors aside


def test_unseen_sets_are_to_be_above_diet() -> None:
    pair = [record("ours-int8", "chatbot/unseen"), record("diet", "chatbot/unseen", intent_accuracy=0.91)]
    found = verdicts(summary(*pair))
    assert found["chatbot/unseen", "intents", "above DIET"] == "**missed**"
    assert not any(place == "chatbot/unseen" and what == "ECE" for place, what, _ in found)
    assert "| chatbot, a set that nothing was chosen on | 90.0 | 91.0 |" in readme.block(summary(*pair))


def test_the_page_is_of_the_machine_on_which_most_is_judged(tmp_path: Path) -> None:
    cells_ = {
        "nlu-many": [record("ours-float", seed=seed) for seed in range(5)],
        "nlu-good": [record("ours-int8")],
    }
    for name, records in cells_.items():
        for content in records:
            cell = Cell(content["pipeline"], "hwu64", "full", content["seed"])
            write_json(tmp_path / name / cell.file, content)
    assert choose(tmp_path, None).folder.name == "nlu-good"
    assert choose(tmp_path, "nlu-many").folder.name == "nlu-many"


def test_int8_is_compared_with_float_on_the_seeds_of_both() -> None:
    cells_ = [
        record("ours-int8", seed=7, intent_accuracy=0.900, span_f1=0.8),
        record("ours-int8", seed=8, intent_accuracy=0.700, span_f1=0.1),
        record("ours-float", seed=7, intent_accuracy=0.903, span_f1=0.804),
    ]
    found = verdicts(summary(*cells_))
    assert found["hwu64/full", "intents, int8", "at most 0.3 below float"] == "met"
    assert found["hwu64/full", "span F1, int8", "at most 0.3 below float"] == "**missed**"


def test_the_page_marks_times_beside_other_work() -> None:
    busy = {"start": [0.5, 0, 0], "end": [4.0, 0, 0]}
    made = page(summary(record("ours-int8"), record("diet", load_average=busy, train_s=1234.0)))
    assert "| hwu64, full | ~1,234 | 10 |" in made
    assert "| hwu64, full | 90.0 | 90.0 (1 of 2 seeds) |" in made
    both = page(summary(record("ours-int8"), record("ours-int8", seed=8, intent_accuracy=0.91)))
    assert "| hwu64, full | 90.5 ± 0.7 |" in both
    pinned = {"cores": 2, "usable": 1, "OMP_NUM_THREADS": "1"}
    assert "| ~10 |" in page(summary(record("ours-int8", threads=pinned)))


def test_only_the_newest_data_of_a_place_count() -> None:
    old, new = {"data": "old"}, {"data": "new"}
    made = summary(
        record("diet", key=new, run="r2"),
        record("ours-int8", key=old, run="r1", intent_accuracy=0.5),
        record("ours-int8", "atis/full", key=old, run="r1"),
    )
    assert made.group(("hwu64", "full"), "ours-int8") is None
    assert made.group(("hwu64", "full"), "diet") is not None
    assert made.group(("atis", "full"), "ours-int8") is not None


def test_the_page_says_where_int8_was_refused() -> None:
    assert "float kept" not in page(summary(record("ours-int8")))
    made = page(summary(record("ours-int8", precision="float32"), record("ours-float", precision="float32")))
    assert "Int8 was refused, and float kept, in: hwu64 full." in made


def test_the_committed_page_is_that_of_the_results() -> None:
    store = choose(BENCHMARKS / "results", None)
    made = page(Summary(store.records(), store.references()))
    assert made == PAGE.read_text("utf-8"), "Run python benchmarks/nlu --report"


def test_the_readme_has_the_short_form_of_the_results() -> None:
    store = choose(BENCHMARKS / "results", None)
    made = readme.block(Summary(store.records(), store.references()))
    assert made is None or f"<!-- nlu -->\n{made}\n<!-- end -->" in README.read_text("utf-8")


def test_the_short_form_has_a_row_for_what_was_measured_of_ours() -> None:
    pinned = {"cores": 2, "usable": 1, "OMP_NUM_THREADS": "1"}
    ours = record("ours-int8", "hwu64/5shot", span_f1=0.8, train_cpu_s=1234.0, threads=pinned)
    made = readme.block(summary(ours, record("diet", "atis/full")))
    assert "| hwu64, 5 examples an intent | 90.0 | – | 80.0 | – | 1,234 | – |" in made
    assert "atis" not in made
    assert "one seed, on one core of a processor, beside other work." in made
    seeds = [record("ours-int8", seed=seed) for seed in (7, 8)]
    made = readme.block(summary(*seeds, record("diet")))
    assert "one seed" not in made
    assert "one core" not in made
    assert "beside" not in made
    assert readme.block(summary(record("diet"))) is None


def test_marks_enclose_what_is_replaced() -> None:
    page = "a\n<!-- nlu -->\nold\n<!-- end -->\nb\n<!-- speed -->\nold\n<!-- end -->\n"
    changed = put_between_marks(page, "speed", r"new \1")
    assert changed == r"new \1".join(page.rsplit("old", 1))
    assert put_between_marks(changed, "other", "new") == changed


def test_durations_come_from_records() -> None:
    records = [record("diet", wall_s=600.0), record("diet", "hwu64/5shot", examples=100, wall_s=200.0)]
    known = Cell("diet", "hwu64", "full", 8)
    assert duration(known, 1000, records) == 600
    assert duration(Cell("diet", "snips", "full", 7), 2000, records) == 1200
    assert duration(Cell("diet", "carbon-bot", "split", 7), 50, records) == 200  # no less than the shortest
    assert duration(Cell("teacher", "hwu64", "full", 7), 1000, records) is None
    assert in_words([600.0, None]) == "about 10 min and 1 without a precedent"
    assert in_words([3000.0, 1200.0]) == "about 1 h 10 min"
    assert in_words([None]) == "no idea how long"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "machine" / "cell.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["cell.json"]


def test_references_are_kept_as_long_as_a_cell_needs_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    used, unused, under_way = "20200101T000000Z", "20200102T000000Z", run_name(time.time())
    write_json(tmp_path / Cell("diet", "hwu64", "full", 7).file, record("diet", run=used))
    for run in (used, unused, under_way):
        write_json(store.reference_path(run), {"train_s": 1.0})
    store.forget_unused_references()
    assert set(store.references()) == {used, under_way}
