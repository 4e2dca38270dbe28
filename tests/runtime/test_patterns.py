from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_tokenizer

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.interpreter import DecodingConfig
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.patterns import (
    FIRST,
    INNER,
    LAST,
    ONLY,
    PLACES,
    LookupTable,
    Match,
    PatternMatcher,
    Patterns,
    PatternWeights,
    RegexFeature,
    word_features,
)
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.patterns import stored_patterns

ENCODER = TextEncoder(tiny_tokenizer(), 64)


def found(text: str, entries=(), regexes=(), **options) -> list[tuple[str, str]]:
    """Names of the patterns found in a text, each with the words it was found in."""
    tables = (LookupTable("table", tuple(entries)),) if entries else ()
    patterns = Patterns(tables, tuple(RegexFeature(name, regex) for name, regex in regexes))
    stored = stored_patterns(patterns, TrainingOptions.from_dict(options), ENCODER)
    words = ENCODER.encode(text).words
    return [
        (stored.names[match.pattern], text[words[match.first][0] : words[match.last][1]])
        for match in PatternMatcher(stored).find(text, words)
    ]


@pytest.mark.parametrize(
    ("text", "entries", "expected"),
    [
        ("fly to paris", ["Paris"], ["paris"]),
        ("PARIS, please", ["paris"], ["PARIS"]),
        ("to new  york.", ["New York"], ["new  york"]),
        ("new york city", ["new york", "new york city", "york"], ["new york city"]),
        ("new york", ["new york city", "york"], ["york"]),
        ("jean-luc is in", ["Jean-Luc"], ["jean-luc"]),
        ("jean - luc is in", ["Jean-Luc"], []),
        ("i like yahoo!", ["Yahoo!"], ["yahoo!"]),
        ("berliner", ["berlin"], []),
        ("\u0130stanbul and \u00fcmit", ["\u0130stanbul", "\u00dcmit"], ["\u0130stanbul", "\u00fcmit"]),
        ("\u6211\u53bb\u5317\u4eac", ["\u5317\u4eac"], ["\u5317\u4eac"]),
        ("paris paris", ["paris"], ["paris", "paris"]),
        ("", ["paris"], []),
        ("\U0001f600 paris", ["paris"], ["paris"]),
    ],
)
def test_entries_of_a_table(text: str, entries: list[str], expected: list[str]) -> None:
    assert [words for _, words in found(text, entries)] == expected


def test_case_can_matter() -> None:
    assert found("may I come in May", ["May"], case_sensitive=True) == [("table", "May")]
    assert len(found("may I come in May", ["May"])) == 2
    assert found("aa AA", regexes=[("upper", "A+")], case_sensitive=True) == [("upper", "AA")]


def test_entries_can_lie_inside_of_words() -> None:
    assert found("ein berliner", ["Berlin"], use_word_boundaries=False) == [("table", "berliner")]
    assert found("x berlin er", ["berlin e"], use_word_boundaries=False) == [("table", "berlin er")]


def test_regular_expressions() -> None:
    zip_code = [("zip", r"\b\d{5}\b")]
    assert found("send it to 12345 or 54321.", regexes=zip_code) == [("zip", "12345"), ("zip", "54321")]
    assert found("123456", regexes=zip_code) == []
    assert found("room 12-b now", regexes=[("room", r"room \d+-?[a-z]")]) == [("room", "room 12-b")]
    assert found("hello", regexes=[("empty", "x*"), ("space", r"\s")]) == []
    assert found("a b", regexes=[("space", r"\s")]) == []


def test_tables_and_expressions_can_be_switched_off() -> None:
    both = {"entries": ["paris"], "regexes": [("zip", r"\d+")]}
    assert found("paris 1", **both, use_lookup_tables=False) == [("zip", "1")]
    assert found("paris 1", **both, use_regexes=False) == [("table", "paris")]


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "-", "ba"]), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(WORDS, min_size=1, max_size=4).map(" ".join))
def test_it_finds_what_a_search_of_all_spans_finds(entries: list[str], text: str) -> None:
    words, listed = text.split(), {tuple(entry.split()) for entry in entries}
    expected, at = [], 0
    while at < len(words):
        sizes = [size for size in range(len(words) - at, 0, -1) if tuple(words[at : at + size]) in listed]
        if sizes:
            expected.append(" ".join(words[at : at + sizes[0]]))
        at += sizes[0] if sizes else 1
    assert [match for _, match in found(text, entries)] == expected


