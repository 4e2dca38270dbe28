from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import utterances
from tiny import annotated, tiny_tokenizer

from sqz_nlu import Interpreter
from sqz_nlu.fit import fit
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import IGNORE, encode_examples
from sqz_nlu.training.examples import Example, label_space
from sqz_nlu.training.joining import join
from sqz_nlu.training.multi_intents import intent_parts, split_intent, with_combinations
from sqz_nlu.training.options import TrainingOptions

TEXTS = {
    "greet": ["hello", "hi", "hi hello", "hello hi"],
    "light": ["turn on the light", "turn off the lights", "lights on", "light off"],
    "music": ["music on", "music off", "turn the music on", "turn the music off"],
    "fly": ["fly to paris", "fly from london", "fly to london", "fly from paris to london"],
}


@pytest.mark.parametrize(
    ("intent", "parts"),
    [("a+b", ("a", "b")), ("a", ("a",)), ("a++b", ("a++b",)), ("+", ("+",)), ("a+b+c", ("a", "b", "c"))],
)
def test_parts_of_an_intent(intent: str, parts: tuple[str, ...]) -> None:
    assert split_intent(intent, "+") == parts


def test_all_pairs_are_candidates_but_those_seen_in_another_order() -> None:
    assert with_combinations(["a", "b", "c+a"], "+", ()) == ("a", "a+b", "b", "b+c", "c+a")


def test_the_dialogue_decides_what_combinations_there_are() -> None:
    known = {"a", "b+a", "a+stranger", "c+b+a"}
    assert with_combinations(["a", "b", "c"], "+", known) == ("a", "b", "b+a", "c", "c+b+a")


def test_too_many_parts_are_not_combined(caplog) -> None:
    intents = [f"i{n}" for n in range(61)]
    with caplog.at_level(logging.WARNING):
        assert with_combinations(intents, "+", ()) == tuple(sorted(intents))
    assert "61 parts" in caplog.text
    assert len(with_combinations(intents[:60], "+", ())) == 60 + 60 * 59 // 2


def test_members_offsets_and_joins() -> None:
    intents = ("a", "a+b", "b", "b+a", "b+c", "c")
    parts = intent_parts(intents, "+", ["a", "b", "c", "b+a", "b+a", "b+a", "a+b"])
    assert parts.members.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert np.exp(parts.offsets) == pytest.approx([1, 0.25, 1, 0.75, 1, 1])
    assert parts.joined == {(0, 2): 3, (2, 0): 3, (2, 5): 4, (5, 2): 4}


def test_training_alone_counts_combinations_as_likelier() -> None:
    parts = intent_parts(("a", "a+b", "b"), "+", ["a"] * 50 + ["b"] * 49 + ["a+b"])
    assert parts.excess == pytest.approx(np.log1p(0.2 * 2 * 0.5 * 0.49 / 0.02))
    total, logits = parts.module(), torch.zeros(1, 2)
    assert total.train()(logits)[0].tolist() == pytest.approx([0, parts.excess, 0])
    assert total.eval()(logits)[0].tolist() == [0, 0, 0]


def test_joined_examples_keep_their_words_tags_and_intent() -> None:
    examples = [annotated("<kitchen|room> on", "a"), annotated("turn <light|device> off", "b")]
    rows = encode_examples(
        examples, label_space(examples, True, True, True), TextEncoder(tiny_tokenizer(), 20)
    )
    both = join(rows[0], rows[1], 7)
    whole = tiny_tokenizer().encode("kitchen on turn light off")
    assert both.ids == whole.ids
    assert both.intent == 7
    assert both.tags == rows[0].tags[:-1] + rows[1].tags[1:]
    assert len(both.ids) == len(both.tags) == len(both.roles) == len(both.groups)
    assert [tag == IGNORE for tag in both.tags] == [True, *[False] * 5, True]


