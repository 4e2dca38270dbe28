"""The golden set, through Python and the command line; other surfaces have it in their own tests."""

from __future__ import annotations

import io
import json

import pytest
from golden_set import BUNDLE, CONFIDENCE_IN_BATCHES, GOLDEN, assert_golden, differences, golden_parses

from sqz_nlu import Interpreter
from sqz_nlu.cli import main


@pytest.fixture(scope="module")
def golden() -> Interpreter:
    return Interpreter.load(BUNDLE)


def test_it_is_small_and_varied() -> None:
    parses = golden_parses()
    entities = [entity for parse in parses for entity in parse["entities"]]
    assert len(parses) >= 250
    assert len({parse["intent"]["name"] for parse in parses}) >= 20
    assert len({entity["entity"] for entity in entities}) >= 10
    assert {"from", "to"} <= {entity.get("role") for entity in entities}
    assert {"1", "2"} <= {entity.get("group") for entity in entities}
    assert any("processors" in entity for entity in entities)
    assert sum(file.stat().st_size for file in GOLDEN.rglob("*") if file.is_file()) <= 600_000


def test_python_gives_the_golden_parses(golden: Interpreter) -> None:
    expected = golden_parses()
    assert_golden([golden.parse(parse["text"]).to_dict() for parse in expected], expected)


def test_batches_give_the_golden_parses(golden: Interpreter) -> None:
    expected = golden_parses()
    results = golden.parse_batch([parse["text"] for parse in expected])
    assert_golden([result.to_dict() for result in results], expected, CONFIDENCE_IN_BATCHES)


def test_the_command_line_gives_the_golden_parses(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = golden_parses(one_line=True)
    lines = "".join(parse["text"] + "\n" for parse in expected).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines), "utf-8"))
    assert main(["parse", str(BUNDLE)]) == 0
    assert_golden([json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]], expected)


def test_the_golden_bundle_verifies() -> None:
    assert main(["verify", str(BUNDLE)]) == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"text": "other"}, "text"),
        ({"intent": {"name": "other", "confidence": 0.9}}, "intent is 'other'"),
        ({"entities": []}, "entities"),
        ({"intent": {"name": "fly", "confidence": 0.85}}, "a confidence is 0.85"),
    ],
)
def test_differences_are_seen(change: dict, complaint: str) -> None:
    entity = {"entity": "city", "start": 0, "end": 5, "value": "Paris", "confidence_entity": 0.9}
    right = {"text": "Paris", "intent": {"name": "fly", "confidence": 0.9}, "entities": [entity]}
    assert differences(right, right) == []
    assert complaint in differences({**right, **change}, right)[0]


def test_roles_values_and_confidences_of_entities_count() -> None:
    entity = {"entity": "city", "start": 0, "end": 5, "value": "Paris", "confidence_entity": 0.9}
    parse = {"text": "Paris", "intent": {"name": "fly", "confidence": 0.9}}
    for change in ({"role": "to"}, {"group": "1"}, {"value": "Rome"}, {"confidence_entity": 0.8}):
        changed = {**parse, "entities": [{**entity, **change}]}
        assert differences(changed, {**parse, "entities": [entity]})
