"""The loss of taggings, against all taggings there are."""

from __future__ import annotations

import itertools

import pytest
import torch

from sqz_nlu.runtime.bilou import TaggedSpan, decode_bilou
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.training.dataset import IGNORE
from sqz_nlu.training.tagging import tagging_loss

ENTITIES = 2
TAGS = LabelSpace(entities=("a", "b")).tags


def is_valid(tagging: tuple[str, ...]) -> bool:
    """Whether a tagging keeps to BILOU's grammar."""
    inside = None
    for tag in tagging:
        kind, _, entity = tag.partition("-")
        if (kind in "IL") != (inside is not None) or (kind in "IL" and entity != inside):
            return False
        inside = entity if kind in "BI" else None
    return inside is None


def taggings(words: int) -> list[tuple[int, ...]]:
    """All valid taggings of so many words, as classes."""
    every = itertools.product(range(len(TAGS)), repeat=words)
    return [classes for classes in every if is_valid(tuple(TAGS[index] for index in classes))]


def score(logits: torch.Tensor, classes: tuple[int, ...]) -> torch.Tensor:
    """Of one tagging."""
    return sum((row[index] for row, index in zip(logits, classes, strict=True)), torch.zeros(()))


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_it_is_the_likelihood_among_all_valid_taggings(words: int) -> None:
    torch.manual_seed(words)
    logits = 3 * torch.randn(1, words, len(TAGS), dtype=torch.float64)
    every = taggings(words)
    scores = torch.stack([score(logits[0], classes) for classes in every])
    for classes, expected in zip(every, (scores.logsumexp(0) - scores) / words, strict=True):
        torch.testing.assert_close(tagging_loss(logits, torch.tensor([classes]), ENTITIES), expected)


def test_texts_of_a_batch_keep_to_themselves_and_only_words_count() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 6, len(TAGS), dtype=torch.float64)
    first, second = torch.tensor([0, TAGS.index("B-b"), TAGS.index("L-b")]), torch.tensor([TAGS.index("U-a")])
    tags = torch.full((2, 6), IGNORE)
    tags[0, [1, 2, 4]] = first
    tags[1, 3] = second
    alone = [
        3 * tagging_loss(logits[:1, [1, 2, 4]], first[None], ENTITIES),
        1 * tagging_loss(logits[1:, [3]], second[None], ENTITIES),
    ]
    torch.testing.assert_close(tagging_loss(logits, tags, ENTITIES), (alone[0] + alone[1]) / 4)


def test_learning_it_leads_the_decoder_to_the_annotation() -> None:
    logits = torch.zeros(1, 4, len(TAGS), requires_grad=True)
    tags = torch.tensor([[0, TAGS.index("B-a"), TAGS.index("I-a"), TAGS.index("L-a")]])
    optimizer = torch.optim.SGD([logits], lr=10.0)
    for _ in range(20):
        optimizer.zero_grad()
        loss = tagging_loss(logits, tags, ENTITIES)
        loss.backward()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())
        optimizer.step()
    assert float(loss.detach()) < 0.1
    (span,) = decode_bilou(logits[0].detach().numpy(), ENTITIES)
    assert span == TaggedSpan(1, 3, 0, span.confidence)
