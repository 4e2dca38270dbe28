"""Held-out examples: which they are, and how well the network does on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sqz_nlu.runtime.bilou import best_tagging
from sqz_nlu.runtime.labels import BILOU_PREFIXES, OUTSIDE
from sqz_nlu.training.dataset import IGNORE, Batch, Row, ordered_batches
from sqz_nlu.training.network import JointNetwork, Output

_BATCH = 64
_ALWAYS_KEPT = 2


def stratified_split(
    rows: Sequence[Row], candidates: Sequence[int], size: int, rng: np.random.Generator
) -> list[int]:
    """Draws examples to hold out, from each intent in proportion to its number of candidates.

    Two examples of each intent always stay in training. Parts of an example go to the intents
    with the largest remainders, equal ones by lot.

    Args:
        rows: all examples.
        candidates: indices of those that may be held out.
        size: how many to hold out; fewer where the intents are too small.
        rng: draws them.
    """
    total: dict[int, int] = defaultdict(int)
    for row in rows:
        total[row.intent] += 1
    by_intent: dict[int, list[int]] = defaultdict(list)
    for index in rng.permutation(np.asarray(candidates, np.int64)):
        by_intent[rows[int(index)].intent].append(int(index))
    spare = {
        intent: min(len(found), total[intent] - _ALWAYS_KEPT)
        for intent, found in by_intent.items()
        if total[intent] > _ALWAYS_KEPT
    }
    size = min(size, sum(spare.values()))
    share = {intent: size * len(by_intent[intent]) / max(1, len(candidates)) for intent in spare}
    counts = {intent: min(spare[intent], int(share[intent])) for intent in spare}
    order = list(rng.permutation(np.asarray(sorted(spare), np.int64)))
    while sum(counts.values()) < size:
        open_ones = [int(intent) for intent in order if counts[int(intent)] < spare[int(intent)]]
        counts[max(open_ones, key=lambda intent: share[intent] - counts[intent])] += 1
    return [index for intent, count in counts.items() for index in by_intent[intent][:count]]


class Scores:
    """Intent accuracy, and micro-F1 of the decoded tags other than "outside", gathered batch by batch."""

    def __init__(self) -> None:
        self.intents = [0, 0]  # right, all
        self.tags = [0, 0]  # right, annotated and found together

    def add(self, network: JointNetwork, output: Output, batch: Batch) -> None:
        """Counts a batch."""
        if output.intents.shape[1]:
            known = batch.intents != IGNORE
            right = output.intents.argmax(-1)[known] == batch.intents[known]
            self.intents[0] += int(right.sum())
            self.intents[1] += len(right)
        if network.sizes[0]:
            known = batch.tags != IGNORE
            target = batch.tags[known]
            found = _chosen_tags(output.words.detach()[..., : network.sizes[0]], known, network).to(target)
            self.tags[0] += int(((found == target) & (target > 0)).sum())
            self.tags[1] += int((found > 0).sum() + (target > 0).sum())

    def result(self) -> dict[str, float]:
        """The scores of what there was to find."""
        scores = {}
        if self.intents[1]:
            scores["intent_accuracy"] = self.intents[0] / self.intents[1]
        if self.tags[1]:
            scores["entity_f1"] = 2 * self.tags[0] / self.tags[1]
        return scores


def _chosen_tags(logits: Tensor, words: Tensor, network: JointNetwork) -> Tensor:
    """The classes of a batch's words, text after text."""
    if not network.bilou:
        return logits.argmax(-1)[words]
    classes = []
    for scores, kept in zip(logits.cpu().numpy(), words.cpu().numpy(), strict=True):
        for kind, entity in best_tagging(scores[kept], network.entities):
            block = BILOU_PREFIXES.index(kind) if kind != OUTSIDE else None
            classes.append(0 if block is None else 1 + block * network.entities + entity)
    return torch.tensor(classes, dtype=torch.long)


@dataclass(frozen=True)
class Evaluation:
    """The network on examples it is not being trained on.

    Attributes:
        losses: mean loss of each head.
        scores: intent accuracy and F1 of tags.
        logits: of the intents, ``[examples with an intent, intents]``.
        intents: their classes, ``[examples with an intent]``.
    """

    losses: dict[str, float]
    scores: dict[str, float]
    logits: npt.NDArray[np.float32]
    intents: npt.NDArray[np.int64]

    @property
    def score(self) -> float:
        """The sum of the scores."""
        return sum(self.scores.values())


@torch.no_grad()
def evaluate(network: JointNetwork, rows: Sequence[Row], device: torch.device) -> Evaluation:
    """Runs the network on rows, without dropout.

    Args:
        network: on ``device``.
        rows: at least one.
        device: where to compute.
    """
    network.eval()
    scores, losses = Scores(), MeanLosses()
    logits, intents = [], []
    for batch in ordered_batches(rows, _BATCH):
        on_device = batch.to(device)
        output = network(on_device.ids, on_device.mask, on_device.patterns)
        scores.add(network, output, on_device)
        losses.add(network.losses(output, on_device, 0.0))
        known = on_device.intents != IGNORE
        logits.append(output.intents[known].cpu().numpy())
        intents.append(on_device.intents[known].cpu().numpy())
    return Evaluation(losses.result(), scores.result(), np.concatenate(logits), np.concatenate(intents))


class MeanLosses:
    """The mean over batches of each head's loss."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = defaultdict(float)
        self.batches: dict[str, int] = defaultdict(int)

    def add(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Counts a batch and returns its losses as numbers."""
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, value in values.items():
            self.totals[name] += value
            self.batches[name] += 1
        return values

    def result(self) -> dict[str, float]:
        """The means."""
        return {name: total / self.batches[name] for name, total in self.totals.items()}


@dataclass
class Best:
    """The weights of the best evaluation so far.

    Attributes:
        score: its sum of scores.
        epoch: after which it was made.
        waited: evaluations since then.
        weights: a copy of everything that training changes.
    """

    score: float = float("-inf")
    epoch: int = 0
    waited: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def update(self, network: JointNetwork, score: float, epoch: int) -> None:
        """Takes note of an evaluation."""
        if score <= self.score:
            self.waited += 1
            return
        self.score, self.epoch, self.waited = score, epoch, 0
        self.weights = {
            name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad
        }

    def restore(self, network: JointNetwork) -> None:
        """Puts the weights back."""
        network.load_state_dict(self.weights, strict=False)
