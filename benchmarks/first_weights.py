"""What each step towards a student's first weights gives, before any training.

For some shapes, kinds of first weights: the teacher's blocks on the diagonal, these after renumbering
(order), blocks moved by least squares (regression), both, and both with massive activations divided among
units (spread), which is what ``sqz-nlu squeeze`` does. Measured on sentences that took no part in the fit:
squared distance to the teacher's states over their variance, by layer, the cosine distance of the pooled
embedding, and that between the embedding as it is and with products rounded as the int8 graph does.

    python benchmarks/first_weights.py --corpus DIR     # DIR as for encoders.py
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

import torch
from common import write_result
from encoders import TEACHER
from torch import Tensor
from torch.nn import functional

from sqz_nlu.encoder.model import SqueezeBertEncoder, mean_pool
from sqz_nlu.squeeze.convert import copy_teacher, kept_layers, load_teacher, new_student
from sqz_nlu.squeeze.corpus import plan_batches, tokenize
from sqz_nlu.squeeze.options import Groups
from sqz_nlu.squeeze.ordering import find_order, reorder
from sqz_nlu.squeeze.regression import fit_layers

TEXTS = ("star", "query_wellformedness")
HELD_OUT = "webquestions"
SHAPES = ("1/1/2", "2/1/2", "4/1/4")
KINDS = {
    "diagonal blocks": frozenset[str](),
    "order": frozenset({"order"}),
    "regression": frozenset({"regression"}),
    "order + regression": frozenset({"order", "regression"}),
    "order + regression + spread": frozenset({"order", "regression", "spread"}),
}
ORDER_BATCHES, BATCH_TOKENS, SEED = 8, 1536, 7
Batch = tuple[Tensor, Tensor]


def batches(files: list[Path], tokens: int) -> tuple[list[Batch], int]:
    """About ``tokens`` tokens of some files in batches, and the number of sentences in them."""
    _, tokenizer = load_teacher(TEACHER)
    text = tokenize(files, tokenizer, 48)
    plan = plan_batches(text.lengths, min(tokens, int(text.lengths.sum())), BATCH_TOKENS, SEED)
    pairs = [text.batch(rows) for rows in plan]
    return [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in pairs], sum(map(len, plan))


def student_of(shape: str, steps: frozenset[str], sample: list[Batch]) -> tuple[Any, Any, list[int]]:
    """A student with first weights of one kind, its teacher numbered likewise, and the layers it follows."""
    teacher, _ = load_teacher(TEACHER)
    attention, after, wide = map(int, shape.split("/"))
    student = new_student(teacher, Groups(attention, after, wide), None).eval()
    kept = kept_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    if "order" in steps:
        reorder(teacher, find_order(teacher, student.config, kept, sample[:ORDER_BATCHES], SEED), kept)
    copy_teacher(teacher, student)
    if "regression" in steps:
        fit_layers(teacher, student, kept, sample, "spread" in steps)
    return teacher, student, kept


def distances(
    teacher: SqueezeBertEncoder, student: SqueezeBertEncoder, kept: list[int], held_out: list[Batch]
) -> dict[str, Any]:
    """Distances by layer and of the pooled embedding over all held-out sentences."""
    squares = torch.zeros(len(kept), dtype=torch.float64)
    moments = torch.zeros(len(kept), 3, dtype=torch.float64)
    cosines: dict[str, list[Tensor]] = {"pooled": [], "rounded": []}
    with torch.no_grad():
        for ids, mask in held_out:
            real = mask.bool()
            ours, theirs = student.hidden_states(ids, mask)[1:], teacher.hidden_states(ids, mask)[1:]
            for place, layer in enumerate(kept):
                target, found = theirs[layer][real].double(), ours[place][real].double()
                squares[place] += (found - target).square().sum()
                sums = (target.new_tensor(target.numel()), target.sum(), target.square().sum())
                moments[place] += torch.stack(sums)
            student.set_rounding(True)
            rounded = mean_pool(student(ids, mask), mask)
            student.set_rounding(False)
            pooled = mean_pool(ours[-1], mask)
            for name, other in (("pooled", mean_pool(theirs[-1], mask)), ("rounded", rounded)):
                cosines[name].append(functional.cosine_similarity(pooled, other))
    count, total, square = moments.T
    layers = squares / (square - total.square() / count)
    return {
        "layers": [round(loss, 4) for loss in layers.tolist()],
        **{name: round(1 - float(torch.cat(parts).mean()), 4) for name, parts in cosines.items()},
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of text files")
    parser.add_argument("--fit-tokens", type=int, default=45_000, help="for order and regression")
    parser.add_argument("--held-out-tokens", type=int, default=12_000)
    arguments = parser.parse_args()
    files = [arguments.corpus / f"{name}.txt.xz" for name in TEXTS]
    sample, _ = batches(files, arguments.fit_tokens)
    held_out, sentences = batches([arguments.corpus / f"{HELD_OUT}.txt.xz"], arguments.held_out_tokens)
    rows = []
    for shape in SHAPES:
        for kind, steps in KINDS.items():
            figures = distances(*student_of(shape, steps, sample), held_out)
            rows.append({"groups": shape, "first_weights": kind, **figures})
            print(f"{shape} {kind}: {figures}", flush=True)
    settings = {"teacher": TEACHER, "texts": TEXTS, "held_out": HELD_OUT, "fit_tokens": arguments.fit_tokens}
    print(write_result("first-weights", {**settings, "held_out_sentences": sentences, "rows": rows}))


if __name__ == "__main__":
    main()
