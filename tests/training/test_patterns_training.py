from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from tiny import annotated, tiny_tokenizer

from sqz_nlu import Interpreter
from sqz_nlu.encoder.load import load_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import CheckpointError, PatternError
from sqz_nlu.fit import fit
from sqz_nlu.runtime.patterns import PLACES, LookupTable, Match, Patterns, RegexFeature
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.checkpoint import Checkpoint, classes_of
from sqz_nlu.training.dataset import encode_examples, ordered_batches, shuffled_batches
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.joining import join
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.patterns import PatternRows, noisy, stored_patterns

CITIES = ("Paris", "London", "Oslo", "Rome", "Bonn")
SYLLABLES = ("ka", "lo", "mi", "ru", "te", "va", "zo", "pe", "ni", "ga")


def made_up_names(count: int) -> list[str]:
    rng = np.random.default_rng(5)
    names: dict[str, None] = {}
    while len(names) < count:
        words = ["".join(rng.choice(SYLLABLES, 2)) for _ in range(rng.integers(1, 4))]
        names[" ".join(words).title()] = None
    return list(names)


def city_examples():
    frames = [
        ("fly from <{0}|city> to <{1}|city>", "trip"),
        ("fly to <{0}|city>", "trip"),
        ("move to <{0}|city>", "trip"),
        ("<{0}|city>", "trip"),
        ("in <{0}|city>", "trip"),
    ]
    pairs = zip(CITIES, CITIES[1:] + CITIES[:1], strict=True)
    marked = [(text.format(*pair), intent) for pair in pairs for text, intent in frames]
    others = ["hello", "hi", "turn on the light", "turn off the light", "move the light", "bye", "fly on"]
    others += ["fly to the light", "fly to bed", "move to work", "fly to school", "in the house", "in time"]
    return [annotated(text, intent) for text, intent in [*marked, *((text, "other") for text in others)]]


@pytest.fixture(scope="module")
def names() -> list[str]:
    return made_up_names(200)


@pytest.mark.parametrize("listed", [(), CITIES], ids=["table without the trained cities", "table with them"])
def test_listed_cities_are_found_though_no_example_has_them(listed, names, tiny_options, tmp_path) -> None:
    options = dataclasses.replace(tiny_options, epochs=16, quantization="int8")
    patterns = Patterns((LookupTable("city", (*names, *listed)),))
    fit(city_examples(), options, tmp_path / "with", patterns=patterns)
    recalls, understood = {}, {}
    if not listed:
        fit(city_examples(), options, tmp_path / "without")
    for folder in tmp_path.iterdir():
        interpreter = Interpreter.load(folder)
        assert interpreter.manifest["precision"] == "int8"
        texts = [(f"fly to {name.lower()}", name.lower()) for name in names[:60]]
        found = [{e.value for e in interpreter.parse(text).entities} for text, _ in texts]
        recalls[folder.name] = np.mean([value in f for (_, value), f in zip(texts, found, strict=True)])
        understood[folder.name] = np.mean([interpreter.parse(n).intent.name == "trip" for n in names[:60]])
        assert not interpreter.parse("turn on the light").entities
    assert recalls["with"] >= 0.9, recalls
    assert understood["with"] >= 0.6, understood
    if not listed:
        assert recalls["without"] <= 0.5, recalls
        assert understood["without"] <= 0.3, understood


def test_the_graph_is_the_same_size_and_the_runtime_uses_the_patterns(tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1)
    patterns = Patterns((LookupTable("room", ("Cellar",)),), (RegexFeature("code", r"\d+"),))
    examples = [annotated("<kitchen|room> on", "on"), annotated("hello", "greet")]
    with_patterns = Interpreter.load(fit(examples, options, tmp_path / "a", patterns=patterns).bundle)
    without = Interpreter.load(fit(examples, options, tmp_path / "b").bundle)
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in "ab"]
    assert sizes[0] == sizes[1]
    assert without.config.patterns is None
    stored = with_patterns.config.patterns
    assert stored.patterns.names == ("room", "code")
    assert stored.tags.shape == (PLACES * 2, 5)
    assert stored.intents.shape == (2, 2)
    assert stored.patterns.tables[0].entries == ("cellar",)


