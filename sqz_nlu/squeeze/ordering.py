"""Renumbers a teacher's channels so that what belongs together falls into one group.

A grouped projection sees a part of the channels only. The channels of the residual stream, the heads and the
units of the feed-forward blocks may be renumbered without changing what a BERT computes, as long as every
weight that touches them follows. `find_order` looks for the numbering that keeps the most of the teacher's
energy (squared weight times the variance of its input) inside the groups, by turns: heads and units go where
the channels are that they read and write, and channels go where their heads and units are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.model import GroupedLinear, Layer, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]
Batch = tuple[Tensor, Tensor]

_TURNS = 12
_RESTARTS = 3


@dataclass(frozen=True)
class Order:
    """A numbering of channels, heads and feed-forward units: place ``i`` holds the old number.

    Attributes:
        channels: of the residual stream, ``[hidden]``.
        heads: of each layer of the student, ``[layers, heads]``.
        units: of the feed-forward block of each layer of the student, ``[layers, intermediate]``.
        kept: share of the energy of grouped projections that lies inside the groups.
    """

    channels: Int
    heads: Int
    units: Int
    kept: float

    def tensors(self) -> dict[str, Tensor]:
        """The numbering as `torch.save` keeps it."""
        return {name: torch.from_numpy(getattr(self, name)) for name in ("channels", "heads", "units")} | {
            "kept": torch.tensor(self.kept, dtype=torch.float64)
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Order:
        """What `tensors` gave."""
        channels, heads, units = (tensors[name].cpu().numpy() for name in ("channels", "heads", "units"))
        return cls(channels, heads, units, float(tensors["kept"]))


def identity_order(config: SqueezeBertConfig) -> Order:
    """The numbering that changes nothing."""
    layers = config.num_hidden_layers
    heads, units = np.arange(config.num_attention_heads), np.arange(config.intermediate_size)
    return Order(np.arange(config.hidden_size), np.tile(heads, (layers, 1)), np.tile(units, (layers, 1)), 1.0)


def find_order(
    teacher: SqueezeBertEncoder,
    student: SqueezeBertConfig,
    kept: Sequence[int],
    batches: Iterable[Batch],
    seed: int,
) -> Order:
    """Chooses the numbering that keeps the most energy inside the student's groups.

    Args:
        teacher: all groups 1.
        student: its groups decide what lies inside.
        kept: the teacher's layers that the student's follow.
        batches: token ids and attention masks, ``[batch, tokens]`` each, from which variances are taken.
        seed: of the starting points.
    """
    identity = identity_order(student)
    if max(_groups(student)) == 1:
        return identity
    search = _Search(student, [_Exchange.measure(*pair) for pair in _measure(teacher, kept, batches)])
    rng = np.random.default_rng(seed)
    starts = [identity.channels, *(rng.permutation(student.hidden_size) for _ in range(_RESTARTS))]
    return max((search.descend(start) for start in starts), key=lambda order: order.kept)


@dataclass(frozen=True)
class _Exchange:
    """Energies between a layer's heads or units and the channels; each projection's sum to 1.

    Attributes:
        reads: of query, key and value, by head: three times ``[heads, hidden]``.
        returns: of the projection after attention, ``[heads, hidden]``.
        widens: of intermediate, ``[units, hidden]``.
        narrows: of output, ``[units, hidden]``.
    """

    reads: tuple[Float, Float, Float]
    returns: Float
    widens: Float
    narrows: Float

    @classmethod
    def measure(cls, layer: Layer, variances: dict[str, Float]) -> _Exchange:
        heads = layer.attention.heads

        def energy(name: str) -> Float:
            weight = layer.get_parameter(f"{name}.weight").detach().squeeze(-1).double().cpu().numpy()
            energies: Float = np.square(weight) * variances[name]
            return np.asarray(energies / energies.sum(), np.float64)

        def by_head(energies: Float) -> Float:
            return np.asarray(energies.reshape(heads, -1, energies.shape[-1]).sum(1))

        query, key, value = (by_head(energy(f"attention.{kind}")) for kind in ("query", "key", "value"))
        return cls(
            (query, key, value),
            by_head(energy("post_attention.conv1d").T),
            energy("intermediate.conv1d"),
            energy("output.conv1d").T,
        )


_WATCHED = (
    *(f"attention.{kind}" for kind in ("query", "key", "value")),
    *(f"{part}.conv1d" for part in ("post_attention", "intermediate", "output")),
)


def _measure(
    teacher: SqueezeBertEncoder, kept: Sequence[int], batches: Iterable[Batch]
) -> list[tuple[Layer, dict[str, Float]]]:
    """Each kept layer of the teacher, with the variance of every projection's input channels."""
    sums: dict[tuple[int, str], Float] = {}

    def watch(index: int, name: str) -> torch.utils.hooks.RemovableHandle:
        def add(_module: nn.Module, arguments: tuple[Tensor, ...], _output: Tensor) -> None:
            x = arguments[0].detach().double()  # of tokens, without padding
            moments = torch.stack([torch.ones_like(x[0]) * len(x), x.sum(0), x.square().sum(0)])
            sums[index, name] = sums.get((index, name), 0.0) + moments.cpu().numpy()

        return teacher.encoder.layers[index].get_submodule(name).register_forward_hook(add)

    handles = [watch(index, name) for index in kept for name in _WATCHED]
    try:
        with torch.no_grad():
            for ids, mask in batches:
                packing = Packing(mask, multiple=1)  # rows of zeros would count, too
                teacher.lower(ids, packing, len(teacher.encoder.layers))
    finally:
        for handle in handles:
            handle.remove()
    variances: dict[int, dict[str, Float]] = {index: {} for index in kept}
    for (index, name), (count, total, squares) in sums.items():
        variances[index][name] = squares / count - np.square(total / count)
    return [(cast(Layer, teacher.encoder.layers[index]), variances[index]) for index in kept]


