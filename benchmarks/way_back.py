"""Where a training should leave the encoder, and what the heads should then be fitted to.

Trains on a part of a data set, in float, on all its examples and to the end of the way; then the encoder
goes back to some parts of it. At each the test texts are asked with the heads as they were trained, and as
they are when fitted to that encoder: the intent head all of the way to logistic regression, or half of it.
Entities of types that the part does not have are left out. Cells measured before stay in the result.

    python benchmarks/way_back.py --data DIR [--cells hwu64:2000 banking77:2000] [--ways 1 0.85 0.7 0.5]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

import numpy as np
import torch
from common import read_result, write_result
from epochs import examples, training_part

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import encode_examples
from sqz_nlu.training.evaluation import evaluate
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.settling import fit_heads, sentences_of
from sqz_nlu.training.trainer import Earlier, train

SEED = 7
CPU = torch.device("cpu")
SHARES = {"fitted": 1.0, "mean": 0.5}


def measure(data: Path, cell: str, ways: list[float]) -> dict[str, Any]:
    """One training, and its encoder at some parts of the way."""
    name, part = cell.split(":")
    source = find_encoder("embedded")
    texts = TextEncoder(load_tokenizer(source), 256)
    learned = training_part(data / name, part)
    labels = label_space(learned, True, True, True)
    test = [
        replace(example, entities=tuple(e for e in example.entities if e.entity in labels.entities))
        for file in ("test.jsonl", "dev.jsonl")
        if (data / name / file).is_file()
        for example in examples(data / name / file)
    ]
    rows, asked = encode_examples(learned, labels, texts), encode_examples(test, labels, texts)
    options = TrainingOptions(random_seed=SEED, device="cpu", quantization="none")
    network = JointNetwork(load_encoder(source), labels, options.drop_rate, options.drop_rate_attention)
    began = copy.deepcopy(network.encoder.state_dict())
    before = sentences_of(network, rows, CPU)
    network.fit_intents(before)
    # As if continued: nothing is held out, and the training stays where it ends.
    train(network, rows, options, earlier=Earlier(1.0, [True] * len(rows)))
    ended = copy.deepcopy(network.state_dict())
    found = []
    for way in ways:
        for heads, share in {"trained": None, **SHARES}.items():
            network.load_state_dict(ended)
            encoder = {
                key: began[key].lerp(value, way) for key, value in network.encoder.state_dict().items()
            }
            network.encoder.load_state_dict(encoder)
            if share is not None:
                torch.manual_seed(SEED)
                fit_heads(network, rows, [before], share, CPU, np.random.default_rng(SEED))
            evaluation = evaluate(network, asked, CPU)
            figures = {key: round(100 * value, 2) for key, value in evaluation.scores.items()}
            loss = round(evaluation.losses["intent"], 4)
            found.append({"way": way, "heads": heads, **figures, "intent_loss": loss})
            print(json.dumps({"cell": cell, **found[-1]}), flush=True)
    return {"cell": cell, "examples": len(rows), "asked": len(asked), "variants": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=["hwu64:2000", "banking77:2000"])
    parser.add_argument("--ways", nargs="+", type=float, default=[1.0, 0.85, 0.7, 0.5])
    arguments = parser.parse_args()
    for cell in arguments.cells:
        found = measure(arguments.data, cell, arguments.ways)
        cells = [earlier for earlier in read_result("way-back").get("cells", []) if earlier["cell"] != cell]
        write_result("way-back", {"seed": SEED, "cells": [*cells, found]})


if __name__ == "__main__":
    main()
