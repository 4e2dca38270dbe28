"""Spreads massive activations over several units of a feed-forward block, for the sake of 8 bits.

In the feed-forward blocks of BERTs a unit here and there does nothing but answer one token, mostly ``[CLS]``,
with a value several times that of all others (Sun et al., 2024, "Massive Activations in Large Language
Models", https://arxiv.org/abs/2402.17762). The int8 graph rounds all units of a group by one scale, which
that value sets: the others lose two or three of their eight bits. Here such a unit's work is divided among as
many units as bring it down to the level of the others; they take the places of those that contribute least.
What the output projection has to do with the new units is for least squares to find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sqz_nlu.encoder.model import Layer

_HIGHER = 0.01  # share of the units whose peaks lie above what counts as the usual level,
_AT_LEAST = 4  # or so many
_MASSIVE = 2.0  # times that level, a peak is massive
_BELOW = 0.8  # of that level is where a spread unit's peak comes to lie
_SILENT = 6.0  # so far below zero, an activation gives nothing


def spread(layer: Layer, inputs: Sequence[Tensor]) -> int:
    """Divides the work of units with massive activations; the output projection then wants to be fitted.

    Only units that are silent where they are not massive are touched, so little changes elsewhere.

    Args:
        layer: its intermediate and output projections are changed in place.
        inputs: what the intermediate projection gets, ``[tokens, hidden]`` each.

    Returns:
        The number of units that were spread.
    """
    widen = layer.intermediate.conv1d
    before = torch.cat([widen(x) for x in inputs])
    blocks = math.lcm(widen.groups, layer.output.conv1d.groups)  # units of a block may change places
    width = before.shape[1] // blocks
    if width <= _AT_LEAST:
        return 0
    return sum(
        _spread_block(layer, part, start * width) for start, part in enumerate(before.chunk(blocks, dim=-1))
    )


def _spread_block(layer: Layer, before: Tensor, start: int) -> int:
    """The same for a block that begins at unit ``start``; ``before`` is its input ``[tokens, units]``."""
    widen, narrow = layer.intermediate.conv1d, layer.output.conv1d
    values = layer.intermediate.activation(before)
    peaks = values.amax(0)
    usual = float(peaks.sort(descending=True).values[max(_AT_LEAST, round(_HIGHER * len(peaks)))])
    if usual <= 0:
        return 0
    rows, columns = _columns(narrow.weight, narrow.groups, start)
    contribution = narrow.weight[rows, columns : columns + len(peaks), 0].square().sum(0) * values.var(0)
    massive = [unit for unit in peaks.argsort(descending=True).tolist() if peaks[unit] > _MASSIVE * usual]
    donors = [unit for unit in contribution.argsort().tolist() if unit not in massive]
    done = 0
    for unit in massive:
        speaks = before[:, unit] > peaks[unit] / 2
        peak, rest = float(before[speaks, unit].mean()), before[~speaks, unit]
        copies = math.ceil(float(peaks[unit]) / usual)
        if not len(rest) or rest.max() > 0 or copies - 1 > len(donors):
            continue
        level = _BELOW * usual
        slope = min(1.0, max((level + _SILENT) / (peak - float(rest.max())), 1 / copies))
        weight, bias = slope * widen.weight[start + unit], slope * (widen.bias[start + unit] - peak) + level
        column = narrow.weight[rows, columns + unit] * (peak / level / copies)
        for place in [unit, *donors[: copies - 1]]:
            widen.weight[start + place], widen.bias[start + place] = weight, bias
            narrow.weight[rows, columns + place] = column
        donors = donors[copies - 1 :]
        done += 1
    return done


def _columns(weight: Tensor, groups: int, unit: int) -> tuple[slice, int]:
    """The rows of a grouped weight ``[out, in / groups, 1]`` that read an input, and its column there."""
    outputs, width = weight.shape[0] // groups, weight.shape[1]
    group = unit // width
    return slice(group * outputs, (group + 1) * outputs), unit - group * width