def test_a_large_table_is_a_dictionary() -> None:
    entries = tuple(sorted(f"{a:x} {b:x}" for a in range(200) for b in range(100)))
    patterns = Patterns((LookupTable("large", entries),))
    matcher, text = PatternMatcher(patterns), "a 5 " * 60
    words = tuple((2 * index, 2 * index + 1) for index in range(120))
    for _ in range(200):  # an alternation of 20,000 entries would need minutes
        matches = matcher.find(text, words)
    assert len(matches) == 60
    assert matches[0] == Match(0, 0, 1)


def test_a_text_is_searched_to_a_bound() -> None:
    text = "x" * 100_000
    assert PatternMatcher(Patterns(regexes=(RegexFeature("y", "x+y"),))).find(text, [(0, len(text))]) == []


def test_features_tell_the_places_of_a_match() -> None:
    features = word_features([Match(1, 2, 4), Match(0, 5, 5)], 2)
    assert features == {(2, 2 * FIRST + 1), (3, 2 * INNER + 1), (4, 2 * LAST + 1), (5, 2 * ONLY)}


LABELS = LabelSpace(("a", "b"), ("city", "room"), bilou=False)


def weights(intents: int = 2, tags: int = 3) -> PatternWeights:
    patterns = Patterns((LookupTable("city", ("paris",)),), (RegexFeature("zip", r"\d+"),))
    return PatternWeights(
        patterns,
        np.arange(PLACES * 2 * tags, dtype=np.float32).reshape(-1, tags) / 4,
        np.arange(2 * intents, dtype=np.float32).reshape(2, -1),
    )


def test_what_matches_add() -> None:
    words, intents = np.zeros((3, 5), np.float32), np.zeros(2, np.float32)
    matches = [Match(0, 0, 1), Match(1, 2, 2), Match(1, 2, 2)]
    more_intents, more_words = weights().add(matches, intents, words)
    assert more_intents.tolist() == [2.0, 4.0]
    rows = weights().tags
    expected = np.pad([rows[2 * FIRST], rows[2 * LAST], rows[2 * ONLY + 1]], ((0, 0), (0, 2)))
    assert more_words.tolist() == expected.tolist()
    assert not words.any()
    assert weights().add([], intents, None) == (intents, None)


def test_the_configuration_keeps_patterns_and_has_none_by_default() -> None:
    config = DecodingConfig(LABELS, patterns=weights())
    again = DecodingConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again.patterns is not None
    assert again.patterns.patterns == weights().patterns
    assert np.array_equal(again.patterns.tags, weights().tags)
    assert np.array_equal(again.patterns.intents, weights().intents)
    assert "patterns" not in DecodingConfig().to_dict()
    assert DecodingConfig.from_dict(DecodingConfig().to_dict()).patterns is None


@pytest.mark.parametrize(
    "change",
    [
        {"tables": [{"name": "city"}]},
        {"tables": [{"name": "city", "entries": [""]}]},
        {"tables": [{"name": "city", "entries": [7]}]},
        {"regexes": [{"name": "zip", "pattern": 7}]},
        {"intent_weights": [[1.0], [2.0]]},
        {"tag_weights": [[1.0]] * PLACES * 2},
        {"tag_weights": [[1.0]]},
        {"intent_weights": []},
        {"intent_weights": ["x", "y"]},
        {"regexes": [{"name": "zip", "pattern": "x", "more": 1}]},
    ],
)
def test_wrong_patterns_are_refused(change) -> None:
    data = DecodingConfig(LABELS, patterns=weights()).to_dict()
    DecodingConfig.from_dict(data)
    with pytest.raises(BundleError, match=r"config\.json"):
        DecodingConfig.from_dict({**data, "patterns": {**data["patterns"], **change}})


def test_an_invalid_expression_in_a_bundle_is_named() -> None:
    with pytest.raises(BundleError, match=r"'\(' of 'broken'"):
        PatternMatcher(Patterns(regexes=(RegexFeature("broken", "("),)))
