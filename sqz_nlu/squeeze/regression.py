"""Fits a grouped student's projections to its teacher's by least squares, in the order of computation.

Each projection gets the weights that come closest to what the teacher has in its place, given what the
student computes up to there; they are shrunk towards the teacher's own blocks. What one projection misses,
the next ones make up for where they can: a projection into the residual stream aims at the teacher's stream,
not at the teacher's summand. With one group nothing is missed, and the teacher's weights stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sqz_nlu.encoder.model import GroupedLinear, Layer, ProjectAndNormalise, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing
from sqz_nlu.squeeze.ordering import Batch
from sqz_nlu.squeeze.spreading import spread

States = list[Tensor]
Solve = Callable[[GroupedLinear, States, States], None]

_RIDGE = 1e-3


class _Regression:
    """Collects the moments of one grouped projection and solves it."""

    def __init__(self, projection: GroupedLinear) -> None:
        self.projection = projection
        self.width = projection.weight.shape[1]
        outputs = projection.weight.shape[0] // projection.groups
        groups, weight = projection.groups, projection.weight
        self.moments = [
            weight.new_zeros(self.width + 1, self.width + 1, dtype=torch.float64) for _ in range(groups)
        ]
        self.errors = [weight.new_zeros(self.width + 1, outputs, dtype=torch.float64) for _ in range(groups)]

    def add(self, x: Tensor, target: Tensor) -> None:
        """Takes inputs ``[tokens, in]`` and what should come out, ``[tokens, out]``."""
        missing = (target - self.projection(x)).chunk(self.projection.groups, dim=-1)
        for group, part in enumerate(x.chunk(self.projection.groups, dim=-1)):
            extended = torch.cat([part, part.new_ones(len(part), 1)], dim=-1)
            self.moments[group] += (extended.T @ extended).double()
            self.errors[group] += (extended.T @ missing[group]).double()

    def solve(self) -> None:
        """Moves weights and bias to the ridge solution around where they are."""
        weights, biases = [], []
        for moment, error in zip(self.moments, self.errors, strict=True):
            ridge = _RIDGE * moment.diagonal()[:-1].mean()
            penalty = torch.cat([ridge.expand(self.width), ridge.new_zeros(1) + 1e-9])
            change = torch.linalg.solve(moment + torch.diag(penalty), error)
            weights.append(change[:-1].T)
            biases.append(change[-1])
        projection = self.projection
        projection.weight.add_(torch.cat(weights).unsqueeze(-1).to(projection.weight))
        projection.bias.add_(torch.cat(biases).to(projection.bias))


def fit_layers(
    teacher: SqueezeBertEncoder,
    student: SqueezeBertEncoder,
    kept: Sequence[int],
    batches: Sequence[Batch],
    spread_peaks: bool = False,
) -> None:
    """Solves the student's projections one after the other; see the module's text.

    Args:
        teacher: all groups 1, numbered as the student (`reorder`).
        student: holds the teacher's blocks.
        kept: the teacher's layers that the student's follow.
        batches: token ids and attention masks, ``[batch, tokens]`` each; some 40,000 tokens are enough.
        spread_peaks: divide massive activations among several units, see `spreading`.
    """
    with torch.no_grad():
        packings = [Packing(mask, multiple=1) for _, mask in batches]  # rows of zeros would count, too
        ours, theirs = (
            [p.pack(encoder.embeddings(ids)) for p, (ids, _) in zip(packings, batches, strict=True)]
            for encoder in (student, teacher)
        )
        position = 0
        for place, index in enumerate(kept):
            for layer in teacher.encoder.layers[position:index]:
                theirs = [layer(x, packing) for x, packing in zip(theirs, packings, strict=True)]
            position = index + 1
            pair = _LayerPair(
                cast(Layer, teacher.encoder.layers[index]),
                cast(Layer, student.encoder.layers[place]),
                spread_peaks,
            )
            ours, theirs = pair.fit(ours, theirs, packings)


@dataclass(frozen=True)
class _LayerPair:
    teacher: Layer
    student: Layer
    spread_peaks: bool

    def fit(self, ours: States, theirs: States, packings: Sequence[Packing]) -> tuple[States, States]:
        """Fits the layer's projections and returns both sides' states after it."""
        teacher, student = self.teacher, self.student

        def solve(projection: GroupedLinear, inputs: States, targets: States) -> None:
            regression = _Regression(projection)
            for x, target in zip(inputs, targets, strict=True):
                regression.add(x, target)
            regression.solve()

        for kind in ("query", "key", "value"):
            solve(
                getattr(student.attention, kind), ours, [getattr(teacher.attention, kind)(x) for x in theirs]
            )
        our_context = [student.attention(x, packing) for x, packing in zip(ours, packings, strict=True)]
        their_context = [teacher.attention(x, packing) for x, packing in zip(theirs, packings, strict=True)]
        ours, theirs = _close(
            solve,
            (student.post_attention, our_context, ours),
            (teacher.post_attention, their_context, theirs),
        )
        solve(student.intermediate.conv1d, ours, [teacher.intermediate.conv1d(x) for x in theirs])
        if self.spread_peaks:
            spread(student, ours)
        our_active = [student.intermediate.activation(student.intermediate.conv1d(x)) for x in ours]
        their_active = [teacher.intermediate.activation(teacher.intermediate.conv1d(x)) for x in theirs]
        return _close(solve, (student.output, our_active, ours), (teacher.output, their_active, theirs))


def _close(
    solve: Solve,
    ours: tuple[ProjectAndNormalise, States, States],
    theirs: tuple[ProjectAndNormalise, States, States],
) -> tuple[States, States]:
    """Fits a projection into the residual stream to what is missing there, and normalises both sides.

    Args:
        solve: fits a projection, given its inputs and what should come out.
        ours: the student's part, the inputs of its projection, and the residual stream before it.
        theirs: likewise of the teacher.

    Returns:
        The student's and the teacher's stream after the part.
    """
    part, inputs, stream = ours
    their_part, their_inputs, their_stream = theirs
    sums = [their_part.conv1d(x) + skip for x, skip in zip(their_inputs, their_stream, strict=True)]
    solve(part.conv1d, inputs, [total - skip for total, skip in zip(sums, stream, strict=True)])
    after = [part(x, skip) for x, skip in zip(inputs, stream, strict=True)]
    return after, [their_part.layernorm(total) for total in sums]
