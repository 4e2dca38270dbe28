"""What a model takes on a small machine: memory, load time and latency, by number of threads.

Each number of threads is measured by `sqz-nlu bench` in a fresh process, so that memory and load time are
those of a service that starts. On a board with nothing but sqz-nlu, run `sqz-nlu bench MODEL` there.

    python benchmarks/small_board.py [--model MODEL] [--threads 1 2 4] [--rounds 500]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from common import write_result

BOT_MODEL = Path(__file__).parent.parent / "example_bot" / "models" / "example-bot.tar.gz"


def measure(model: str, threads: int, rounds: int) -> dict:
    """The report of `sqz-nlu bench`; its table goes to the terminal."""
    options = ["--threads", str(threads), "--rounds", str(rounds)]
    command = [sys.executable, "-m", "sqz_nlu.cli", "bench", model, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default=str(BOT_MODEL))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=500)
    arguments = parser.parse_args()
    threads = [count for count in arguments.threads if count <= (os.cpu_count() or 1)]
    runs = [measure(arguments.model, count, arguments.rounds) for count in threads]
    print(write_result("small-board", {"runs": runs}))


if __name__ == "__main__":
    main()
