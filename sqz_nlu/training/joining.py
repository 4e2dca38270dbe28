"""Joins examples of single intents to examples of their combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sqz_nlu.training.dataset import Row
from sqz_nlu.training.multi_intents import JOINED_SHARE
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.patterns import TokenMatch


def join_some(rows: Sequence[Row], network: JointNetwork, rng: np.random.Generator) -> Sequence[Row]:
    """The examples of an epoch, a fifth of them with another one appended where their intents combine.

    Args:
        rows: the examples.
        network: says which intents combine, and how long a text may be.
        rng: chooses.
    """
    if not network.joined_intents:
        return rows
    longest = network.encoder.config.max_position_embeddings
    mixed = list(rows)
    for index, row in enumerate(rows):
        if rng.random() >= JOINED_SHARE:
            continue
        other = rows[rng.integers(len(rows))]
        intent = network.joined_intents.get((row.intent, other.intent))
        if intent is not None and len(row.ids) + len(other.ids) - 2 <= longest:
            mixed[index] = join(row, other, intent)
    return mixed


def join(left: Row, right: Row, intent: int) -> Row:
    """Two examples end to end, without the special tokens between them."""
    shift = len(left.ids) - 2

    def moved(matches: Sequence[TokenMatch]) -> tuple[TokenMatch, ...]:
        return tuple(
            replace(m, words=tuple(token + shift for token in m.words), end=m.end + shift) for m in matches
        )

    return replace(
        left,
        ids=left.ids[:-1] + right.ids[1:],
        intent=intent,
        tags=left.tags[:-1] + right.tags[1:],
        roles=left.roles[:-1] + right.roles[1:],
        groups=left.groups[:-1] + right.groups[1:],
        patterns=replace(
            left.patterns,
            found=left.patterns.found + moved(right.patterns.found),
            assumed=left.patterns.assumed + moved(right.patterns.assumed),
        ),
    )
