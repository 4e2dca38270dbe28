"""Averages the weights of encoders that went on from the same one.

Runs with different rates that begin at the same weights end in the same basin, and the mean of their weights
is often better than each (Wortsman et al., 2022, "Model soups", https://arxiv.org/abs/2203.05482).

    python scripts/average_encoders.py FOLDER FOLDER ... --out FOLDER     # what `sqz-nlu squeeze --out` wrote
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("USE_TF", "0")

import torch

from sqz_nlu.encoder.load import load_encoder, load_tokenizer, save_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.squeeze.run import RECORD


def average(folders: list[Path], out: Path) -> None:
    """Writes the mean of the encoders in ``folders`` to ``out``, with the records of their making."""
    sources = [find_encoder(folder) for folder in folders]
    encoders = [load_encoder(source) for source in sources]
    records = [json.loads((folder / RECORD).read_text("utf-8")) for folder in folders]
    same = {
        (e.config.to_json_string(), s.tokenizer.read_bytes()) for e, s in zip(encoders, sources, strict=True)
    }
    orders = {tuple(record["order"]["channels"]) for record in records}
    if len(same) > 1 or len(orders) > 1:
        sys.exit(
            "The encoders differ in shape, word pieces or channels: only what began alike can be averaged."
        )
    states = [encoder.state_dict() for encoder in encoders]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    encoders[0].load_state_dict(mean)
    out.mkdir(parents=True, exist_ok=True)
    save_encoder(encoders[0], load_tokenizer(sources[0]), out)
    record = {**records[0], "averaged": records[1:]}
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def main() -> None:
    """Averages and says where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    average(arguments.folders, arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
