"""Sentences a second and core of `sqz-nlu annotate`, on one core and on all.

The example bot's model annotates the example bot's held-out utterances, numbered so that no two are equal.
The time runs from the start of the worker processes to the last part.

    python benchmarks/annotate_rate.py [--rows 20000 for each process] [--model ARCHIVE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

import yaml
from common import write_result

from sqz_nlu.serving.annotate.run import annotate

ROOT = Path(__file__).parent.parent
MARK_UP = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})")


def utterances() -> list[str]:
    """The held-out utterances, without their annotations."""
    groups = yaml.safe_load((ROOT / "data" / "test" / "nlu.yml").read_text("utf-8"))["nlu"]
    lines = [line[2:] for group in groups for line in group["examples"].splitlines()]
    return [MARK_UP.sub(r"\1", line) for line in lines]


def measure(model: Path, texts: list[str], rows: int, workers: int) -> dict:
    """Annotates `rows` rows for each of `workers` processes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        with source.open("w", encoding="utf-8") as file:
            for index in range(rows * workers):
                file.write(json.dumps({"id": index, "text": f"{texts[index % len(texts)]} {index}"}) + "\n")
        summary = annotate(source, Path(folder) / "out", model, workers=workers)
    rate = summary["rows_per_second"]
    return {
        "workers": workers,
        "rows": summary["rows"],
        "failed": summary["failed"],
        "seconds": summary["seconds"],
        "rows_per_second": rate,
        "rows_per_second_and_core": round(rate / workers, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--model", type=Path, default=ROOT / "example_bot" / "models" / "example-bot.tar.gz")
    arguments = parser.parse_args()
    texts = utterances()
    runs = []
    for workers in sorted({1, len(os.sched_getaffinity(0))}):
        runs.append(measure(arguments.model, texts, arguments.rows, workers))
        print(json.dumps(runs[-1]))
    words = sum(len(text.split()) + 1 for text in texts) / len(texts)
    print(write_result("annotate", {"words_per_sentence": round(words, 2), "runs": runs}))


if __name__ == "__main__":
    main()
