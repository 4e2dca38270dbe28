"""The corpus of the example bot keeps what its README promises."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from sqz_nlu.encoder.load import load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.examples import Example, Misalignments, align

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Example]]:
    from rasa.shared.nlu.training_data.loading import load_data

    from sqz_nlu.components.messages import to_examples

    return {part: to_examples(load_data(str(DATA / part))) for part in ("train", "test")}


def plain(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))


def test_it_is_large_and_varied_enough(corpus) -> None:
    train, test = corpus["train"], corpus["test"]
    assert len(train) >= 900
    assert len(test) >= 300
    intents = Counter(example.intent for example in train)
    assert len(intents) >= 20
    assert set(intents) == {example.intent for example in test}
    assert min(intents.values()) >= 20
    spans = [span for example in train for span in example.entities]
    assert len({span.entity for span in spans}) >= 10
    assert {span.role for span in spans} == {None, "from", "to"}


def test_nothing_held_out_is_trained_on(corpus) -> None:
    train, test = ({plain(example.text) for example in corpus[part]} for part in ("train", "test"))
    assert not train & test


def test_every_annotation_matches_words(corpus) -> None:
    encoder = TextEncoder(load_tokenizer(find_encoder("embedded")), 256)
    misaligned = Misalignments()
    for example in [*corpus["train"], *corpus["test"]]:
        align(example, encoder.encode(example.text).words, misaligned)
    assert misaligned.messages == {}
