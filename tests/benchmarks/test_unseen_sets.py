from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "unseen_sets.py"


def convert(clones: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--clones", str(clones), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def corpus(clones: Path, *entities: dict) -> None:
    text = "Is there a PDF-viewer for 10.04, or for 11.10 ?"
    learned = {"text": text, "intent": "Software", "entities": list(entities), "training": True}
    asked = {"text": "thanks", "intent": "None", "entities": [], "training": False}
    folder = clones / "NLU-Evaluation-Corpora"
    folder.mkdir(parents=True)
    for name in ("AskUbuntu", "Chatbot", "WebApplications"):
        (folder / f"{name}Corpus.json").write_text(json.dumps({"sentences": [learned, asked]}))


def test_spans_come_from_token_numbers_or_else_from_the_text(tmp_path: Path) -> None:
    corpus(
        tmp_path,
        {"entity": "Software", "start": 3, "stop": 5, "text": "PDF-viewer"},
        {"entity": "Version", "start": 12, "stop": 13, "text": "11 . 10"},  # numbers that are off
    )
    assert convert(tmp_path, tmp_path / "out").returncode == 0
    (learned,) = rows(tmp_path / "out" / "chatbot" / "train.jsonl")
    assert [learned["text"][start:end] for start, end, _ in learned["entities"]] == ["PDF-viewer", "11.10"]
    assert [row["text"] for row in rows(tmp_path / "out" / "askubuntu" / "test.jsonl")] == ["thanks"]
    assert not (tmp_path / "out" / "curekart").exists()


def test_an_entity_that_is_nowhere_ends_it(tmp_path: Path) -> None:
    corpus(tmp_path, {"entity": "Software", "start": 90, "stop": 91, "text": "Calibre"})
    done = convert(tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert "'Calibre' is 0 times in" in done.stderr


def test_questions_without_an_intent_are_out_of_scope(tmp_path: Path) -> None:
    folder = tmp_path / "HINT3" / "dataset" / "v2"
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
        for name in ("curekart", "powerplay11", "sofmattress"):
            content = 'sentence,label\n" two\nlines ",A\nwhat?,NO_NODES_DETECTED\n'
            (folder / part / f"{name}_{part}.csv").write_text(content)
    assert convert(tmp_path, tmp_path / "out").returncode == 0
    made = tmp_path / "out" / "curekart"
    assert rows(made / "test.jsonl") == [{"text": "two lines", "intent": "A", "entities": []}]
    assert [row["text"] for row in rows(made / "test_oos.jsonl")] == ["what?"]


@pytest.mark.parametrize("name", ["NLU-Evaluation-Corpora", "HINT3"])
def test_a_folder_without_clones_is_an_error(tmp_path: Path, name: str) -> None:
    done = convert(tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert name in done.stderr
