"""The end of a training: heads fitted to the encoder as it will ship, while that stays as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sqz_nlu.training.dataset import Batch, Row, collate, noisy_row
from sqz_nlu.training.frozen import MOST_TOKENS
from sqz_nlu.training.joining import join_some
from sqz_nlu.training.network import JointNetwork, Sentences

_BATCH_OF_SENTENCES = 64
_BATCH_OF_WORDS = 32
_WORD_PASSES = 3
_WORD_LEARNING_RATE = 1e-3


def sentences_of(network: JointNetwork, rows: Sequence[Row], device: torch.device) -> Sentences:
    """What the intent head sees of rows, without dropout."""
    network.eval()
    found = []
    for some in _by_length(rows, _BATCH_OF_SENTENCES):
        batch = collate(some).to(device)
        found.append(network.sentences(_states(network, batch), batch))
    return Sentences.together(found)


def fit_heads(
    network: JointNetwork,
    rows: Sequence[Row],
    besides: Sequence[Sentences],
    share: float,
    device: torch.device,
    rng: np.random.Generator,
) -> None:
    """Fits the heads to the encoder, each text as a step of training would have seen it.

    For the intent head that is logistic regression. It sees the texts as the encoder gave them before
    training, too: afterwards it has them by heart, and others not. It stays as it is where intents combine:
    that is learned from examples joined anew in every epoch. Heads on words go on from where they are.

    Args:
        network: its encoder does not change.
        rows: the examples.
        besides: what else the intent head is fitted to: the rows as it saw them before, names of intents.
        share: how much of the way from where it is to what was fitted the intent head goes.
        device: where to compute.
        rng: joins examples, hides patterns and shuffles.
    """
    network.eval()
    seen, words = [], []
    tokens = 0
    rows = [noisy_row(row, rng) for row in join_some(rows, network, rng)]
    by_length = _by_length(rows, _BATCH_OF_WORDS)
    for index in rng.permutation(len(by_length)):
        batch = collate(by_length[index]).to(device)
        states = _states(network, batch)
        seen.append(network.sentences(states, batch))
        tokens += batch.ids.numel()
        if network.word_head.out_features and tokens <= MOST_TOKENS:
            words.append((states.half(), by_length[index]))
    if not network.joined_intents:
        _fit_intents(network, Sentences.together([*besides, *seen]), share)
    _fit_words(network, words, rng)
    network.eval()


@torch.no_grad()
def _states(network: JointNetwork, batch: Batch) -> Tensor:
    states: Tensor = network.encoder(batch.ids, batch.mask)
    return states


def _fit_intents(network: JointNetwork, sentences: Sentences, share: float) -> None:
    head = network.intent_head
    trained = {name: value.clone() for name, value in head.state_dict().items()}
    network.fit_intents(sentences)
    fitted = head.state_dict()
    head.load_state_dict({name: trained[name].lerp(fitted[name], share) for name in trained})


def _fit_words(
    network: JointNetwork, batches: Sequence[tuple[Tensor, Sequence[Row]]], rng: np.random.Generator
) -> None:
    """AdamW on states that stay as they are; the rate falls as a cosine."""
    head = network.word_head
    optimizer = torch.optim.AdamW(head.parameters(), lr=_WORD_LEARNING_RATE)
    steps = _WORD_PASSES * len(batches)
    network.train()
    for step, index in enumerate(i for _ in range(_WORD_PASSES) for i in rng.permutation(len(batches))):
        states, some = batches[index]
        batch = collate(some).to(states.device)
        losses = network.word_losses(network.words(states.float(), batch.patterns), batch)
        if not losses:
            continue
        optimizer.param_groups[0]["lr"] = _WORD_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()


def _by_length(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Some rows at a time that are about equally long, so that little is padding."""
    rows = sorted(rows, key=lambda row: len(row.ids))
    return [rows[first : first + size] for first in range(0, len(rows), size)]
