from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from tiny import tiny_config

from sqz_nlu.encoder.load import numpy_parameters
from sqz_nlu.encoder.model import SqueezeBertEncoder, mean_pool
from sqz_nlu.encoder.quantize import PROJECTION_LIMIT, dequantize_rows, quantize_rows
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import EncoderError
from sqz_nlu.export.graph import FloatArithmetic, Int8Arithmetic
from sqz_nlu.export.lowering import HeadWeights, lower

CONFIGS = {
    "groups 4": {},
    "groups 1": {f"{f}_groups": 1 for f in ("q", "k", "v", "intermediate", "output")},
    "groups 2": {f"{f}_groups": 2 for f in ("q", "k", "v", "intermediate", "output")},
    "groups that cut heads": {"num_attention_heads": 2},
    "mixed": {"k_groups": 2, "post_attention_groups": 4, "output_groups": 2, "hidden_act": "gelu"},
    "relu": {"hidden_act": "relu"},
}
FLOAT_PRODUCTS = {"MatMul", "Gemm", "Conv", "FusedMatMul", "Einsum"}


def network(**changes):
    torch.manual_seed(5)
    encoder = SqueezeBertEncoder(tiny_config(**changes)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    rng = np.random.default_rng(5)
    heads = [
        HeadWeights(rng.normal(size=(n, 32)).astype(np.float32), rng.normal(size=n).astype(np.float32))
        for n in (6, 9)
    ]
    return encoder, heads


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def expected(encoder, heads, ids):
    mask = torch.ones(ids.shape, dtype=torch.long)
    with torch.no_grad():
        states = encoder(torch.from_numpy(ids).long(), mask)
        pooled = mean_pool(states, mask)
        unit = torch.nn.functional.normalize(pooled, dim=-1)
        intent, word = (map(torch.from_numpy, (head.weight, head.bias)) for head in heads)
        return [
            pooled.numpy(),
            torch.nn.functional.linear(unit, *intent).numpy(),
            torch.nn.functional.linear(states, *word).numpy(),
        ]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_float_graph_equals_torch_whatever_the_batch_and_length(name: str) -> None:
    encoder, heads = network(**CONFIGS[name])
    run = session(lower(encoder.config, numpy_parameters(encoder), FloatArithmetic(), *heads))
    rng = np.random.default_rng(0)
    texts = 0
    while texts < 1000:
        batch, width = int(rng.integers(1, 33)), int(rng.integers(2, 40))
        ids = rng.integers(5, 60, (batch, width)).astype(np.int32)
        outputs = run.run(None, {"input_ids": ids})
        for seen, wanted in zip(outputs, expected(encoder, heads, ids), strict=True):
            assert np.abs(seen - wanted).max() <= 1e-4
        texts += batch


@pytest.mark.parametrize(
    ("arithmetic", "operator"), [(FloatArithmetic, "Gelu"), (Int8Arithmetic, "FastGelu")]
)
def test_only_int8_graphs_take_the_tanh_form_of_gelu(arithmetic, operator: str) -> None:
    encoder, _ = network(hidden_act="gelu")
    nodes = lower(encoder.config, numpy_parameters(encoder), arithmetic()).graph.node
    assert {node.op_type for node in nodes if "Gelu" in node.op_type} == {operator}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_product_is_integer(name: str) -> None:
    encoder, heads = network(**CONFIGS[name])
    model = lower(encoder.config, numpy_parameters(encoder), Int8Arithmetic(), *heads)
    onnx.checker.check_model(model)
    census = Counter(node.op_type for node in model.graph.node)
    assert not FLOAT_PRODUCTS & set(census)
    config = encoder.config
    fused = config.q_groups == config.k_groups == config.v_groups
    attention = config.q_groups if fused else config.q_groups + config.k_groups + config.v_groups
    layer = attention + config.post_attention_groups + config.intermediate_groups + config.output_groups
    dense = fused and config.q_groups == 1
    assert census["DynamicQuantizeMatMul"] == config.num_hidden_layers * (layer - dense) + 2
    assert census["MultiHeadAttention"] == config.num_hidden_layers * (not dense)
    assert census["QAttention"] == config.num_hidden_layers * dense
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("DynamicQuantizeMatMul", "QAttention"):
            integers = weights[node.input[1]]
            assert integers.dtype == np.int8
            assert np.abs(integers.astype(int)).max() <= PROJECTION_LIMIT


def test_the_census_holds_after_onnxruntime_has_optimised(tmp_path) -> None:
    encoder, heads = network()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    model = lower(encoder.config, numpy_parameters(encoder), Int8Arithmetic(), *heads)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(str(tmp_path / "optimised.onnx"))
    assert not FLOAT_PRODUCTS & {node.op_type for node in optimised.graph.node}


@pytest.mark.parametrize("name", CONFIGS)
def test_int8_stays_close_to_float(name: str) -> None:
    encoder, heads = network(**CONFIGS[name])
    ids = np.random.default_rng(2).integers(5, 60, (16, 12)).astype(np.int32)
    feed = {"input_ids": ids}
    parameters = numpy_parameters(encoder)
    exact, rounded = (
        session(lower(encoder.config, parameters, arithmetic, *heads)).run(["embedding"], feed)[0]
        for arithmetic in (FloatArithmetic(), Int8Arithmetic())
    )
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.mean() >= 0.995


def test_the_embedded_encoder_in_int8_is_a_quarter_of_float_and_agrees_with_torch() -> None:
    from sqz_nlu import Interpreter
    from sqz_nlu.encoder.load import load_encoder, load_tokenizer

    source = find_encoder("embedded")
    encoder, tokenizer = load_encoder(source), load_tokenizer(source)
    parameters = numpy_parameters(encoder)
    exact = lower(encoder.config, parameters, FloatArithmetic()).ByteSize()
    assert source.weights.stat().st_size <= 0.30 * exact
    texts = ["turn on the kitchen lights", "will it rain in oslo tomorrow", "thanks, that is all"]
    interpreter = Interpreter.load("embedded")
    for text in texts:
        (seen,) = interpreter.embed([text])
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            wanted = mean_pool(encoder(ids, torch.ones_like(ids)), torch.ones_like(ids))[0].numpy()
        assert seen @ wanted / np.linalg.norm(seen) / np.linalg.norm(wanted) >= 0.99  # on average 0.995


def test_an_unknown_activation_is_refused() -> None:
    encoder, _ = network(hidden_act="silu")
    with pytest.raises(EncoderError, match="silu"):
        lower(encoder.config, numpy_parameters(encoder), Int8Arithmetic())


def test_quantizing_twice_changes_nothing_and_zero_rows_stay_zero() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32)
    weight[3] = 0.0
    integers, scale = quantize_rows(weight, 63)
    again, scale_again = quantize_rows(dequantize_rows(integers, scale), 63)
    assert np.array_equal(integers, again)
    assert np.allclose(scale, scale_again)
    assert np.abs(integers[np.arange(50) != 3].astype(int)).max(axis=1).tolist() == [63] * 49
    assert not integers[3].any()


def test_seven_bits_cannot_saturate_pairs_on_processors_without_vnni() -> None:
    """AVX2's u8 * s8 instruction adds two products in 16 signed bits."""
    assert 2 * 255 * PROJECTION_LIMIT <= np.iinfo(np.int16).max < 2 * 255 * 127
