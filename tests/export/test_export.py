from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from sqz_nlu import Interpreter
from sqz_nlu.errors import ParityError
from sqz_nlu.export import graph, model
from sqz_nlu.export.parity import Parity, span_f1
from sqz_nlu.fit import fit
from sqz_nlu.runtime.bundle import read_bundle

PERFECT = Parity(1000, 1.0, 0.9, 0.9, 0.8, 0.8, 1.0)


def test_the_gate_knows_its_bounds() -> None:
    assert PERFECT.failures() == []
    bad = {
        "top intents": {"intent_agreement": 0.985},
        "intent accuracy": {"intent_accuracy_int8": 0.89},
        "span F1": {"span_f1_int8": 0.78},
    }
    for message, change in bad.items():
        (failure,) = dataclasses.replace(PERFECT, **change).failures()
        assert message in failure
    assert dataclasses.replace(PERFECT, texts=50, intent_agreement=0.98).failures() == []


def test_span_f1() -> None:
    a, b = frozenset({(0, 1, "x"), (2, 3, "y")}), frozenset({(0, 1, "x"), (2, 4, "y")})
    assert span_f1([a], [a]) == 1.0
    assert span_f1([a], [b]) == 0.5
    assert span_f1([frozenset()], [frozenset()]) == 1.0


@pytest.fixture
def ruined(monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 whose scales are wrong: the graph runs, and answers nonsense."""
    original = graph.quantize_rows

    def wrong(weight: np.ndarray, limit: int):
        integers, scale = original(weight, limit)
        return integers, scale[::-1].copy() * np.float32(-3.0)

    monkeypatch.setattr(graph, "quantize_rows", wrong)


def test_a_ruined_int8_graph_is_refused_and_float_kept(
    ruined: None, tiny_examples, tiny_options, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = dataclasses.replace(tiny_options, epochs=8)
    with caplog.at_level(logging.WARNING):
        fit(tiny_examples, options, tmp_path / "bundle")
    assert "int8 was refused" in caplog.text
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.manifest["precision"] == "float32"
    operators = {node.op_type for node in onnx.load_from_string(bundle.model).graph.node}
    assert "MatMul" in operators
    assert "DynamicQuantizeMatMul" not in operators
    with pytest.raises(ParityError, match="top intents agree"):
        fit(tiny_examples, dataclasses.replace(options, quantization="int8"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_float_on_request(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1, quantization="none")
    report = fit(tiny_examples, options, tmp_path / "bundle")
    assert report.parity is None
    assert read_bundle(report.bundle).manifest["precision"] == "float32"


def test_the_bundle_says_what_it_is(tiny_bundle: Path, tiny_examples, tiny_encoder: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    manifest, card = bundle.manifest, bundle.contents["README.md"].decode()
    assert manifest["precision"] == "int8"
    assert manifest["offset_unit"] == "unicode code points"
    assert manifest["encoder"]["name"] == str(tiny_encoder)
    assert manifest["data"]["examples"] == len(tiny_examples)
    assert manifest["parity"]["intent_agreement"] >= 0.99
    assert set(manifest["producer"]) == {"sqz_nlu", "onnx", "onnxruntime"}
    for phrase in ("`turn_on`", "`room`", "`from`", "int8 against float", "ms a text"):
        assert phrase in card
    interpreter = Interpreter(bundle)
    for probe in manifest["probes"]:
        assert interpreter.parse(probe["text"]).intent.name == probe["intent"]["name"]
    assert 1 <= len(manifest["probes"]) <= model._PROBES
