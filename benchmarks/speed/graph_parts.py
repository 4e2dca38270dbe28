"""Parts that measure graphs in ONNX Runtime: beside other exports, beside the machine, batches, growth."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import onnx
from measure import Call, in_turns, ratio
from onnx import TensorProto, helper, numpy_helper

TOKENS = 12
BATCH = 64
MICROSOFT = "com.microsoft"
VERBS = "turn dim set play stop move open close start check".split()
THINGS = "light lamp music radio heating door window timer kettle camera".split()
ROOMS = "kitchen bedroom garden hall office bath cellar attic garage porch".split()


def encoders(seconds: float) -> dict[str, Any]:
    """Batch 1, 12 tokens, 1 thread: our graphs beside BERT and beside torch's export of SqueezeBERT."""
    models: dict[str, onnx.ModelProto | Path] = {
        "bert_float": graphs.bert_float(),
        "bert_int8": graphs.bert_int8(),
        "squeezebert_float": graphs.squeezebert_float(),
        "squeezebert_uint8": graphs.squeezebert_uint8(),
        "base_int8": graphs.ours(graphs.base_geometry()),
        "embedded_int8": graphs.ours(),
    }
    calls = {name: graphs.run_of(graphs.session(model), 1, TOKENS) for name, model in models.items()}
    figures = in_turns(calls, seconds)
    pairs = {
        "base_over_bert_float": ("bert_float", "base_int8"),
        "base_over_bert_int8": ("bert_int8", "base_int8"),
        "base_over_torch_float": ("squeezebert_float", "base_int8"),
        "base_over_torch_uint8": ("squeezebert_uint8", "base_int8"),
        "embedded_over_bert_float": ("bert_float", "embedded_int8"),
    }
    ratios = {name: ratio(figures, *pair) for name, pair in pairs.items()}
    return {"threads": 1, "tokens": TOKENS, "figures": figures, "ratios": ratios}


def machine(seconds: float) -> dict[str, Any]:
    """How far our graphs are from what int8 products and memory of the machine allow, measured beside."""
    result: dict[str, Any] = {"threads": 1, "tokens": TOKENS}
    for name, model in (
        ("base", graphs.ours(graphs.base_geometry())),
        ("embedded", graphs.ours()),
    ):
        weights, multiplications = _work(model)
        source = np.ones(weights, np.uint8)
        target = np.empty_like(source)
        products = {f"product_{width}": _product(width) for width in (384, 768, 1536)}
        calls: dict[str, Call] = {
            "graph": graphs.run_of(graphs.session(model), 1, TOKENS),
            "copy": lambda target=target, source=source: np.copyto(target, source),
            **{key: call for key, (call, _) in products.items()},
        }
        figures = in_turns(calls, seconds / 2)
        peak = max(count / figures[key]["median_ms"] / 1e6 for key, (_, count) in products.items())
        bandwidth = 2 * weights / figures["copy"]["median_ms"] / 1e6
        bounds = {"memory_ms": weights / bandwidth / 1e6, "arithmetic_ms": multiplications / peak / 1e6}
        result[name] = {
            "weight_bytes": weights,
            "multiply_adds": multiplications,
            "copy_gigabytes_per_s": round(bandwidth, 2),
            "multiply_adds_per_ns": round(peak, 2),
            **{key: round(value, 4) for key, value in bounds.items()},
            "figures": figures,
            "over_bound": round(figures["graph"]["median_ms"] / max(bounds.values()), 2),
            "nodes": len(model.graph.node),
            "profile_percent": _profile(model),
        }
    return result


def _work(model: onnx.ModelProto) -> tuple[int, int]:
    """Bytes of all weights of products, and multiply-adds with them over 12 tokens."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    sizes = [
        int(np.prod(shapes[node.input[1]]))
        for node in model.graph.node
        if node.op_type in ("DynamicQuantizeMatMul", "QAttention")
    ]
    return sum(sizes), TOKENS * sum(sizes)


def _product(width: int, rows: int = 512) -> tuple[Call, int]:
    """A large int8 product of ONNX Runtime and its multiply-adds."""
    rng = np.random.default_rng(0)
    constants = {
        "weight": rng.integers(-63, 64, (width, width)).astype(np.int8),
        "scale": np.full(width, 0.01, np.float32),
        "input_scale": np.float32(0.01),
        "zero": np.uint8(128),
    }
    node = helper.make_node(
        "MatMulIntegerToFloat", ["x", "weight", "input_scale", "scale", "zero"], ["y"], domain=MICROSOFT
    )
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [rows, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, width])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    opened = graphs.session(model)
    feeds = {"x": rng.integers(0, 256, (rows, width)).astype(np.uint8)}
    return lambda: opened.run(None, feeds), rows * width * width


def _profile(model: onnx.ModelProto, runs: int = 100) -> dict[str, float]:
    """The share of each operator in the time of all, in percent, from ONNX Runtime's profiler."""
    with tempfile.TemporaryDirectory() as folder:
        opened = graphs.session(model, profile=Path(folder) / "profile")
        call = graphs.run_of(opened, 1, TOKENS)
        for _ in range(runs):
            call()
        events = json.loads(Path(opened.end_profiling()).read_text())
    spent: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    total = sum(spent.values())
    falling = sorted(spent.items(), key=lambda item: -item[1])
    return {name: round(100 * value / total, 1) for name, value in falling}


