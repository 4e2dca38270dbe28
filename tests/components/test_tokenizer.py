from __future__ import annotations

import pytest
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message

from sqz_nlu import BlankSpacyTokenizer


def tokens(text: str, **options):
    tokenizer = BlankSpacyTokenizer(BlankSpacyTokenizer.get_default_config() | options)
    return tokenizer.tokenize(Message({"text": text}), "text")


@pytest.mark.parametrize(
    ("text", "lang", "words"),
    [
        ("Don't turn it off, please!", "en", ["Do", "n't", "turn", "it", "off", ",", "please", "!"]),
        ("l'ampoule s'allume", "fr", ["l'", "ampoule", "s'", "allume"]),
        ("  two  spaces \n", "en", ["two", "spaces"]),
        ("", "en", []),
    ],
)
def test_words_by_the_rules_of_the_language(text: str, lang: str, words: list[str]) -> None:
    found = tokens(text, lang=lang)
    assert [token.text for token in found] == words
    assert all(text[token.start : token.end] == token.text for token in found)


def test_token_pattern() -> None:
    assert [t.text for t in tokens("red_green blue", token_pattern="[a-z]+")] == ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "en"}, "unknown option 'language'.*Did you mean 'lang'"),
        ({"lang": "klingon"}, "lang 'klingon'"),
        ({"lang": 7}, "lang is 7"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(InvalidConfigException, match=message):
        tokens("hello", **options)
