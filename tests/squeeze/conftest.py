from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_tokenizer
from transformers import BertConfig, BertModel

SENTENCES = ["turn on the light", "fly from paris to london", "hello", "the kitchen light is off", "bye bye"]


@pytest.fixture(scope="session")
def teacher(tmp_path_factory) -> Path:
    """A random tiny BERT in the hub's format."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    config = BertConfig(
        vocab_size=tiny_tokenizer().get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # far from linear, so that there is something to distil
    )
    BertModel(config).eval().save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A tiny BERT\n")
    return folder


def _lines() -> str:
    rng = np.random.default_rng(0)
    return "\n".join(" ".join(rng.permutation(sentence.split())) for sentence in SENTENCES * 60)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "text.txt.xz"
    path.write_bytes(lzma.compress(_lines().encode()))
    return path


@pytest.fixture(scope="session")
def plain_text(tmp_path_factory) -> Path:
    """The same text as a user's own file."""
    path = tmp_path_factory.mktemp("text") / "mine.txt"
    path.write_text(_lines())
    return path
