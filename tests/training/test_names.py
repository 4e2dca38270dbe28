"""Names of intents that are learned from like examples."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.fit import fit
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training import trainer
from sqz_nlu.training.dataset import IGNORE, collate, encode_examples, name_rows
from sqz_nlu.training.examples import Example, label_space
from sqz_nlu.training.names import in_words
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("check_balance", "check balance"),
        ("faq/opening-hours", "faq opening hours"),
        ("AddToPlaylist", "add to playlist"),
        ("playNBAGame", "play nbagame"),
        ("greet+order.pizza", "greet order pizza"),
        ("größe_ändern", "größe ändern"),
        ("__", ""),
    ],
)
def test_a_name_in_words(name: str, words: str) -> None:
    assert in_words(name) == words


@pytest.fixture
def text_encoder(tiny_options: TrainingOptions) -> TextEncoder:
    return TextEncoder(load_tokenizer(find_encoder(tiny_options.model)), 48)


def test_names_that_say_nothing_of_their_own_are_left_out(text_encoder: TextEncoder) -> None:
    examples = [
        Example("hello there", "greet"),
        Example("Say Goodbye", "farewell"),
        Example("see you", "say_goodbye"),  # an example of another intent already
        Example("one", "ask_name"),
        Example("two", "ask-name"),  # the same words twice
        Example("three", "i_1"),
        Example("four", None),
    ]
    labels = label_space(examples, True, True, True)
    rows = name_rows(examples, labels, text_encoder)
    assert [labels.intents[row.intent] for row in rows] == ["farewell", "greet"]
    assert [row.ids for row in rows] == [text_encoder.encode(name).ids for name in ("farewell", "greet")]
    assert all({*row.tags, *row.roles, *row.groups} == {IGNORE} for row in rows)
    assert [len(row.tags) for row in rows] == [len(row.ids) for row in rows]


def test_intents_without_examples_have_no_name(text_encoder: TextEncoder) -> None:
    examples = [Example("hello there", "greet"), Example("see you", "farewell")]
    labels = dataclasses.replace(
        label_space(examples, True, True, True), intents=("farewell", "greet", "order")
    )
    assert len(name_rows(examples, labels, text_encoder)) == 2


@pytest.mark.parametrize("use", [True, False])
def test_the_head_is_fitted_to_names_and_the_encoder_is_not_trained_on_them(
    tiny_examples, tiny_options: TrainingOptions, tmp_path, monkeypatch: pytest.MonkeyPatch, use: bool
) -> None:
    trained_on: list[list[list[int]]] = []
    seen_by_head: list[list[list[int]]] = []
    fitted_to: list[int] = []
    one_pass, sentences_of, fit_intents = trainer._Run._pass, trainer.sentences_of, JointNetwork.fit_intents

    def passed(run: trainer._Run, rows) -> None:
        trained_on.append([row.ids for row in rows])
        one_pass(run, rows)

    def seen(network, rows, device):
        seen_by_head.append([row.ids for row in rows])
        return sentences_of(network, rows, device)

    def fitted(network: JointNetwork, sentences) -> None:
        fitted_to.append(len(sentences.intents))
        fit_intents(network, sentences)

    monkeypatch.setattr(trainer._Run, "_pass", passed)
    monkeypatch.setattr(trainer, "sentences_of", seen)
    monkeypatch.setattr(JointNetwork, "fit_intents", fitted)
    examples = [dataclasses.replace(e, intent="_".join([str(e.intent)] * 3)) for e in tiny_examples] * 2
    options = dataclasses.replace(tiny_options, epochs=4, use_intent_names=use)
    report = fit(examples, options, tmp_path / "bundle")
    encoder = TextEncoder(load_tokenizer(find_encoder(tiny_options.model)), 48)
    names = [encoder.encode(in_words(intent)).ids for intent in report.labels.intents]
    assert len(trained_on) >= options.epochs
    assert not any(name in rows for rows in trained_on for name in names)
    assert (names in seen_by_head) is use
    whole, rehearsed = len(examples), len(trained_on[0])
    assert rehearsed < whole
    # At the start of the rehearsal and of the training, and, to texts before and after it, at their ends.
    named = len(names) * use
    assert fitted_to == [rehearsed + named, 2 * rehearsed + named, whole + named, 2 * whole + named]


def test_a_name_is_understood_though_no_example_says_it(tiny_options: TrainingOptions, tmp_path) -> None:
    """The head starts and ends with the names."""
    examples = [
        Example(text, intent)
        for intent, texts in {
            "good_morning": ("one two", "two three", "three four", "one four"),
            "see_you": ("five six", "six seven", "seven eight", "five eight"),
        }.items()
        for text in texts
    ]
    labels = label_space(examples, True, True, True)
    source = find_encoder("embedded")
    encoder = TextEncoder(load_tokenizer(source), 48)
    network = JointNetwork(load_encoder(source), labels, 0.0, 0.0)
    names = name_rows(examples, labels, encoder)
    rows = encode_examples(examples, labels, encoder)
    texts = encode_examples([Example("morning"), Example("see you later")], labels, encoder)
    options = TrainingOptions(epochs=1, learning_rate=1e-9, head_learning_rate=1e-9, random_seed=1)
    trainer.train(network, rows, options, names=names)
    batch = collate(texts)
    with torch.no_grad():
        intents = network(batch.ids, batch.mask).intents.argmax(1)
    assert [labels.intents[index] for index in intents] == ["good_morning", "see_you"]
