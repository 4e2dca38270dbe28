"""Offsets of the residual stream's channels go where 8 bits do not meet them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tiny import tiny_config
from tokenizers import Tokenizer
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.centring import centred
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters
from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.encoder.source import find_encoder

TEXTS = ["book a table for four in Rome", "what is on my list?", "play some jazz", "turn the heating down"]


def off_centre(config: SqueezeBertConfig) -> SqueezeBertEncoder:
    """An encoder of which a few channels lie far from zero, as in those that were trained on much text."""
    torch.manual_seed(5)
    encoder = SqueezeBertEncoder(config).eval()
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if name.endswith("bias"):
                value.normal_(std=0.1)
            if "ayernorm.bias" in name.replace("LayerNorm", "layernorm"):
                value[3] += 9.0
                value[-2] -= 6.0
    return encoder


def encoded(encoder: SqueezeBertEncoder, tokenizer: Tokenizer, text: str) -> torch.Tensor:
    ids = torch.tensor([tokenizer.encode(text).ids])
    with torch.no_grad():
        return encoder(ids, torch.ones_like(ids))[0]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(find_encoder("embedded"))


@pytest.mark.parametrize("groups", [(1, 1, 1), (4, 1, 2), (2, 4, 4)])
def test_the_encoder_computes_what_it_did(groups: tuple[int, int, int], tokenizer: Tokenizer) -> None:
    attention, after, feed_forward = groups
    encoder = off_centre(
        tiny_config(
            vocab_size=tokenizer.get_vocab_size(),
            num_hidden_layers=3,
            q_groups=attention,
            k_groups=attention,
            v_groups=attention,
            post_attention_groups=after,
            intermediate_groups=feed_forward,
            output_groups=feed_forward,
        )
    )
    before = copy.deepcopy(encoder.state_dict())
    encoder.train()
    moved = centred(encoder, tokenizer)
    assert not moved.training
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    encoder.eval()
    for text in TEXTS:
        assert torch.allclose(encoded(moved, tokenizer, text), encoded(encoder, tokenizer, text), atol=2e-5)
    ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        streams = list(zip(encoder.hidden_states(ids, mask), moved.hidden_states(ids, mask), strict=True))
    for stream, after in streams[:-1]:  # those that layers read
        assert float(stream.abs().max()) > 6.0
        assert float(after.abs().max()) < 0.7 * float(stream.abs().max())


def test_eight_bits_lose_less(tokenizer: Tokenizer) -> None:
    encoder = off_centre(
        SqueezeBertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=48,
            embedding_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=96,
        )
    )
    moved = centred(encoder, tokenizer)
    exact = [encoded(encoder, tokenizer, text) for text in TEXTS]
    lost = []
    for each in (encoder, moved):
        each.set_rounding(True)
        rounded = [encoded(each, tokenizer, text) for text in TEXTS]
        lost.append(sum(float((a - b).square().mean()) for a, b in zip(rounded, exact, strict=True)))
    assert lost[1] < 0.6 * lost[0]


def test_the_embedded_encoder_is_centred_already() -> None:
    source = find_encoder("embedded")
    encoder, tokenizer = load_encoder(source).eval(), load_tokenizer(source)
    moved, own = numpy_parameters(centred(encoder, tokenizer)), numpy_parameters(encoder)
    changes = [np.abs(value - own[name]).max() for name, value in moved.items()]
    assert 0 < max(changes) < 0.05