def _groups(config: SqueezeBertConfig) -> tuple[int, int]:
    """Into how many groups heads fall, and units; 1 where they stay where they are."""
    heads = max(config.q_groups, config.k_groups, config.v_groups, config.post_attention_groups)
    if config.num_attention_heads % heads:
        heads = 1  # a group then begins inside a head
    return heads, max(config.intermediate_groups, config.output_groups)


class _Search:
    """Alternates between assigning heads and units to groups, and channels to groups."""

    def __init__(self, config: SqueezeBertConfig, layers: Sequence[_Exchange]) -> None:
        def pull(*parts: tuple[int, Float]) -> Float:
            """The energy of the parts that are grouped at all."""
            none = np.zeros_like(parts[0][1])
            return sum((energy for groups, energy in parts if groups > 1), start=none)

        attention = (config.q_groups, config.k_groups, config.v_groups)
        widen, narrow = config.intermediate_groups, config.output_groups
        self.head_groups, self.unit_groups = _groups(config)
        self.finest = max(self.head_groups, self.unit_groups)
        self.head_pulls = np.stack(
            [
                pull(*zip(attention, x.reads, strict=True), (config.post_attention_groups, x.returns))
                for x in layers
            ]
        )
        self.unit_pulls = np.stack([pull((widen, x.widens), (narrow, x.narrows)) for x in layers])

    def descend(self, channels: Int) -> Order:
        """Follows the turns from one numbering of the channels to where they gain nothing."""
        best = self._place(channels)
        for _ in range(_TURNS):
            following = self._place(self._channels(best))
            if following.kept <= best.kept + 1e-6:
                break
            best = following
        return best

    def _place(self, channels: Int) -> Order:
        heads, held_heads, all_heads = _place_rows(self.head_pulls, channels, self.head_groups)
        units, held_units, all_units = _place_rows(self.unit_pulls, channels, self.unit_groups)
        return Order(channels, heads, units, (held_heads + held_units) / (all_heads + all_units))

    def _channels(self, order: Order) -> Int:
        gain = np.zeros((len(order.channels), self.finest))
        for pulls, rows, groups in (
            (self.head_pulls, order.heads, self.head_groups),
            (self.unit_pulls, order.units, self.unit_groups),
        ):
            for layer, numbers in zip(pulls, rows, strict=True):
                by_group = layer[numbers].reshape(groups, -1, layer.shape[-1]).sum(1).T
                gain += np.repeat(by_group, self.finest // groups, axis=1)
        return np.argsort(_balanced(gain), kind="stable")


def _place_rows(pulls: Float, channels: Int, groups: int) -> tuple[Int, float, float]:
    """Rows of every layer ordered by group, the energy inside the groups, and all energy.

    Args:
        pulls: ``[layers, rows, hidden]``.
        channels: ``[hidden]``.
        groups: into which rows and channels fall.
    """
    layers, count, width = pulls.shape
    if groups == 1:
        return np.tile(np.arange(count), (layers, 1)), 0.0, 0.0
    inside = pulls[:, :, channels].reshape(layers, count, groups, width // groups).sum(-1)
    orders, held = [], 0.0
    for layer in inside:
        row_groups = _balanced(layer)
        orders.append(np.argsort(row_groups, kind="stable"))
        held += float(layer[np.arange(count), row_groups].sum())
    return np.stack(orders), held, float(pulls.sum())


def _balanced(gain: Float) -> Int:
    """The group of every row, equally many rows a group, so that the sum of ``gain[row, group]`` is great.

    Groups trade rows pair by pair, each pair dividing its rows as is best for the two, until none gains.
    """
    rows, groups = gain.shape
    chosen = np.repeat(np.arange(groups), rows // groups)
    held = gain[np.arange(rows), chosen].sum()
    while True:
        for first, second in combinations(range(groups), 2):
            pool = np.flatnonzero((chosen == first) | (chosen == second))
            prefers_second = np.argsort(gain[pool, second] - gain[pool, first], kind="stable")
            chosen[pool[prefers_second[: len(pool) // 2]]] = first
            chosen[pool[prefers_second[len(pool) // 2 :]]] = second
        now = gain[np.arange(rows), chosen].sum()
        if now <= held * (1 + 1e-9):
            return chosen
        held = now


def reorder(teacher: SqueezeBertEncoder, order: Order, kept: Sequence[int]) -> None:
    """Renumbers the teacher in place; its outputs stay the same up to the numbers of their channels."""
    channels = torch.from_numpy(order.channels)
    size = teacher.config.hidden_size // teacher.config.num_attention_heads
    embeddings = teacher.embeddings
    with torch.no_grad():
        for table in (
            embeddings.word_embeddings,
            embeddings.position_embeddings,
            embeddings.token_type_embeddings,
        ):
            table.weight.copy_(table.weight[:, channels])
        _reorder_vectors(embeddings.LayerNorm, channels)
        for index, layer in enumerate(teacher.encoder.layers):
            heads = np.arange(teacher.config.num_attention_heads)
            units = np.arange(teacher.config.intermediate_size)
            if index in kept:
                heads, units = (numbers[list(kept).index(index)] for numbers in (order.heads, order.units))
            rows = (heads[:, None] * size + np.arange(size)).reshape(-1)
            _reorder_layer(cast(Layer, layer), channels, torch.from_numpy(rows), torch.from_numpy(units))


def _reorder_layer(layer: Layer, channels: Tensor, rows: Tensor, units: Tensor) -> None:
    attention = layer.attention
    for projection, outputs, inputs in (
        (attention.query, rows, channels),
        (attention.key, rows, channels),
        (attention.value, rows, channels),
        (layer.post_attention.conv1d, channels, rows),
        (layer.intermediate.conv1d, units, channels),
        (layer.output.conv1d, channels, units),
    ):
        _reorder_projection(projection, outputs, inputs)
    for norm in (layer.post_attention.layernorm, layer.output.layernorm):
        _reorder_vectors(norm, channels)


def _reorder_projection(projection: GroupedLinear, outputs: Tensor, inputs: Tensor) -> None:
    projection.weight.copy_(projection.weight[outputs][:, inputs])
    projection.bias.copy_(projection.bias[outputs])


def _reorder_vectors(norm: nn.LayerNorm, channels: Tensor) -> None:
    norm.weight.copy_(norm.weight[channels])
    norm.bias.copy_(norm.bias[channels])
