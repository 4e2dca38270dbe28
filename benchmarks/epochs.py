"""How many passes over the examples are enough: accuracy on a test part by number of epochs and examples.

Trains with everything at its default but the number of epochs, and asks the int8 bundle. A cell is the mean
over the seeds; the seconds are those of training and export.

    python benchmarks/epochs.py --data DIR [--sets hwu64] [--parts 5 10 3000] [--epochs 8 16] [--seeds 7 8]

DIR has a folder for each data set with train_5shot.jsonl, train_10shot.jsonl, train.jsonl and test.jsonl. A
part is 5 or 10 (shots), full, or a number of examples taken evenly from the whole training part.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from common import read_jsonl, write_result

os.environ.setdefault("USE_TF", "0")

SHOTS = {"5": "train_5shot", "10": "train_10shot", "full": "train"}


def examples(path: Path) -> list:
    """Annotated utterances of a file."""
    from sqz_nlu.training.examples import EntitySpan, Example

    return [
        Example(
            row["text"], row["intent"], tuple(EntitySpan(*span[:3]) for span in row.get("entities") or ())
        )
        for row in read_jsonl(path)
    ]


def training_part(folder: Path, part: str) -> list:
    """The examples of a part."""
    if part in SHOTS:
        return examples(folder / f"{SHOTS[part]}.jsonl")
    every = examples(folder / "train.jsonl")
    return [every[int(index)] for index in np.linspace(0, len(every) - 1, int(part))]


def cell(train: list, test: list, epochs: int | None, seed: int) -> dict[str, float]:
    """One training and its scores, in percent."""
    from sqz_nlu import Interpreter
    from sqz_nlu.export.parity import span_f1, spans_of
    from sqz_nlu.fit import fit
    from sqz_nlu.training.options import TrainingOptions

    config: dict[str, object] = {"random_seed": seed, "device": "cpu"}
    if epochs:
        config["epochs"] = epochs
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        report = fit(train, TrainingOptions.from_dict(config), Path(folder) / "bundle")
        seconds = time.perf_counter() - started
        interpreter = Interpreter.load(report.bundle)
        results = [interpreter.parse(example.text) for example in test]
    right = [r.intent.name == e.intent for r, e in zip(results, test, strict=True)]
    gold = [frozenset((s.start, s.end, s.entity) for s in e.entities) for e in test]
    return {
        "epochs": report.training.epochs,
        "intent_accuracy": 100 * float(np.mean(right)),
        "span_f1": 100 * span_f1(gold, list(map(spans_of, results))),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["hwu64"])
    parser.add_argument("--parts", nargs="+", default=["5", "10", "3000"])
    parser.add_argument("--epochs", nargs="+", type=int, default=[6, 8, 12, 16, 0], help="0: the default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7])
    parser.add_argument("--name", default="epochs", help="name of the result file")
    arguments = parser.parse_args()
    cells = []
    for dataset in arguments.sets:
        test = examples(arguments.data / dataset / "test.jsonl")
        for part in arguments.parts:
            train = training_part(arguments.data / dataset, part)
            for epochs in arguments.epochs:
                runs = [cell(train, test, epochs or None, seed) for seed in arguments.seeds]
                mean = {name: round(float(np.mean([run[name] for run in runs])), 2) for name in runs[0]}
                cells.append(
                    {"data": dataset, "part": part, "examples": len(train), "asked": epochs or None, **mean}
                )
                print(cells[-1], flush=True)
                print(write_result(arguments.name, {"seeds": arguments.seeds, "cells": cells}), flush=True)


if __name__ == "__main__":
    main()
