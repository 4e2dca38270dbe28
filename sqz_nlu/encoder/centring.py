"""Centres an encoder's residual stream for the sake of 8 bits; what the encoder computes stays the same.

In the residual stream of BERTs a few channels lie far from zero, whatever the text (Kovaleva et al., 2021,
"BERT Busters", https://arxiv.org/abs/2105.06990). The int8 graph rounds all channels that a product reads by
one scale, so the offset of these few widens the steps of all others. But to what a LayerNorm gives, others
add a bias: the projections that read it, and the projection whose output is added to it. So its own bias can
have any offset taken away that theirs are given.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from sqz_nlu.encoder.model import GroupedLinear, Layer, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing

_TEXTS = 256
_PIECES = 10  # in each, beside the special tokens


@torch.no_grad()
def centred(encoder: SqueezeBertEncoder, tokenizer: Tokenizer) -> SqueezeBertEncoder:
    """The same function, with channels whose ranges in a text have zero in the middle.

    Ranges are measured on texts of random word pieces: the offsets are much the same for all texts.

    Args:
        encoder: stays as it is.
        tokenizer: the encoder's.

    Returns:
        An encoder with other biases. Matrices are the given encoder's own, not copies.
    """
    matrices = {id(value): value for value in encoder.parameters() if value.dim() > 1}
    result: SqueezeBertEncoder = copy.deepcopy(encoder, matrices).eval()
    ids = _random_texts(result, tokenizer)
    packing = Packing(torch.ones_like(ids), padding=True)
    states = result.embeddings(ids)
    for module, norm in zip(result.encoder.layers, norms_of_inputs(result), strict=True):
        layer = cast(Layer, module)
        states = states - _centre(states, norm, *uses_of_input(layer))
        attended = layer.post_attention(layer.attention(states, packing), states)
        between = layer.post_attention.layernorm
        attended = attended - _centre(attended, between, [layer.intermediate.conv1d], layer.output.conv1d)
        states = layer.output(layer.intermediate(attended), attended)
    return result


def _random_texts(encoder: SqueezeBertEncoder, tokenizer: Tokenizer) -> Tensor:
    """Token ids ``[texts, tokens]``: random pieces after the first special token and before the others."""
    special = tokenizer.encode("").ids
    count = min(_PIECES, encoder.config.max_position_embeddings - len(special))
    pieces = np.random.default_rng(0).integers(encoder.config.vocab_size, size=(_TEXTS, count))
    first, last = (np.tile(np.array(part, np.int64), (_TEXTS, 1)) for part in (special[:1], special[1:]))
    ids = torch.from_numpy(np.concatenate([first, pieces, last], axis=1))
    return ids.to(encoder.embeddings.word_embeddings.weight.device)


def _centre(
    states: Tensor, norm: nn.LayerNorm, readers: Sequence[GroupedLinear], adds: GroupedLinear
) -> Tensor:
    """Moves, and returns, the middle of the ranges of ``[texts, tokens, hidden]``; see `move_offset`."""
    middle = ((states.amax(1) + states.amin(1)) / 2).mean(0)
    move_offset(middle, norm, readers, adds)
    return middle


def norms_of_inputs(encoder: SqueezeBertEncoder) -> list[nn.LayerNorm]:
    """For each layer the LayerNorm that it reads."""
    layers = [cast(Layer, layer) for layer in encoder.encoder.layers]
    return [encoder.embeddings.LayerNorm, *(layer.output.layernorm for layer in layers[:-1])]


def uses_of_input(layer: Layer) -> tuple[list[GroupedLinear], GroupedLinear]:
    """The projections that read a layer's input, and the one whose output is added to it."""
    attention = layer.attention
    return [attention.query, attention.key, attention.value], layer.post_attention.conv1d


@torch.no_grad()
def move_offset(
    offset: Tensor, norm: nn.LayerNorm, readers: Sequence[GroupedLinear], adds: GroupedLinear
) -> None:
    """Takes an offset from what a LayerNorm gives, and makes up for it where that is used.

    Args:
        offset: ``[hidden]``.
        norm: the LayerNorm; its bias is changed in place, as are those of the others.
        readers: the projections that read it.
        adds: the projection whose output is added to it.
    """
    norm.bias.sub_(offset)
    adds.bias.add_(offset)
    for reader in readers:
        parts = zip(reader.group_weights(), offset.chunk(reader.groups), strict=True)
        change = [weight.double() @ part.double() for weight, part in parts]
        reader.bias.add_(torch.cat(change).to(reader.bias))
