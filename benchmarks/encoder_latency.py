"""Times int8 graphs beside a fixed reference: 12 tokens, one text, one thread, in turns (A B A B).

The reference is the graph by which the architecture was chosen: 6 layers of 384 in 4 groups, written here
operator by operator with random weights, so that it stays what it is when the lowering improves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

TOKENS = 12
CALLS, WARM_UP = 10, 5
HIDDEN, WIDE, LAYERS, HEADS, GROUPS, PIECES = 384, 1536, 6, 12, 4, 30522
REFERENCE = "reference"
Figures = dict[str, Any]


class _Prototype:
    """Collects the nodes of the reference."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], fused: bool = False, **more: Any) -> str:
        domain = "com.microsoft" if fused else ""
        self.nodes.append(helper.make_node(kind, inputs, outputs, outputs[0], domain=domain, **more))
        return outputs[0]

    def product(self, x: str, name: str, width: int, out: int) -> str:
        weight = self.rng.integers(-64, 64, (width, out)).astype(np.int8)
        scale = np.full(out, 1 / (37 * width**0.5), np.float32)
        inputs = [x, self.constant(f"{name}.w", weight), self.constant(f"{name}.s", scale), ""]
        inputs.append(self.constant(f"{name}.b", np.zeros(out, np.float32)))
        return self.node("DynamicQuantizeMatMul", inputs, [name], fused=True)

    def split(self, x: str, name: str, parts: int) -> list[str]:
        outputs = [f"{name}.{part}" for part in range(parts)]
        self.node("Split", [x], outputs, axis=-1)
        return outputs

    def normalise(self, x: str, skip: str, name: str) -> str:
        ones, zeros = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)
        inputs = [x, skip, self.constant(f"{name}.g", ones), self.constant(f"{name}.z", zeros)]
        return self.node("SkipLayerNormalization", inputs, [name], fused=True, epsilon=1e-12)

    def attention(self, x: str, name: str) -> str:
        width = HIDDEN // GROUPS
        parts: dict[str, list[str]] = {"q": [], "k": [], "v": []}
        for group, piece in enumerate(self.split(x, f"{name}.in", GROUPS)):
            three = self.product(piece, f"{name}.qkv{group}", width, 3 * width)
            for kind, part in zip(parts, self.split(three, f"{name}.three{group}", 3), strict=True):
                parts[kind].append(part)
        query, key, value = (
            self.node("Concat", part, [f"{name}.{kind}"], axis=-1) for kind, part in parts.items()
        )
        inputs = [query, key, value, "", "attention_mask"]
        context = self.node("MultiHeadAttention", inputs, [f"{name}.context"], fused=True, num_heads=HEADS)
        return self.product(context, f"{name}.post", HIDDEN, HIDDEN)

    def feed_forward(self, x: str, name: str) -> str:
        narrow = []
        for group, piece in enumerate(self.split(x, f"{name}.wide_in", GROUPS)):
            wide = self.product(piece, f"{name}.wide{group}", HIDDEN // GROUPS, WIDE // GROUPS)
            active = self.node("FastGelu", [wide], [f"{name}.active{group}"], fused=True)
            narrow.append(self.product(active, f"{name}.narrow{group}", WIDE // GROUPS, HIDDEN // GROUPS))
        return self.node("Concat", narrow, [f"{name}.narrow"], axis=-1)


def prototype() -> bytes:
    """The serialized reference graph, with the inputs and the output of a bundle's encoder."""
    graph = _Prototype()
    table = graph.constant("words", graph.rng.integers(-127, 127, (PIECES, HIDDEN)).astype(np.int8))
    rows = graph.node("Gather", [table, "input_ids"], ["rows"])
    floats = graph.node("Cast", [rows], ["floats"], to=TensorProto.FLOAT)
    scale = graph.constant("words.scale", np.full((1,), 0.01, np.float32))
    words = graph.node("Mul", [floats, scale], ["scaled"])
    positions = graph.constant("positions", graph.rng.normal(0, 0.1, (1, 512, HIDDEN)).astype(np.float32))
    zero, one = graph.constant("zero", np.zeros(1, np.int64)), graph.constant("one", np.ones(1, np.int64))
    length = graph.node("Shape", ["input_ids"], ["length"], start=1, end=2)
    places = graph.node("Slice", [positions, zero, length, one], ["places"])
    x = graph.normalise(words, places, "begin")
    for layer in range(LAYERS):
        x = graph.normalise(graph.attention(x, f"l{layer}"), x, f"l{layer}.attended")
        x = graph.normalise(graph.feed_forward(x, f"l{layer}"), x, f"l{layer}.states")
    graph.node("ReduceMean", [x], ["embedding"], axes=[1], keepdims=0)
    shape = ["batch", "tokens"]
    made = helper.make_graph(
        graph.nodes,
        "reference",
        [helper.make_tensor_value_info(n, TensorProto.INT32, shape) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN])],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    content: bytes = helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()
    return content


def native(bundles: Mapping[str, Path], seconds: float, work: Path) -> dict[str, Figures]:
    """Median and 95th percentile of each bundle's graph in ONNX Runtime, and the ratio to the reference.

    ``cpu_ratio`` is the ratio of the processor time of the calling thread, which does all the work: it
    holds on a busy machine, too.
    """
    del work
    from sqz_nlu.runtime.session import GraphSession

    ids = np.random.default_rng(7).integers(5, 1000, (1, TOKENS)).astype(np.int32)
    graphs = {REFERENCE: prototype(), **{n: (b / "model.onnx").read_bytes() for n, b in bundles.items()}}

    def call(content: bytes) -> Callable[[], object]:
        session = GraphSession(content)
        return lambda: session.run(["embedding"], ids)

    calls = {name: call(content) for name, content in graphs.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    busy: dict[str, list[float]] = {name: [] for name in calls}
    end, turns = time.perf_counter() + seconds, 0
    while turns < 5 or time.perf_counter() < end:
        for name, run in calls.items():
            for turn in range(WARM_UP + CALLS):
                started, worked = time.perf_counter(), time.thread_time()
                run()
                if turn >= WARM_UP:
                    times[name].append(1000 * (time.perf_counter() - started))
                    busy[name].append(1000 * (time.thread_time() - worked))
        turns += 1
    cpu = _ratios(busy)
    return {n: {**f, "cpu_ratio": cpu[n]["ratio"]} for n, f in _ratios(times).items()}


def web(bundles: Mapping[str, Path], seconds: float, work: Path) -> dict[str, Figures]:
    """The same in onnxruntime-web (WebAssembly, one thread) in Node; nothing where Node's packages lack."""
    root = Path(__file__).parents[1]
    if not (root / "node_modules" / "onnxruntime-web").is_dir():
        print("No times on WebAssembly: run `make web-tools` first.", file=sys.stderr)
        return {}
    reference = work / "reference.onnx"
    work.mkdir(parents=True, exist_ok=True)
    reference.write_bytes(prototype())
    graphs = {REFERENCE: str(reference), **{n: str(b / "model.onnx") for n, b in bundles.items()}}
    command = ["node", str(root / "benchmarks" / "encoder_latency.mjs"), json.dumps(graphs), str(seconds)]
    output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    return _ratios(json.loads(output))


def _ratios(times: Mapping[str, list[float]]) -> dict[str, Figures]:
    """Percentiles by name, and how many times the reference's median each takes."""
    base = float(np.median(times[REFERENCE]))
    return {
        name: {
            "ratio": round(float(np.median(values)) / base, 3),
            "ratio_p95": round(float(np.percentile(values, 95)) / base, 3),
            "median_ms": round(float(np.median(values)), 4),
            "p10_ms": round(float(np.percentile(values, 10)), 4),
            "p95_ms": round(float(np.percentile(values, 95)), 4),
            "reference_median_ms": round(base, 4),
            "calls": len(values),
        }
        for name, values in times.items()
        if name != REFERENCE
    }
