"""What the rounding of weights to 8 bits costs a fine-tuned encoder: to the nearest step, and by GPTQ.

Trains on a part of a data set without rounding and encodes the test texts: exactly; with weights and
activations rounded as they ship, the weights to the nearest step or by GPTQ; and with activations rounded
alone. The cost is one minus the mean cosine of the pooled embeddings to the exact ones, in thousandths.
Accuracy is that of a linear intent head fitted to the training texts as each encoder gives them, before and
after training or after it only.

    python benchmarks/weight_rounding.py --data DIR [--cells banking77:5 hwu64:5]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

import torch
from common import write_result
from epochs import examples, training_part

from sqz_nlu.encoder import model
from sqz_nlu.encoder.gptq import round_weights
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training import trainer
from sqz_nlu.training.dataset import Row, encode_examples, ordered_batches, rounding_batches
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions

SEED = 7
Vectors = tuple[torch.Tensor, torch.Tensor]


def by_length(rows: Sequence[Row]) -> list[Row]:
    """Rows of about one length together, so that padding does not count."""
    return sorted(rows, key=lambda row: len(row.ids))


def vectors(network: JointNetwork, rows: Sequence[Row]) -> Vectors:
    """Sentence vectors and intents."""
    return network.eval().sentence_vectors(ordered_batches(by_length(rows), 16))


def accuracy(network: JointNetwork, fitted_to: Sequence[Vectors], test: Vectors) -> float:
    """Of an intent head that is fitted to some vectors, in percent."""
    network.fit_intents(*map(torch.cat, zip(*fitted_to, strict=True)))
    weight, bias = network.intent_weights()
    found = (test[0] @ weight.T + bias).argmax(-1)
    return round(100 * float((found == test[1]).float().mean()), 2)


def measure(data: Path, cell: str) -> dict[str, Any]:
    """One training, and its encoder rounded in each way."""
    name, part = cell.split(":")
    source = find_encoder("embedded")
    texts = TextEncoder(load_tokenizer(source), 256)
    train, test = training_part(data / name, part), examples(data / name / "test.jsonl")
    labels = label_space(train, True, True, True)
    rows = encode_examples(train, labels, texts)
    asked = encode_examples(test, label_space(train, True, False, True), texts)
    options = TrainingOptions(random_seed=SEED, device="cpu", quantization="none")
    network = JointNetwork(load_encoder(source), labels, options.drop_rate, options.drop_rate_attention)
    before = vectors(network, rows)
    trainer.train(network, rows, options)
    exact = vectors(network, asked)
    variants: dict[str, dict[str, float]] = {}

    def note(variant: str, rounded: JointNetwork) -> None:
        seen = vectors(rounded, asked)
        cost = 1000 * (1 - float((exact[0] * seen[0]).sum(1).mean()))
        after = vectors(rounded, rows)
        variants[variant] = {
            "cost": round(cost, 2),
            "accuracy": accuracy(rounded, [before, after], seen),
            "accuracy_fitted_after_training_only": accuracy(rounded, [after], seen),
        }

    note("exact", network)
    nearest, gptq = copy.deepcopy(network), copy.deepcopy(network)
    nearest.encoder.set_rounding(True)
    note("nearest", nearest)
    started = time.perf_counter()
    round_weights(gptq.encoder, [(b.ids, b.mask) for b in rounding_batches(rows)])
    seconds = time.perf_counter() - started
    note("gptq", gptq)
    round_weight = model.round_weight
    try:
        model.round_weight = lambda weight: weight
        note("activations alone", nearest)
    finally:
        model.round_weight = round_weight
    return {"cell": cell, "examples": len(rows), "gptq_s": round(seconds, 1), "variants": variants}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=["banking77:5", "hwu64:5"])
    arguments = parser.parse_args()
    cells = []
    for cell in arguments.cells:
        cells.append(measure(arguments.data, cell))
        print(json.dumps(cells[-1]), flush=True)
        write_result("weight-rounding", {"seed": SEED, "cells": cells})


if __name__ == "__main__":
    main()
