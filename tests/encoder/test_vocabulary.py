from __future__ import annotations

import logging
from pathlib import Path

import pytest
from spacy.lang.de.examples import sentences as german
from spacy.lang.en.examples import sentences as english
from spacy.lang.ru.examples import sentences as russian
from spacy.lang.ta.examples import sentences as tamil
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers

from sqz_nlu.encoder.load import load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.encoder.vocabulary import Fit, measure, warning
from sqz_nlu.fit import fit
from sqz_nlu.training.examples import Example
from sqz_nlu.training.options import TrainingOptions


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(find_encoder("embedded"))


def test_words_are_counted_not_numbers_or_marks() -> None:
    fitted = measure(tiny_tokenizer(), ["turn on the 22 lamps!", "\u65e5 light", "\U0001f642 ..."])
    assert fitted == Fit(words=6, whole=4 / 6, unknown=1 / 6)
    assert measure(tiny_tokenizer(), []) == Fit(0, 0.0, 0.0)
    assert measure(tiny_tokenizer(), ["\ud83d light"]).words == 1


def test_unknown_pieces_of_sentencepiece_are_seen() -> None:
    vocabulary = [("<unk>", 0.0), ("\u2581licht", -1.0), ("\u2581", -2.0), ("an", -2.0)]
    pieces = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    assert measure(pieces, ["licht an licht q"]) == Fit(words=4, whole=2 / 4, unknown=1 / 4)


def test_english_is_whole_and_other_languages_are_not(tokenizer: Tokenizer) -> None:
    assert warning(measure(tokenizer, english), "embedded", "en") is None
    for sentences in (german, russian, tamil):
        text = warning(measure(tokenizer, sentences), "embedded", "en")
        assert text is not None
        assert "'embedded', an encoder for English," in text
        assert "docs/languages.md" in text


def test_an_encoder_of_unknown_language_warns_of_unknown_words_only(tokenizer: Tokenizer) -> None:
    assert warning(measure(tokenizer, german), "mine", None) is None
    assert "% not at all" in str(warning(measure(tokenizer, tamil), "mine", None))
    assert warning(Fit(5, 0.0, 1.0), "mine", "en") is None  # too few words to judge by


def test_training_says_so(tiny_encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    examples = [Example(text, str(index % 2), ()) for index, text in enumerate(tamil)]
    options = TrainingOptions.from_dict({"model": str(tiny_encoder), "epochs": 1})
    with caplog.at_level(logging.WARNING):
        fit(examples, options, tmp_path / "bundle")
    assert "do not look like the language of the encoder" in caplog.text
