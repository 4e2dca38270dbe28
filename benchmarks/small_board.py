"""What a model takes on a small machine: memory, load time and latency, by number of threads.

Each number of threads is measured by `sqz-nlu bench` in a fresh process, so that memory and load time are
those of a service that starts. On a board with nothing but sqz-nlu, run `sqz-nlu bench MODEL` there.

    python benchmarks/small_board.py [--model MODEL] [--threads 1 2 4] [--rounds 500]
    python benchmarks/small_board.py --report        # writes docs/small-boards.md's part from the result
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from common import put_between_marks, read_result, write_result

PAGE = Path(__file__).parent.parent / "docs" / "small-boards.md"
BOT_MODEL = Path(__file__).parent.parent / "example_bot" / "models" / "example-bot.tar.gz"


def measure(model: str, threads: int, rounds: int) -> dict:
    """The report of `sqz-nlu bench`; its table goes to the terminal."""
    options = ["--threads", str(threads), "--rounds", str(rounds)]
    command = [sys.executable, "-m", "sqz_nlu.cli", "bench", model, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def block(result: dict) -> str:
    """What the page says of a result: the start with one thread, and the time of a text by its words."""
    first, *_ = runs = result["runs"]
    threads = [f"{run['threads']} thread{'s' * (run['threads'] > 1)}" for run in runs]
    lines = [
        f"On {result['machine']['processor']} a fresh process imports the runtime in "
        f"{first['import_seconds']:.2f} s, loads the example bot's model",
        f"in {first['load_seconds']:.2f} s and takes {first['resident_mib']['after']:.0f} MiB of memory.",
        "The median time of a text:",
        "",
        f"| words | {' | '.join(threads)} |",
        f"|---:|{'---:|' * len(runs)}",
    ]
    for rows in zip(*(run["latency_ms"] for run in runs), strict=True):
        times = " | ".join(f"{row['p50']:.2f} ms" for row in rows)
        lines.append(f"| {rows[0]['words']} | {times} |")
    return "\n".join(lines)


def report() -> None:
    """Writes the page's part."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(put_between_marks(page, "board", block(read_result("small-board"))), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default=str(BOT_MODEL))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--report", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    threads = [count for count in arguments.threads if count <= (os.cpu_count() or 1)]
    runs = [measure(arguments.model, count, arguments.rounds) for count in threads]
    print(write_result("small-board", {"runs": runs}))
    report()


if __name__ == "__main__":
    main()