def rows_of(examples, patterns: Patterns, **options):
    encoder = TextEncoder(tiny_tokenizer(), 32)
    stored = stored_patterns(patterns, TrainingOptions.from_dict(options), encoder)
    labels = label_space(examples, True, True, True)
    return encode_examples(examples, labels, encoder, PatternRows(stored, encoder, labels.entities))


def test_an_annotated_entity_counts_as_listed_by_the_table_of_its_name_in_training_only() -> None:
    (row,) = rows_of([annotated("to <paris|city>", "a")], Patterns((LookupTable("city", ("london",)),)))
    assert row.patterns.found == ()
    assert [m.match for m in row.patterns.assumed] == [Match(0, 1, 1)]
    (batch,) = ordered_batches([row], 1)
    assert not batch.patterns.any()
    (row,) = rows_of([annotated("to <paris|city>", "a")], Patterns((LookupTable("town", ("london",)),)))
    assert row.patterns.assumed == ()
    (row,) = rows_of([annotated("to <paris|city>", "a")], Patterns((LookupTable("city", ("paris",)),)))
    assert [m.match for m in row.patterns.found] == [Match(0, 1, 1)]
    assert row.patterns.assumed == ()


def test_features_stand_at_the_first_token_of_their_words() -> None:
    (row,) = rows_of([annotated("to oslo x", "a")], Patterns((LookupTable("c", ("oslo x",)),)))
    (batch,) = ordered_batches([row], 1)
    assert batch.patterns.shape == (1, len(row.ids), PLACES)
    # [CLS] to o ##s ##l ##o x [SEP]
    assert batch.patterns[0].nonzero().tolist() == [[2, 0], [6, 2]]


def test_noise_hides_matches_or_swaps_their_words() -> None:
    (row,) = rows_of([annotated("to oslo on", "a")], Patterns((LookupTable("c", ("oslo", "rome")),)))
    rng = np.random.default_rng(0)
    seen = [noisy(row.ids, row.patterns, rng) for _ in range(400)]
    hidden = [ids for ids, patterns in seen if not patterns.found]
    shown = [ids for ids, patterns in seen if patterns.found]
    assert 100 < len(hidden) < 220
    assert all(ids == row.ids for ids in hidden)
    swapped = [ids for ids in shown if ids != row.ids]
    assert 0.35 < len(swapped) / len(shown) < 0.65
    listed = {token for text in ("oslo", "rome") for token in tiny_tokenizer().encode(text).ids[1:-1]}
    for ids in swapped:
        assert ids[:2] + ids[6:] == row.ids[:2] + row.ids[6:]
        assert set(ids[2:6]) <= listed


def test_words_of_a_table_named_like_an_entity_are_swapped_only_where_it_is_right() -> None:
    example = annotated("rome to <oslo|city>", "a")  # [CLS] r ##o ##m ##e to o ##s ##l ##o [SEP]
    rome, oslo = {1, 2, 3, 4}, {6, 7, 8, 9}
    rng = np.random.default_rng(0)
    for name, expected in (("city", oslo), ("place", rome | oslo)):
        (row,) = rows_of([example], Patterns((LookupTable(name, ("oslo", "rome")),)))
        seen = [noisy(row.ids, row.patterns, rng) for _ in range(400)]
        changed = {place for ids, _ in seen for place in range(len(ids)) if ids[place] != row.ids[place]}
        assert changed == expected
        assert all(patterns.swapped for ids, patterns in seen if ids != row.ids)
        assert not any(patterns.swapped for _, patterns in seen if not patterns.found)


def test_joined_examples_keep_where_their_patterns_match_and_what_may_be_swapped() -> None:
    examples = [annotated("oslo", "a"), annotated("to <oslo|city>", "b")]
    left, right = rows_of(examples, Patterns((LookupTable("city", ("oslo",)),)))
    matches = join(left, right, 0).patterns.found
    assert [match.words for match in matches] == [(1,), (6,)]
    assert [match.end for match in matches] == [5, 10]
    assert [match.swappable for match in matches] == [False, True]


