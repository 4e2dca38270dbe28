"""The quality floor: what the example bot's pipeline reaches on utterances it has not seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest
import yaml
from corpus import utterances

from sqz_nlu import Interpreter
from sqz_nlu.export.parity import span_f1, spans_of
from sqz_nlu.fit import fit
from sqz_nlu.training.options import TrainingOptions

ROOT = Path(__file__).parent.parent
FLOAT_PRODUCTS = {"MatMul", "Gemm", "Conv", "FusedMatMul", "Einsum"}


def gold(held_out) -> list[frozenset[tuple[int, int, str]]]:
    return [frozenset((s.start, s.end, s.entity) for s in example.entities) for example in held_out]


@pytest.mark.slow
def test_the_example_bot_understands_what_it_was_not_trained_on(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "example_bot" / "config.yml").read_text("utf-8"))
    entry = next(e for e in config["pipeline"] if e["name"] == "sqz_nlu.SqueezeBertClassifier")
    options = TrainingOptions.from_dict({key: value for key, value in entry.items() if key != "name"})
    fit(utterances("train"), options, tmp_path / "int8")
    held_out = utterances("test")
    interpreter = Interpreter.load(tmp_path / "int8")
    results = [interpreter.parse(example.text) for example in held_out]
    right = sum(r.intent.name == e.intent for r, e in zip(results, held_out, strict=True))
    assert right / len(held_out) >= 0.95
    assert span_f1(gold(held_out), list(map(spans_of, results))) >= 0.90
    assert interpreter.manifest["precision"] == "int8"
    graph = onnx.load(str(tmp_path / "int8" / "model.onnx")).graph
    assert not FLOAT_PRODUCTS & {node.op_type for node in graph.node}

    fit(utterances("train"), dataclasses.replace(options, quantization="none"), tmp_path / "float")
    exact = Interpreter.load(tmp_path / "float")  # the same seed: the same network
    agree = sum(
        exact.parse(e.text).intent.name == r.intent.name for r, e in zip(results, held_out, strict=True)
    )
    assert agree / len(held_out) >= 0.99
