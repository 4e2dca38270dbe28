"""The rounding of int8 inference, inside a network that trains.

Forward, values are what the int8 graph computes with: weights in `quantize_rows`' integers, activations in
the unsigned 8 bits of ONNX's ``DynamicQuantizeLinear``. Backward, rounding counts as the identity (the
straight-through estimator, Bengio et al., 2013, https://arxiv.org/abs/1308.3432).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sqz_nlu.encoder.quantize import PROJECTION_LIMIT

_LEVELS = 255
_SMALLEST = 1e-12


def round_weight(weight: Tensor) -> Tensor:
    """A projection's weight ``[out, in]`` as it ships: one scale a row."""
    with torch.no_grad():
        scale = weight.abs().amax(1, keepdim=True).clamp(min=_SMALLEST) / PROJECTION_LIMIT
        rounded = torch.round(weight / scale) * scale
    return weight + (rounded - weight).detach()


def round_activations(x: Tensor) -> Tensor:
    """Inputs of a product, ``[batch, tokens, width]``: one scale and zero point a text.

    Padding counts towards a text's range, so texts of a batch should be about equally long.
    """
    with torch.no_grad():
        low = x.amin((-2, -1), keepdim=True).clamp(max=0.0)
        high = x.amax((-2, -1), keepdim=True).clamp(min=0.0)
        scale = ((high - low) / _LEVELS).clamp(min=_SMALLEST)
        zero = torch.round(-low / scale)
        rounded = ((torch.round(x / scale) + zero).clamp(0, _LEVELS) - zero) * scale
    return x + (rounded - x).detach()
