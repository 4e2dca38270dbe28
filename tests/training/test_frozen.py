"""What frozen layers make of a text is computed once, and is what the encoder makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import padded_texts, tiny_model
from torch import Tensor, nn

from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.training.dataset import IGNORE, Row
from sqz_nlu.training.frozen import FrozenLayers
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.schedule import frozen_layers, make_plan, new_optimizer
from sqz_nlu.training.trainer import train

IDS, MASK = padded_texts()


class Watch:
    """Counts the tokens that a layer was asked for."""

    def __init__(self, layer: nn.Module) -> None:
        self.tokens = 0
        layer.register_forward_hook(self._count)

    def _count(self, _layer: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        self.tokens += int(inputs[0].any(-1).sum())  # rows of zeros fill up


@pytest.fixture
def encoder():
    made = tiny_model()
    made.set_dropout(0.0, 0.5)
    return made


def test_states_are_the_encoders_and_gradients_reach_what_trains(encoder) -> None:
    frozen = FrozenLayers(encoder, 1, 100)
    encoder.encoder.layers[1].eval()
    states = frozen(IDS, MASK)
    encoder.eval()
    real = MASK.bool()
    torch.testing.assert_close(states[real], encoder(IDS, MASK)[real], atol=5e-3, rtol=5e-3)
    states.square().sum().backward()
    touched = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert touched == {f"encoder.layers.1.{name}" for name, _ in encoder.encoder.layers[1].named_parameters()}


def test_a_text_is_computed_once_whatever_it_is_padded_to(encoder) -> None:
    frozen, below = FrozenLayers(encoder, 1, 100), Watch(encoder.encoder.layers[0])
    encoder.encoder.layers[1].eval()
    first = frozen(IDS, MASK)
    assert below.tokens == 10
    again = frozen(IDS[1:, :3], MASK[1:, :3])
    assert below.tokens == 10
    torch.testing.assert_close(again[0, :2], first[1, :2])
    frozen(torch.cat([IDS[:1], IDS[:1] - 1]), torch.ones(2, 5, dtype=torch.long))
    assert below.tokens == 15  # one of them was new
    frozen.forget()
    frozen(IDS, MASK)
    assert below.tokens == 25


def test_texts_beyond_the_limit_are_computed_each_time(encoder) -> None:
    frozen, below = FrozenLayers(encoder, 1, 6), Watch(encoder.encoder.layers[0])
    frozen(IDS, MASK)  # the text of 5 tokens finds room, those of 2 and 3 do not
    frozen(IDS, MASK)
    assert below.tokens == 10 + 5


def test_a_text_twice_in_a_batch(encoder) -> None:
    frozen = FrozenLayers(encoder, 1, 100)
    encoder.encoder.layers[1].eval()
    states = frozen(IDS[[2, 2]], MASK[[2, 2]])
    torch.testing.assert_close(states[0], states[1])


def test_there_is_no_dropout_below(encoder) -> None:
    encoder.train()
    FrozenLayers(encoder, 1, 100)(IDS, MASK)
    assert [layer.attention.training for layer in encoder.encoder.layers] == [False, True]


ROWS = [Row([2, 4 + n % 4, 3], n % 2, *[[IGNORE] * 3] * 3) for n in range(60)]
TAGGED = [*ROWS, Row([2, 4, 3], 0, [IGNORE, 1, IGNORE], *[[IGNORE] * 3] * 2)]


@pytest.mark.parametrize(
    ("rows", "options", "frozen"),
    [
        (ROWS, {}, 3),
        (ROWS[:40], {}, 0),  # twenty examples an intent
        (TAGGED, {}, 0),
        (ROWS, {"freeze_embeddings": False}, 0),
        (TAGGED, {"freeze_embeddings": False, "frozen_layers": 1}, 1),
        (ROWS, {"frozen_layers": 0}, 0),
        (ROWS, {"frozen_layers": 99}, 6),
    ],
)
def test_how_many_layers_stay(rows: list[Row], options: dict, frozen: int) -> None:
    network = JointNetwork(tiny_model(6), LabelSpace(intents=("a", "b")), 0.0, 0.0)
    chosen = TrainingOptions(**options)
    plan = make_plan(rows, chosen, np.random.default_rng(0))
    assert frozen_layers(network, chosen, plan) == frozen
    new_optimizer(network, chosen, 1e-3, frozen)
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in network.encoder.encoder.layers]
    assert trained == [False] * frozen + [True] * (6 - frozen)


def test_training_moves_only_the_layers_above() -> None:
    network = JointNetwork(tiny_model(), LabelSpace(intents=("a", "b")), 0.0, 0.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, ROWS, TrainingOptions(epochs=2, device="cpu", quantization="none"))
    changed = [name for name, value in network.state_dict().items() if not value.equal(before[name])]
    assert any(name.startswith("encoder.encoder.layers.1.") for name in changed)
    assert not any(name.startswith(("encoder.embeddings", "encoder.encoder.layers.0.")) for name in changed)
