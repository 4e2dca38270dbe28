"""Where the intent head can start: accuracy of linear heads on the encoder as it is, before any fine-tuning.

Centres are the former start (the direction of each intent's centre from the centre of all), ridge is least
squares on one-hot targets, regression is logistic; with the names of intents besides it is what training
starts from. All see the same unit vectors.

    python benchmarks/head_start.py --data DIR [--encoder embedded] [--test 1500]

DIR has a folder for each data set with train_5shot.jsonl, train_10shot.jsonl and test.jsonl. --test bounds
the examples of a test part, taken evenly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import read_jsonl, write_result
from torch.nn import functional as F

from sqz_nlu import Interpreter
from sqz_nlu.training.names import in_words
from sqz_nlu.training.regression import fit_classes

DATASETS = ("banking77", "clinc150", "hwu64")
RIDGE = 1.0


def centres(features: torch.Tensor, classes: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the nearest centre."""
    total = torch.zeros(count, features.shape[1]).index_add_(0, classes, features)
    weight = F.normalize(total / classes.bincount(minlength=count)[:, None] - features.mean(0), dim=-1)
    return weight, -weight @ features.mean(0)


def ridge(features: torch.Tensor, classes: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of least squares with a penalty of 1."""
    targets, centred = F.one_hot(classes, count).double(), (features - features.mean(0)).double()
    gram = centred.T @ centred + RIDGE * torch.eye(features.shape[1])
    weight = torch.linalg.solve(gram, centred.T @ targets).T.float()
    return weight, targets.mean(0).float() - weight @ features.mean(0)


HEADS = {"centres": centres, "ridge": ridge, "regression": fit_classes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="embedded", help="bundle folder or 'embedded'")
    parser.add_argument("--test", type=int, default=1500, help="most test examples of a data set")
    parser.add_argument("--name", default="head-start", help="name of the result file")
    arguments = parser.parse_args()
    encoder = Interpreter.load(arguments.encoder)

    def vectors(rows: list[dict]) -> torch.Tensor:
        return F.normalize(torch.from_numpy(encoder.embed([row["text"] for row in rows])), dim=-1)

    cells = []
    for dataset in DATASETS:
        every = read_jsonl(arguments.data / dataset / "test.jsonl")
        places = np.unique(np.linspace(0, len(every) - 1, min(arguments.test, len(every))).astype(int))
        test = [every[place] for place in places]
        seen = vectors(test)
        for shots in (5, 10):
            train = read_jsonl(arguments.data / dataset / f"train_{shots}shot.jsonl")
            names = sorted({row["intent"] for row in train})
            classes = torch.tensor([names.index(row["intent"]) for row in train])
            gold = np.array([row["intent"] for row in test])
            features, cell = vectors(train), {"data": dataset, "shots": shots, "test": len(test)}
            solved = {name: head(features, classes, len(names)) for name, head in HEADS.items()}
            named = torch.cat([features, vectors([{"text": in_words(name)} for name in names])])
            every_class = torch.cat([classes, torch.arange(len(names))])
            solved["regression_with_names"] = fit_classes(named, every_class, len(names))
            for name, (weight, bias) in solved.items():
                found = np.array(names)[F.linear(seen, weight, bias).argmax(-1).numpy()]
                cell[name] = round(100 * float((found == gold).mean()), 2)
            cells.append(cell)
            print(cell, flush=True)
    print(write_result(arguments.name, {"encoder": arguments.encoder, "cells": cells}))


if __name__ == "__main__":
    main()
