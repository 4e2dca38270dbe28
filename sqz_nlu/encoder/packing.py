"""Padded texts without their padding: what is computed for each token alone is not computed for padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Packing:
    """Where the tokens of padded texts are.

    Args:
        attention_mask: ``[batch, longest]``, 1 for a token and 0 for padding.
        padding: whether padding stays where it is; `pack` and `unpack` then change nothing.
        multiple: packed, rows of zeros follow the tokens, so that the number of rows is a multiple of this.
            oneDNN prepares a product for each number of rows that it meets and keeps what it prepared, which
            takes time and memory; a few numbers should serve for all batches.

    Attributes:
        attend: true where there is a token, ``[batch, 1, 1, longest]``.
    """

    def __init__(self, attention_mask: Tensor, padding: bool = False, multiple: int = 16) -> None:
        real = attention_mask.bool()
        self.attend = real[:, None, None, :]
        self._shape, self._padding = real.shape, padding
        self._places = real.flatten().nonzero().squeeze(-1)
        self._rows = -(-len(self._places) // multiple) * multiple
        self._full = len(self._places) == self._rows == real.numel()

    def pack(self, padded: Tensor) -> Tensor:
        """The tokens of all texts one after the other: ``[batch, longest, width]`` to ``[rows, width]``."""
        if self._padding:
            return padded
        flat = padded.flatten(0, 1)
        if self._full:
            return flat
        packed: Tensor = _Pack.apply(flat, self._places, self._rows)  # type: ignore[no-untyped-call]
        return packed

    def unpack(self, packed: Tensor) -> Tensor:
        """Back to ``[batch, longest, width]``, with zeros for padding."""
        if self._padding:
            return packed
        if not self._full:
            size = self._shape.numel()
            packed = _Unpack.apply(packed, self._places, size)  # type: ignore[no-untyped-call]
        return packed.view(*self._shape, -1)

    def split(self, packed: Tensor) -> tuple[Tensor, ...]:
        """The tokens of each text, ``[tokens, width]``, of what `pack` packed without padding."""
        lengths = self.attend.sum(-1).flatten().tolist()
        texts: tuple[Tensor, ...] = packed[: len(self._places)].split(lengths)
        return texts

    def join(self, texts: Sequence[Tensor]) -> Tensor:
        """The opposite of `split`."""
        tail = texts[0].new_zeros(self._rows - len(self._places), *texts[0].shape[1:])
        return torch.cat([*texts, tail])


def _gather(flat: Tensor, places: Tensor, rows: int) -> Tensor:
    packed = flat.new_empty(rows, *flat.shape[1:])
    torch.index_select(flat, 0, places, out=packed[: len(places)])
    packed[len(places) :] = 0.0
    return packed


def _scatter(packed: Tensor, places: Tensor, size: int) -> Tensor:
    flat = packed.new_zeros(size, *packed.shape[1:])
    return flat.index_copy_(0, places, packed[: len(places)])


class _Pack(torch.autograd.Function):
    """``index_select`` for places that differ: their gradients need no sums, which are slow."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, places: Tensor, rows: int) -> Tensor:
        ctx.places, ctx.size = places, len(flat)
        return _gather(flat, places, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _scatter(gradient, ctx.places, ctx.size), None, None


class _Unpack(torch.autograd.Function):
    """Its opposite."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.places, ctx.rows = places, len(packed)
        return _scatter(packed, places, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _gather(gradient, ctx.places, ctx.rows), None, None
