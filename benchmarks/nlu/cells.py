"""What is measured: a pipeline, trained with a seed on a part of a data set."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlu.data import BOT_PART, bots_in, is_data_set
from nlu.pipelines import FIRST_SEED, PIPELINES

UNSEEN = "unseen"  # the whole of a set that nothing in the package was chosen on
FILES = {"5shot": "train_5shot", "10shot": "train_10shot", "full": "train", UNSEEN: "train"}
DATA_SETS: dict[str, tuple[str, ...]] = {
    "hwu64": ("5shot", "10shot", "full"),
    "banking77": ("5shot", "10shot", "full"),
    "clinc150": ("5shot", "10shot", "full"),
    "hwu64_kfold1": ("full",),
    "snips": ("full",),
    "atis": ("full",),
    "askubuntu": (UNSEEN,),
    "chatbot": (UNSEEN,),
    "webapplications": (UNSEEN,),
    "curekart": (UNSEEN,),
    "powerplay11": (UNSEEN,),
    "sofmattress": (UNSEEN,),
}


@dataclass(frozen=True)
class Cell:
    """One training and its scores."""

    pipeline: str
    dataset: str
    part: str
    seed: int

    def __str__(self) -> str:
        """As ``--only`` and the progress lines name it."""
        return f"{self.pipeline}/{self.dataset}/{self.part}/{self.seed}"

    @property
    def file(self) -> str:
        """The name of its result."""
        return f"{self.dataset}-{self.part}-{self.pipeline}-{self.seed}.json"


def cells(data: Path, bots: Path | None) -> Iterator[Cell]:
    """All cells that the folders hold material for: few-shot, then bots, whole sets, unseen ones."""
    places = [(name, part) for name, parts in DATA_SETS.items() for part in parts if is_data_set(data / name)]
    split = [(folder.name, BOT_PART) for folder in (bots_in(bots) if bots else ())]
    order = ["5shot", "10shot", BOT_PART, "full", UNSEEN]
    for dataset, part in sorted([*places, *split], key=lambda place: order.index(place[1])):
        for name, pipeline in PIPELINES.items():
            for turn in range(pipeline.seeds[part == "full"]):
                yield Cell(name, dataset, part, FIRST_SEED + turn)


def select(every: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells that match a pattern: PIPELINE, PIPELINE/DATASET, ... with `*` and `?`; all without any."""
    chosen: dict[Cell, None] = {}
    for pattern in patterns:
        depth = pattern.count("/") + 1
        found = [
            cell for cell in every if fnmatch.fnmatchcase("/".join(str(cell).split("/")[:depth]), pattern)
        ]
        if not found:
            sys.exit(
                f"--only {pattern} matches no cell. Cells are PIPELINE/DATASET/PART/SEED with pipelines "
                f"{', '.join(PIPELINES)} and data sets {', '.join(sorted({c.dataset for c in every}))}."
            )
        chosen |= dict.fromkeys(found)
    return list(chosen) if patterns else list(every)