@pytest.fixture(scope="module")
def combined(tiny_options, tmp_path_factory):
    """Trained on singles and all pairs but light and fly."""
    examples = [annotated(text, intent) for intent, texts in TEXTS.items() for text in texts]
    for left, right in itertools.combinations(TEXTS, 2):
        if {left, right} != {"light", "fly"}:
            pairs = zip(TEXTS[left], TEXTS[right], strict=True)
            examples += [annotated(f"{a} {b}", f"{left}+{right}") for a, b in pairs]
    options = dataclasses.replace(tiny_options, intent_split_symbol="+", epochs=20, quantization="int8")
    return examples, fit(examples, options, tmp_path_factory.mktemp("multi") / "bundle")


def test_a_combination_that_was_never_seen_can_win(combined) -> None:
    examples, report = combined
    assert "fly+light" in report.labels.intents
    assert not any(example.intent in ("fly+light", "light+fly") for example in examples)
    interpreter = Interpreter.load(report.bundle)
    texts = [f"{a} {b}" for a, b in zip(TEXTS["light"], TEXTS["fly"], strict=True)]
    answers = [interpreter.parse(text).intent.name for text in texts]
    assert answers.count("fly+light") >= 3, answers


def test_single_intents_and_seen_combinations_stay_what_they_are(combined) -> None:
    examples, report = combined
    results = [Interpreter.load(report.bundle).parse(example.text) for example in examples]
    right = [r.intent.name == e.intent for r, e in zip(results, examples, strict=True)]
    assert np.mean(right) >= 0.9
    for result in results:
        confidences = [intent.confidence for intent in result.intent_ranking]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) <= 1.0 + 1e-6


def test_without_the_option_a_combination_is_an_intent_of_its_own(tiny_options, tmp_path: Path) -> None:
    examples = [annotated("hi", "greet"), annotated("hi fly", "greet+fly"), annotated("fly", "fly")]
    report = fit(examples, dataclasses.replace(tiny_options, epochs=1), tmp_path / "bundle")
    assert report.labels.intents == ("fly", "greet", "greet+fly")


def test_stories_restrict_what_is_answered(tiny_options, tmp_path: Path) -> None:
    examples = [annotated(texts[0], intent) for intent, texts in TEXTS.items()]
    options = dataclasses.replace(tiny_options, epochs=1, intent_split_symbol="+")
    stories = {"greet", "greet+fly", "greet+unknown"}
    report = fit(examples, options, tmp_path / "bundle", dialogue_intents=stories)
    assert report.labels.intents == ("fly", "greet", "greet+fly", "light", "music")


@pytest.mark.slow
def test_the_embedded_encoder_learns_that_a_text_says_two_things(tmp_path: Path) -> None:
    """A few combinations have one example each; texts that join others are asked for."""

    def examples(part: str, most: int) -> dict[str, list[str]]:
        by_intent = defaultdict(list)
        for example in utterances(part):
            by_intent[str(example.intent)].append(example.text)
        return {intent: by_intent[intent][:most] for intent in sorted(by_intent)}

    def joined(texts: dict[str, list[str]], pairs: Iterable[tuple[str, str]]) -> list[Example]:
        return [
            Example(f"{a} and {b}", f"{left}+{right}")
            for left, right in pairs
            for a, b in zip(texts[left], reversed(texts[right]), strict=False)
        ]

    learned, asked = examples("train", 40), examples("test", 2)
    pairs = list(itertools.combinations(learned, 2))
    seen, unseen = pairs[::15], [pair for index, pair in enumerate(pairs) if index % 15]
    train = [Example(text, intent) for intent, texts in learned.items() for text in texts]
    train += joined({intent: texts[:1] for intent, texts in learned.items()}, seen)
    options = TrainingOptions(intent_split_symbol="+", random_seed=1, device="cpu")
    interpreter = Interpreter.load(fit(train, options, tmp_path / "bundle").bundle)

    def right(several: Iterable[Example]) -> float:
        return float(np.mean([interpreter.parse(e.text).intent.name == e.intent for e in several]))

    assert right(joined(asked, unseen)) >= 0.3
    assert right(Example(text, intent) for intent, texts in asked.items() for text in texts) >= 0.8
