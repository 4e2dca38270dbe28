"""Massive activations are divided among units without a change to what the layer computes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.model import GroupedLinear, Layer, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing
from sqz_nlu.squeeze.options import Groups
from sqz_nlu.squeeze.regression import fit_layers
from sqz_nlu.squeeze.spreading import spread

FIRST = 5  # the token that begins every text
UNIT = 21


def encoder(groups: Groups) -> SqueezeBertEncoder:
    """One layer, in which a unit answers nothing but the first token, with a value of 30."""
    torch.manual_seed(3)
    fields = {"vocab_size": 60, "hidden_size": 32, "embedding_size": 32, "num_hidden_layers": 1}
    fields |= {"num_attention_heads": 4, "intermediate_size": 256, "hidden_act": "gelu_pytorch_tanh"}
    made = SqueezeBertEncoder(SqueezeBertConfig(**fields, **groups.config_fields())).eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, GroupedLinear):
                module.weight.normal_(std=0.3)
                module.bias.normal_(std=0.1)
        made.embeddings.word_embeddings.weight.normal_()
        made.embeddings.word_embeddings.weight[FIRST, 1] = 60.0  # one channel tells the first token
        layer = made.encoder.layers[0]
        layer.attention.value.weight.zero_()
        layer.intermediate.conv1d.weight[:, 1] = 0.0
        layer.intermediate.conv1d.weight[UNIT] = 0.0
        layer.intermediate.conv1d.weight[UNIT, 1] = 7.5
        layer.intermediate.conv1d.bias[UNIT] = -11.0
    return made


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(12):
        ids = torch.randint(6, 60, (16, 12), generator=generator)
        ids[:, 0] = FIRST
        mask = torch.ones_like(ids)
        mask[:4, 9:] = 0
        made.append((ids, mask))
    return made


def values(layer: Layer, model: SqueezeBertEncoder, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    """What the output projection gets, ``[tokens, units]``."""
    seen: list[Tensor] = []
    with torch.no_grad():
        for ids, mask in batches:
            hidden = model.embeddings(ids)
            attended = layer.post_attention(layer.attention(hidden, Packing(mask, padding=True)), hidden)
            seen.append(layer.intermediate.activation(layer.intermediate.conv1d(attended))[mask.bool()])
    return torch.cat(seen)


def int8_error(model: SqueezeBertEncoder, batches: list[tuple[Tensor, Tensor]]) -> float:
    """The mean squared error of rounding, one text at a time, in the states of other than the first token."""
    errors = []
    with torch.no_grad():
        for ids, mask in batches:
            exact = model(ids, mask)
            model.set_rounding(True)
            errors.append((model(ids, mask) - exact)[:, 1:9].square().mean())
            model.set_rounding(False)
    return float(torch.stack(errors).mean())


@pytest.mark.parametrize("groups", [Groups(1, 1, 1), Groups(1, 1, 2), Groups(4, 1, 4)])
def test_a_massive_activation_is_divided_and_the_layer_stays_what_it_was(groups: Groups, batches) -> None:
    before = encoder(groups)
    layer = before.encoder.layers[0]
    peaks = values(layer, before, batches).amax(0)
    assert peaks.argmax() == UNIT
    assert peaks[UNIT] > 3 * peaks.sort().values[-2]
    after = copy.deepcopy(before)
    fit_layers(before, after, [0], batches[:9], spread_peaks=True)
    spread_peaks = values(after.encoder.layers[0], after, batches).amax(0)
    assert spread_peaks.max() < 1.5 * peaks.sort().values[-2]
    with torch.no_grad():
        distances = [
            (after(*batch) - before(*batch))[batch[1].bool()].square().mean() for batch in batches[9:]
        ]
    assert float(torch.stack(distances).mean()) < 0.01  # of states with a variance of 1
    assert int8_error(after, batches) < 0.5 * int8_error(before, batches)


def test_units_that_speak_elsewhere_too_are_left_alone(batches) -> None:
    model = encoder(Groups(1, 1, 2))
    layer = model.encoder.layers[0]
    with torch.no_grad():
        layer.intermediate.conv1d.bias[UNIT] += 13.0  # no longer silent at other tokens
    state = copy.deepcopy(layer.state_dict())
    inputs = [torch.randn(200, 32)]
    inputs[0][::12, 1] = 5.0
    with torch.no_grad():
        assert spread(layer, inputs) == 0
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())


def test_units_that_always_speak_or_never_do_are_left_alone() -> None:
    layer = encoder(Groups(1, 1, 2)).encoder.layers[0]
    inputs = [torch.randn(200, 32)]
    with torch.no_grad():
        layer.intermediate.conv1d.weight[UNIT] = 0.0
        layer.intermediate.conv1d.bias[UNIT] = 40.0
        assert spread(layer, inputs) == 0
        layer.intermediate.conv1d.bias.fill_(-40.0)
        layer.intermediate.conv1d.weight.zero_()
        assert spread(layer, inputs) == 0


def test_without_massive_activations_nothing_changes() -> None:
    model = encoder(Groups(1, 1, 2))
    layer = model.encoder.layers[0]
    with torch.no_grad():
        layer.intermediate.conv1d.weight[UNIT] *= 0.01
        layer.intermediate.conv1d.bias[UNIT] = 0.0
        assert spread(layer, [torch.randn(200, 32)]) == 0
