"""The JavaScript tokenizer and decoder against Python's, without a graph."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, normalizers
from web_texts import as_javascript, in_code_units, make_texts
from web_tools import node, python

from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, MODEL, TOKENIZER, Bundle
from sqz_nlu.runtime.interpreter import DecodingConfig, Interpreter
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.patterns import LookupTable, Patterns, PatternWeights, RegexFeature
from sqz_nlu.runtime.text import TextEncoder

EMBEDDED_TOKENIZER = (EMBEDDED_FOLDER / "tokenizer.json").read_text(encoding="utf-8")
TEXTS = make_texts()
SOME_LABELS = LabelSpace(intents=("a", "b"))
# What a parse costs lies in these classes; the slow test takes the others, too.
POINTS = [*range(0x3100), *range(0xA480, 0xAC00), *range(0xF900, 0x10000), *range(0x10000, 0x20000, 5)]


def in_javascript(tokenizer: str, config: DecodingConfig, cases: list[dict]) -> list[dict]:
    """What tests/web/codec.mjs answers."""
    request = {"tokenizer": json.loads(tokenizer), "config": {"decoding": config.to_dict()}, "cases": cases}
    return json.loads(node("codec.mjs", stdin=json.dumps(request)))


def check_tokenizer(tokenizer: str, max_tokens: int, texts: list[str]) -> None:
    """Compares ids, words and first tokens of each text."""
    config = DecodingConfig(SOME_LABELS, max_tokens)
    answers = in_javascript(tokenizer, config, [{"text": text} for text in texts])
    expected = TextEncoder(Tokenizer.from_str(tokenizer), max_tokens).encode_batch(texts)
    for text, answer, encoded in zip(texts, answers, expected, strict=True):
        words = [[in_code_units(text, place) for place in word] for word in encoded.words]
        right = {"ids": encoded.ids, "words": words, "firstTokens": encoded.first_tokens}
        assert answer["encoded"] == right, ascii(text)


@pytest.mark.parametrize("max_tokens", [256, 9])
def test_the_embedded_tokenizer(max_tokens: int) -> None:
    check_tokenizer(EMBEDDED_TOKENIZER, max_tokens, TEXTS)


@pytest.mark.parametrize(
    "steps",
    [
        {"strip_accents": False},
        {"lowercase": False},
        {"lowercase": False, "strip_accents": True},
        {"handle_chinese_chars": False},
        {"clean_text": False},
    ],
)
def test_other_options_of_the_normalizer(steps: dict[str, bool]) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer(**steps)
    check_tokenizer(tokenizer.to_str(), 48, TEXTS)


def around(points: list[int]) -> list[str]:
    return [f"a{chr(point)}b" for point in points if not 0xD800 <= point < 0xE000]


def test_characters_of_every_class() -> None:
    check_tokenizer(EMBEDDED_TOKENIZER, 256, around(POINTS))


@pytest.mark.parametrize("max_tokens", [256, 3])  # 3: the second word falls off
def test_marks_at_the_end_of_a_word(max_tokens: int) -> None:
    marks = [chr(p) for p in range(0x20000) if unicodedata.category(chr(p))[0] == "M"]
    texts = [text for mark in marks for text in (f"a{mark} {mark}b", f"\u5317{mark}", f",{mark}{mark}a")]
    check_tokenizer(EMBEDDED_TOKENIZER, max_tokens, texts)


@pytest.mark.slow
def test_every_character_there_is() -> None:
    check_tokenizer(EMBEDDED_TOKENIZER, 256, around(list(range(0x110000))))


@pytest.mark.slow
def test_the_tables_are_those_that_the_script_writes() -> None:
    python("scripts/unicode_tables.py", "--check")


LABELS = (
    LabelSpace(entities=("city",)),
    LabelSpace(
        ("a",), ("city", "room", "x"), ("from", "to"), ("1",), {"city": ("from", "to")}, {"x": ("1",)}
    ),
    LabelSpace(
        ("a", "b", "c", "d"),
        ("city", "room"),
        ("from", "to"),
        ("1", "2"),
        {"city": (None, "from", "to"), "room": (None,)},
        {"room": (None, "1", "2")},
        touching=("city",),
    ),
    LabelSpace(("a", "b"), ("city", "room"), bilou=False),
    LabelSpace(("a", "b"), ("city", "room"), ("to",), (), {"city": ("to",)}, {}, False, ("room",)),
)


class DrawnGraph:
    """Stands for a bundle's graph; its outputs are drawn at random."""

    def __init__(self, labels: LabelSpace, seed: int) -> None:
        self.widths = {
            "intent_logits": len(labels.intents),
            "word_logits": len(labels.tags) + len(labels.role_classes) + len(labels.group_classes),
        }
        self.rng = np.random.default_rng(seed)
        self.last: dict[str, Any] = {}

    def run(self, names: list[str], ids: np.ndarray) -> list[np.ndarray]:
        outputs = []
        for name in names:
            shape = (*ids.shape, self.widths[name]) if name == "word_logits" else (1, self.widths[name])
            outputs.append(self.rng.normal(scale=2.5, size=shape).astype(np.float32))
            self.last[name] = {"data": outputs[-1].ravel().tolist(), "dims": shape}
        return outputs


