"""Two losses of the words' tags: of whole taggings, as training has it, and of each word alone.

Whole trainings, from data to int8 bundle, asked for the whole test part, as in few_shot.py.

    python benchmarks/tag_loss.py --data DIR [--cells hwu64:10 hwu64:2000 snips:1000 atis:1000] [--seeds 7]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("USE_TF", "0")

import torch
from common import write_result
from few_shot import run_cell

from sqz_nlu.training import network
from sqz_nlu.training.tagging import tagging_loss, word_loss


def each_word(logits: torch.Tensor, tags: torch.Tensor, entities: int) -> torch.Tensor:
    """Cross-entropy, in the place of `tagging_loss`."""
    return word_loss(logits, tags)


LOSSES = {"words": each_word, "taggings": tagging_loss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=["hwu64:10", "hwu64:2000", "snips:1000", "atis:1000"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[7])
    arguments = parser.parse_args()
    cells: list[dict[str, Any]] = []
    for cell in arguments.cells:
        for seed in arguments.seeds:
            for name, loss in LOSSES.items():
                with mock.patch.object(network, "tagging_loss", loss):
                    cells.append({"loss": name, **run_cell(arguments.data, cell, {}, seed)})
                print(json.dumps(cells[-1]), flush=True)
                write_result("tag-loss", {"cells": cells})


if __name__ == "__main__":
    main()
