"""A small builder of ONNX graphs, and the two ways to compute a matrix product in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqz_nlu.encoder.quantize import EMBEDDING_LIMIT, PROJECTION_LIMIT, quantize_rows

ONNX_OPSET = 17
IR_VERSION = 8
MICROSOFT = "com.microsoft"
Array = npt.NDArray[np.float32]


class GraphBuilder:
    """Collects nodes and initializers; every method that adds a node returns its output's name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Adds an initializer unless one of this name exists."""
        if name not in self._initializers:
            contiguous = np.ascontiguousarray(value)
            self._initializers[name] = numpy_helper.from_array(contiguous, name)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a standard operator with one output."""
        self._nodes.append(helper.make_node(operator, list(inputs), [output], output, **attributes))
        return output

    def add_fused(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds one of ONNX Runtime's fused operators."""
        return self.add(operator, inputs, output, domain=MICROSOFT, **attributes)

    def add_many(
        self, operator: str, inputs: Sequence[str], count: int, output: str, **attributes: Any
    ) -> list[str]:
        """Adds a standard operator with several outputs."""
        outputs = [f"{output}.{part}" for part in range(count)]
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, output, **attributes))
        return outputs

    def attention(self, inputs: Sequence[str], heads: int, output: str) -> str:
        """Adds attention over queries, keys and values ``[batch, tokens, width]``."""
        return self.add_fused("MultiHeadAttention", inputs, output, num_heads=heads)

    def split(self, value: str, parts: int, width: int, output: str) -> list[str]:
        """Cuts the last axis, ``width`` wide, into equal parts."""
        if parts == 1:
            return [value]
        sizes = self.constant(f"split.{parts}x{width // parts}", np.full(parts, width // parts, np.int64))
        return self.add_many("Split", [value, sizes], parts, output, axis=-1)

    def concat(self, values: Sequence[str], output: str, axis: int = -1) -> str:
        """Joins values along an axis."""
        return values[0] if len(values) == 1 else self.add("Concat", values, output, axis=axis)

    def unstack(self, value: str, parts: int) -> list[str]:
        """Cuts the first axis into equal parts."""
        return self.add_many("Split", [value], parts, f"{value}.split", axis=0)

    def model(
        self,
        inputs: Sequence[tuple[str, int, Sequence[str | int]]],
        outputs: Sequence[tuple[str, Sequence[str | int]]],
        producer: str,
    ) -> onnx.ModelProto:
        """The finished model.

        Args:
            inputs: name, element type and shape of each.
            outputs: name and shape of each, all float32.
            producer: recorded as the model's producer.
        """
        graph = helper.make_graph(
            self._nodes,
            "sqz_nlu",
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name=producer)
        model.ir_version = IR_VERSION
        return model


class Arithmetic(Protocol):
    """How weights are stored and multiplied.

    Attributes:
        precision: its name in a bundle.
        exact: whether results are those of float32; otherwise GELU may be its tanh form, which differs from
            it by less than 0.0005, a tenth of what rounding changes, in half the time.
    """

    precision: str
    exact: bool

    def product(self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array) -> str:
        """Adds ``x @ weight.T + bias`` for a weight ``[out, in]`` and a bias ``[out]``."""

    def self_attention(
        self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array, heads: int, output: str
    ) -> str:
        """Adds attention of ``x`` to itself; ``weight [3 * width, width]`` makes query, key and value."""

    def lookup(self, graph: GraphBuilder, ids: str, name: str, table: Array) -> str:
        """Adds a look-up of rows of a table ``[rows, columns]``."""


class FloatArithmetic:
    """float32 throughout: the reference that int8 is held against."""

    precision = "float32"
    exact = True

    def product(self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array) -> str:
        """One ``MatMul`` and one ``Add``."""
        matrix = graph.constant(f"{name}.weight", weight.T)
        offset = graph.constant(f"{name}.bias", bias)
        return graph.add("Add", [graph.add("MatMul", [x, matrix], f"{name}.matmul"), offset], name)

    def self_attention(
        self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array, heads: int, output: str
    ) -> str:
        """The product, a ``Split`` and one ``MultiHeadAttention``."""
        product = self.product(graph, x, name, weight, bias)
        return graph.attention(graph.split(product, 3, len(weight), f"{name}.split"), heads, output)

    def lookup(self, graph: GraphBuilder, ids: str, name: str, table: Array) -> str:
        """One ``Gather``."""
        return graph.add("Gather", [graph.constant(f"{name}.weight", table), ids], name)


class Int8Arithmetic:
    """8-bit weights with a scale for each output, and activations quantized as they come.

    ``DynamicQuantizeMatMul`` finds the range of ``x``, rounds it to unsigned 8 bits, multiplies in integers
    and returns floats with the bias added, in one operator.
    """

    precision = "int8"
    exact = False

    def product(self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array) -> str:
        """One ``DynamicQuantizeMatMul``."""
        integers, scale, offset = self._constants(graph, name, weight, bias)
        return graph.add_fused("DynamicQuantizeMatMul", [x, integers, scale, "", offset], name)

    def self_attention(
        self, graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array, heads: int, output: str
    ) -> str:
        """One ``QAttention``, which computes the product as well, on ``x`` rounded as any other input."""
        integers, scale, offset = self._constants(graph, name, weight, bias)
        rounded, range_of_x, zero = graph.add_many("DynamicQuantizeLinear", [x], 3, f"{name}.input")
        inputs = [rounded, integers, offset, range_of_x, scale, "", zero]
        return graph.add_fused("QAttention", inputs, output, num_heads=heads)

    def _constants(self, graph: GraphBuilder, name: str, weight: Array, bias: Array) -> tuple[str, str, str]:
        """Integers ``[in, out]``, a scale for each output, and the bias."""
        integers, scale = quantize_rows(weight, PROJECTION_LIMIT)
        return (
            graph.constant(f"{name}.weight", integers.T),
            graph.constant(f"{name}.scale", scale),
            graph.constant(f"{name}.bias", bias),
        )

    def lookup(self, graph: GraphBuilder, ids: str, name: str, table: Array) -> str:
        """Gathers integers and scales, and multiplies them."""
        integers, scale = quantize_rows(table, EMBEDDING_LIMIT)
        rows = graph.add("Gather", [graph.constant(f"{name}.weight", integers), ids], f"{name}.rows")
        scales = graph.constant(f"{name}.scale", scale[:, None])
        scales = graph.add("Gather", [scales, ids], f"{name}.scales")
        floats = graph.add("Cast", [rows], f"{name}.floats", to=TensorProto.FLOAT)
        return graph.add("Mul", [floats, scales], name)