def batch(seconds: float) -> dict[str, Any]:
    """64 texts of 12 tokens on one thread and on two: ours from text to vector, BERT from token ids.

    BERT has the batch whole, and with two threads also as halves side by side; what is faster counts.
    """
    texts = _texts(BATCH)
    encoders = {"base_int8": graphs.base_geometry(), "embedded_int8": None}
    calls: dict[str, Call] = {}
    for threads in (1, 2):
        calls[f"bert_float_{threads}"] = graphs.run_of(
            graphs.session(graphs.bert_float(), threads), BATCH, TOKENS
        )
        for name, config in encoders.items():
            interpreter = graphs.interpreter(config, threads=threads)
            calls[f"{name}_{threads}"] = lambda interpreter=interpreter: interpreter.embed(texts)
    half = graphs.run_of(graphs.session(graphs.bert_float()), BATCH // 2, TOKENS)
    pool = ThreadPoolExecutor(2)
    calls["bert_float_halves_2"] = lambda: list(pool.map(lambda _: half(), range(2)))
    figures = in_turns(calls, seconds)
    for figure in figures.values():
        figure["sentences_per_s"] = round(1000 * BATCH / figure["median_ms"], 1)
    two = min(("bert_float_2", "bert_float_halves_2"), key=lambda name: figures[name]["median_ms"])
    ratios = {
        "base_over_bert_1": ratio(figures, "bert_float_1", "base_int8_1"),
        "base_over_bert_2": ratio(figures, two, "base_int8_2"),
        "bert_float_scaling": ratio(figures, "bert_float_1", two),
        **{f"{name}_scaling": ratio(figures, f"{name}_1", f"{name}_2") for name in encoders},
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"batch": BATCH, "tokens": TOKENS, "cores": cores, "figures": figures, "ratios": ratios}


def _texts(count: int) -> list[str]:
    """Different texts of 10 words that the tokenizer does not cut, so of 12 tokens."""
    return [
        f"please {VERBS[n % 10]} the {THINGS[n // 10 % 10]} in the {ROOMS[n % 7]} or {ROOMS[n // 7 % 7]} now"
        for n in range(count)
    ]


def growth(seconds: float) -> dict[str, Any]:
    """The embedded geometry by length and batch, text to JSON by number of intents and entity types."""
    model = graphs.ours()
    opened = graphs.session(model)
    share = seconds / 4
    lengths = {str(n): graphs.run_of(opened, 1, n) for n in (4, 8, 12, 16, 32, 64, 128, 256, 512)}
    batches = {str(n): graphs.run_of(opened, n, TOKENS) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)}
    intents = {str(n): _parse(n, 11) for n in (2, 10, 100, 500, 2000)}
    types = {str(n): _parse(30, n) for n in (0, 1, 10, 50, 200)}
    result = {
        "threads": 1,
        "length": in_turns(lengths, share),
        "batch": in_turns(batches, share),
        "intents": in_turns(intents, share),
        "entity_types": in_turns(types, share),
    }
    added = ratio(result["intents"], "2000", "2") - 1
    return {**result, "two_thousand_intents_add_percent": round(100 * added, 1)}


def _parse(intents: int, types: int) -> Call:
    """Text to JSON with the embedded encoder and heads of random weights that find few entities."""
    interpreter = graphs.interpreter(intents=intents, types=types)
    text = "could you please turn on the lights in the kitchen"
    return lambda: json.dumps(interpreter.parse(text).to_dict())


def examples(seconds: float) -> dict[str, Any]:
    """One epoch from examples to bundle by number of examples; stops short of 20 times ``seconds``."""
    from sqz_nlu.fit import fit
    from sqz_nlu.training.examples import Example
    from sqz_nlu.training.options import TrainingOptions

    figures: dict[str, dict[str, float]] = {}
    options = TrainingOptions.from_dict({"epochs": 1, "device": "cpu"})
    started = time.perf_counter()
    for count in (10, 10, 100, 1000, 10_000, 100_000):  # the first warms up and is measured again
        last = max((figure["seconds"] for figure in figures.values()), default=0.0)
        if count > 100 and time.perf_counter() - started + 10 * last > 20 * seconds:
            break
        texts = [
            Example(
                f"{VERBS[n % 10]} the {THINGS[n // 10 % 10]} in the {ROOMS[n // 100 % 10]} {n // 1000}",
                VERBS[n % 10],
                (),
            )
            for n in range(count)
        ]
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            report = fit(texts, options, Path(folder) / "bundle")
            size = sum(file.stat().st_size for file in report.bundle.iterdir())
            figures[str(count)] = {
                "seconds": round(time.perf_counter() - began, 2),
                "bundle_megabytes": round(size / 1e6, 2),
            }
    return {"epochs": 1, "figures": figures}
