"""Padding is left out of the layers, and nothing changes by that."""

from __future__ import annotations

import pytest
import torch
from tiny import padded_texts, tiny_model
from torch import Tensor

from sqz_nlu.encoder.model import GroupedLinear, SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing

IDS, MASK = padded_texts()


@pytest.mark.parametrize("mask", [MASK, torch.ones_like(MASK)], ids=["padded", "full"])
def test_unpacking_undoes_packing(mask: Tensor) -> None:
    packing, padded = Packing(mask), torch.randn(3, 5, 4)
    packed, tokens = packing.pack(padded), int(mask.sum())
    assert packed.shape == (16, 4)
    assert torch.equal(packed[:tokens], padded[mask.bool()])
    assert not packed[tokens:].any()
    assert torch.equal(packing.unpack(packed), padded * mask[..., None])
    texts = packing.split(packed)
    assert [len(text) for text in texts] == mask.sum(1).tolist()
    assert torch.equal(packing.join(texts), packed)


@pytest.mark.parametrize(("multiple", "rows"), [(1, 10), (5, 10), (4, 12)])
def test_rows_are_filled_up_to_a_multiple(multiple: int, rows: int) -> None:
    packed = Packing(MASK, multiple=multiple).pack(torch.ones(3, 5, 1))
    assert packed.flatten().tolist() == [1.0] * 10 + [0.0] * (rows - 10)


def test_what_needs_no_other_rows_is_not_copied() -> None:
    packing, padded = Packing(torch.ones_like(MASK), multiple=5), torch.randn(3, 5, 4)
    packed = packing.pack(padded)
    assert packed.shape == (15, 4)
    assert packed.data_ptr() == padded.data_ptr() == packing.unpack(packed).data_ptr()


def test_gradients_go_back_to_where_values_came_from() -> None:
    packing = Packing(MASK)
    padded = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    packed = torch.randn(16, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(packing.pack, padded)
    assert torch.autograd.gradcheck(packing.unpack, packed)


def test_padding_can_stay() -> None:
    packing, padded = Packing(MASK, padding=True), torch.randn(3, 5, 4)
    assert packing.pack(padded) is padded
    assert packing.unpack(padded) is padded


def gradients(encoder: SqueezeBertEncoder, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    encoder.zero_grad()
    sum((encoder(ids, mask)[mask.bool()] ** 3).sum() for ids, mask in batches).backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


def test_a_batch_gives_the_states_and_gradients_of_its_texts_alone() -> None:
    encoder = tiny_model()
    alone = [
        (ids[None, :n], torch.ones(1, n, dtype=torch.long))
        for ids, n in zip(IDS, MASK.sum(1).tolist(), strict=True)
    ]
    states = encoder(IDS, MASK)
    assert states.shape == (3, 5, 32)
    for row, (ids, mask) in enumerate(alone):
        torch.testing.assert_close(states[row, : ids.shape[1]], encoder(ids, mask)[0])
    together, apart = gradients(encoder, [(IDS, MASK)]), gradients(encoder, alone)
    assert together.keys() == apart.keys()
    for name, gradient in apart.items():
        torch.testing.assert_close(together[name], gradient)


def test_products_see_no_padding_unless_they_round_by_texts() -> None:
    encoder, seen = tiny_model(), []
    product = encoder.encoder.layers[0].attention.query
    assert isinstance(product, GroupedLinear)
    product.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    encoder(IDS, MASK)
    encoder.set_rounding(True)
    encoder(IDS, MASK)
    assert seen == [(16, 32), (3, 5, 32)]
