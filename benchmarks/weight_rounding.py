"""What the rounding of weights to 8 bits costs a fine-tuned encoder: to the nearest step, and by GPTQ.

Trains on a part of a data set without rounding and encodes the test texts: exactly; with weights and
activations rounded as they ship, the weights to the nearest step or by GPTQ; and with activations rounded
alone. The cost is one minus the mean cosine of the pooled embeddings to the exact ones, in thousandths.
Accuracy is that of a linear intent head fitted to the training texts as each encoder gives them, before and
after training or after it only.

    python benchmarks/weight_rounding.py --data DIR [--cells banking77:5 hwu64:10 ...]
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
from sqz_nlu.training.dataset import encode_examples, rounding_batches
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork, Sentences
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.settling import sentences_of

SEED = 7
CELLS = [f"{name}:{shots}" for shots in (5, 10) for name in ("banking77", "clinc150", "hwu64")]
CPU = torch.device("cpu")


def accuracy(network: JointNetwork, fitted_to: Sequence[Sentences], test: Sentences) -> float:
    """Of an intent head that is fitted to some sentences, in percent."""
    network.fit_intents(Sentences.together(fitted_to))
    weight, bias = network.intent_weights()
    found = (test.vectors @ weight.T + bias).argmax(-1)
    return round(100 * float((found == test.intents).float().mean()), 2)


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
    before = sentences_of(network, rows, CPU)
    trainer.train(network, rows, options)
    exact = sentences_of(network, asked, CPU)
    variants: dict[str, dict[str, float]] = {}

    def note(variant: str, rounded: JointNetwork) -> None:
        seen = sentences_of(rounded, asked, CPU)
        cost = 1000 * (1 - float((exact.vectors * seen.vectors).sum(1).mean()))
        after = sentences_of(rounded, rows, CPU)
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
    parser.add_argument("--cells", nargs="+", default=CELLS)
    arguments = parser.parse_args()
    cells = []
    for cell in arguments.cells:
        cells.append(measure(arguments.data, cell))
        print(json.dumps(cells[-1]), flush=True)
        write_result("weight-rounding", {"seed": SEED, "cells": cells})


if __name__ == "__main__":
    main()
