"""Makes a pass of training over DIR/train.jsonl and prints its seconds and peak memory as JSON.

    python benchmarks/speed/train_once.py DIR ours|ours_all_layers|transformers|transformers_float32

``ours`` trains as by default: where that leaves the lower layers as they are, it is the second pass that
counts, when what they make of the texts is known. ``ours_all_layers`` trains every layer. So does
``transformers``, with transformers' SqueezeBertModel and its grouped convolutions in the place of our
encoder; weights, heads, batches and precision are the same. ``transformers_float32`` has that model as it
comes, in float32 whatever the processor. What comes before and after is left out.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from epochs import examples
from transformers import SqueezeBertModel

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.events import EventLog
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import encode_examples
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.schedule import frozen_layers, make_plan
from sqz_nlu.training.trainer import _Run

SEED = 7


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

    def set_rounding(self, rounded: bool) -> None:
        """It has none."""
        assert not rounded


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    source = find_encoder("embedded")
    encoder: Any = load_encoder(source)
    if kind.startswith("transformers"):
        theirs = TransformersEncoder(encoder.config)
        missing = theirs.load_state_dict(encoder.state_dict(), strict=False).missing_keys
        assert all(name.startswith("pooler") for name in missing), missing
        theirs.pooler.requires_grad_(False)
        encoder = theirs
    rows = examples(folder / "train.jsonl")
    labels = label_space(rows, True, True, True)
    encoded = encode_examples(rows, labels, TextEncoder(load_tokenizer(source), 256), None)
    settings: dict[str, Any] = {"epochs": 1, "device": "cpu", "quantization": "none"}
    if kind != "ours":
        settings["frozen_layers"] = 0
    if kind == "transformers_float32":
        settings["precision"] = "float32"
    options = TrainingOptions.from_dict(settings)
    network = JointNetwork(encoder, labels, options.drop_rate, options.drop_rate_attention)
    rng = np.random.default_rng(SEED)
    plan = replace(make_plan(encoded, options, rng), kept=tuple(range(len(rows))), held=())
    passes = 2 if frozen_layers(network, options, plan) else 1
    run = _Run(network, options, plan, rng, torch.device("cpu"), EventLog(None))
    with run.bar:
        for _ in range(passes):
            started = time.perf_counter()
            run.fit(encoded, 1)
            seconds = time.perf_counter() - started
    print(json.dumps({"examples": len(rows), "seconds": round(seconds, 2), "peak_mib": peak_mebibytes()}))


def peak_mebibytes() -> float:
    """The most memory this program had; getrusage would count the process that started it, too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)


if __name__ == "__main__":
    main()
