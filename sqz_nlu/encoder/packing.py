"""Padded texts without their padding: what is computed for each token alone is not computed for padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Packing:
    """Where the tokens of padded texts are.

    Args:
        attention_mask: ``[batch, longest]``, 1 for a token and 0 for padding.
        padding: whether padding stays where it is; `pack` and `unpack` then change nothing.

    Attributes:
        attend: true where there is a token, ``[batch, 1, 1, longest]``.
    """

    def __init__(self, attention_mask: Tensor, padding: bool = False) -> None:
        real = attention_mask.bool()
        self.attend = real[:, None, None, :]
        self._shape, self._padding = real.shape, padding
        self._places = real.flatten().nonzero().squeeze(-1)

    def pack(self, padded: Tensor) -> Tensor:
        """The tokens of all texts one after the other: ``[batch, longest, width]`` to ``[tokens, width]``."""
        if self._padding:
            return padded
        flat = padded.flatten(0, 1)
        if not self._is_full():
            flat = _Take.apply(flat, self._places)  # type: ignore[no-untyped-call]
        return flat

    def unpack(self, packed: Tensor) -> Tensor:
        """Back to ``[batch, longest, width]``, with zeros for padding."""
        if self._padding:
            return packed
        if not self._is_full():
            packed = _Put.apply(packed, self._places, self._shape.numel())  # type: ignore[no-untyped-call]
        return packed.view(*self._shape, -1)

    def _is_full(self) -> bool:
        return len(self._places) == self._shape.numel()


def _take(rows: Tensor, places: Tensor) -> Tensor:
    return rows.index_select(0, places)


def _put(rows: Tensor, places: Tensor, size: int) -> Tensor:
    return rows.new_zeros(size, *rows.shape[1:]).index_copy_(0, places, rows)


class _Take(torch.autograd.Function):
    """``index_select`` for places that differ: their gradients need no sums, which are slow."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.places, ctx.size = places, len(rows)
        return _take(rows, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _put(gradient, ctx.places, ctx.size), None


class _Put(torch.autograd.Function):
    """Its opposite."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.places = places
        return _put(rows, places, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _take(gradient, ctx.places), None, None
