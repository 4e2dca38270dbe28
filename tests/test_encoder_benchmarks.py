"""What the benchmarks of encoders compute and write, on made-up figures; no training."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    for folder in ("scripts", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))

    def one(name: str) -> ModuleType:
        return importlib.import_module(name)

    return one


def figures(int8: float = 80.0) -> dict:
    cell = {"data": "hwu64", "shots": "10", "teacher": 90.0, "float": 81.0, "int8": int8, "words": 70.0}
    return {
        "cells": [cell, {**cell, "shots": "5"}],
        "share_of_teacher": int8 / 90.0,
        "cosine_int8_float": 0.9991,
        "cosine_int8_teacher": 0.9,
        "parameters": 15_000_000,
        "layer_parameters": 3_000_000,
        "int8_multiply_adds_per_token": 3_000_000,
        "vocabulary": 30522,
        "megabytes": {"model.onnx": 16.2, "tokenizer.json": 0.7, "both": 16.9},
    }


def test_the_check_sees_a_figure_that_is_off_by_more_than_the_tolerance(load) -> None:
    card_tool = load("encoder_card")
    old = "# The encoder\n\nText.\n\n## Limits\n\nEnglish.\n"
    card = card_tool.with_knowledge(old, card_tool.knowledge(figures()))
    assert card.startswith("# The encoder")
    assert card.endswith("## Limits\n\nEnglish.\n")
    assert card_tool.with_knowledge(card, card_tool.knowledge(figures())) == card
    assert card_tool.differences(card, card_tool.knowledge(figures())) == []
    assert card_tool.differences(card, card_tool.knowledge(figures(int8=80.04))) == []
    wrong = card_tool.differences(card, card_tool.knowledge(figures(int8=80.11)))
    assert len(wrong) >= 3
    assert "80.1" in wrong[0]
    assert "80.0" in wrong[0]
    assert "no section" in card_tool.differences(old, card_tool.knowledge(figures()))[0]


def test_embeddings_are_probed_by_text_and_compared_by_cosine(load, tmp_path: Path) -> None:
    measures = load("encoder_figures")
    words = {"on": [1.0, 0.0], "off": [0.0, 1.0]}
    for data in measures.DATASETS:
        (tmp_path / data).mkdir()
        for part in ("train_5shot", "test"):
            lines = [{"text": f"{word} {part}", "intent": word} for word in words]
            text = "\n".join(json.dumps(line) for line in lines)
            (tmp_path / data / f"{part}.jsonl").write_text(text)
    corpus = measures.Corpus(tmp_path, ["5"], tmp_path / "cache")
    assert corpus.held_out == 2
    assert len(corpus.texts) == 4
    calls = []

    def embed(texts):
        calls.append(len(texts))
        return np.array([words[text.split()[0]] for text in texts], np.float32)

    first = corpus.vectors(measures.one_by_one(embed), "name")
    assert calls == [1, 1, 1, 1]
    assert np.array_equal(corpus.vectors(embed, "name"), first)
    assert len(calls) == 4
    cells = corpus.probe({"good": first, "swapped": first * 0 + first[:1]})["cells"]
    assert measures.means(cells, ["good", "swapped"]) == {"good": {"5": 100.0}, "swapped": {"5": 50.0}}
    assert measures.cosine(first, first) == pytest.approx(1)
    assert measures.cosine(first, first[:, ::-1]) == pytest.approx(0)
    with pytest.raises(SystemExit, match=r"train_10shot\.jsonl.*Give --data a folder"):
        measures.Corpus(tmp_path, ["10"])


def test_channels_are_those_on_record(load, tmp_path: Path) -> None:
    measures = load("encoder_figures")
    record = tmp_path / "squeeze.json"
    record.write_text(json.dumps({"order": {"kept": 0.5, "channels": [1, 0]}}))
    assert measures.recorded_order(tmp_path) == [1, 0]
    record.write_text("{}")
    with pytest.raises(SystemExit, match="Delete it"):
        measures.recorded_order(tmp_path)


def test_the_reference_graph_runs_and_times_are_ratios_to_it(load) -> None:
    from sqz_nlu.runtime.session import GraphSession

    latency = load("encoder_latency")
    session = GraphSession(latency.prototype())
    (embedding,) = session.run(["embedding"], np.array([[101, 2054, 102]], np.int32))
    assert embedding.shape == (1, latency.HIDDEN)
    assert np.isfinite(embedding).all()
    ratios = latency._ratios({latency.REFERENCE: [2.0, 2.0, 2.0], "other": [1.0, 1.0, 4.0]})
    assert ratios["other"]["ratio"] == 0.5
    assert ratios["other"]["ratio_p95"] > 1
    assert latency.REFERENCE not in ratios


def test_the_page_says_what_was_measured_and_what_was_not(load, tmp_path: Path, monkeypatch) -> None:
    page = load("encoders_page")
    monkeypatch.setattr(page, "DOCS", tmp_path)
    monkeypatch.setattr(load("common"), "RESULTS", tmp_path)
    means = {"int8": {"5": 70.0, "10": 80.0}, "float": {"5": 71.0, "10": 81.0}}
    accuracy = {**figures(), "means": means, "pooled_distance": 0.1}
    row = {"settings": {"tokens": 0}, "accuracy": accuracy}
    timed = {"latency_native": {"ratio": 0.8, "ratio_p95": 1.2}}
    teacher = {"settings": {}, "accuracy": {"means": {"teacher": {"5": 88.0, "10": 92.0}}}}
    paths = page.write_page({"rows": {"teacher": teacher, "4/1/4": row, "1/1/1": {**row, **timed}}})
    text = paths[0].read_text("utf-8")
    assert "no training at all" in text
    assert (
        "| 4/1/4 | 70.0 (71.0) | 80.0 (81.0) | – | 0.100 | 0.0009 | 15.0 (3.0) | 16.9 | 3.0 | – | – |" in text
    )
    assert "| 0.80 (1.20) | – |" in text
    assert "| teacher | (88.0) | (92.0) |" in text
    assert paths[1].stat().st_size > 5000
    trained = {**row, "settings": {"tokens": 500_000}}
    assert "500,000 tokens of distillation" in page.write_page({"rows": {"4/1/4": trained}})[0].read_text(
        "utf-8"
    )


def test_training_utterances_become_text_without_what_is_held_out(load, tmp_path) -> None:
    utterances = load("utterances")

    def write(folder: str, part: str, *texts: str) -> None:
        path = tmp_path / folder / f"{part}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps({"text": text, "intent": "x"}) + "\n" for text in texts), "utf-8")

    for name in utterances.SETS:
        write(name, "train", f"{name} one", "Book  a\ntable!", "book a table", "What's up?", "?!")
        write(name, "test", "hello")
    write("elsewhere", "dev", "whats up", "WHAT'S UP")
    counts = utterances.write_utterances(tmp_path, tmp_path / "out")
    assert counts == dict.fromkeys(utterances.SETS, 2)
    assert (tmp_path / "out" / "snips_train.txt").read_text("utf-8").splitlines() == [
        "snips one",
        "book a table",
    ]
