"""The JavaScript tokenizer and decoder against Python's, without a graph."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("number", range(len(LABELS)))
def test_the_decoder(number: int) -> None:
    labels = LABELS[number]
    config = DecodingConfig(
        labels,
        max_tokens=40,
        temperature=1.7,
        ranking_length=number % 3,
        renormalize_confidences=number % 2 == 0,
        split_by_comma={"city": True, "room": False},
        split_default=number % 2 == 1,
        synonyms={"paris": "Paris, France", "1,000": "1000", "caf\u00e9": "bar"},
    )
    tokenizer = tiny_tokenizer().to_str()
    contents = {TOKENIZER: tokenizer.encode(), MODEL: b""}
    interpreter = Interpreter(Bundle(Path("none"), {}, {"decoding": config.to_dict()}, contents))
    graph = interpreter._session = DrawnGraph(labels, number)
    cases, expected = [], []
    for text in TEXTS:
        graph.last = {}
        expected.append(as_javascript(interpreter.parse(text)))
        cases.append({"text": text, "outputs": graph.last})
    assert sum(bool(answer["entities"]) for answer in expected) > 500
    for answer, right in zip(in_javascript(tokenizer, config, cases), expected, strict=True):
        assert rounded(answer["result"]) == rounded(right)


def rounded(value: Any) -> Any:
    """With numbers rounded to what the two languages' exponential functions agree on."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 12) if isinstance(value, float) else value
