"""Writes the training utterances of the benchmarks as unlabelled text for `sqz-nlu squeeze`.

    python scripts/utterances.py DATA OUT

reads ``DATA/SET/train.jsonl`` of each data set below and writes ``OUT/SET_train.txt``, one utterance a line,
without intents or entities. What equals a dev or test utterance of any data set, in lower case and without
punctuation, is left out.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

# ATIS is left out: it has no licence, and an encoder that never saw it can be tested on it.
SETS = ("banking77", "clinc150", "hwu64", "snips")


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [" ".join(json.loads(line)["text"].split()) for line in file]


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def write_utterances(data: Path, out: Path) -> dict[str, int]:
    """The number of lines written for each data set."""
    held_out = {
        _key(text)
        for pattern in ("dev*.jsonl", "test*.jsonl")
        for path in sorted(data.glob(f"*/{pattern}"))
        for text in _texts(path)
    }
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name in SETS:
        kept = {_key(text): text for text in _texts(data / name / "train.jsonl")}
        lines = [text for key, text in kept.items() if key and key not in held_out]
        (out / f"{name}_train.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        counts[name] = len(lines)
    return counts


def main() -> None:
    """Writes the files and prints how many utterances each has."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    for name, count in write_utterances(arguments.data, arguments.out).items():
        print(f"{name}: {count} utterances")


if __name__ == "__main__":
    main()
