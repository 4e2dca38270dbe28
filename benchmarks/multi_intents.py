"""Whether a combination of intents that training never saw can win, on atis.

Every example of one combination is held out. Scored are those examples; examples of its two parts in the test
part, joined by "and"; and the single intents of the test part; without intent_split_symbol, and with it.

    python benchmarks/multi_intents.py --data DIR [--held-out atis_flight+atis_airfare] [--most 100]

DATA has atis/train.jsonl, dev.jsonl and test.jsonl.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from common import read_jsonl, write_result

os.environ.setdefault("USE_TF", "0")

from sqz_nlu import Interpreter
from sqz_nlu.fit import fit
from sqz_nlu.training.examples import Example
from sqz_nlu.training.options import TrainingOptions


def at_most(examples: list[Example], most: int) -> list[Example]:
    """A seeded sample of at most so many examples an intent."""
    by_intent = defaultdict(list)
    for example in examples:
        by_intent[example.intent].append(example)
    rng = random.Random(0)
    return [e for group in by_intent.values() for e in rng.sample(group, min(most, len(group)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", default="atis_flight+atis_airfare")
    parser.add_argument("--most", type=int, default=100, help="examples an intent in training")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    made_of = frozenset(arguments.held_out.split("+"))

    def read(part: str) -> list[Example]:
        rows = read_jsonl(arguments.data / "atis" / f"{part}.jsonl")
        return [Example(row["text"], row["intent"]) for row in rows]

    def held(example: Example) -> bool:
        return frozenset((example.intent or "").split("+")) == made_of

    train, dev, test = map(read, ("train", "dev", "test"))
    unseen = [e for e in (*train, *dev, *test) if held(e)]
    train = at_most([e for e in train if not held(e)], arguments.most)
    known = {example.intent for example in train}
    single = [e for e in test if "+" not in (e.intent or "") and e.intent in known]
    left, right = ([e.text for e in test if e.intent == part] for part in sorted(made_of))
    joined = [f"{a} and {b}" for a, b in zip(left, right, strict=False)]
    cells = []
    for seed in range(arguments.seeds):
        for symbol in (None, "+"):
            options = {"random_seed": seed, "entity_recognition": False, "intent_split_symbol": symbol}
            with tempfile.TemporaryDirectory() as folder:
                report = fit(train, TrainingOptions.from_dict(options), Path(folder) / "bundle")
                interpreter = Interpreter.load(report.bundle)
            answers = [interpreter.parse(e.text).intent.name or "" for e in unseen]
            right = sum(frozenset(answer.split("+")) == made_of for answer in answers)
            heard = [interpreter.parse(text).intent.name or "" for text in joined]
            joined_right = sum(frozenset(answer.split("+")) == made_of for answer in heard)
            results = [interpreter.parse(e.text) for e in single]
            hits = [r.intent.name == e.intent for r, e in zip(results, single, strict=True)]
            cell = {
                "seed": seed,
                "intent_split_symbol": symbol,
                "intents": len(report.labels.intents),
                "train": len(train),
                "unseen_combination": f"{right} of {len(unseen)}",
                "joined_texts": f"{joined_right} of {len(joined)}",
                "single_intent_accuracy": round(100 * sum(hits) / len(hits), 2),
                "singles_answered_as_combinations": sum("+" in (r.intent.name or "") for r in results),
                "answers_to_unseen": dict(Counter(answers).most_common(6)),
                "temperature": round(report.training.temperature, 3),
            }
            cells.append(cell)
            print(cell, flush=True)
    settings = {"held_out": arguments.held_out, "most": arguments.most, "single": len(single)}
    print(write_result("multi-intents", {**settings, "cells": cells}))


if __name__ == "__main__":
    main()
