"""Trains one epoch on DIR/train.jsonl and prints seconds and peak memory as JSON.

    python benchmarks/speed/train_once.py DIR ours|transformers

``transformers`` puts transformers' SqueezeBertModel, with its grouped convolutions, in the place of our
encoder; weights, heads, batches and what is frozen are the same.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from epochs import examples
from transformers import SqueezeBertModel

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import encode_examples
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.trainer import train


class TransformersEncoder(SqueezeBertModel):
    """transformers' SqueezeBertModel with the interface of our encoder."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token states ``[batch, tokens, hidden]``."""
        return super().forward(ids, mask).last_hidden_state

    def set_dropout(self, hidden: float, attention: float) -> None:
        """Changes the dropout, that of attention weights separately."""
        for name, module in self.named_modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = attention if "attention" in name and "post" not in name else hidden


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    source = find_encoder("embedded")
    encoder: Any = load_encoder(source)
    if kind == "transformers":
        theirs = TransformersEncoder(encoder.config)
        missing = theirs.load_state_dict(encoder.state_dict(), strict=False).missing_keys
        assert all(name.startswith("pooler") for name in missing), missing
        theirs.pooler.requires_grad_(False)
        encoder = theirs
    rows = examples(folder / "train.jsonl")
    labels = label_space(rows, True, True, True)
    encoded = encode_examples(rows, labels, TextEncoder(load_tokenizer(source), 256), None)
    options = TrainingOptions.from_dict({"epochs": 1, "device": "cpu"})
    network = JointNetwork(encoder, labels, options.drop_rate, options.drop_rate_attention)
    started = time.perf_counter()
    train(network, encoded, options)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"examples": len(rows), "seconds": round(seconds, 2), "peak_mib": round(peak, 1)}))


if __name__ == "__main__":
    main()
