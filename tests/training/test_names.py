"""Names of intents that are learned from like examples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sqz_nlu.encoder.load import load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.fit import fit
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training import trainer
from sqz_nlu.training.dataset import IGNORE, Row
from sqz_nlu.training.examples import Example, label_space
from sqz_nlu.training.names import in_words, name_rows
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.schedule import make_plan


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


def test_names_change_nothing_of_a_plan_but_its_steps() -> None:
    rows = [Row([2, 3], intent, [], [], []) for intent in range(5) for _ in range(30)]
    plan, named = (
        make_plan(rows, TrainingOptions(), np.random.default_rng(0), names=names) for names in (0, 40)
    )
    assert named == dataclasses.replace(plan, names=40)
    assert named.steps > plan.steps


@pytest.mark.parametrize("asked", [0, 8])
def test_names_are_trained_on_and_never_held_out(
    tiny_examples, tiny_options: TrainingOptions, tmp_path, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    seen: list[list[list[int]]] = []
    asked_of: list[list[list[int]]] = []
    one_pass, evaluate = trainer._Run._pass, trainer.evaluate

    def pass_(run: trainer._Run, rows) -> None:
        seen.append([row.ids for row in rows])
        one_pass(run, rows)

    def evaluated(network, rows, device):
        asked_of.append([row.ids for row in rows])
        return evaluate(network, rows, device)

    monkeypatch.setattr(trainer._Run, "_pass", pass_)
    monkeypatch.setattr(trainer, "evaluate", evaluated)
    options = dataclasses.replace(tiny_options, epochs=4, evaluate_on_number_of_examples=asked)
    examples = [dataclasses.replace(e, intent=f"{e.intent}_{e.intent}_{e.intent}") for e in tiny_examples] * 2
    for use in (True, False):
        seen.clear()
        asked_of.clear()
        chosen = dataclasses.replace(options, use_intent_names=use)
        report = fit(examples, chosen, tmp_path / f"{use}")
        encoder = TextEncoder(load_tokenizer(find_encoder(tiny_options.model)), 48)
        names = [encoder.encode(in_words(intent)).ids for intent in report.labels.intents]
        assert len(seen) >= 4
        assert all((name in rows) is use for rows in seen for name in names)
        assert asked_of
        assert not any(name in rows for rows in asked_of for name in names)
