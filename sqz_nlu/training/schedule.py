"""How long, how fast and on what a training runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from sqz_nlu.training.dataset import IGNORE, Row
from sqz_nlu.training.evaluation import stratified_split
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import (
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    MOST_EPOCHS_WITH_ENTITIES,
    TrainingOptions,
)

_CALIBRATION_SHARE = 0.1
_CALIBRATION_MINIMUM = 50
_LATE_SHARE = 4  # one epoch in four, at the end, sees the examples held out for calibration too
_STEPS_PER_EPOCH = 10
# With half of it the example bot (3,268 examples) finds entities with an F1 two points lower.
_ENOUGH_STEPS = 1600
_FEWEST_STEPS_WITH_ENTITIES = 400  # words' tags need more steps than intents do
_FEW_EXAMPLES = 20  # of an intent
_LEARNING_RATE = 4e-4
# Few texts are soon known by heart, and the encoder drifts; words' tags need more of it than intents do.
_LEARNING_RATE_OF_FEW = 2e-4
_LEARNING_RATE_OF_FEW_WITH_ENTITIES = 3e-4
# What training moves beyond that it has by heart: texts that it has not seen are understood better without.
_WAY = 0.7
_WAY_WITH_ENTITIES = 0.85
_WAY_OF_FEW = 0.5
_WAY_OF_FEW_WITH_ENTITIES = 1.0
_FROZEN = 0.5  # where intents have many examples, and there are no words' tags, which need every layer
_REFIT = 0.5
_REFIT_OF_FEW = 1.0
_REHEARSAL_SHARE = 2  # so many times shorter than the training is its rehearsal
_LOWEST_FACTOR = 0.01


@dataclass(frozen=True)
class Plan:
    """What a training will do.

    Attributes:
        epochs: passes over the examples.
        late_epochs: how many of them, at the end, see the held-out examples too.
        batch_size: examples a step.
        learning_rate: the peak for the encoder's last layer.
        kept: indices of the examples that are trained on from the start.
        held: indices of those held out.
        on_request: whether the user asked for an evaluation: ``held`` is then never trained on.
        rehearsal_epochs: passes over the kept examples of a first, shorter training, from which only the
            calibration is used; then all starts over with all examples. For intents with so few examples
            that the held-out ones would be missed; 0 for others.
        way: how much of the way from where it began to where training took it the encoder goes in the end,
            unless the held-out examples are then understood worse.
        refit: how much of the way from the trained intent head to one fitted to that encoder the head goes;
            0 also leaves the heads on words as they are.
        frozen: which share of the encoder's layers, from the bottom, keeps its values if the user names no
            number of them.
    """

    epochs: int
    late_epochs: int
    batch_size: int
    learning_rate: float
    kept: tuple[int, ...]
    held: tuple[int, ...]
    on_request: bool
    rehearsal_epochs: int = 0
    way: float = 1.0
    refit: float = 0.0
    frozen: float = 0.0

    @property
    def steps(self) -> int:
        """Optimiser steps of the passes over the kept examples, and of the late ones."""
        early = math.ceil(len(self.kept) / self.batch_size)
        late = math.ceil((len(self.kept) + len(self.held)) / self.batch_size)
        return (self.epochs - self.late_epochs) * early + self.late_epochs * late

    def rehearsal(self) -> Plan:
        """The first, shorter training."""
        return replace(self, epochs=self.rehearsal_epochs, rehearsal_epochs=0)

    def performance(self) -> Plan:
        """The training after a rehearsal: on all examples."""
        kept = tuple(sorted((*self.kept, *self.held)))
        return replace(self, rehearsal_epochs=0, kept=kept, held=())


def make_plan(
    rows: Sequence[Row],
    options: TrainingOptions,
    rng: np.random.Generator,
    seen: Sequence[bool] = (),
    joined: bool = False,
) -> Plan:
    """Decides epochs, batch size, learning rate and what is held out.

    Small data sets get smaller batches, so that an epoch has enough steps, and large ones fewer epochs if the
    user names no number, small ones with entities more of them; intents with few examples a lower learning
    rate. Unless the user holds examples out, a tenth of them stays out for the first three quarters of the
    epochs and joins then; where intents have few examples it stays out of a rehearsal only. Without four
    epochs or 50 examples none does. Where something is held out the encoder goes part of the way back in the
    end, a smaller one with entities, and heads are fitted to it; with entities and few examples, or where an
    earlier training is continued, it stays where it is; so it does where intents combine, and then all of its
    layers train: that a text says one thing and then another is nothing that it knew before.

    Args:
        rows: the examples.
        options: training options.
        rng: draws the held-out examples.
        seen: for each example, whether an earlier training that is continued was trained on it. Such
            examples are never held out: a model is sure of what it has learned. Empty: none was.
        joined: whether intents combine, so that the intent head is never fitted anew.
    """
    asked = options.evaluate_on_number_of_examples
    batch_size = max(1, min(options.batch_size, 2 * math.ceil(len(rows) / (2 * _STEPS_PER_EPOCH))))
    entities = any(tag > 0 for row in rows for tag in row.tags)
    epochs = options.epochs or _chosen_epochs(math.ceil(len(rows) / batch_size), entities)
    late = 0 if asked else epochs // _LATE_SHARE
    fresh = [index for index in range(len(rows)) if not (seen and seen[index])]
    size = min(asked, len(rows) // 2)
    if not asked and late and len(fresh) >= _CALIBRATION_MINIMUM:
        size = round(len(fresh) * _CALIBRATION_SHARE)
    held = stratified_split(rows, fresh, size, rng) if size else []
    kept = sorted(set(range(len(rows))) - set(held))
    few = len(rows) <= _FEW_EXAMPLES * _intents(rows)
    rehearsed = few and bool(held) and not asked
    return Plan(
        epochs=epochs,
        late_epochs=late if held and not rehearsed else 0,
        batch_size=batch_size,
        learning_rate=_chosen_rate(few, entities) if options.learning_rate is None else options.learning_rate,
        kept=tuple(kept),
        held=tuple(sorted(held)),
        on_request=asked > 0,
        rehearsal_epochs=max(1, epochs // _REHEARSAL_SHARE) if rehearsed else 0,
        way=_chosen_way(few, entities) if held and not any(seen) and not joined else 1.0,
        refit=_chosen_refit(few) if held and (rehearsed or not any(seen)) else 0.0,
        frozen=_FROZEN if options.freeze_embeddings and not (few or entities or joined) else 0.0,
    )


def _chosen_epochs(steps: int, entities: bool) -> int:
    """Passes of so many steps each."""
    epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, math.ceil(_ENOUGH_STEPS / steps)))
    if not entities:
        return epochs
    return max(epochs, min(MOST_EPOCHS_WITH_ENTITIES, math.ceil(_FEWEST_STEPS_WITH_ENTITIES / steps)))


def _chosen_rate(few: bool, entities: bool) -> float:
    if not few:
        return _LEARNING_RATE
    return _LEARNING_RATE_OF_FEW_WITH_ENTITIES if entities else _LEARNING_RATE_OF_FEW


def _chosen_way(few: bool, entities: bool) -> float:
    if not few:
        return _WAY_WITH_ENTITIES if entities else _WAY
    return _WAY_OF_FEW_WITH_ENTITIES if entities else _WAY_OF_FEW


def _chosen_refit(few: bool) -> float:
    return _REFIT_OF_FEW if few else _REFIT


def _intents(rows: Sequence[Row]) -> int:
    return len({row.intent for row in rows if row.intent != IGNORE})


class Schedule:
    """Learning rates that rise over the warm-up and then fall to about zero as a cosine.

    Args:
        optimizer: its groups' rates are the peaks.
        steps: optimiser steps of the whole training.
        warmup: share of the steps over which the rates rise.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> None:
        self.optimizer, self.steps, self.step = optimizer, steps, 0
        self.warm = max(1, round(steps * warmup))
        self.peaks = [group["lr"] for group in optimizer.param_groups]

    def advance(self) -> None:
        """Sets the rates of the next step."""
        if self.step < self.warm:
            factor = (self.step + 1) / self.warm
        else:
            done = min(1.0, (self.step - self.warm) / max(1, self.steps - self.warm))
            factor = 0.5 * (1.0 + math.cos(math.pi * done))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * max(factor, _LOWEST_FACTOR)
        self.step += 1

    def rates(self) -> dict[str, float]:
        """The present rate of each group, by the group's name."""
        return {group["name"]: group["lr"] for group in self.optimizer.param_groups}


