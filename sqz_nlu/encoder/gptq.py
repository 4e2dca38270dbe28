"""Rounding of weights that keeps an encoder's answers, after GPTQ (Frantar et al., 2022).

To the nearest step each weight is wrong by up to half of one, and the errors of a product's weights add up as
they happen to. Here the weights of a product are rounded one input after the other, and what each rounding
changes in the product's outputs is made good by the weights that are still to be rounded, as well as they can
on the inputs that texts give (https://arxiv.org/abs/2210.17323). Products are rounded in the order in which
they are computed, so each sees its inputs as the rounded encoder makes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sqz_nlu.encoder.model import GroupedLinear, Layer, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing
from sqz_nlu.encoder.quantize import PROJECTION_LIMIT
from sqz_nlu.encoder.rounding import round_activations

_DAMPING = 0.01  # of the mean square of the inputs: what texts do not show may still be there
_SMALLEST = 1e-12
_BLOCK = 64  # so many inputs are rounded before the others hear of it: fewer and larger operations


@torch.no_grad()
def round_weights(encoder: SqueezeBertEncoder, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Puts the weights of all products on the grid of their 8 bits, in place.

    `quantize_rows` finds the same grid again and changes nothing.

    Args:
        encoder: its products then compute with 8 bits, as after ``set_rounding(True)``.
        batches: token ids and masks, both ``[batch, tokens]``, of texts such as will be encoded; texts of a
            batch about equally long. All their activations are held at a time.
    """
    encoder.eval()
    encoder.set_rounding(True)
    kept = [mask.bool() for _, mask in batches]
    packings = [Packing(mask, padding=True) for _, mask in batches]
    states = [encoder.embeddings(ids) for ids, _ in batches]
    for layer in encoder.encoder.layers:
        assert isinstance(layer, Layer)
        attention = layer.attention
        _round_products((attention.query, attention.key, attention.value), states, kept)
        heard = [attention(x, packing) for x, packing in zip(states, packings, strict=True)]
        _round_products((layer.post_attention.conv1d,), heard, kept)
        attended = [layer.post_attention(x, before) for x, before in zip(heard, states, strict=True)]
        _round_products((layer.intermediate.conv1d,), attended, kept)
        wide = [layer.intermediate(x) for x in attended]
        _round_products((layer.output.conv1d,), wide, kept)
        states = [layer.output(x, before) for x, before in zip(wide, attended, strict=True)]


def _round_products(
    products: Sequence[GroupedLinear], inputs: Sequence[Tensor], kept: Sequence[Tensor]
) -> None:
    """Rounds products that have the same inputs."""
    moments: dict[int, list[Tensor]] = {}
    for product in products:
        if product.groups not in moments:
            moments[product.groups] = _second_moments(inputs, kept, product.groups)
        pairs = zip(product.group_weights(), moments[product.groups], strict=True)
        product.weight.copy_(torch.cat([round_matrix(*pair) for pair in pairs])[..., None])


def _second_moments(inputs: Sequence[Tensor], kept: Sequence[Tensor], groups: int) -> list[Tensor]:
    """For each group the sum over all tokens of its inputs' products with one another."""
    sums = [torch.zeros((), dtype=torch.float64, device=inputs[0].device)] * groups
    for x, mask in zip(inputs, kept, strict=True):
        chunks = [round_activations(chunk)[mask] for chunk in x.chunk(groups, dim=-1)]
        sums = [total + (tokens.T @ tokens).double() for total, tokens in zip(sums, chunks, strict=True)]
    return sums


def round_matrix(weight: Tensor, moments: Tensor) -> Tensor:
    """The weights on the grid whose outputs differ least, for one pass over the inputs.

    Args:
        weight: ``[out, in]``.
        moments: the sum over all inputs of their products with one another, ``[in, in]``.

    Returns:
        Multiples of each row's step, which is its largest magnitude over 63; that weight keeps its value.
    """
    left = weight.to(torch.float64, copy=True)
    largest, place = left.abs().max(1)
    step = largest.clamp(min=_SMALLEST) / PROJECTION_LIMIT
    extreme = PROJECTION_LIMIT * left.gather(1, place[:, None])[:, 0].sign()
    order = moments.diagonal().argsort(descending=True, stable=True)  # the loudest inputs first
    turn = order.argsort()[place]
    damped = moments[order][:, order].double()
    damped.diagonal().add_(_DAMPING * damped.diagonal().mean().clamp(min=_SMALLEST))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    share = torch.linalg.cholesky(inverse, upper=True)
    share = share / share.diagonal()[:, None]
    left = left[:, order].T.contiguous()  # [in, out] from here on
    for first in range(0, len(left), _BLOCK):
        last = min(first + _BLOCK, len(left))
        wrong = torch.empty_like(left[first:last])
        for index in range(first, last):
            row = left[index]
            chosen = (row / step).round_().clamp_(-PROJECTION_LIMIT, PROJECTION_LIMIT)
            chosen = torch.where(turn == index, extreme, chosen) * step
            error = torch.sub(row, chosen, out=wrong[index - first])
            left[index + 1 : last].addr_(share[index, index + 1 : last], error, alpha=-1)
            row.copy_(chosen)
        left[last:].addmm_(share[first:last, last:].T, wrong, alpha=-1)
    result = torch.empty_like(left)
    result[order] = left
    return result.T.to(weight.dtype)
