from __future__ import annotations

import json
import math
import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqz_nlu import Interpreter
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.interpreter import DecodingConfig

NAUGHTY = [
    "",
    " ",
    "\x00",
    "null",
    "NaN",
    "-1e999",
    "/greet{'a': 1}",
    "<script>alert(1)</script>",
    "'; drop table intents; --",
    "%s%n%p {0} ${HOME} `id`",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "Z\u0351\u036ba\u0363\u0308l\u034fg\u0321o\u0322",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\ufeffbyte order mark",
    "\ud800 lone surrogate",
    "\uff46\uff55\uff4c\uff4c width",
    "a" * 100_000,
    "light, " * 20_000,
    "[CLS] [SEP] [MASK] [PAD] ##ing",
]


def well_formed(text: str, interpreter: Interpreter) -> dict:
    result = interpreter.parse(text)
    data = result.to_dict()
    json.dumps(data, allow_nan=False)
    ranking = [intent["confidence"] for intent in data["intent_ranking"]]
    assert ranking == sorted(ranking, reverse=True)
    assert all(0.0 <= value <= 1.0 and math.isfinite(value) for value in ranking)
    if ranking:
        assert data["intent"] == data["intent_ranking"][0]
    end = 0
    for entity in data["entities"]:
        assert entity["value"] == text[entity["start"] : entity["end"]] != ""
        assert entity["start"] >= end
        assert 0.0 <= entity["confidence_entity"] <= 1.0
        end = entity["end"]
    return data


def test_the_json_is_that_of_rasa(interpreter: Interpreter) -> None:
    data = interpreter.parse("fly from paris to new york").to_dict()
    assert list(data) == ["text", "intent", "entities", "text_tokens", "intent_ranking"]
    assert data["text"] == "fly from paris to new york"
    assert data["intent"]["name"] == "fly"
    paris, york = data["entities"]
    assert {key: paris[key] for key in ("entity", "start", "end", "value", "role", "extractor")} == {
        "entity": "city",
        "start": 9,
        "end": 14,
        "value": "paris",
        "role": "from",
        "extractor": "SqueezeBertClassifier",
    }
    assert (york["value"], york["role"]) == ("new york", "to")
    assert "group" not in paris
    assert data["text_tokens"][0] == [0, 3]


def test_groups_are_decoded(interpreter: Interpreter) -> None:
    entities = interpreter.parse("kitchen on, bedroom on").entities
    assert [(e.value, e.group) for e in entities] == [("kitchen", "1"), ("bedroom", "2")]
    assert all(0.0 <= e.confidence_group <= 1.0 for e in entities)


@pytest.mark.parametrize("text", NAUGHTY)
def test_naughty_texts(text: str, interpreter: Interpreter) -> None:
    well_formed(text, interpreter)


