"""Intents made of parts, such as ``greet+order``: parts share their weights, and unseen pairs can win.

Every part has one logit, and an intent's logit is the sum over its parts: the softmax over intents is then
that of independent parts, conditioned on the combinations there are. The sums are linear, so a trained model
holds plain weights for every intent, and nothing that reads it needs to know of parts.

Examples of single intents alone teach that parts exclude each other. So in every epoch some examples are
joined with another one, end to end, where the combination of their intents may be answered. They are far more
frequent than combinations are in use, so training adds the logarithm of that ratio to the logits of
combinations (logit adjustment: Menon et al., 2021, https://arxiv.org/abs/2007.07314), and inference does not.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

JOINED_SHARE = 0.2  # of the examples of an epoch
_MOST_PARTS = 60  # whose pairs, 1,770, still cost nothing beside the encoder


def split_intent(intent: str, symbol: str) -> tuple[str, ...]:
    """The parts of an intent, in order; one that is no combination is its own only part."""
    parts = tuple(intent.split(symbol))
    return parts if all(parts) else (intent,)


def with_combinations(intents: Sequence[str], symbol: str, dialogue: Collection[str]) -> tuple[str, ...]:
    """Seen intents and the combinations of their parts that may be answered as well, sorted.

    Args:
        intents: of the training examples.
        symbol: stands between parts.
        dialogue: intents that stories and rules name. Where there are any, only combinations among these
            are added; otherwise all pairs, named in alphabetical order.
    """
    sets = {frozenset(split_intent(intent, symbol)) for intent in intents}
    parts = sorted(set().union(*sets)) if sets else []
    if dialogue:
        extra = [name for name in dialogue if set(split_intent(name, symbol)) <= set(parts)]
    elif len(parts) <= _MOST_PARTS:
        extra = [symbol.join(pair) for pair in itertools.combinations(parts, 2)]
    else:
        extra = []
        logger.warning(
            "intent_split_symbol: %d parts make too many pairs (at most %d parts are combined); only the "
            "intents of the training data can be answered.",
            len(parts),
            _MOST_PARTS,
        )
    unseen = [
        name
        for name in extra
        if len(made_of := split_intent(name, symbol)) > 1 and frozenset(made_of) not in sets
    ]
    return tuple(sorted({*intents, *unseen}))


@dataclass(frozen=True)
class IntentParts:
    """Which parts each intent has.

    Attributes:
        members: 1 where an intent has a part, ``[intents, parts]``.
        offsets: added to the logits, ``[intents]``: the logarithm of an intent's share in the examples of
            all intents with the same parts; 0 unless both ``a+b`` and ``b+a`` were seen.
        joined: for two intents the one that has the parts of both.
        excess: how much likelier combinations are in training than in the examples, as a logarithm.
    """

    members: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    joined: Mapping[tuple[int, int], int] = field(default_factory=dict)
    excess: float = 0.0

    @property
    def count(self) -> int:
        """The number of parts."""
        return int(self.members.shape[1])

    def module(self) -> PartSum:
        """The sum of parts in torch."""
        members = torch.from_numpy(self.members)
        return PartSum(members, torch.from_numpy(self.offsets), self.excess * (members.sum(1) > 1).float())


def intent_parts(intents: Sequence[str], symbol: str, seen: Iterable[str | None]) -> IntentParts:
    """What intents are made of.

    Args:
        intents: all that can be answered.
        symbol: stands between parts.
        seen: the intent of each training example.
    """
    sets = [frozenset(split_intent(intent, symbol)) for intent in intents]
    parts = sorted(set().union(*sets))
    members = np.array([[float(part in made_of) for part in parts] for made_of in sets], np.float32)
    examples = Counter(seen)
    of_set: Counter[frozenset[str]] = Counter()
    for intent, made_of in zip(intents, sets, strict=True):
        of_set[made_of] += examples[intent]
    offsets = [
        np.log(examples[intent] / of_set[made_of]) if examples[intent] else 0.0
        for intent, made_of in zip(intents, sets, strict=True)
    ]
    of_parts: dict[frozenset[str], int] = {}
    for index in sorted(range(len(intents)), key=lambda index: -examples[intents[index]]):
        of_parts.setdefault(sets[index], index)
    trained = [index for index, intent in enumerate(intents) if examples[intent]]
    joined = {
        (left, right): of_parts[both]
        for left, right in itertools.permutations(trained, 2)
        if (both := sets[left] | sets[right]) in of_parts and both not in (sets[left], sets[right])
    }
    total = max(1, sum(examples.values()) - examples[None])
    shares = np.array([examples[intent] / total for intent in intents])
    made = JOINED_SHARE * sum(shares[left] * shares[right] for left, right in joined)
    given = (shares[members.sum(1) > 1].sum() * total + 1) / total
    excess = float(np.log1p(made / given))
    return IntentParts(members, np.array(offsets, np.float32), joined, excess)


class PartSum(nn.Module):
    """Logits of intents from logits of their parts."""

    members: Tensor
    offsets: Tensor
    excess: Tensor

    def __init__(self, members: Tensor, offsets: Tensor, excess: Tensor) -> None:
        super().__init__()
        self.register_buffer("excess", excess)
        self.register_buffer("members", members)
        self.register_buffer("offsets", offsets)

    def forward(self, parts: Tensor) -> Tensor:
        """Sums ``[batch, parts]`` to ``[batch, intents]``."""
        intents = parts @ self.members.T + self.offsets
        return intents + self.excess if self.training else intents
