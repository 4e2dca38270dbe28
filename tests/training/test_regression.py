from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.fit import fit
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import encode_examples, ordered_batches
from sqz_nlu.training.examples import Example, label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.regression import fit_classes
from sqz_nlu.training.settling import sentences_of


def clusters(examples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors around four directions that are hardly apart, as sentence vectors are."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.ones(4, 16) + 0.3 * torch.randn(4, 16, generator=generator)
    classes = torch.arange(examples) % 4
    return F.normalize(
        centres[classes] + 0.2 * torch.randn(examples, 16, generator=generator), dim=-1
    ), classes


def test_it_finds_what_scikit_learn_finds() -> None:
    features, classes = clusters(200)
    weight, bias = fit_classes(features, classes, 4)
    other = LogisticRegression(C=1 / (2 * 5e-5 * 200), max_iter=2000, tol=1e-8)
    other.fit(features.numpy(), classes.numpy())
    expected = other.predict_proba(features.numpy())
    assert np.abs(F.linear(features, weight, bias).softmax(-1).numpy() - expected).max() < 0.01


@pytest.mark.parametrize("examples", [8, 4000])
def test_certainty_does_not_depend_on_the_number_of_examples(examples: int) -> None:
    features, classes = clusters(examples)
    weight, _ = fit_classes(features, classes, 4)
    assert 10 < float(weight.norm()) < 120


def test_classes_that_are_sums_of_outputs() -> None:
    features, classes = clusters(80)
    members = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    weight, bias = fit_classes(features, classes, 3, lambda logits, _: logits @ members.T)
    assert weight.shape == (3, 16)
    found = (F.linear(features, weight, bias) @ members.T).argmax(-1)
    assert float((found == classes).float().mean()) > 0.6


def test_examples_that_are_too_many_for_memory_are_seen_in_parts(monkeypatch) -> None:
    features, classes = clusters(90)
    members = torch.eye(4) * torch.tensor([1.0, 2.0, 1.0, 1.0])
    addends = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    parts = []

    def outputs(logits: torch.Tensor, rows: slice) -> torch.Tensor:
        parts.append(len(logits))
        return logits @ members + addends[rows]

    weight, bias = fit_classes(features, classes, 4, outputs)
    assert set(parts) == {90}
    monkeypatch.setattr("sqz_nlu.training.regression._MOST_LOGITS", 160)
    in_parts = fit_classes(features, classes, 4, outputs)
    assert set(parts) == {90, 40, 10}
    expected = (F.linear(features, weight, bias) @ members).softmax(-1)
    found = (F.linear(features, *in_parts) @ members).softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.01)


def test_the_intent_head_starts_with_what_the_encoder_knows(tiny_examples, tiny_options) -> None:
    source = find_encoder(tiny_options.model)
    unknown = [Example("turn on"), *tiny_examples]
    labels = label_space(unknown, True, True, True)
    rows = encode_examples(unknown, labels, TextEncoder(load_tokenizer(source), 48))
    network = JointNetwork(load_encoder(source), labels, 0.0, 0.0).eval()
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    network.fit_intents(sentences_of(network, rows, torch.device("cpu")))
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    assert not network.intent_head.weight.grad
    with torch.no_grad():
        right = [
            network(batch.ids, batch.mask).intents.argmax(-1) == batch.intents
            for batch in ordered_batches(rows[1:], 64)
        ]
    assert float(torch.cat(right).float().mean()) > 0.9


def test_one_intent_leaves_nothing_to_start_from(tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1)
    report = fit([Example("hello", "greet"), Example("hi", "greet")], options, tmp_path / "bundle")
    assert report.labels.intents == ("greet",)