@given(st.text(alphabet=st.characters(), max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_unicode(text: str) -> None:
    well_formed(text, test_any_unicode.interpreter)


@pytest.fixture(autouse=True)
def _interpreter_for_hypothesis(interpreter: Interpreter) -> None:
    test_any_unicode.interpreter = interpreter


def test_nothing_to_read_is_no_intent(interpreter: Interpreter) -> None:
    data = interpreter.parse(" \n").to_dict()
    assert data["intent"] == {"name": None, "confidence": 0.0}
    assert data["entities"] == data["intent_ranking"] == data["text_tokens"] == []


def test_wrong_types_are_told(interpreter: Interpreter) -> None:
    with pytest.raises(TypeError, match="int"):
        interpreter.parse(7)
    with pytest.raises(TypeError, match="single string"):
        interpreter.parse_batch("hello")


def test_a_batch_answers_as_single_texts_do(interpreter: Interpreter, tiny_examples) -> None:
    texts = [example.text for example in tiny_examples] + ["", "hi"]
    for one, many in zip(map(interpreter.parse, texts), interpreter.parse_batch(texts), strict=True):
        assert (one.text, one.intent.name, one.words) == (many.text, many.intent.name, many.words)
        assert one.intent.confidence == pytest.approx(many.intent.confidence, abs=0.05)
        assert [(e.start, e.end, e.entity) for e in one.entities] == [
            (e.start, e.end, e.entity) for e in many.entities
        ]
    assert interpreter.parse_batch([]) == []


class Column(list):
    """A column of a table whose rows have other numbers, as pandas' has after sorting."""

    def __getitem__(self, key):
        raise KeyError(key)


def test_texts_are_taken_by_their_place(interpreter: Interpreter) -> None:
    texts = ["hello", "fly to paris", "hi"]
    right = interpreter.parse_batch(texts)
    for some in (Column(texts), iter(texts), tuple(texts)):
        assert interpreter.parse_batch(some) == right
    np.testing.assert_array_equal(interpreter.embed(Column(texts)), interpreter.embed(texts))
    assert len(interpreter.token_states(iter(texts))) == 3


def test_sixteen_threads_equal_the_serial_run(interpreter: Interpreter, tiny_examples) -> None:
    texts = [example.text for example in tiny_examples]
    serial = [interpreter.parse(text) for text in texts]
    failures = []

    def work(offset: int) -> None:
        for turn in range(100):
            index = (offset + turn) % len(texts)
            if interpreter.parse(texts[index]) != serial[index]:
                failures.append(index)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def _parse_in_child(interpreter: Interpreter, text: str, results) -> None:
    results.put(interpreter.parse(text).to_dict())


def test_forked_children_answer_too(interpreter: Interpreter) -> None:
    expected = interpreter.parse("turn on the light").to_dict()  # the parent's session is open
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (interpreter, "turn on the light", results)
    children = [context.Process(target=_parse_in_child, args=arguments) for _ in range(4)]
    for child in children:
        child.start()
    assert [results.get(timeout=30) for _ in children] == [expected] * 4
    for child in children:
        child.join()


def test_loading_again_gives_the_same_answers(interpreter: Interpreter, tiny_bundle: Path) -> None:
    again = Interpreter.load(str(tiny_bundle))
    assert again.parse("kitchen light off") == interpreter.parse("kitchen light off")


def test_the_embedded_encoder_embeds_and_refuses_to_parse() -> None:
    embedded = Interpreter.load("embedded")
    texts = ["turn on the light", "switch the lamp on", "will it rain tomorrow", ""]
    vectors = embedded.embed(texts)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T
    assert similar[0, 1] > similar[0, 2] + 0.2
    assert embedded.embed([]).shape == (0, 384)
    with pytest.raises(BundleError, match="not parse"):
        embedded.parse("hello")


def test_a_trained_bundle_embeds_too(interpreter: Interpreter) -> None:
    assert interpreter.embed(["hi", "bye"]).shape == (2, 32)


def test_decoding_config_refuses_other_fields() -> None:
    data = DecodingConfig().to_dict()
    assert DecodingConfig.from_dict(data) == DecodingConfig()
    with pytest.raises(BundleError, match="colour"):
        DecodingConfig.from_dict(data | {"colour": "red"})
    with pytest.raises(BundleError, match="labels"):
        DecodingConfig.from_dict({})


def test_batches_on_several_threads_at_once_keep_their_order(
    tiny_bundle: Path, tiny_examples, monkeypatch
) -> None:
    texts = [f"{example.text} {'please ' * (n % 5)}" for n, example in enumerate(tiny_examples * 20)]
    alone, shared = Interpreter.load(tiny_bundle), Interpreter.load(tiny_bundle, threads=3)
    assert shared.parse_batch(texts) == alone.parse_batch(texts)
    np.testing.assert_array_equal(shared.embed(texts), alone.embed(texts))
    for got, expected in zip(shared.token_states(texts), alone.token_states(texts), strict=True):
        np.testing.assert_array_equal(got.states, expected.states)
    seen: list[tuple[int, str]] = []

    def fail(session, texts, encoded) -> list:
        seen.append((len(texts), threading.current_thread().name))
        raise ArithmeticError("of the graph")

    monkeypatch.setattr(shared, "_parse_equal", fail)
    with pytest.raises(ArithmeticError, match="of the graph"):
        shared.parse_batch(texts)
    assert max(count for count, _ in seen) > 1
    assert all(name.startswith("sqz-nlu") for _, name in seen)


def test_a_batch_has_texts_of_one_length_and_few_tokens(interpreter: Interpreter, monkeypatch) -> None:
    shapes: list[tuple[int, ...]] = []
    run = interpreter._session.run

    def note(outputs, ids) -> list:
        shapes.append(ids.shape)
        return run(outputs, ids)

    monkeypatch.setattr(interpreter._session, "run", note)
    interpreter.embed(["light " * 6] * 70 + ["light"] * 5 + ["light " * 300])
    assert sum(rows for rows, _ in shapes) == 76
    assert all(rows * tokens <= 192 or rows == 1 for rows, tokens in shapes)
    assert {tokens: max(rows for rows, width in shapes if width == tokens) for _, tokens in shapes}[8] == 24
