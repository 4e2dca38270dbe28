"""SqueezeBERT (Iandola et al., 2020, https://arxiv.org/abs/2006.11316) for training on CPUs.

The parameters have the names and shapes of ``transformers.SqueezeBertModel`` and give the same
outputs; what differs is the arithmetic. A grouped 1x1 convolution is computed as one matrix product
per group on a slice of the channels-last activations, which needs no transposes, and the layers see the
tokens of all texts one after the other, without padding. Where ``intermediate`` and ``output`` have the
same number of groups, the feed-forward block is that many independent small networks. What that gives is
in docs/speed.md, beside transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SqueezeBertConfig
from transformers.activations import ACT2FN

from sqz_nlu.encoder.packing import Packing
from sqz_nlu.encoder.rounding import round_activations, round_weight
from sqz_nlu.errors import EncoderError


class GroupedLinear(nn.Module):
    """A grouped 1x1 convolution over channels-last input.

    Attributes:
        weight: ``[out_features, in_features / groups, 1]``, as in ``torch.nn.Conv1d``.
        bias: ``[out_features]``.
        rounded: whether products are computed with the 8 bits in which they ship.
    """

    def __init__(self, in_features: int, out_features: int, groups: int) -> None:
        super().__init__()
        if in_features % groups or out_features % groups:
            raise EncoderError(
                f"{groups} groups do not divide a projection of {in_features} to {out_features} "
                "channels. Choose a number of groups that divides both."
            )
        self.groups = groups
        self.rounded = False
        self.weight = nn.Parameter(torch.empty(out_features, in_features // groups, 1))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.normal_(self.weight, std=0.02)

    def group_weights(self) -> tuple[Tensor, ...]:
        """The weight of each group, ``[out_features / groups, in_features / groups]``."""
        return self.weight.squeeze(-1).chunk(self.groups)

    def forward_groups(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Maps one ``[..., in_features / groups]`` tensor a group to its output."""
        biases = self.bias.chunk(self.groups)
        weights = self.group_weights()
        return [self._product(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.rounded:
            x, weight = round_activations(x), round_weight(weight)
        return F.linear(x, weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[..., in_features]`` to ``[..., out_features]``."""
        if self.groups == 1:
            return self._product(x, self.weight.squeeze(-1), self.bias)
        return torch.cat(self.forward_groups(x.chunk(self.groups, dim=-1)), dim=-1)


class Embeddings(nn.Module):
    """Word, position and token-type embeddings, added and normalised."""

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Maps token ids ``[batch, tokens]`` to ``[batch, tokens, hidden]``."""
        tokens = input_ids.shape[1]
        summed = (
            self.word_embeddings(input_ids)
            + self.position_embeddings.weight[:tokens]
            + self.token_type_embeddings.weight[0]
        )
        hidden: Tensor = self.dropout(self.LayerNorm(summed))
        return hidden


class SelfAttention(nn.Module):
    """Multi-head self-attention with grouped query, key and value projections."""

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.query = GroupedLinear(width, width, config.q_groups)
        self.key = GroupedLinear(width, width, config.k_groups)
        self.value = GroupedLinear(width, width, config.v_groups)

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        """Attends within each text of ``hidden``, which is as ``packing`` packs it."""

        def heads(x: Tensor) -> Tensor:
            states = packing.unpack(x)
            return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)

        context = F.scaled_dot_product_attention(
            heads(self.query(hidden)),
            heads(self.key(hidden)),
            heads(self.value(hidden)),
            attn_mask=packing.attend,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return packing.pack(context.transpose(1, 2).flatten(2))


class ProjectAndNormalise(nn.Module):
    """A grouped projection, dropout, the residual and LayerNorm."""

    def __init__(self, in_features: int, config: SqueezeBertConfig, groups: int) -> None:
        super().__init__()
        self.conv1d = GroupedLinear(in_features, config.hidden_size, groups)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def finish(self, projected: Tensor, residual: Tensor) -> Tensor:
        """Adds the residual to the projection and normalises."""
        normalised: Tensor = self.layernorm(self.dropout(projected) + residual)
        return normalised

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Projects ``x`` and adds it to ``residual``, ``[..., hidden]``."""
        return self.finish(self.conv1d(x), residual)


class Intermediate(nn.Module):
    """The widening projection of the feed-forward block and its activation."""

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        self.conv1d = GroupedLinear(config.hidden_size, config.intermediate_size, config.intermediate_groups)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[..., hidden]`` to ``[..., intermediate]``."""
        widened: Tensor = self.activation(self.conv1d(x))
        return widened


class Layer(nn.Module):
    """One SqueezeBERT layer: attention, projection, feed-forward."""

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.post_attention = ProjectAndNormalise(config.hidden_size, config, config.post_attention_groups)
        self.intermediate = Intermediate(config)
        self.output = ProjectAndNormalise(config.intermediate_size, config, config.output_groups)

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        """Maps states, as ``packing`` packs them, to those after the layer."""
        attended = self.post_attention(self.attention(hidden, packing), hidden)
        widen, narrow = self.intermediate.conv1d, self.output.conv1d
        if widen.groups == narrow.groups > 1:
            parts = widen.forward_groups(attended.chunk(widen.groups, dim=-1))
            parts = narrow.forward_groups([self.intermediate.activation(part) for part in parts])
            return self.output.finish(torch.cat(parts, dim=-1), attended)
        narrowed: Tensor = self.output(self.intermediate(attended), attended)
        return narrowed


class LayerStack(nn.Module):
    """The layers of the encoder."""

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class SqueezeBertEncoder(nn.Module):
    """SqueezeBERT without a pooler.

    Args:
        config: geometry; the fields of ``transformers.SqueezeBertConfig``.

    Raises:
        EncoderError: the geometry is impossible (groups or heads that do not divide the width).
    """

    def __init__(self, config: SqueezeBertConfig) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise EncoderError(
                f"{config.num_attention_heads} attention heads do not divide a hidden size of "
                f"{config.hidden_size}. Choose a number of heads that does."
            )
        if config.embedding_size != config.hidden_size:
            raise EncoderError(
                f"embedding_size is {config.embedding_size} but hidden_size is "
                f"{config.hidden_size}. SqueezeBERT needs them equal."
            )
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = LayerStack(config)

    def set_dropout(self, hidden: float, attention: float) -> None:
        """Changes the dropout that applies while training, of states and of attention weights."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = hidden
            elif isinstance(module, SelfAttention):
                module.dropout = attention

    def set_rounding(self, rounded: bool) -> None:
        """Says whether products are computed with the 8 bits in which they ship; gradients pass through."""
        for product in self._products():
            product.rounded = rounded

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """The embeddings' output and that of every layer, each as in `forward`."""
        packing = self._packing(attention_mask)
        states = [packing.pack(self.embeddings(input_ids))]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], packing))
        return [packing.unpack(packed) for packed in states]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encodes token ids.

        Args:
            input_ids: ``[batch, tokens]``, integers.
            attention_mask: ``[batch, tokens]``, 1 for a token and 0 for padding.

        Returns:
            The last layer's states, ``[batch, tokens, hidden]``; what padding has there means nothing.
        """
        packing = self._packing(attention_mask)
        return self.upper(self.lower(input_ids, packing, 0), packing, 0)

    def lower(self, input_ids: Tensor, packing: Packing, layers: int) -> Tensor:
        """The states after the lowest layers, as ``packing`` packs them."""
        states = packing.pack(self.embeddings(input_ids))
        for layer in self.encoder.layers[:layers]:
            states = layer(states, packing)
        return states

    def upper(self, states: Tensor, packing: Packing, layers: int) -> Tensor:
        """From those the last layer's states, ``[batch, tokens, hidden]``."""
        for layer in self.encoder.layers[layers:]:
            states = layer(states, packing)
        return packing.unpack(states)

    def _packing(self, attention_mask: Tensor) -> Packing:
        """Products in 8 bits have one range for the tokens of a text, so they must see which those are."""
        return Packing(attention_mask, padding=any(product.rounded for product in self._products()))

    def _products(self) -> Iterator[GroupedLinear]:
        return (module for module in self.modules() if isinstance(module, GroupedLinear))


def mean_pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean of the states of all real tokens: ``[batch, tokens, hidden]`` to ``[batch, hidden]``.

    This is sentence-transformers' mean pooling: the special tokens count.
    """
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)
