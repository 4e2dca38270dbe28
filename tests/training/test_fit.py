from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from tiny import annotated

from sqz_nlu import Interpreter
from sqz_nlu.errors import DataError, EncoderError, OptionError
from sqz_nlu.export.parity import span_f1, spans_of
from sqz_nlu.fit import fit
from sqz_nlu.training.calibration import expected_calibration_error, fit_temperature
from sqz_nlu.training.examples import Example


def test_it_learns_intents_entities_roles_and_groups(interpreter: Interpreter, tiny_examples) -> None:
    results = [interpreter.parse(example.text) for example in tiny_examples]
    right = [r.intent.name == e.intent for r, e in zip(results, tiny_examples, strict=True)]
    assert np.mean(right) >= 0.95
    gold = [frozenset((s.start, s.end, s.entity) for s in e.entities) for e in tiny_examples]
    assert span_f1(gold, list(map(spans_of, results))) >= 0.95
    found = {(e.value, e.role) for r in results for e in r.entities if e.entity == "city"}
    assert {("paris", "from"), ("paris", "to"), ("new york", "to")} <= found


def test_a_seed_decides_everything(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=2, drop_rate=0.3)
    graphs = []
    for turn in ("first", "second"):
        fit(tiny_examples, options, tmp_path / turn)
        graphs.append((tmp_path / turn / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]
    fit(tiny_examples, dataclasses.replace(options, random_seed=8), tmp_path / "third")
    assert (tmp_path / "third" / "model.onnx").read_bytes() != graphs[0]


CASES = {
    "one intent": [annotated("hello", "greet"), annotated("hi", "greet")],
    "one example": [annotated("hello", "greet")],
    "no entities": [annotated("hello", "greet"), annotated("bye", "bye")],
    "no intents": [annotated("<kitchen|room> on", None), annotated("<garden|room> off", None)],
    "one intent with entities": [annotated("<kitchen|room> on", "a"), annotated("hi", "a")] * 3,
    "duplicates": [annotated("hello", "greet"), annotated("bye", "bye")] * 5,
    "labels with spaces and Unicode": [
        annotated("hi", "say \u00fc \U0001f600"),
        annotated("<on|a b/c>", "x+y"),
    ],
    "an empty text among others": [annotated("", "bye"), annotated("hi", "greet")],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_odd_data(name: str, tiny_options, tmp_path: Path) -> None:
    report = fit(CASES[name], dataclasses.replace(tiny_options, epochs=2), tmp_path / "bundle")
    interpreter = Interpreter.load(report.bundle)
    for text in ("hello", "<kitchen> on", "", "\U0001f600"):
        data = interpreter.parse(text).to_dict()
        if text and report.labels.intents:
            assert data["intent"]["name"] in report.labels.intents
        else:
            assert data["intent"] == {"name": None, "confidence": 0.0}


def test_one_intent_is_warned_about(tiny_options, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        fit(CASES["one intent"], dataclasses.replace(tiny_options, epochs=1), tmp_path / "bundle")
    assert "single intent, 'greet'" in caplog.text


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no training examples"),
        ([Example("  ", "greet")], "no training examples"),
        ([Example("hello")], "None of the 1 training examples has any intents or entities"),
    ],
)
def test_nothing_to_learn_is_an_error_that_leaves_nothing(examples, message, tiny_options, tmp_path) -> None:
    with pytest.raises(DataError, match=message):
        fit(examples, tiny_options, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_encoder_and_device_leave_nothing(tiny_examples, tiny_options, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no encoder folder"):
        fit(tiny_examples, dataclasses.replace(tiny_options, model="./nowhere"), tmp_path / "b")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="no GPU"):
            fit(tiny_examples, dataclasses.replace(tiny_options, device="cuda"), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_intents_or_entities_can_be_switched_off(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1)
    fit(tiny_examples, dataclasses.replace(options, intent_classification=False), tmp_path / "e")
    fit(tiny_examples, dataclasses.replace(options, entity_recognition=False), tmp_path / "i")
    entities, intents = Interpreter.load(tmp_path / "e"), Interpreter.load(tmp_path / "i")
    assert entities.labels.intents == ()
    assert intents.labels.entities == ()
    assert entities.parse("turn on").intent.name is None
    assert intents.parse("turn on").entities == ()


def test_plain_tags_and_frozen_layers(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, bilou_flag=False, frozen_layers=1)
    report = fit(tiny_examples, options, tmp_path / "plain")
    assert report.labels.tags == ("O", "city", "device", "room")
    entities = Interpreter.load(report.bundle).parse("turn on the light in the kitchen").entities
    assert [(e.entity, e.value) for e in entities] == [("device", "light"), ("room", "kitchen")]


def test_early_stopping_needs_fewer_epochs_and_never_trains_on_what_it_evaluates(
    tiny_examples, tiny_options, tmp_path: Path
) -> None:
    options = dataclasses.replace(
        tiny_options,
        epochs=60,
        evaluate_on_number_of_examples=6,
        evaluate_every_number_of_epochs=1,
        early_stopping_patience=3,
    )
    report = fit(tiny_examples, options, tmp_path / "bundle")
    assert report.training.epochs < 60
    assert report.training.held_out["examples"] == 6


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 2000)
    logits = rng.normal(size=(2000, 4)) + 1.5 * np.eye(4)[classes]
    honest = fit_temperature(logits.astype(np.float32), classes)
    loud = fit_temperature((5 * logits).astype(np.float32), classes)
    assert loud == pytest.approx(5 * honest, rel=0.06)
    assert fit_temperature(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)) == 1.0


def test_expected_calibration_error() -> None:
    confidences = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False])
    assert expected_calibration_error(confidences, correct) == pytest.approx(0.05)
    assert expected_calibration_error(np.array([]), np.array([], bool)) == 0.0
