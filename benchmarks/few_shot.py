"""Accuracy and calibration of a full `fit()` with few or many examples, without Rasa.

A run trains with everything at its default but what --options says, and asks the bundle that was written for
the whole test part. It scores intent accuracy, span F1, expected calibration error (10 bins) and, where there
is a test_oos.jsonl, how well the confidence tells texts of the intents from others (AUROC).

    python benchmarks/few_shot.py --data DIR [--cells banking77:5 hwu64:3000] [--seeds 7] [--options JSON]

DIR has a folder for each data set with train_5shot.jsonl, train_10shot.jsonl, train.jsonl and test.jsonl. A
cell is a data set and a part: 5 or 10 (shots), full, or a number of examples taken evenly from the training
part. Runs with other cells, seeds or options that the result file has are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import read_result, write_result
from epochs import examples, training_part
from nlu.scoring import auroc

os.environ.setdefault("USE_TF", "0")

CELLS = [f"{name}:{shots}" for shots in (5, 10) for name in ("banking77", "clinc150", "hwu64")]


def score(bundle: Path, folder: Path) -> dict[str, float]:
    """The bundle's scores on the test part, in percent."""
    from sqz_nlu import Interpreter
    from sqz_nlu.export.parity import span_f1, spans_of
    from sqz_nlu.training.calibration import expected_calibration_error

    interpreter = Interpreter.load(bundle)
    test = examples(folder / "test.jsonl")
    results = interpreter.parse_batch([example.text for example in test])
    right = np.array([r.intent.name == e.intent for r, e in zip(results, test, strict=True)])
    confidences = np.array([r.intent.confidence for r in results])
    scores = {
        "intent_accuracy": 100 * float(right.mean()),
        "calibration_error": 100 * expected_calibration_error(confidences, right),
        "confidence": 100 * float(confidences.mean()),
    }
    if interpreter.labels.entities:
        gold = [frozenset((s.start, s.end, s.entity) for s in e.entities) for e in test]
        scores["span_f1"] = 100 * span_f1(gold, list(map(spans_of, results)))
    if (folder / "test_oos.jsonl").is_file():
        foreign = interpreter.parse_batch([e.text for e in examples(folder / "test_oos.jsonl")])
        scores["auroc"] = 100 * auroc(confidences, np.array([r.intent.confidence for r in foreign]))
    return scores


def run_cell(data: Path, cell: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """One training and its scores."""
    from sqz_nlu.fit import fit
    from sqz_nlu.training.options import TrainingOptions

    name, part = cell.split(":")
    train = training_part(data / name, part)
    settings = TrainingOptions.from_dict({"random_seed": seed, "device": "cpu", **options})
    with tempfile.TemporaryDirectory() as folder:
        started, processor = time.perf_counter(), time.process_time()
        report = fit(train, settings, Path(folder) / "bundle")
        times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - processor}
        scores = score(report.bundle, data / name)
    measured = {key: round(value, 2) for key, value in {**scores, **times}.items()}
    told = {"cell": cell, "seed": seed, "options": options}
    return {**told, "examples": len(train), "epochs": report.training.epochs, **measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--options", type=json.loads, default={}, help="training options, a JSON object")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7])
    parser.add_argument("--name", default="few-shot", help="name of the result file; '' for none")
    arguments = parser.parse_args()
    runs = read_result(arguments.name).get("runs", []) if arguments.name else []
    for cell in arguments.cells:
        for seed in arguments.seeds:
            run = run_cell(arguments.data, cell, arguments.options, seed)
            print(json.dumps(run), flush=True)
            same = ("cell", "seed", "options")
            runs = [*(r for r in runs if any(r.get(key) != run[key] for key in same)), run]
            if arguments.name:
                write_result(arguments.name, {"runs": runs})


if __name__ == "__main__":
    main()