def frozen_layers(network: JointNetwork, options: TrainingOptions, plan: Plan) -> int:
    """How many layers of the encoder, from the bottom, keep their values."""
    layers = len(network.encoder.encoder.layers)
    return int(layers * plan.frozen) if options.frozen_layers is None else min(layers, options.frozen_layers)


def new_optimizer(
    network: JointNetwork, options: TrainingOptions, learning_rate: float, frozen_layers: int = 0
) -> torch.optim.AdamW:
    """AdamW over the heads, then the encoder's layers from the last down; what is frozen stays out of it."""
    encoder, decay = network.encoder, options.layer_learning_rate_decay
    layers = list(encoder.encoder.layers)
    frozen = {id(parameter) for parameter in encoder.parameters()}
    heads = [parameter for parameter in network.parameters() if id(parameter) not in frozen]
    groups = [{"params": heads, "lr": options.head_learning_rate, "name": "heads"}]
    rate = learning_rate
    for index in range(len(layers) - 1, -1, -1):
        trained = index >= frozen_layers
        layers[index].requires_grad_(trained)
        if trained:
            groups.append({"params": list(layers[index].parameters()), "lr": rate, "name": f"layer_{index}"})
        rate *= decay
    encoder.embeddings.requires_grad_(not options.freeze_embeddings)
    if not options.freeze_embeddings:
        groups.append({"params": list(encoder.embeddings.parameters()), "lr": rate, "name": "embeddings"})
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, fused=True)
