"""Ways to compute query, key, value and attention of six layers in ONNX Runtime, side by side.

This is what docs/decisions/0006-operators-of-the-graph.md chooses from. The graph holds nothing else, so a
difference is that of the operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import graphs
import numpy as np
import onnx
from graph_parts import MICROSOFT, TOKENS
from measure import in_turns
from onnx import TensorProto, helper, numpy_helper

LAYERS = 6
GEOMETRIES = {"384, groups 1": (384, 1), "384, groups 2": (384, 2), "384, groups 4": (384, 4)}
GEOMETRIES |= {"768, groups 4": (768, 4)}
HEADS = 12


class _Graph:
    """Nodes and constants of one way; every method returns the name of what it computes."""

    def __init__(self, width: int, groups: int) -> None:
        self.width, self.groups = width, groups
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.rng = np.random.default_rng(graphs.SEED)

    def add(
        self, operator: str, inputs: Sequence[str], outputs: int = 1, domain: str = "", **more: Any
    ) -> Any:
        names = [f"n{len(self.nodes)}.{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **more))
        return names if outputs > 1 else names[0]

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def weights(self, *shape: int) -> tuple[str, str, str]:
        """Integers ``shape``, scales and biases of the columns."""
        integers = self.rng.integers(-63, 64, shape).astype(np.int8)
        columns = (1,) * (len(shape) - 2) + shape[-1:]
        scale = np.full(columns if len(shape) == 2 else (shape[0], 1, shape[-1]), 0.002, np.float32)
        return self.constant(integers), self.constant(scale), self.constant(np.zeros(shape[-1], np.float32))

    def dynamic(self, x: str, rows: int, columns: int) -> str:
        weight, scale, bias = self.weights(rows, columns)
        return str(self.add("DynamicQuantizeMatMul", [x, weight, scale, "", bias], domain=MICROSOFT))

    def integer(self, quantized: Sequence[str], rows: int, columns: int) -> str:
        x, x_scale, zero = quantized
        weight, scale, bias = self.weights(rows, columns)
        inputs = [x, weight, x_scale, scale, zero, "", bias]
        return str(self.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT))

    def split(self, x: str, parts: int, axis: int = -1) -> list[str]:
        return list(self.add("Split", [x], parts, axis=axis)) if parts > 1 else [x]

    def concat(self, parts: Sequence[str], axis: int = -1) -> str:
        return str(self.add("Concat", parts, axis=axis)) if len(parts) > 1 else parts[0]

    def attention(self, inputs: Sequence[str], heads: int = HEADS) -> str:
        return str(self.add("MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=heads))

    def groups_of(self, x: str) -> list[str]:
        """Query, key and value of each group by a product of its own."""
        step = self.width // self.groups
        return [self.dynamic(part, step, 3 * step) for part in self.split(x, self.groups)]

    def by_kind(self, parts: Sequence[str]) -> list[str]:
        """Query, key and value, each joined over the groups."""
        split = [self.split(part, 3) for part in parts]
        return [self.concat(kind) for kind in zip(*split, strict=True)]


def _stacked(graph: _Graph, x: str) -> str:
    parts = graph.split(graph.concat(graph.groups_of(x), 0), 3)
    return graph.concat(graph.split(graph.attention(parts, HEADS // graph.groups), graph.groups, 0))


def _joined(graph: _Graph, x: str) -> str:
    return graph.attention(graph.by_kind(graph.groups_of(x)))


def _masked(graph: _Graph, x: str) -> str:
    mask = graph.constant(np.ones((1, TOKENS), np.int32))
    return graph.attention([*graph.by_kind(graph.groups_of(x)), "", mask])


def _quantized_once(graph: _Graph, x: str) -> str:
    quantized, scale, zero = graph.add("DynamicQuantizeLinear", [x], 3)
    step = graph.width // graph.groups
    slices = graph.split(quantized, graph.groups)
    parts = [graph.integer((part, scale, zero), step, 3 * step) for part in slices]
    heads = graph.split(graph.concat(parts, 0), 3)
    return graph.concat(graph.split(graph.attention(heads, HEADS // graph.groups), graph.groups, 0))


def _dense(graph: _Graph, x: str) -> str:
    return graph.attention(graph.split(graph.dynamic(x, graph.width, 3 * graph.width), 3))


def _three_dense(graph: _Graph, x: str) -> str:
    quantized = graph.add("DynamicQuantizeLinear", [x], 3)
    return graph.attention([graph.integer(quantized, graph.width, graph.width) for _ in range(3)])


def _batched(graph: _Graph, x: str) -> str:
    quantized, x_scale, zero = graph.add("DynamicQuantizeLinear", [x], 3)
    step = graph.width // graph.groups
    stacked = graph.concat(graph.split(quantized, graph.groups), 0)
    weight, scale, bias = graph.weights(graph.groups, step, 3 * step)
    inputs = [stacked, weight, x_scale, scale, zero, "", bias]
    heads = graph.split(str(graph.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT)), 3)
    return graph.concat(graph.split(graph.attention(heads, HEADS // graph.groups), graph.groups, 0))


def _quantized_attention(graph: _Graph, x: str) -> str:
    quantized, x_scale, zero = graph.add("DynamicQuantizeLinear", [x], 3)
    weight, scale, bias = graph.weights(graph.width, 3 * graph.width)
    inputs = [quantized, weight, bias, x_scale, scale, "", zero]
    return str(graph.add("QAttention", inputs, domain=MICROSOFT, num_heads=HEADS))


WAYS: dict[str, Callable[[_Graph, str], str]] = {
    "groups stacked as texts (chosen for groups)": _stacked,
    "query, key, value joined": _joined,
    "the same with a mask": _masked,
    "one DynamicQuantizeLinear for all groups": _quantized_once,
    "groups as one batched product": _batched,
    "one dense product": _dense,
    "three dense products, quantized once": _three_dense,
    "QAttention, dense (chosen without groups)": _quantized_attention,
}


def operators(seconds: float) -> dict[str, Any]:
    """Batch 1, 12 tokens, 1 thread: query, key, value and attention of six layers in several ways."""
    result: dict[str, Any] = {"threads": 1, "tokens": TOKENS, "layers": LAYERS}
    for name, (width, groups) in GEOMETRIES.items():
        calls = {}
        for way, write in WAYS.items():
            if way == "groups as one batched product" and groups == 1:
                continue
            opened = graphs.session(_model(width, groups, write))
            x = np.random.default_rng(graphs.SEED).normal(size=(1, TOKENS, width)).astype(np.float32)
            calls[way] = lambda opened=opened, x=x: opened.run(None, {"x": x})
        result[name] = in_turns(calls, seconds / len(GEOMETRIES))
    return result


def _model(width: int, groups: int, write: Callable[[_Graph, str], str]) -> onnx.ModelProto:
    graph = _Graph(width, groups)
    x = "x"
    for _ in range(LAYERS):
        x = write(graph, x)
    made = helper.make_graph(
        graph.nodes,
        "operators",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, width])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(made, opset_imports=opsets)
    model.ir_version = 8
    return model
