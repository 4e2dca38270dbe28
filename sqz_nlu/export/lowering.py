"""Lowers a SqueezeBERT and its heads to an ONNX graph built for ONNX Runtime's CPU kernels.

Exporting the torch module would keep its grouped convolutions as ``Conv``, which ONNX Runtime does not
run in signed 8 bits. This graph is written from the weights instead: a grouped convolution becomes one
product for each group on a slice of the channels; query, key and value of a group are one product, which in
8 bits is one operator with attention where there is one group; the attention heads of a group look at nothing
of the other groups, so groups are further texts to attention; where ``intermediate`` and ``output`` have the
same number of groups, each group's feed-forward network runs through without joining the others; attention,
GELU, and skip + LayerNorm are fused operators.

The texts of a batch have the same number of tokens: there is no padding and nothing to mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto
from transformers import SqueezeBertConfig

from sqz_nlu._version import __version__
from sqz_nlu.encoder.layout import LayerLayout, Product, layer_layout
from sqz_nlu.errors import EncoderError
from sqz_nlu.export.graph import Arithmetic, Array, GraphBuilder
from sqz_nlu.runtime.interpreter import EMBEDDING, INTENT_LOGITS, WORD_LOGITS, states_name

_FUSED_ACTIVATIONS = {
    "gelu": "Gelu",
    "gelu_new": "FastGelu",
    "gelu_fast": "FastGelu",
    "gelu_pytorch_tanh": "FastGelu",
}
_STATE_SHAPE = ("batch", "tokens")


@dataclass(frozen=True)
class HeadWeights:
    """A linear head.

    Attributes:
        weight: ``[classes, hidden]``.
        bias: ``[classes]``.
    """

    weight: Array
    bias: Array


def lower(
    config: SqueezeBertConfig,
    parameters: Mapping[str, Array],
    arithmetic: Arithmetic,
    intent_head: HeadWeights | None = None,
    word_head: HeadWeights | None = None,
) -> onnx.ModelProto:
    """Builds the inference graph.

    The input is ``input_ids``, int32 ``[batch, tokens]``, without padding. Outputs are ``embedding``
    ``[batch, hidden]`` and, with the heads, ``intent_logits`` ``[batch, intents]`` and ``word_logits``
    ``[batch, tokens, classes]``.

    Args:
        config: the encoder's geometry.
        parameters: the encoder's parameters under their names in ``transformers``.
        arithmetic: int8 or float.
        intent_head: acts on the mean-pooled states, scaled to unit length.
        word_head: acts on every token's state: tags, roles and groups side by side.

    Raises:
        EncoderError: the activation has no operator in ONNX Runtime.
    """
    graph = GraphBuilder()
    lowering = _Lowering(graph, config, parameters, arithmetic)
    states = lowering.embeddings()
    for layer in range(config.num_hidden_layers):
        states = lowering.layer(layer, states)
    embedding = lowering.mean_pool(states)
    outputs: list[tuple[str, tuple[str | int, ...]]] = [(EMBEDDING, ("batch", config.hidden_size))]
    if intent_head is not None:
        unit = graph.add("LpNormalization", [embedding], "embedding.unit", axis=-1, p=2)
        arithmetic.product(graph, unit, INTENT_LOGITS, intent_head.weight, intent_head.bias)
        outputs.append((INTENT_LOGITS, ("batch", len(intent_head.weight))))
    if word_head is not None:
        arithmetic.product(graph, states, WORD_LOGITS, word_head.weight, word_head.bias)
        outputs.append((WORD_LOGITS, (*_STATE_SHAPE, len(word_head.weight))))
    inputs = [("input_ids", TensorProto.INT32, _STATE_SHAPE)]
    return graph.model(inputs, outputs, f"sqz-nlu {__version__}")


@dataclass(frozen=True)
class _Lowering:
    graph: GraphBuilder
    config: SqueezeBertConfig
    parameters: Mapping[str, Array]
    arithmetic: Arithmetic

    def embeddings(self) -> str:
        """Word rows, plus position rows into which the first token type is folded, normalised."""
        graph, parameters = self.graph, self.parameters
        table = parameters["embeddings.word_embeddings.weight"]
        words = self.arithmetic.lookup(graph, "input_ids", "embeddings.word_embeddings", table)
        positions = (
            parameters["embeddings.position_embeddings.weight"]
            + parameters["embeddings.token_type_embeddings.weight"][0]
        )
        length = graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
        zero = graph.constant("zero", np.zeros(1, np.int64))
        name = "embeddings.position_embeddings"
        table_name = graph.constant(f"{name}.weight", positions)
        skip = graph.add("Slice", [table_name, zero, length, zero], name)
        return self._skip_normalise(words, skip, "embeddings.LayerNorm", states_name(0))

    def layer(self, index: int, states: str) -> str:
        """One encoder layer on states ``[batch, tokens, hidden]``."""
        prefix, layout = f"encoder.layers.{index}", layer_layout(self.config, index)
        context = self._attention(states, layout, f"layers.{index}")
        projected = self._project(context, layout.post_attention, self.config.hidden_size)
        attended = self._skip_normalise(
            projected, states, f"{prefix}.post_attention.layernorm", f"layers.{index}.attended"
        )
        narrowed = self._feed_forward(attended, layout, f"layers.{index}")
        return self._skip_normalise(narrowed, attended, f"{prefix}.output.layernorm", states_name(index + 1))

    def mean_pool(self, states: str) -> str:
        """The mean over the tokens."""
        return self.graph.add("ReduceMean", [states], EMBEDDING, axes=[1], keepdims=0)

    def _attention(self, states: str, layout: LayerLayout, name: str) -> str:
        width, heads = self.config.hidden_size, self.config.num_attention_heads
        if not layout.fused:
            inputs = [self._project(states, products, width) for products in layout.query_key_value]
            return self.graph.attention(inputs, heads, f"{name}.context")
        products = layout.query_key_value[0]
        groups = len(products)
        if groups == 1:
            weight, bias = products[0].fuse(self.parameters)
            context = f"{name}.context"
            return self.arithmetic.self_attention(
                self.graph, states, products[0].name, weight, bias, heads, context
            )
        parts = self._products(states, products, width)
        if heads % groups == 0:
            return self._attend_by_group(parts, heads // groups, name)
        split = [self.graph.split(part, 3, 3 * width // groups, f"{part}.split") for part in parts]
        inputs = [
            self.graph.concat([group[kind] for group in split], f"{name}.{label}")
            for kind, label in enumerate(("query", "key", "value"))
        ]
        return self.graph.attention(inputs, heads, f"{name}.context")

    def _attend_by_group(self, parts: list[str], heads: int, name: str) -> str:
        """Attention over parts ``[batch, tokens, 3 * hidden / groups]``, stacked as texts of one batch."""
        graph, width, groups = self.graph, self.config.hidden_size, len(parts)
        stacked = graph.concat(parts, f"{name}.query_key_value", axis=0)
        inputs = graph.split(stacked, 3, 3 * width // groups, f"{name}.query_key_value.split")
        context = graph.attention(inputs, heads, f"{name}.context.stacked")
        return graph.concat(graph.unstack(context, groups), f"{name}.context")

    def _feed_forward(self, attended: str, layout: LayerLayout, name: str) -> str:
        config = self.config
        widened = self._products(attended, layout.intermediate, config.hidden_size)
        if len(layout.intermediate) != len(layout.output):
            widened = [self.graph.concat(widened, f"{name}.intermediate.joined")]
        active = [self._activate(part) for part in widened]
        if len(layout.intermediate) == len(layout.output):
            narrowed = [self._product(x, product) for x, product in zip(active, layout.output, strict=True)]
            return self.graph.concat(narrowed, f"{name}.output")
        return self._project(active[0], layout.output, config.intermediate_size)

    def _activate(self, x: str) -> str:
        name = self.config.hidden_act
        if name == "relu":
            return self.graph.add("Relu", [x], f"{x}.active")
        if name not in _FUSED_ACTIVATIONS:
            known = ", ".join(sorted([*_FUSED_ACTIVATIONS, "relu"]))
            raise EncoderError(f"The encoder's hidden_act is '{name}'; expected one of {known}.")
        operator = _FUSED_ACTIVATIONS[name] if self.arithmetic.exact else "FastGelu"
        return self.graph.add_fused(operator, [x], f"{x}.active")

    def _project(self, x: str, products: tuple[Product, ...], width: int) -> str:
        outputs = self._products(x, products, width)
        return self.graph.concat(outputs, products[0].name.rpartition(".")[0])

    def _products(self, x: str, products: tuple[Product, ...], width: int) -> list[str]:
        """Applies one product to each equal slice of ``x``, which is ``width`` wide."""
        slices = self.graph.split(x, len(products), width, f"{products[0].name}.slices")
        return [self._product(part, product) for part, product in zip(slices, products, strict=True)]

    def _product(self, x: str, product: Product) -> str:
        weight, bias = product.fuse(self.parameters)
        return self.arithmetic.product(self.graph, x, product.name, weight, bias)

    def _skip_normalise(self, x: str, skip: str, parameter: str, output: str) -> str:
        inputs = [x, skip]
        for kind in ("weight", "bias"):
            name = f"{parameter}.{kind}"
            inputs.append(self.graph.constant(name, self.parameters[name]))
        return self.graph.add_fused(
            "SkipLayerNormalization", inputs, output, epsilon=self.config.layer_norm_eps
        )