def test_texts_with_swapped_words_teach_of_intents_only_what_patterns_say(tiny_options) -> None:
    examples = [annotated("to oslo", "a"), annotated("rome", "b"), annotated("in rome", "b")]
    rows = rows_of(examples, Patterns((LookupTable("c", ("oslo", "rome")),)))
    labels = label_space(examples, True, True, True)
    network = JointNetwork(load_encoder(find_encoder(tiny_options.model)), labels, 0.0, 0.0, patterns=1)

    def learned(swapped: bool) -> set[str]:
        network.zero_grad()
        noise = [
            dataclasses.replace(row, patterns=dataclasses.replace(row.patterns, swapped=swapped))
            for row in rows
        ]
        (batch,) = ordered_batches(noise, 3)
        states = network.encoder(batch.ids, batch.mask)
        output = network.heads(states, batch.mask, batch.patterns, batch.swapped)
        losses = network.losses(output, batch, 0.0, contrast=0.1)
        sum(losses.values()).backward()
        assert len(network.sentences(states, batch).intents) == (0 if swapped else 3)
        return {
            name.split(".")[0]
            for name, parameter in network.named_parameters()
            if parameter.grad is not None and parameter.grad.any()
        }

    assert learned(swapped=True) == {"patterns"}
    assert learned(swapped=False) == {"patterns", "intent_head", "encoder"}


def test_without_patterns_nothing_random_happens() -> None:
    examples = [annotated("to oslo", "a"), annotated("hi", "b")]
    plain = encode_examples(
        examples, label_space(examples, True, True, True), TextEncoder(tiny_tokenizer(), 9)
    )
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    (batch,) = shuffled_batches(plain, 2, rng)
    other.permutation(2), other.permutation(1)
    assert rng.random() == other.random()
    assert batch.patterns.shape[-1] == 0


@pytest.mark.parametrize("pattern", ["[0-9", "a(?i)b"], ids=["nowhere valid", "valid in old Pythons only"])
def test_an_invalid_expression_is_named(pattern: str, tiny_options, tmp_path: Path) -> None:
    patterns = Patterns(regexes=(RegexFeature("zip", pattern),))
    with pytest.raises(PatternError, match=f"'{re.escape(pattern)}' of the regex feature 'zip' is not valid"):
        fit([annotated("hi", "a"), annotated("bye", "b")], tiny_options, tmp_path / "b", patterns=patterns)
    assert list(tmp_path.iterdir()) == []


def test_fine_tuning_keeps_the_weights_and_takes_new_entries(tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=2)
    examples, saved = city_examples(), tmp_path / "weights"
    before = Patterns((LookupTable("city", ("oslo",)),))
    fit(examples, options, tmp_path / "a", patterns=before, checkpoint=saved)
    slow = dataclasses.replace(options, epochs=1, head_learning_rate=0.0, weight_decay=0.0)
    after = Patterns((LookupTable("city", ("oslo", "rome")),))
    fit(examples, slow, tmp_path / "b", patterns=after, continue_from=saved)
    first, second = (Interpreter.load(tmp_path / name).config.patterns for name in "ab")
    assert first.tags.any()
    np.testing.assert_allclose(first.tags, second.tags, atol=0.01)
    assert second.patterns.tables[0].entries == ("oslo", "rome")
    other = Patterns((LookupTable("room", ("cellar",)),))
    with pytest.raises(CheckpointError, match=r"lookup tables and regex features .*new: room"):
        fit(examples, slow, tmp_path / "c", patterns=other, continue_from=saved)


def test_where_a_file_has_a_pattern_makes_no_difference() -> None:
    tables = (LookupTable("b", ("x",)), LookupTable("a", ("y",)))
    regexes = (RegexFeature("zip", r"\d{5}"), RegexFeature("code", "[A-Z]+"))
    encoder = TextEncoder(tiny_tokenizer(), 48)
    stored, turned = (
        stored_patterns(Patterns(*patterns), TrainingOptions(), encoder)
        for patterns in ((tables, regexes), (tables[::-1], regexes[::-1]))
    )
    assert stored == turned
    assert stored.names == ("a", "b", "code", "zip")


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (["zip", "zip"], ["zip"], "new: none; missing: zip"),
        (["a"], ["a", "b"], "new: b; missing: none"),
        (["b", "a"], ["a", "b"], "another order"),
    ],
)
def test_other_patterns_are_refused_by_their_names(before: list[str], now: list[str], message: str) -> None:
    labels = label_space(city_examples(), True, True, True)
    checkpoint = Checkpoint("e", classes_of(labels, before), 1.0, {}, frozenset())
    checkpoint.check(labels, "e", before)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.check(labels, "e", now)
