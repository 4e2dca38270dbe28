"""Layers that keep their values while others train: what they make of a text is computed once."""

from __future__ import annotations

import torch
from torch import Tensor

from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing

MOST_TOKENS = 400_000  # whose states are kept in memory, in 16 bits


class FrozenLayers:
    """The encoder in training, its lowest layers being as they are, without dropout.

    Their states of a text, on the device, are kept in 16 bits from one pass over the examples to the next.

    Args:
        encoder: its layers above train.
        layers: how many do not.
        most_tokens: states of no more tokens are kept; those of other texts are computed each time.
    """

    def __init__(self, encoder: SqueezeBertEncoder, layers: int, most_tokens: int = MOST_TOKENS) -> None:
        self.encoder, self.layers, self.most_tokens = encoder, layers, most_tokens
        self._kept: dict[tuple[int, ...], Tensor] = {}
        self._tokens = 0

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The encoder's states, ``[batch, tokens, hidden]``, from token ids and mask ``[batch, tokens]``."""
        self.encoder.encoder.layers[: self.layers].eval()
        packing = Packing(mask)
        states = packing.join([part.float() for part in self._lower(ids, mask)])
        return self.encoder.upper(states, packing, self.layers)

    def forget(self) -> None:
        """Gives the memory back."""
        self._kept.clear()
        self._tokens = 0

    @torch.no_grad()
    def _lower(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """The states of each text, ``[tokens, hidden]``."""
        sizes = mask.sum(1).tolist()
        texts = [tuple(row[:size]) for row, size in zip(ids.tolist(), sizes, strict=True)]
        found = [self._kept.get(text) for text in texts]
        new = [row for row, states in enumerate(found) if states is None]
        if new:
            packing = Packing(mask[new])
            states = self.encoder.lower(ids[new], packing, self.layers).half()
            for row, part in zip(new, packing.split(states), strict=True):
                found[row] = part
                if self._tokens + sizes[row] <= self.most_tokens and texts[row] not in self._kept:
                    self._kept[texts[row]] = part.clone()
                    self._tokens += sizes[row]
        return [states for states in found if states is not None]
