from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from sqz_nlu.runtime.text import TextEncoder

ENCODER = None


def encoder() -> TextEncoder:
    global ENCODER
    ENCODER = ENCODER or TextEncoder(tiny_tokenizer(), 48)
    return ENCODER


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("turn on the light", ["turn", "on", "the", "light"]),
        ("don't!", ["don", "'", "t", "!"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "cafe\u0301"]),
        ("\U0001f3b5 music \U0001f44d\U0001f3fd", ["\U0001f3b5", "music", "\U0001f44d\U0001f3fd"]),
        ("\u5317\u4eac", ["\u5317", "\u4eac"]),
        ("\u092a\u0941\u0923\u0947 \u092e\u0947\u0902", ["\u092a\u0941\u0923\u0947", "\u092e\u0947\u0902"]),
        ("\u0e17\u0e35\u0e48 \u2764\ufe0f!", ["\u0e17\u0e35\u0e48", "\u2764\ufe0f", "!"]),
        ("  spaced\tout\n", ["spaced", "out"]),
        ("a\x00b", ["a\x00b"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words_and_their_offsets_in_code_points(text: str, words: list[str]) -> None:
    encoded = encoder().encode(text)
    assert [text[start:end] for start, end in encoded.words] == words
    assert len(encoded.first_tokens) == len(words)


def test_marks_that_the_tokenizer_keeps_belong_to_one_word() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    assert TextEncoder(tokenizer, 48).encode("\u5317\u0301x").words == ((0, 1), (1, 3))


def test_a_word_of_several_pieces_is_one_word() -> None:
    encoded = encoder().encode("kitchens light")
    assert [len(encoded.words), encoded.first_tokens[1] > encoded.first_tokens[0] + 1] == [2, True]


def test_long_texts_are_cut_and_batches_equal_single_texts() -> None:
    texts = ["light " * 10_000, "x" * 100_000, "hi"]
    batch = encoder().encode_batch(texts)
    assert [len(encoded.ids) for encoded in batch] == [48, 3, 3]
    assert batch == [encoder().encode(text) for text in texts]


@given(st.text(alphabet=st.characters(), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_unicode_gives_ordered_words_inside_the_text(text: str) -> None:
    encoded = encoder().encode(text)
    position = 0
    for start, end in encoded.words:
        assert position <= start < end <= len(text)
        position = end
    assert all(0 < token < len(encoded.ids) - 1 for token in encoded.first_tokens)


def test_words_of_sentencepiece_have_no_space() -> None:
    """Its pieces carry the space before a word; entities must not."""
    vocabulary = [("<unk>", 0.0), ("\u2581licht", -1.0), ("\u2581an", -2.0), ("\u2581", -3.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    text = " licht  an "
    encoded = TextEncoder(tokenizer, 16).encode(text)
    assert [text[start:end] for start, end in encoded.words] == ["licht", "an"]
    assert [encoded.ids[token] for token in encoded.first_tokens] == [1, 2]