def some_patterns(labels: LabelSpace, number: int) -> PatternWeights:
    """Tables and expressions in both cases, with weights drawn at random."""
    patterns = Patterns(
        (
            LookupTable("city", ("paris", "new york", "caf\u00e9", "\u5317\u4eac", "york")),
            LookupTable("room", ("kitchen", "light", "bedroom, kitchen")),
        ),
        (
            RegexFeature("number", r"\b\d+(?:[.,]\d+)*\b"),
            RegexFeature("named", r"(?P<letter>[a-z])(?P=letter)\w*|[^\W\d_]{12,}"),
            RegexFeature("edge", r"\A\S+|\$\s*\d+|[\]\[,.-]\Z"),
            RegexFeature("line", r"(?m)^\w+$|\w\-\w"),
            RegexFeature("end", r"^.{1,9}$|o.$"),
            RegexFeature("bracket", r"[<[]\w+[]>)]|\[\w{,3}]|[[]\S{1,4}\s"),
        ),
        case_sensitive=number % 2 == 1,
        word_boundaries=number != 2,
    )
    rng, count = np.random.default_rng(number), len(patterns.names)
    shapes = (4 * count, len(labels.tags)), (count, len(labels.intents))
    return PatternWeights(patterns, *(rng.normal(size=shape).round(4).astype(np.float32) for shape in shapes))


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")  # Python's own, of "[[]"
@pytest.mark.parametrize("number", range(len(LABELS)))
@pytest.mark.parametrize("patterned", [False, True])
def test_the_decoder(number: int, patterned: bool) -> None:
    labels = LABELS[number]
    config = DecodingConfig(
        labels,
        max_tokens=40,
        temperature=1.7,
        ranking_length=number % 3,
        renormalize_confidences=number % 2 == 0,
        split_by_comma={"city": True, "room": False},
        split_default=number % 2 == 1,
        patterns=some_patterns(LABELS[number], number) if patterned else None,
        synonyms={"paris": "Paris, France", "1,000": "1000", "caf\u00e9": "bar"},
    )
    tokenizer = tiny_tokenizer().to_str()
    contents = {TOKENIZER: tokenizer.encode(), MODEL: b""}
    interpreter = Interpreter(Bundle(Path("none"), {}, {"decoding": config.to_dict()}, contents))
    graph = interpreter._session = DrawnGraph(labels, number)
    cases, expected = [], []
    for text in TEXTS:
        if patterned and {"\u0345", "\u0130", "\u0131"} & set(text):
            continue  # see regex.js
        graph.last = {}
        expected.append(as_javascript(interpreter.parse(text)))
        cases.append({"text": text, "outputs": graph.last})
    assert sum(bool(answer["entities"]) for answer in expected) > 500
    for answer, right in zip(in_javascript(tokenizer, config, cases), expected, strict=True):
        assert alike(answer["result"], right), ascii(right["text"])


def alike(seen: Any, right: Any) -> bool:
    """Whether two answers are equal but for the last digits of float32."""
    if isinstance(right, dict):
        return seen.keys() == right.keys() and all(alike(seen[key], right[key]) for key in right)
    if isinstance(right, list):
        return len(seen) == len(right) and all(map(alike, seen, right))
    return abs(seen - right) < 1e-6 if isinstance(right, float) else seen == right
