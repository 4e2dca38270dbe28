import dataclasses

import numpy as np
import pytest
import torch

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.patterns import LookupTable, Patterns
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import Row, encode_examples, ordered_batches
from sqz_nlu.training.evaluation import evaluate
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.patterns import PatternRows
from sqz_nlu.training.settling import fit_heads, sentences_of

CPU = torch.device("cpu")
TABLE = Patterns((LookupTable("thing", ("lamp", "light")),))


def made(tiny_examples, tiny_options, patterns: Patterns | None = None) -> tuple[JointNetwork, list[Row]]:
    """An untrained network, and the rows of the examples."""
    source = find_encoder(tiny_options.model)
    labels = label_space(tiny_examples, True, True, True)
    texts = TextEncoder(load_tokenizer(source), 48)
    found = PatternRows(patterns, texts, labels.entities) if patterns else None
    rows = encode_examples(tiny_examples, labels, texts, found)
    torch.manual_seed(0)
    return JointNetwork(
        load_encoder(source), labels, 0.0, 0.0, patterns=len(TABLE.names) if found else 0
    ), rows


def test_heads_are_fitted_and_the_encoder_stays(tiny_examples, tiny_options) -> None:
    network, rows = made(tiny_examples, tiny_options)
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    start = evaluate(network, rows, CPU)
    fit_heads(network, rows, [], 1.0, CPU, np.random.default_rng(0))
    end = evaluate(network, rows, CPU)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    assert end.scores["intent_accuracy"] > 0.9 > start.scores["intent_accuracy"]
    assert end.losses["entity"] < start.losses["entity"]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_intent_head_goes_its_share_of_the_way(tiny_examples, tiny_options, share: float) -> None:
    network, rows = made(tiny_examples, tiny_options)
    torch.nn.init.normal_(network.intent_head.weight)
    start = network.intent_head.weight.detach().clone()
    fit_heads(network, rows, [], share, CPU, np.random.default_rng(0))
    found = network.intent_head.weight.detach().clone()
    network.fit_intents(sentences_of(network, rows, CPU))
    fitted = network.intent_head.weight.detach()
    torch.testing.assert_close(found, start.lerp(fitted, share), rtol=0.0, atol=2e-3)


def test_what_was_seen_before_counts(tiny_examples, tiny_options) -> None:
    network, rows = made(tiny_examples, tiny_options)
    before = sentences_of(network, rows, CPU)
    wrong = dataclasses.replace(before, intents=(before.intents + 1) % network.intents)
    fit_heads(network, rows, [wrong, wrong, wrong], 1.0, CPU, np.random.default_rng(0))
    assert evaluate(network, rows, CPU).scores["intent_accuracy"] < 0.1


def test_patterns_keep_what_they_say_of_intents(tiny_examples, tiny_options) -> None:
    network, rows = made(tiny_examples, tiny_options, TABLE)
    assert network.patterns is not None
    with torch.no_grad():
        network.patterns.intents.copy_(torch.full_like(network.patterns.intents, 3.0))
        network.patterns.intents[:, 0] = -3.0
    sentences = sentences_of(network, rows, CPU)
    matched = torch.tensor([bool(row.patterns.found) for row in rows])
    assert 0 < int(matched.sum()) < len(rows)
    by_length = torch.tensor(sorted(range(len(rows)), key=lambda row: len(rows[row].ids)))
    assert torch.equal(sentences.patterns, matched[by_length].float()[:, None])
    network.fit_intents(sentences)
    with torch.no_grad():
        right = [
            network(batch.ids, batch.mask, batch.patterns).intents.argmax(-1) == batch.intents
            for batch in ordered_batches(rows, 64)
        ]
    assert float(torch.cat(right).float().mean()) > 0.9  # in spite of what the patterns add


def test_intents_that_combine_stay_as_they_were_trained(tiny_examples, tiny_options) -> None:
    network, rows = made(tiny_examples, tiny_options)
    network.joined_intents = {(0, 1): 2}
    start = {name: value.clone() for name, value in network.intent_head.state_dict().items()}
    words = network.word_head.weight.detach().clone()
    fit_heads(network, rows, [], 1.0, CPU, np.random.default_rng(0))
    assert all(torch.equal(value, start[name]) for name, value in network.intent_head.state_dict().items())
    assert not torch.equal(network.word_head.weight, words)
