"""Annotation on one machine: one row out for each row in, whatever the rows and whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from golden_set import BUNDLE as GOLDEN_BUNDLE
from golden_set import CONFIDENCE_IN_BATCHES, assert_golden, golden_parses

from sqz_nlu.cli import main
from sqz_nlu.cli.annotate import describe
from sqz_nlu.errors import AnnotateError, BundleError
from sqz_nlu.serving.annotate.part import DONE, understand
from sqz_nlu.serving.annotate.plan import MANIFEST, Shard, cut
from sqz_nlu.serving.annotate.rows import ERROR, INTENT, Unreadable
from sqz_nlu.serving.annotate.run import Progress, annotate

TEXTS = (
    "turn on the light in the kitchen",
    "fly from paris to london",
    "hello",
    "bye bye",
    "garden lights off",
)


def write_rows(path: Path, count: int) -> list[dict]:
    """Numbered utterances as JSON Lines."""
    rows = [
        {"id": index, "text": f"{TEXTS[index % len(TEXTS)]} {index}", "kept": [None, {"as": "it is"}]}
        for index in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return rows


def read_rows(output: Path) -> list[dict]:
    lines = b"".join(part.read_bytes() for part in sorted(output.glob("part-*"))).splitlines()
    return [json.loads(line) for line in lines]


def without_answers(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if not name.startswith("sqz_")} for row in rows]


def test_the_golden_parses(tmp_path):
    expected = golden_parses()
    rows = [json.dumps({"text": parse["text"]}) + "\n" for parse in expected]
    (tmp_path / "in.jsonl").write_text("".join(rows), "ascii")
    annotate(tmp_path / "in.jsonl", tmp_path / "out", GOLDEN_BUNDLE, workers=2)
    parses = [
        {
            "text": row["text"],
            "intent": {"name": row["sqz_intent"], "confidence": row["sqz_confidence"]},
            "entities": row["sqz_entities"],
        }
        for row in read_rows(tmp_path / "out")
    ]
    assert_golden(parses, expected, CONFIDENCE_IN_BATCHES)


def test_every_row_of_many_parts_comes_out_once_in_order_and_understood(tiny_bundle, interpreter, tmp_path):
    (tmp_path / "in").mkdir()
    first = write_rows(tmp_path / "in" / "a.jsonl", 1500)
    second = write_rows(tmp_path / "in" / "b.ndjson", 10)
    (tmp_path / "in" / "_SUCCESS").write_text("not data")
    seen: list[Progress] = []

    summary = annotate(tmp_path / "in", tmp_path / "out", tiny_bundle, workers=2, report=seen.append)

    rows = read_rows(tmp_path / "out")
    assert without_answers(rows) == first + second
    assert summary["parts"] == len(list((tmp_path / "out").glob("part-*"))) == len(seen) > 2
    assert (summary["rows"], summary["failed"], summary["parts_kept"]) == (1510, 0, 0)
    assert json.loads((tmp_path / "out" / "_summary.json").read_text()) == summary
    assert seen[-1].fraction == 1.0
    for row in rows[::50]:
        expected = interpreter.parse(row["text"])
        assert row["sqz_intent"] == expected.intent.name
        assert row["sqz_confidence"] == pytest.approx(expected.intent.confidence, abs=0.05)
        assert [e["value"] for e in row["sqz_entities"]] == [e.value for e in expected.entities]


def test_text_gives_json_lines(tiny_bundle, tmp_path):
    lines = ["hello", "", "  bye bye\t", "Straße 🙂", '{"text": "no JSON here"}', "last, without a newline"]
    (tmp_path / "in.txt").write_bytes(
        "\ufeffhello\n\n  bye bye\t\r\n".encode() + "\n".join(lines[3:]).encode()
    )

    annotate(tmp_path / "in.txt", tmp_path / "out", tiny_bundle, text_column="utterance", workers=1)

    rows = read_rows(tmp_path / "out")
    assert [row["utterance"] for row in rows] == lines
    assert [row["sqz_intent"] for row in rows[:3]] == ["greet", None, "bye"]
    assert all(row["sqz_error"] is None for row in rows)


BROKEN = [
    (b'{"id": 1, "text": "h\xe9llo"}', "the line is not UTF-8: byte 0xe9 at 20"),
    (b'{"text": ', "the line is not JSON"),
    (b"[" * 100_000, "the line is not JSON"),
    (b"", "the line is not JSON"),
    (b'["text"]', "expected an object"),
    (b'{"id": 2}', "the row has no 'text'"),
    (b'{"text": null}', "'text' is None; expected a string"),
    (b'{"text": ["hello"]}', "'text' is ['hello']; expected a string"),
    (b'{"text": "hello", "id": 1E400}', "the line is not JSON: 1E400 cannot be said in JSON"),
    (b'{"text": "hello", "sqz_error": "x"}', "the row already has sqz_error"),
]


def test_rows_that_fail_are_kept_with_their_error(tiny_bundle, tmp_path):
    good = b'{"text": "hello"}'
    lines = [good, *(line for line, _ in BROKEN), b'{"text": "lone \\ud800 surrogate"}', good]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))

    summary = annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=1)

    rows = read_rows(tmp_path / "out")
    assert (summary["rows"], summary["failed"]) == (len(lines), len(BROKEN)) == (len(rows), len(BROKEN))
    for row, (line, error) in zip(rows[1:-2], BROKEN, strict=True):
        assert error in row["sqz_error"]
        assert row["sqz_intent"] is row["sqz_confidence"] is row["sqz_entities"] is None
        if "sqz_line" in row:
            assert row["sqz_line"] == line.decode("utf-8", "replace")
        else:
            assert without_answers([row]) == [json.loads(line)]
    assert [rows[index]["sqz_intent"] for index in (0, -1)] == ["greet", "greet"]
    assert rows[-2]["text"] == "lone \ud800 surrogate"


def test_one_text_that_cannot_be_parsed_spoils_no_other(interpreter, monkeypatch):
    encode = interpreter._text.encode

    def failing(text):
        if text == "bad":
            raise RuntimeError("out of luck")
        return encode(text)

    monkeypatch.setattr(interpreter._text, "encode", failing)
    monkeypatch.setattr(interpreter._text, "encode_batch", lambda texts: [failing(text) for text in texts])
    answers = understand(interpreter, ["hello", "bad", Unreadable("no text"), "bye"])
    assert [answer[INTENT] for answer in answers] == ["greet", None, None, "bye"]
    assert [answer[ERROR] for answer in answers] == [None, "RuntimeError: out of luck", "no text", None]


def _wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the children from /proc")
def test_a_killed_run_ends_its_workers_and_goes_on_where_it_ended(tiny_bundle, tmp_path):
    expected = write_rows(tmp_path / "in.jsonl", 30_000)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "sqz_nlu.cli", "annotate", tmp_path / "in.jsonl", output]
    run = subprocess.Popen(
        [*map(str, command), "--model", str(tiny_bundle), "--workers", "2"], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(lambda: len(list(output.glob("_done/part-*"))) >= 2 or run.poll() is not None)
        workers = _children(run.pid)
        assert run.poll() is None, "it was over before it could be killed"
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    assert len(workers) >= 2
    _wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    done = {path.stem: (output / path.stem).stat().st_mtime_ns for path in output.glob("_done/part-*")}
    (output / ".part-000000.jsonl.0.partial").write_text("begun")
    damaged = min(done)
    with (output / damaged).open("ab") as file:
        file.write(b"{}\n")

    summary = annotate(tmp_path / "in.jsonl", output, tiny_bundle, workers=2)

    assert 2 <= len(done) < summary["parts"]
    assert summary["parts_kept"] == len(done) - 1
    del done[damaged]
    assert {name: (output / name).stat().st_mtime_ns for name in done} == done
    assert without_answers(read_rows(output)) == expected
    assert not list(output.glob(".*"))
    assert summary["rows"] == 30_000


def test_the_command(tiny_bundle, tmp_path, capsys):
    write_rows(tmp_path / "in.jsonl", 10)
    arguments = ["annotate", str(tmp_path / "in.jsonl"), str(tmp_path / "out"), "--model", str(tiny_bundle)]
    assert main([*arguments, "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == 10
    assert "10 rows, 0 failed, 1 of 1 parts" in err
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["parts_kept"] == 1
    with pytest.raises(SystemExit):
        main([*arguments, "--workers", "0"])


def test_progress_says_how_long_it_takes():
    progress = Progress(
        rows=50_000, failed=2, parts=5, parts_kept=1, parts_in_all=21, fraction=0.25, seconds=1300.0
    )
    assert (
        describe(progress).split(", ", 1)[1] == "2 failed, 6 of 21 parts (1 kept), 38 rows/s, 1:05:00 left "
    )


def test_no_rows_are_no_error(tiny_bundle, tmp_path):
    (tmp_path / "in.jsonl").touch()
    summary = annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle)
    assert (summary["rows"], summary["parts"]) == (0, 0)


def test_going_on_with_something_else_is_an_error(tiny_bundle, tiny_report, tmp_path):
    from sqz_nlu.runtime.bundle import describe as entries
    from sqz_nlu.runtime.bundle import read_bundle, write_bundle

    source, output = tmp_path / "in.jsonl", tmp_path / "out"
    write_rows(source, 10)
    annotate(source, output, tiny_bundle, workers=1)
    bundle = read_bundle(tiny_bundle)
    other = write_bundle(tmp_path / "other", bundle.contents, {**entries(bundle.manifest), "language": "xx"})
    with pytest.raises(AnnotateError, match="was begun with another model"):
        annotate(source, output, other, workers=1)
    with pytest.raises(AnnotateError, match=r"another text column \(text then, kept now\)"):
        annotate(source, output, tiny_bundle, text_column="kept", workers=1)
    source.write_text(source.read_text().replace("hello 2", "hullo 2"))
    with pytest.raises(AnnotateError, match=r"another input \('in.jsonl' has changed\)"):
        annotate(source, output, tiny_bundle, workers=1)


def test_what_cannot_work_is_said_before_anything_is_written(tiny_bundle, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"

    def refused(error=AnnotateError, where=source, to=output, model=tiny_bundle, **options):
        with pytest.raises(error) as caught:
            annotate(where, to, model, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message

    assert "There is nothing at" in refused()
    source.mkdir()
    assert "There is nothing at" in refused()
    (source / "a.jsonl").write_text('{"txet": "hello", "id": 1}\n')
    assert "has no column 'text'; it has txet, id. Did you mean 'txet'?" in refused()
    assert "has no column 'words'" in refused(text_column="words")
    assert "lies in the input" in refused(to=source / "out")
    assert "holds an encoder" in refused(BundleError, model="embedded")
    assert "cannot be opened" in refused(where="nowhere://bucket") or "needs pyarrow" in refused(
        where="nowhere://bucket"
    )
    (source / "b.txt").write_text("hello\n")
    assert "more than one kind: a.jsonl, b.txt" in refused()
    (source / "notes.md").write_text("# Notes\n")
    assert "'notes.md' does not end in" in refused()
    assert not output.exists()
    output.mkdir()
    (output / "precious.txt").write_text("mine")
    assert "holds 'precious.txt'" in refused(file_format="text")
    assert "is not the folder of an earlier run" in refused(to=output / "precious.txt", file_format="text")
    assert [path.name for path in output.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("content", ["[]", "5", "{}", "", '{"half'])
def test_an_output_of_another_kind_is_refused(content, tiny_bundle, tmp_path):
    write_rows(tmp_path / "in.jsonl", 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text(content)
    with pytest.raises(AnnotateError, match="is not the folder of an earlier run"):
        annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=1)


@pytest.mark.parametrize("torn", ["", "[]", '{"name": "part'])
def test_a_part_whose_record_is_torn_is_done_again(torn, tiny_bundle, tmp_path):
    write_rows(tmp_path / "in.jsonl", 3)
    annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=1)
    rows = read_rows(tmp_path / "out")
    (record,) = (tmp_path / "out" / DONE).iterdir()
    record.write_text(torn)
    annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=1)
    assert read_rows(tmp_path / "out") == rows
    assert json.loads(record.read_text())["rows"] == 3


def test_what_was_annotated_before_is_refused(tmp_path):
    row = {
        "text": "hello",
        "sqz_intent": "greet",
        "sqz_confidence": 0.9,
        "sqz_entities": [],
        "sqz_error": None,
    }
    (tmp_path / "in.jsonl").write_text((json.dumps(row) + "\n") * 3 + "no JSON\n")
    with pytest.raises(AnnotateError, match=r"'in\.jsonl' already has sqz_intent, sqz_confidence"):
        annotate(tmp_path / "in.jsonl", tmp_path / "out", GOLDEN_BUNDLE)
    assert not (tmp_path / "out").exists()


def test_parts_are_as_long_as_their_shard_wants():
    shards = [Shard("a", 1, 40_000, 2_500, ""), Shard("b", 1, 2_500, 1, "")]
    parts = cut(shards, SimpleNamespace(suffix=".x", smallest_part=1_000, largest_part=2_000))
    assert [part.stop - part.start for part in parts] == [2_500] * 16 + [1_000, 1_000, 500]
    assert [part.start for part in parts[:3]] == [0, 2_500, 5_000]
    assert parts[-1].name == "part-000018.x"


def test_a_dead_worker_is_one_clear_error_and_the_run_goes_on_later(tiny_bundle, tmp_path):
    expected = write_rows(tmp_path / "in.jsonl", 6_000)

    def kill_one(progress: Progress) -> None:
        os.kill(_children(os.getpid())[-1], signal.SIGKILL)

    with pytest.raises(AnnotateError, match="A worker process died"):
        annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=2, report=kill_one)
    summary = annotate(tmp_path / "in.jsonl", tmp_path / "out", tiny_bundle, workers=2)
    assert 1 <= summary["parts_kept"] < summary["parts"]
    assert without_answers(read_rows(tmp_path / "out")) == expected
