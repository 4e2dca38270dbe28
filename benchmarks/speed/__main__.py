"""Speed, side by side with BERT, other exports, DIET, transformers and the machine itself.

    python benchmarks/speed [--only PART ...] [--seconds 30] [--data DIR]

Parts: encoders, machine, operators, batch, growth, examples, messages, processes, training (which needs
--data, see docs/benchmarks.md). What is compared runs in turns in one process (A B C A B C ...) after calls
that are not counted. Each part is written to benchmarks/results/speed.json when it is done; parts that do not
run keep what they had. What takes long to make is kept in build/speed/: delete it after a change to training.
`python benchmarks/speed/page.py` writes docs/speed.md, its plots and the README's table from that file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import graph_parts
import operators
import process_parts
from common import RESULTS, machine, read_result

NAME = "speed"
TIMED = {
    "encoders": graph_parts.encoders,
    "machine": graph_parts.machine,
    "operators": operators.operators,
    "batch": graph_parts.batch,
    "growth": graph_parts.growth,
    "examples": graph_parts.examples,
    "messages": process_parts.messages,
    "processes": process_parts.processes,
}
PARTS = (*TIMED, "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--seconds", type=float, default=30.0, help="about how long each part measures")
    parser.add_argument("--data", type=Path, help="the folder with the data sets, for training")
    arguments = parser.parse_args()
    if "training" in arguments.only and arguments.data is None:
        if "training" in sys.argv:
            parser.error("training needs --data DIR with the data sets named in docs/benchmarks.md.")
        arguments.only.remove("training")
        print("training is left out: it needs --data DIR", file=sys.stderr)
    path = RESULTS / f"{NAME}.json"
    for part in arguments.only:
        if part == "training":
            result = process_parts.training(arguments.data)
        else:
            result = TIMED[part](arguments.seconds)
        written = read_result(NAME)
        written[part] = {"machine": machine(), "measured": time.strftime("%Y-%m-%d"), **result}
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
        print(json.dumps({part: _short(result)}, indent=1))
    print(path)


def _short(result: dict[str, Any]) -> dict[str, Any]:
    """What matters of a part, for the terminal."""
    return result.get("ratios") or result.get("figures") or result


if __name__ == "__main__":
    main()
