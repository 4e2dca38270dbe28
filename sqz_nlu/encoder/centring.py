"""Centres an encoder's residual stream for the sake of 8 bits; what the encoder computes stays the same.

In the residual stream of BERTs a few channels lie far from zero, whatever the text (Kovaleva et al., 2021,
"BERT Busters", https://arxiv.org/abs/2105.06990). The int8 graph rounds all channels that a product reads by
one scale, so the offset of these few widens the steps of all others. But what a LayerNorm gives, others add a
bias to: the projections that read it, and the projection whose output is added to it. So its own bias can
have any offset taken away that theirs are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sqz_nlu.encoder.load import numpy_parameters
from sqz_nlu.encoder.model import Layer, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing

_TEXTS = 256
_PIECES = 10  # in each, beside the special tokens

Parameters = dict[str, npt.NDArray[np.float32]]


@torch.no_grad()
def centred_parameters(encoder: SqueezeBertEncoder, tokenizer: Tokenizer) -> Parameters:
    """Parameters of the same encoder, whose channels have zero in the middle of their range in a text.

    Ranges are measured on texts of random word pieces: the offsets are much the same for all texts. Only
    biases differ from the encoder's own.

    Args:
        encoder: stays as it is.
        tokenizer: the encoder's.

    Returns:
        All parameters under their names in ``transformers``.
    """
    parameters = numpy_parameters(encoder)
    training = encoder.training
    encoder.eval()
    ids = _random_texts(encoder, tokenizer)
    packing = Packing(torch.ones_like(ids), padding=True)
    states, norm = encoder.embeddings(ids), "embeddings.LayerNorm"
    for number, module in enumerate(encoder.encoder.layers):
        layer, name = cast(Layer, module), f"encoder.layers.{number}"
        readers = [f"{name}.attention.{kind}" for kind in ("query", "key", "value")]
        _centre(parameters, states, norm, readers, f"{name}.post_attention.conv1d")
        attended = layer.post_attention(layer.attention(states, packing), states)
        norm = f"{name}.post_attention.layernorm"
        _centre(parameters, attended, norm, [f"{name}.intermediate.conv1d"], f"{name}.output.conv1d")
        states, norm = layer.output(layer.intermediate(attended), attended), f"{name}.output.layernorm"
    encoder.train(training)
    return parameters


def _random_texts(encoder: SqueezeBertEncoder, tokenizer: Tokenizer) -> Tensor:
    """Token ids ``[texts, tokens]``: random pieces after the first special token and before the others."""
    special = tokenizer.encode("").ids
    count = min(_PIECES, encoder.config.max_position_embeddings - len(special))
    pieces = np.random.default_rng(0).integers(encoder.config.vocab_size, size=(_TEXTS, count))
    first, last = (np.tile(part, (_TEXTS, 1)) for part in (special[:1], special[1:]))
    ids = np.concatenate([first, pieces, last], axis=1)
    return torch.from_numpy(ids.astype(np.int64)).to(encoder.embeddings.word_embeddings.weight.device)


def _centre(parameters: Parameters, states: Tensor, norm: str, readers: Sequence[str], adds: str) -> None:
    """Takes the middle of the states' ranges from the bias of the LayerNorm that gives them.

    Args:
        parameters: biases in it are replaced.
        states: what the LayerNorm gives, ``[texts, tokens, hidden]``.
        norm: its name.
        readers: names of the projections that read it.
        adds: name of the projection whose output is added to it.
    """
    middle = ((states.amax(1) + states.amin(1)) / 2).mean(0).double().cpu().numpy()

    def give(name: str, offset: npt.NDArray[np.float64]) -> None:
        bias = parameters[f"{name}.bias"]
        parameters[f"{name}.bias"] = (bias + offset).astype(np.float32)

    give(norm, -middle)
    give(adds, middle)
    for reader in readers:
        weight = parameters[f"{reader}.weight"][..., 0]
        groups = len(middle) // weight.shape[1]
        blocks = weight.reshape(groups, -1, weight.shape[1])
        give(reader, (blocks @ middle.reshape(groups, -1, 1)).reshape(-1))
