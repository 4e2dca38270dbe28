"""How the projections of a layer lie in the int8 graph: which weights form one matrix product.

A grouped projection is one product for each group. Query, key and value of one group read the same
channels, so where they have the same number of groups they are one product. The lowering fuses by this
table, and reading the weights of a graph back undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import SqueezeBertConfig

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """One matrix product of the graph.

    Attributes:
        name: prefix of its initializers.
        pieces: parameter prefixes and the rows (output channels) of each that lie side by side in it.
    """

    name: str
    pieces: tuple[tuple[str, slice], ...]

    def fuse(self, parameters: Mapping[str, Array]) -> tuple[Array, Array]:
        """The weight ``[out, in]`` and bias ``[out]`` of this product."""
        weights = [parameters[f"{prefix}.weight"][rows] for prefix, rows in self.pieces]
        biases = [parameters[f"{prefix}.bias"][rows] for prefix, rows in self.pieces]
        weight = np.concatenate(weights)
        return weight.reshape(len(weight), -1), np.concatenate(biases)

    def scatter(self, weight: Array, bias: Array, parameters: dict[str, Array]) -> None:
        """Writes a fused weight and bias back into full-size ``parameters``."""
        start = 0
        for prefix, rows in self.pieces:
            end = start + rows.stop - rows.start
            parameters[f"{prefix}.weight"][rows] = weight[start:end, :, None]
            parameters[f"{prefix}.bias"][rows] = bias[start:end]
            start = end


@dataclass(frozen=True)
class LayerLayout:
    """The products of one layer, each list with one product a group.

    Attributes:
        query_key_value: one list of fused products, or three lists where the groups differ.
        post_attention: the projection after attention.
        intermediate: the widening projection.
        output: the narrowing projection.
    """

    query_key_value: tuple[tuple[Product, ...], ...]
    post_attention: tuple[Product, ...]
    intermediate: tuple[Product, ...]
    output: tuple[Product, ...]

    @property
    def fused(self) -> bool:
        """Whether query, key and value share products."""
        return len(self.query_key_value) == 1

    def products(self) -> Iterator[Product]:
        """All products in order of computation."""
        for group in (*self.query_key_value, self.post_attention, self.intermediate, self.output):
            yield from group


def layer_layout(config: SqueezeBertConfig, layer: int) -> LayerLayout:
    """The products of layer ``layer`` of an encoder with this geometry."""
    prefix = f"encoder.layers.{layer}"
    width = config.hidden_size

    def split(name: str, parameters: tuple[str, ...], out: int, groups: int) -> tuple[Product, ...]:
        step = out // groups
        return tuple(
            Product(
                f"layers.{layer}.{name}.{group}",
                tuple((f"{prefix}.{p}", slice(group * step, (group + 1) * step)) for p in parameters),
            )
            for group in range(groups)
        )

    attention = ("attention.query", "attention.key", "attention.value")
    query_key_value: tuple[tuple[Product, ...], ...]
    if config.q_groups == config.k_groups == config.v_groups:
        query_key_value = (split("query_key_value", attention, width, config.q_groups),)
    else:
        all_groups = (config.q_groups, config.k_groups, config.v_groups)
        query_key_value = tuple(
            split(name.removeprefix("attention."), (name,), width, groups)
            for name, groups in zip(attention, all_groups, strict=True)
        )
    return LayerLayout(
        query_key_value,
        split("post_attention", ("post_attention.conv1d",), width, config.post_attention_groups),
        split(
            "intermediate",
            ("intermediate.conv1d",),
            config.intermediate_size,
            config.intermediate_groups,
        ),
        split("output", ("output.conv1d",), width, config.output_groups),
    )
