"""Measures what the warning about the language of the training texts goes by: the share of whole words.

python benchmarks/vocabulary.py [--data DIR]    # spaCy's example sentences, the example bot, data sets in DIR
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import spacy.lang
from common import read_jsonl, write_result
from rasa.shared.nlu.training_data.loading import load_data

from sqz_nlu.encoder.load import load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.encoder.vocabulary import measure, warning

ROOT = Path(__file__).parent.parent
MIXED = "xx"  # sentences in many languages


def languages() -> Iterator[tuple[str, list[str]]]:
    """Example sentences of every language for which spaCy has some."""
    for module in pkgutil.iter_modules(spacy.lang.__path__):
        try:
            examples = importlib.import_module(f"spacy.lang.{module.name}.examples")
        except ImportError:
            continue
        if module.name not in ("en", MIXED):
            yield module.name, examples.sentences


def english(data: Path | None) -> Iterator[tuple[str, list[str]]]:
    """English training texts: spaCy's sentences, the example bot's and those of the data sets."""
    yield "spacy examples", importlib.import_module("spacy.lang.en.examples").sentences
    yield "example bot", [example.get("text") for example in load_data(str(ROOT / "data/train")).nlu_examples]
    for path in sorted(data.glob("*/train.jsonl")) if data else ():
        yield path.parent.name, [example["text"] for example in read_jsonl(path)]


def row(name: str, texts: Sequence[str]) -> dict[str, object]:
    """The measure of one collection with the embedded encoder's vocabulary."""
    fit = measure(TOKENIZER, texts)
    warns = warning(fit, "embedded", "en") is not None
    shares = {"whole": round(fit.whole, 3), "unknown": round(fit.unknown, 3)}
    return {"texts": name, "words": fit.words, **shares, "warns": warns}


TOKENIZER = load_tokenizer(find_encoder("embedded"))


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description="The share of whole words, by language.")
    parser.add_argument("--data", type=Path, help="the folder of data sets that docs/benchmarks.md describes")
    data = parser.parse_args().data
    result = {
        "english": [row(*pair) for pair in english(data)],
        "other_languages": [row(*pair) for pair in languages()],
    }
    for kind, rows in result.items():
        shares = sorted(row["whole"] for row in rows)
        warned = sum(row["warns"] for row in rows)
        print(f"{kind}: {len(rows)}, whole words {shares[0]} to {shares[-1]}, warned of {warned}")
    print(write_result("vocabulary", result))


if __name__ == "__main__":
    main()
