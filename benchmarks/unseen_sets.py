"""Turns public data sets that nothing in this package was chosen on into the form of `make bench-nlu`.

    git clone https://github.com/sebischair/NLU-Evaluation-Corpora CLONES/NLU-Evaluation-Corpora
    git clone https://github.com/hellohaptik/HINT3 CLONES/HINT3
    python benchmarks/unseen_sets.py --clones CLONES --out DATA

A clone that is missing is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlu.data import Row

CORPORA = {
    "askubuntu": "AskUbuntuCorpus.json",
    "chatbot": "ChatbotCorpus.json",
    "webapplications": "WebApplicationsCorpus.json",
}
HINT3 = ("curekart", "powerplay11", "sofmattress")
HINT3_VERSION = "v2"  # with corrected labels
OUT_OF_SCOPE = "NO_NODES_DETECTED"
_TOKEN = re.compile(r"\w+|[^\w\s]")
Parts = dict[str, list[Row]]  # by the name of their file


def read_corpus(path: Path) -> Parts:
    """A corpus of Braun et al. (2017), with the authors' split."""
    parts: Parts = {"train": [], "test": []}
    for sentence in json.loads(path.read_text("utf-8"))["sentences"]:
        entities = [_entity(sentence["text"], entity) for entity in sentence["entities"]]
        row = {"text": sentence["text"], "intent": sentence["intent"], "entities": entities}
        parts["train" if sentence["training"] else "test"].append(row)
    return parts


def _entity(text: str, entity: dict[str, Any]) -> list[Any]:
    """Start, end and type, from the numbers of the first and the last token; where these are off, from the
    only place with its text.
    """
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    if entity["stop"] < len(tokens):
        start, end = tokens[entity["start"]][0], tokens[entity["stop"]][1]
        if text[start:end] == entity["text"]:
            return [start, end, entity["entity"]]
    words = r"\s*".join(map(re.escape, _TOKEN.findall(entity["text"])))
    places = [match.span() for match in re.finditer(words, text)]
    if len(places) != 1:
        sys.exit(f"The entity '{entity['text']}' is {len(places)} times in '{text}'; expected once.")
    return [*places[0], entity["entity"]]


def read_hint3(folder: Path, name: str) -> Parts:
    """A bot's questions of HINT3 (Arora et al., 2020); those without an intent are out of scope."""
    test = list(_questions(folder / "test" / f"{name}_test.csv"))
    return {
        "train": list(_questions(folder / "train" / f"{name}_train.csv")),
        "test": [row for row in test if row["intent"] != OUT_OF_SCOPE],
        "test_oos": [row for row in test if row["intent"] == OUT_OF_SCOPE],
    }


def _questions(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {"text": " ".join(row["sentence"].split()), "intent": row["label"], "entities": []}


def write(folder: Path, parts: Parts) -> None:
    """Writes the files of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text("".join(lines), "utf-8")
    intents = {row["intent"] for row in parts["train"]}
    types = {entity[2] for row in parts["train"] for entity in row["entities"]}
    sizes = ", ".join(f"{part} {len(rows)}" for part, rows in parts.items())
    print(f"{folder.name}: {sizes}; {len(intents)} intents, {len(types)} entity types")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    corpora = arguments.clones / "NLU-Evaluation-Corpora"
    hint3 = arguments.clones / "HINT3" / "dataset" / HINT3_VERSION
    if not corpora.is_dir() and not hint3.is_dir():
        parser.error(f"{arguments.clones} has neither {corpora.name} nor HINT3")
    for name, file in CORPORA.items() if corpora.is_dir() else ():
        write(arguments.out / name, read_corpus(corpora / file))
    for name in HINT3 if hint3.is_dir() else ():
        write(arguments.out / name, read_hint3(hint3, name))


if __name__ == "__main__":
    main()
