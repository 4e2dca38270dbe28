from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sqz_nlu.training.contrast import TEMPERATURE, contrastive_loss
from sqz_nlu.training.dataset import IGNORE, Row, shuffled_batches


def by_hand(vectors: torch.Tensor, classes: list[int]) -> float:
    """The loss as the paper's equation 2 writes it."""
    losses = []
    for i, own in enumerate(classes):
        others = [j for j in range(len(classes)) if j != i]
        partners = [j for j in others if classes[j] == own]
        if not partners:
            continue
        near = {j: float(vectors[i] @ vectors[j]) / TEMPERATURE for j in others}
        whole = float(np.log(sum(np.exp(value) for value in near.values())))
        losses.append(-sum(near[j] - whole for j in partners) / len(partners))
    return sum(losses) / len(losses)


def test_the_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(3)
    vectors, classes = F.normalize(torch.randn(7, 5), dim=-1), [0, 1, 0, 2, 1, 0, 3]
    loss = contrastive_loss(vectors, torch.tensor(classes), IGNORE)
    assert float(loss) == pytest.approx(by_hand(vectors, classes), rel=1e-5)


def test_vectors_without_a_class_take_no_part() -> None:
    torch.manual_seed(3)
    vectors = F.normalize(torch.randn(6, 5), dim=-1)
    with_some = contrastive_loss(vectors, torch.tensor([0, IGNORE, 0, 1, IGNORE, 1]), IGNORE)
    assert with_some == contrastive_loss(vectors[[0, 2, 3, 5]], torch.tensor([0, 0, 1, 1]), IGNORE)


def test_nothing_is_said_of_a_batch_without_pairs() -> None:
    vectors = F.normalize(torch.randn(3, 5), dim=-1)
    assert contrastive_loss(vectors, torch.tensor([0, 1, IGNORE]), IGNORE) is None
    assert contrastive_loss(vectors[:0], torch.tensor([], dtype=torch.long), IGNORE) is None


def test_following_the_gradient_separates_the_classes() -> None:
    torch.manual_seed(3)
    free, classes = torch.randn(8, 4, requires_grad=True), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    for _ in range(200):
        contrastive_loss(F.normalize(free, dim=-1), classes, IGNORE).backward()
        with torch.no_grad():
            free -= 0.1 * free.grad
            free.grad = None
    likeness = F.normalize(free, dim=-1) @ F.normalize(free, dim=-1).T
    same = classes[:, None] == classes[None]
    likeness = likeness.detach()
    assert float(likeness[same].min()) > float(likeness[~same].max()) + 0.3


def test_batches_have_examples_of_an_intent_in_pairs() -> None:
    rng = np.random.default_rng(3)
    rows = [Row([2] * int(rng.integers(3, 30)), index % 20, [], [], []) for index in range(200)]
    rows += [Row([2] * 5, IGNORE, [], [], []) for _ in range(9)]
    batches = list(shuffled_batches(rows, 16, rng))
    intents = [batch.intents.tolist() for batch in batches]
    assert Counter(intent for batch in intents for intent in batch) == Counter(row.intent for row in rows)
    assert max(map(len, intents)) == 16
    counts = [Counter(intent for intent in batch if intent != IGNORE) for batch in intents]
    alone = sum(count == 1 for batch in counts for count in batch.values())
    assert alone <= 2 * len(batches)  # a pair is parted only where a batch begins or ends
