"""How a student's weights begin: the numbering of the channels, and the regression."""

from __future__ import annotations

import copy
from itertools import combinations

import numpy as np
import pytest
import torch
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.model import GroupedLinear, SqueezeBertEncoder
from sqz_nlu.squeeze.convert import copy_teacher, kept_layers, new_student
from sqz_nlu.squeeze.options import Groups
from sqz_nlu.squeeze.ordering import Order, _balanced, find_order, identity_order, reorder
from sqz_nlu.squeeze.regression import fit_layers

ONE = Groups(attention=1, post_attention=1, feed_forward=1)


def encoder(layers: int = 2, groups: Groups = ONE, seed: int = 0) -> SqueezeBertEncoder:
    torch.manual_seed(seed)
    config = SqueezeBertConfig(
        vocab_size=60,
        hidden_size=32,
        embedding_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        hidden_act="gelu_pytorch_tanh",
        **groups.config_fields(),
    )
    made = SqueezeBertEncoder(config).eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, GroupedLinear):
                module.weight.normal_(std=0.3)
                module.bias.normal_(std=0.1)
    return made


@pytest.fixture(scope="module")
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(12):
        ids = torch.randint(5, 60, (16, 12), generator=generator)
        mask = torch.ones_like(ids)
        mask[:4, 9:] = 0
        made.append((ids, mask))
    return made


def hidden(order_seed: int, layers: int) -> Order:
    """A numbering drawn at random."""
    rng = np.random.default_rng(order_seed)
    heads = np.stack([rng.permutation(4) for _ in range(layers)])
    units = np.stack([rng.permutation(64) for _ in range(layers)])
    return Order(rng.permutation(32), heads, units, 1.0)


def distance(one: SqueezeBertEncoder, other: SqueezeBertEncoder, batches) -> float:
    with torch.no_grad():
        return float(
            torch.stack([(one(*b) - other(*b))[b[1].bool()].square().mean() for b in batches]).mean()
        )


def ungrouped(grouped: SqueezeBertEncoder) -> SqueezeBertEncoder:
    """The same function with one group: zeros outside the blocks."""
    config = SqueezeBertConfig.from_dict(grouped.config.to_dict() | ONE.config_fields())
    made = SqueezeBertEncoder(config).eval()
    state = grouped.state_dict()
    for name, module in grouped.named_modules():
        if isinstance(module, GroupedLinear):
            state[f"{name}.weight"] = torch.block_diag(*module.group_weights()).unsqueeze(-1)
    made.load_state_dict(state)
    return made


def test_renumbering_changes_nothing_but_the_numbers(batches) -> None:
    teacher, order = encoder(layers=3), hidden(3, layers=2)
    renumbered = copy.deepcopy(teacher)
    reorder(renumbered, order, kept_layers(3, 2))
    assert not torch.allclose(renumbered(*batches[0]), teacher(*batches[0]), atol=1e-2)
    expected = teacher(*batches[0])[..., torch.from_numpy(order.channels)]
    assert torch.allclose(renumbered(*batches[0]), expected, atol=1e-5)


@pytest.mark.parametrize("groups", [Groups(2, 1, 2), Groups(4, 1, 4), Groups(1, 1, 2), Groups(2, 1, 4)])
def test_groups_that_were_shuffled_are_found_again(groups: Groups, batches) -> None:
    teacher = ungrouped(encoder(groups=groups))
    reorder(teacher, hidden(5, layers=2), [0, 1])
    student = new_student(teacher, groups, layers=None)
    found = find_order(teacher, student.config, [0, 1], batches, seed=0)
    assert found.kept == pytest.approx(1.0, abs=1e-6)
    reorder(teacher, found, [0, 1])
    copy_teacher(teacher, student)
    student.embeddings.load_state_dict(teacher.embeddings.state_dict())
    assert torch.allclose(student(*batches[0]), teacher(*batches[0]), atol=1e-5)


def test_one_group_needs_no_numbering_and_no_regression(batches) -> None:
    teacher = encoder()
    student = new_student(teacher, ONE, layers=None)
    order = find_order(teacher, student.config, [0, 1], batches, seed=0)
    assert np.array_equal(order.channels, identity_order(student.config).channels)
    copy_teacher(teacher, student)
    student.embeddings.load_state_dict(teacher.embeddings.state_dict())
    fit_layers(teacher, student, [0, 1], batches)
    for name, weight in student.state_dict().items():
        assert torch.allclose(weight, teacher.state_dict()[name], atol=1e-5), name


def test_the_numbering_and_the_regression_each_bring_the_student_closer(batches) -> None:
    teacher = encoder()
    with torch.no_grad():  # something to find: some groups, in disorder, and much between them
        grouped = ungrouped(encoder(groups=Groups(4, 1, 4), seed=2))
        reorder(grouped, hidden(6, layers=2), [0, 1])
        for name, weight in teacher.named_parameters():
            weight.mul_(0.3).add_(grouped.state_dict()[name], alpha=0.7)
    seen, unseen = batches[:9], batches[9:]
    distances = {}
    for ordered in (False, True):
        numbered = copy.deepcopy(teacher)
        student = new_student(numbered, Groups(4, 1, 4), layers=None)
        if ordered:
            reorder(numbered, find_order(numbered, student.config, [0, 1], seen, seed=0), [0, 1])
        copy_teacher(numbered, student)
        distances[ordered, False] = distance(student, numbered, unseen)
        fit_layers(numbered, student, [0, 1], seen)
        distances[ordered, True] = distance(student, numbered, unseen)
    assert distances[True, False] < 0.9 * distances[False, False]
    assert distances[False, True] < 0.9 * distances[False, False]
    assert distances[True, True] < 0.9 * min(distances[True, False], distances[False, True])


def test_a_student_with_fewer_layers_is_fitted_to_the_layers_it_follows(batches) -> None:
    teacher = encoder(layers=4)
    student = new_student(teacher, ONE, layers=2)
    copy_teacher(teacher, student)
    before = distance(student, teacher, batches[9:])
    fit_layers(teacher, student, kept_layers(4, 2), batches[:9])
    assert distance(student, teacher, batches[9:]) < 0.8 * before


def test_rows_are_divided_evenly_and_as_is_best_for_two_groups() -> None:
    gain = np.random.default_rng(4).random((10, 2))
    chosen = _balanced(gain)
    assert sorted(np.bincount(chosen)) == [5, 5]
    best = max(
        gain[list(first), 0].sum() + np.delete(gain[:, 1], list(first)).sum()
        for first in combinations(range(10), 5)
    )
    assert gain[np.arange(10), chosen].sum() == pytest.approx(best)
    assert list(np.bincount(_balanced(np.random.default_rng(5).random((12, 4))))) == [3, 3, 3, 3]


def test_a_numbering_survives_being_saved(tmp_path) -> None:
    order = hidden(8, layers=2)
    torch.save(order.tensors(), tmp_path / "order.pt")
    restored = Order.from_tensors(torch.load(tmp_path / "order.pt", weights_only=True))
    assert restored.kept == order.kept
    for name in ("channels", "heads", "units"):
        assert np.array_equal(getattr(restored, name), getattr(order, name))
