"""Rounding with the errors made good by the weights that follow."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sqz_nlu.encoder.gptq import round_matrix, round_weights
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.model import GroupedLinear, mean_pool
from sqz_nlu.encoder.quantize import PROJECTION_LIMIT, dequantize_rows, quantize_rows
from sqz_nlu.encoder.rounding import round_weight
from sqz_nlu.encoder.source import find_encoder

UTTERANCES = Path(__file__).parents[2] / "data" / "train"


def correlated(inputs: int, rows: int = 400) -> torch.Tensor:
    """Inputs of which a few directions are loud, as activations are."""
    generator = torch.Generator().manual_seed(3)
    mix = torch.randn(inputs, inputs, generator=generator) * torch.logspace(0, -2, inputs)[:, None]
    return torch.randn(rows, inputs, generator=generator) @ mix


def on_the_grid(weight: torch.Tensor) -> bool:
    matrix = weight.detach().numpy()
    return np.allclose(dequantize_rows(*quantize_rows(matrix, PROJECTION_LIMIT)), matrix, atol=1e-6)


def test_outputs_change_far_less_than_by_rounding_to_the_nearest() -> None:
    torch.manual_seed(0)
    weight, x, fresh = torch.randn(24, 80), correlated(80, 800), correlated(80, 900)[800:]
    found = round_matrix(weight, x.T @ x)
    assert on_the_grid(found)
    for inputs, factor in ((x, 0.2), (fresh, 0.25)):
        nearest = (inputs @ (round_weight(weight) - weight).T).square().mean()
        assert (inputs @ (found - weight).T).square().mean() < factor * nearest


def test_the_largest_weight_of_a_row_stays_so_that_shipping_finds_the_same_grid() -> None:
    torch.manual_seed(1)
    weight, x = torch.randn(40, 16), correlated(16)
    found = round_matrix(weight, x.T @ x)
    assert torch.allclose(found.abs().amax(1), weight.abs().amax(1))
    assert torch.equal(found.abs().argmax(1), weight.abs().argmax(1))


@pytest.mark.parametrize("products", [torch.zeros(6, 6), 1e8 * torch.ones(6, 6), torch.eye(6)])
def test_inputs_that_say_little_do_no_harm(products: torch.Tensor) -> None:
    torch.manual_seed(2)
    weight = torch.cat([torch.randn(5, 6), torch.zeros(1, 6)])
    found = round_matrix(weight, products)
    assert torch.isfinite(found).all()
    assert on_the_grid(found)
    assert (found[5] == 0).all()
    if not products.count_nonzero() or torch.equal(products, torch.eye(6)):
        assert torch.allclose(found, round_weight(weight), atol=1e-6)


def batches(texts: list[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and masks in batches of 20, with padding."""
    tokenizer = load_tokenizer(find_encoder("embedded"))
    tokenizer.enable_padding()
    encoded = sorted(tokenizer.encode_batch(texts), key=lambda e: sum(e.attention_mask))
    ids = torch.tensor([e.ids for e in encoded])
    mask = torch.tensor([e.attention_mask for e in encoded])
    width = [int(part.sum(1).max()) for part in mask.split(20)]
    return [(i[:, :w], m[:, :w]) for i, m, w in zip(ids.split(20), mask.split(20), width, strict=True)]


def test_an_encoder_that_was_trained_answers_nearer_to_itself() -> None:
    """Its texts are others than those it is rounded by, and its weights have left the grid."""
    files = "".join(path.read_text("utf-8") for path in sorted(UTTERANCES.glob("*.yml")))
    texts = re.findall(r"^ +- ([a-z ]{12,80})$", files, re.MULTILINE)
    assert len(texts) > 200
    torch.manual_seed(4)
    encoder = load_encoder(find_encoder("embedded")).eval()
    encoder.encoder.layers = encoder.encoder.layers[:2]
    products = [module for module in encoder.modules() if isinstance(module, GroupedLinear)]
    with torch.no_grad():
        for product in products:
            product.weight += 0.004 * torch.randn_like(product.weight)
    exact, nearest = copy.deepcopy(encoder), copy.deepcopy(encoder)
    with torch.no_grad():
        for module in nearest.modules():
            if isinstance(module, GroupedLinear):
                module.weight.copy_(round_weight(module.weight[..., 0])[..., None])
    round_weights(encoder, batches(texts[::2]))
    assert all(product.rounded and on_the_grid(product.weight[..., 0]) for product in products)
    encoder.set_rounding(False)  # of weights alone is the question here
    pooled = []
    with torch.no_grad():
        for one in (exact, nearest, encoder):
            pooled.append(torch.cat([mean_pool(one(i, m), m) for i, m in batches(texts[1::2])]))
    plain, better = (1 - torch.cosine_similarity(pooled[0], other).mean() for other in pooled[1:])
    assert better < 0.4 * plain
    before = [product.weight.clone() for product in products]
    round_weights(encoder, batches(texts[:20]))
    assert all(torch.allclose(old, p.weight, atol=1e-6) for old, p in zip(before, products, strict=True))
