"""What lookup tables and regex features are worth: the same training with them and without.

For each bot, annotated values that its tables list are split at random: a third is held out with every
example that has one. Scored are those examples, whose values training never saw. For hwu64, training has 10
examples an intent, and tables list the values annotated in the whole training part.

    python benchmarks/patterns.py --bots DIR --data DIR [--seeds 3]

BOTS has a folder with Rasa's NLU files for each bot; DATA has train_10shot.jsonl, train.jsonl and test.jsonl
in hwu64.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common import read_jsonl, write_result

os.environ.setdefault("USE_TF", "0")

from sqz_nlu import Interpreter
from sqz_nlu.export.parity import span_f1, spans_of
from sqz_nlu.fit import fit
from sqz_nlu.runtime.patterns import LookupTable, Patterns
from sqz_nlu.training.examples import EntitySpan, Example
from sqz_nlu.training.options import TrainingOptions

BOTS = ("tutorial-knowledge-base", "packt-ch07")
LEAST_VALUES = 30


def read_bot(folder: Path) -> tuple[list[Example], Patterns]:
    """The annotated examples and the patterns of a bot."""
    from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader
    from rasa.shared.nlu.training_data.training_data import TrainingData

    from sqz_nlu.components.messages import to_examples, to_patterns

    data = TrainingData()
    for file in sorted((folder / "data").glob("*.yml")):
        if RasaYAMLReader.is_yaml_nlu_file(file):
            data = data.merge(RasaYAMLReader().read(str(file)))
    patterns = to_patterns(data)
    files = sorted((folder / "data" / "lookup_tables").glob("*.txt"))
    tables = [
        LookupTable(file.stem, tuple(filter(None, file.read_text("utf-8").split("\n")))) for file in files
    ]
    known = {table.name for table in tables}
    kept = [table for table in patterns.tables if table.name not in known]
    return to_examples(data), Patterns((*kept, *tables), patterns.regexes)


def by_value(
    examples: Sequence[Example], patterns: Patterns, seed: int
) -> tuple[list[Example], list[Example]]:
    """Examples without and with a held-out value of a table."""
    listed = {entry.lower() for table in patterns.tables for entry in table.entries}

    def values(example: Example) -> set[str]:
        return {example.text[s.start : s.end].lower() for s in example.entities} & listed

    seen = sorted(set().union(*map(values, examples)))
    held = set(random.Random(seed).sample(seen, max(1, len(seen) // 3)))
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[bool(values(example) & held)].append(example)
    return parts


def read_examples(path: Path) -> list[Example]:
    """Examples of a data set."""
    return [
        Example(row["text"], row["intent"], tuple(EntitySpan(s, e, t) for s, e, t, _ in row["entities"]))
        for row in read_jsonl(path)
    ]


def tables_of(examples: Sequence[Example]) -> Patterns:
    """A table for every entity type with many values."""
    values = defaultdict(set)
    for example in examples:
        for span in example.entities:
            values[span.entity].add(example.text[span.start : span.end])
    tables = (LookupTable(t, tuple(sorted(v))) for t, v in sorted(values.items()) if len(v) >= LEAST_VALUES)
    return Patterns(tuple(tables))


def score(
    train: Sequence[Example], test: Sequence[Example], patterns: Patterns | None, seed: int
) -> dict[str, float]:
    """Percent of intents right and micro-F1 of exact entity spans, of the exported model."""
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingOptions.from_dict({"random_seed": seed})
        interpreter = Interpreter.load(fit(train, options, Path(folder) / "bundle", patterns=patterns).bundle)
    results = [interpreter.parse(example.text) for example in test]
    gold = [frozenset((s.start, s.end, s.entity) for s in example.entities) for example in test]
    right = [result.intent.name == example.intent for result, example in zip(results, test, strict=True)]
    return {
        "intent_accuracy": round(100 * sum(right) / len(right), 2),
        "entity_f1": round(100 * span_f1(gold, list(map(spans_of, results))), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bots", type=Path, help="folder of bots")
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    cells: list[dict[str, object]] = []
    for seed in range(arguments.seeds):
        tasks = {}
        for bot in BOTS if arguments.bots else ():
            examples, patterns = read_bot(arguments.bots / bot)
            tasks[bot] = (*by_value(examples, patterns, seed), patterns)
        if arguments.data:
            parts = [
                read_examples(arguments.data / "hwu64" / f"{part}.jsonl")
                for part in ("train_10shot", "test", "train")
            ]
            tasks["hwu64"] = (parts[0], parts[1], tables_of(parts[2]))
        for name, (train, test, patterns) in tasks.items():
            for label, used in (("without", None), ("with", patterns)):
                cell = {"data": name, "seed": seed, "train": len(train), "test": len(test), "patterns": label}
                cells.append({**cell, **score(train, test, used, seed)})
                print(cells[-1], flush=True)
    print(write_result("patterns", {"cells": cells}))


if __name__ == "__main__":
    main()
