from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sqz_nlu.errors import BundleError, DataError, OptionError
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, read_bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.selection import SelectionHead, kernel, unit_length
from sqz_nlu.training import selection
from sqz_nlu.training.examples import Example
from sqz_nlu.training.selection import fit_selection, train_selection
from sqz_nlu.training.selector_options import SelectorOptions


def clusters(keys: int, each: int, spread: float = 0.4) -> tuple[np.ndarray, list[str]]:
    """Vectors around a centre for each key."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(keys, 1, 24))
    vectors = centres + spread * random.normal(size=(keys, each, 24))
    return vectors.reshape(-1, 24).astype(np.float32), [
        f"faq/{key}" for key in range(keys) for _ in range(each)
    ]


def chosen(head: SelectionHead, vectors: np.ndarray) -> list[str]:
    return [head.keys[best] for best in head.logits(vectors).argmax(1)]


@pytest.mark.parametrize("most", [2000, 24])
def test_what_was_held_out_is_recognized(most, monkeypatch) -> None:
    monkeypatch.setattr(selection, "_MOST_ANCHORS", most)
    vectors, keys = clusters(6, 12)
    head = fit_selection(vectors[::2], keys[::2])
    assert len(head.anchors) == min(most, 36)
    assert chosen(head, vectors[1::2]) == keys[1::2]
    assert head.keys == tuple(sorted(set(keys)))


def test_left_out_scores_are_those_of_leaving_out() -> None:
    vectors, keys = clusters(3, 5, spread=1.0)
    examples = unit_length(vectors).astype(np.float64)
    near = kernel(examples, examples, 0.5)
    targets = np.array([[key == name for name in sorted(set(keys))] for key in keys], float)
    _, left_out = selection._solve(near, near, targets)
    for row in range(len(near)):
        others = [other for other in range(len(near)) if other != row]
        weights, _ = selection._solve(near[others], near, targets[others])
        np.testing.assert_allclose(left_out[row], near[row] @ weights, atol=1e-6)


def test_confidences_are_humbler_where_examples_mislead() -> None:
    vectors, keys = clusters(4, 12)
    muddled = [keys[(7 * row) % len(keys)] for row in range(len(keys))]
    assert fit_selection(vectors, muddled).temperature > 2 * fit_selection(vectors, keys).temperature


@pytest.mark.parametrize("keys", [["faq/a"] * 4, ["faq/a", "faq/b", "faq/c", "faq/d"]])
def test_one_key_and_one_example_a_key(keys) -> None:
    vectors, _ = clusters(4, 1)
    assert chosen(fit_selection(vectors, keys), vectors) == keys


def test_equal_examples_of_different_keys_do_no_harm() -> None:
    vectors, keys = clusters(2, 3)
    head = fit_selection(np.concatenate([vectors, vectors[:1]]), [*keys, keys[-1]])
    assert np.isfinite(head.logits(vectors)).all()
    assert chosen(head, vectors[1:]) == keys[1:]


def test_nothing_is_calibrated_on_names() -> None:
    vectors, keys = clusters(4, 12)
    names, named = (
        vectors[::12],
        [keys[(row + 12) % len(keys)] for row in range(0, len(keys), 12)],
    )  # misleading
    plain = fit_selection(vectors, keys)
    head = fit_selection(np.concatenate([vectors, names]), [*keys, *named], len(named))
    counted = fit_selection(np.concatenate([vectors, names]), [*keys, *named])
    assert chosen(head, vectors[1::12]) == keys[1::12]
    assert plain.temperature <= head.temperature < counted.temperature


def test_names_of_keys_are_learned_from() -> None:
    examples = [
        Example("one two", "faq/opening_hours"),
        Example("three four", "faq/lost_password"),
        Example("five six", "faq/i_1"),
        Example("seven eight", "chitchat/i_1"),
    ]
    encoder = read_bundle(EMBEDDED_FOLDER)
    with_names, without = (
        train_selection(examples, {}, SelectorOptions(use_intent_names=use), encoder) for use in (True, False)
    )
    assert len(with_names.anchors) == len(without.anchors) + 2  # i_1 says nothing
    asked = Interpreter(encoder).embed(["when do you open", "i forgot my password"])
    assert chosen(with_names, asked) == ["faq/opening_hours", "faq/lost_password"]


def test_a_head_survives_json() -> None:
    vectors, keys = clusters(3, 4)
    head = fit_selection(vectors, keys)
    again = SelectionHead.from_dict(json.loads(json.dumps(head.to_dict())))
    assert again.keys == head.keys
    np.testing.assert_allclose(again.logits(vectors), head.logits(vectors), atol=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ["faq/a"]},
        {"anchors": {"shape": [2, 24], "base64": "AAAA"}},
        {"weights": {"shape": [1, 1], "base64": "?"}},
        {"width": None},
    ],
)
def test_a_head_that_does_not_fit_is_refused(change) -> None:
    data = fit_selection(*clusters(3, 4)).to_dict() | change
    if data["width"] is None:
        del data["width"]
    with pytest.raises(BundleError, match="head of a response selector"):
        SelectionHead.from_dict(data)


def test_texts_of_responses_are_learned_from_where_asked() -> None:
    examples = [Example("how much is it", "faq/price"), Example("when do you open", "faq/hours")]
    responses = {"faq/price": [{"text": "Ten euros."}, {"image": "x.png"}], "faq/other": [{"text": "No."}]}
    encoder = read_bundle(EMBEDDED_FOLDER)
    alone = SelectorOptions(use_intent_names=False)
    plain = train_selection(examples, responses, alone, encoder)
    taught = train_selection(examples, responses, replace(alone, use_text_as_label=True), encoder)
    assert (len(plain.anchors), len(taught.anchors)) == (2, 3)
    assert plain.keys == taught.keys == ("faq/hours", "faq/price")


@pytest.mark.parametrize("examples", [[], [Example("hello")], [Example("  ", "faq/price")]])
def test_nothing_to_learn_is_an_error_that_says_what_to_add(examples) -> None:
    with pytest.raises(DataError, match=r"examples of .faq. with a response key.*utter_faq/"):
        train_selection(examples, {}, SelectorOptions(retrieval_intent="faq"), read_bundle(EMBEDDED_FOLDER))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"retrieval_intents": "faq"}, "Did you mean 'retrieval_intent'"),
        ({"hidden_layers_sizes": {}}, "about Rasa's own network"),
        ({"learning_rate": 0.1}, "solved in one step"),
        ({"ranking_length": -1}, "at least 0"),
        ({"use_text_as_label": "yes"}, "true or false"),
        ({"retrieval_intent": 3}, "a text or nothing"),
    ],
)
def test_bad_options_are_named(config, message) -> None:
    with pytest.raises(OptionError, match=message):
        SelectorOptions.from_dict(config)


def test_the_defaults_are_options_and_on_their_page() -> None:
    defaults = SelectorOptions.defaults()
    assert SelectorOptions.from_dict(defaults) == SelectorOptions()
    page = (Path(__file__).parents[2] / "docs" / "response-selector.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \| (\S+) \|", page, re.MULTILINE) == [
        (name, "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`")
        for name, value in defaults.items()
    ]
