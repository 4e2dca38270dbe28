from __future__ import annotations

import itertools

import pytest
import torch
from tiny import tiny_config
from transformers import SqueezeBertModel

from sqz_nlu.encoder.load import assign_weights
from sqz_nlu.encoder.model import GroupedLinear, SqueezeBertEncoder, mean_pool
from sqz_nlu.errors import EncoderError

MIXES = [(g,) * 6 for g in (1, 2, 4)] + [(1, 2, 4, 1, 2, 4), (4, 4, 4, 1, 4, 4), (2, 2, 2, 4, 4, 1)]
FIELDS = ("q", "k", "v", "post_attention", "intermediate", "output")


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(5, 60, (4, 9))
    mask = torch.ones_like(ids)
    for row, length in enumerate((9, 2, 5, 7)):
        mask[row, length:] = 0
    return ids, mask


@pytest.mark.parametrize("groups", MIXES)
@pytest.mark.parametrize("activation", ["gelu", "gelu_pytorch_tanh"])
def test_outputs_equal_those_of_transformers(groups: tuple[int, ...], activation: str) -> None:
    named = {f"{field}_groups": count for field, count in zip(FIELDS, groups, strict=True)}
    config = tiny_config(hidden_act=activation, **named)
    theirs = SqueezeBertModel(config).eval()
    ours = SqueezeBertEncoder(config).eval()
    assign_weights(ours, theirs.state_dict(), "a random model")
    ids, mask = inputs()
    expected = theirs(ids, mask).last_hidden_state
    assert torch.allclose(ours(ids, mask)[mask.bool()], expected[mask.bool()], atol=1e-5)


def test_weights_go_back_into_transformers() -> None:
    config = tiny_config()
    ours, theirs = SqueezeBertEncoder(config).eval(), SqueezeBertModel(config).eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert unexpected == []
    assert all(name.startswith("pooler.") for name in missing)
    ids, mask = inputs()
    expected = theirs(ids, mask).last_hidden_state
    assert torch.allclose(ours(ids, mask)[mask.bool()], expected[mask.bool()], atol=1e-5)


def test_the_first_state_is_the_embedding_and_one_follows_each_layer() -> None:
    states = SqueezeBertEncoder(tiny_config(num_hidden_layers=3)).hidden_states(*inputs())
    assert [tuple(state.shape) for state in states] == [(4, 9, 32)] * 4


def test_impossible_geometries_are_refused() -> None:
    with pytest.raises(EncoderError, match="3 groups do not divide"):
        GroupedLinear(32, 32, 3)
    with pytest.raises(EncoderError, match="5 attention heads"):
        SqueezeBertEncoder(tiny_config(num_attention_heads=5))
    with pytest.raises(EncoderError, match="embedding_size is 16"):
        SqueezeBertEncoder(tiny_config(embedding_size=16))


def test_missing_and_misshapen_weights_are_named() -> None:
    encoder = SqueezeBertEncoder(tiny_config())
    state = encoder.state_dict()
    name = "encoder.layers.0.output.conv1d.weight"
    with pytest.raises(EncoderError, match=name):
        assign_weights(encoder, {k: v for k, v in state.items() if k != name}, "here")
    with pytest.raises(EncoderError, match=r"shape \[1\]"):
        assign_weights(encoder, state | {name: torch.zeros(1)}, "here")


def test_mean_pool_ignores_padding() -> None:
    states = torch.arange(12.0).view(1, 4, 3)
    for length, fill in itertools.product((1, 3), (0.0, 1e6)):
        padded = states.clone()
        padded[:, length:] = fill
        mask = (torch.arange(4) < length).long()[None]
        assert torch.allclose(mean_pool(padded, mask), states[:, :length].mean(1))
