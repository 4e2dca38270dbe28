"""Rounding in a network that trains is what the int8 graph does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.model import GroupedLinear, SqueezeBertEncoder, mean_pool
from sqz_nlu.encoder.quantize import PROJECTION_LIMIT, dequantize_rows, quantize_rows
from sqz_nlu.encoder.rounding import round_activations, round_weight
from sqz_nlu.export.graph import Int8Arithmetic
from sqz_nlu.export.lowering import lower


def test_a_weight_rounds_as_it_ships() -> None:
    weight = torch.randn(12, 20)
    expected = dequantize_rows(*quantize_rows(weight.numpy(), PROJECTION_LIMIT))
    assert np.allclose(round_weight(weight).numpy(), expected, atol=1e-7)
    assert torch.equal(round_weight(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_activations_take_255_steps_of_their_range_and_keep_zero() -> None:
    x = torch.randn(3, 5, 8) * torch.tensor([0.1, 1.0, 30.0])[:, None, None] + 0.5
    x[:, 0, 0] = 0.0
    rounded = round_activations(x)
    low, high = x.amin((1, 2)).clamp(max=0), x.amax((1, 2)).clamp(min=0)
    step = ((high - low) / 255)[:, None, None]
    assert ((rounded - x).abs() <= 0.501 * step).all()
    assert (rounded[:, 0, 0] == 0).all()
    assert ((rounded / step - torch.round(rounded / step)).abs() < 1e-2).all()
    assert torch.equal(round_activations(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 3))


def test_gradients_pass_through() -> None:
    layer = GroupedLinear(8, 12, groups=2)
    layer.rounded = True
    x = torch.randn(2, 3, 8, requires_grad=True)
    layer(x).sum().backward()
    plain = torch.autograd.grad(
        torch.nn.functional.linear(x[..., :4], round_weight(layer.group_weights()[0])).sum(), x
    )
    assert torch.allclose(x.grad[..., :4], plain[0][..., :4])
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("groups", [1, 2])
def test_a_rounding_network_is_closer_to_the_int8_graph_than_the_plain_one(groups: int) -> None:
    torch.manual_seed(0)
    config = SqueezeBertConfig(
        vocab_size=50,
        hidden_size=32,
        embedding_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_act="gelu_pytorch_tanh",
        **{f"{name}_groups": groups for name in ("q", "k", "v", "intermediate", "output")},
    )
    encoder = SqueezeBertEncoder(config).eval()
    for module in encoder.modules():
        if isinstance(module, GroupedLinear):
            torch.nn.init.normal_(module.weight, std=0.3)
    words = encoder.embeddings.word_embeddings.weight  # as they ship, so that products alone differ
    words.data = torch.from_numpy(dequantize_rows(*quantize_rows(words.detach().numpy(), 127)))
    weights = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    graph = lower(config, weights, Int8Arithmetic()).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    distances = {False: 0.0, True: 0.0}
    for _ in range(8):
        ids = torch.randint(3, 50, (1, 9))
        shipped = torch.from_numpy(session.run(["embedding"], {"input_ids": ids.int().numpy()})[0])
        for rounded in distances:
            encoder.set_rounding(rounded)
            ours = mean_pool(encoder(ids, torch.ones_like(ids)), torch.ones_like(ids))
            distances[rounded] += float((ours - shipped).detach().square().sum())
    assert distances[True] < 0.1 * distances[False]
