"""Trains and scores pipelines of Rasa side by side; may be interrupted at any time.

    python benchmarks/nlu --data DIR [--bots DIR] [--only PIPELINE/DATASET/PART/SEED ...]
    python benchmarks/nlu --report

A cell is one training of a pipeline on a part of a data set, with its scores. Each runs in a process of its
own and leaves a file when it ends; what was measured with this code, these packages and these data is not
measured again, and a training of DIET goes on where it was. The report (docs/nlu.md with its plots) is made
from the files.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from common import RESULTS, machine

from nlu import cells as all_cells
from nlu.cells import Cell
from nlu.estimate import duration, in_words
from nlu.measure import REFERENCE_PLACE, Order, carry_out, reference_order
from nlu.pipelines import EMBEDDED, TEACHER
from nlu.places import Sources, States, commit
from nlu.store import Store, run_name, stale_because
from nlu.summary import was_busy

QUIET = {
    "RASA_TELEMETRY_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "USE_TF": "0",
    "PYTHONHASHSEED": "0",
}
LOG_LINES = 15  # of a failed cell, on the screen


class Run:
    """One run over the cells that are not measured yet."""

    def __init__(self, sources: Sources, store: Store, logs: Path) -> None:
        self.sources, self.store, self.logs = sources, store, logs
        self.states = States(sources)
        self.name = run_name(time.time())
        self.facts: dict[str, Any] = {"run": self.name, "commit": commit(), "machine": machine()}

    def pending(self, wanted: Sequence[Cell], keep_stale: bool, retime: bool) -> list[Cell]:
        """The cells to measure; says what becomes of the others."""
        pending, kept = [], 0
        for cell in wanted:
            record = self.store.read(cell)
            reason = None
            if record and retime and was_busy(record):
                reason = "load: it ran beside other work"
            elif record and not keep_stale:
                reason = stale_because(record, self.states.key(cell))
            if record and not reason:
                kept += 1
                continue
            pending.append(cell)
            if reason:
                _say(f"again: {cell} was measured with another {reason}")
        _say(f"{kept} of {len(wanted)} cells are measured already")
        return pending

    def reference(self) -> bool:
        """Measures the reference cell; whether it came about."""
        _say(f"reference: a short training of DIET on {'/'.join(REFERENCE_PLACE)}")
        path, kept = self.store.reference_path(self.name), self.logs / f"reference-{self.name}.kept"
        return self._process(reference_order(self.sources, path, kept, self.facts), "reference")

    def measure(self, cell: Cell) -> bool:
        """Measures a cell; whether it came about."""
        facts = {**self.facts, "key": self.states.key(cell)}
        out = str(self.store.folder / cell.file)
        name = cell.file.removesuffix(".json")
        kept = str(self.logs / f"{name}.kept")
        sources = self.sources.to_dict()
        passes = str(self.logs / "passes")
        order = Order(cell.pipeline, cell.dataset, cell.part, cell.seed, sources, out, kept, passes, facts)
        return self._process(order, name)

    def seconds(self, cells: Sequence[Cell]) -> list[float | None]:
        """About how long each of the cells takes."""
        records = list(self.store.records())
        return [duration(cell, self.states.place(cell.dataset, cell.part)[1], records) for cell in cells]

    def _process(self, order: Order, name: str) -> bool:
        """Runs an order; the process ends with this one, whatever ends it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        command = [sys.executable, str(Path(__file__).with_name("__main__.py")), "--order", order.to_json()]
        with (
            log.open("w") as output,
            subprocess.Popen(
                command,
                env=os.environ | QUIET,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                code = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if code:
            tail = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
            _say(f"FAILED (exit {code}), the whole log is in {log}:", *tail, sep="\n    ")
        return code == 0


def _say(*words: str, sep: str = " ") -> None:
    print(*words, sep=sep, flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Measures what is asked for and not measured yet; returns the exit status."""
    sources = Sources(
        str(arguments.data.resolve()),
        str(arguments.bots.resolve()) if arguments.bots else None,
        arguments.encoder,
        arguments.teacher,
    )
    warnings.simplefilter("ignore")  # Rasa's, of old versions in bots' files
    every = list(all_cells.cells(arguments.data, arguments.bots))
    if not every:
        sys.exit(
            f"There is no data set in {arguments.data}. Expected folders such as hwu64, with test.jsonl and "
            "train.jsonl, as docs/benchmarks.md says."
        )
    this = Run(sources, Store.here(arguments.results), arguments.logs)
    pending = this.pending(all_cells.select(every, arguments.only), arguments.keep_stale, arguments.retime)
    failed = []
    if pending and not arguments.no_reference and not this.reference():
        return 1
    for turn, cell in enumerate(pending, 1):
        rest = this.seconds(pending[turn - 1 :])
        _say(f"[{turn}/{len(pending)}] {cell}: {in_words(rest[:1])}; all that is left: {in_words(rest)}")
        started = time.perf_counter()
        if not this.measure(cell):
            failed.append(cell)
            continue
        record = this.store.read(cell) or {}
        shown = {name: record[name] for name in SHOWN if record.get(name) is not None}
        figures = "  ".join(f"{SHOWN[name]} {value}" for name, value in shown.items())
        _say(f"    {figures}  ({time.perf_counter() - started:.0f} s in all)")
    if not failed and not arguments.no_reference:
        this.store.forget_unused_references()
    if failed:
        _say(f"{len(failed)} of {len(pending)} cells failed: {', '.join(map(str, failed))}")
    return 1 if failed else 0


SHOWN = {
    "intent_accuracy": "accuracy",
    "span_f1": "span F1",
    "ece": "ECE",
    "auroc_out_of_scope": "AUROC",
    "train_s": "training s",
    "parse_p50_ms": "parse ms",
}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="benchmarks/nlu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data", type=Path, help="folder of data sets, as docs/benchmarks.md describes it")
    made.add_argument("--bots", type=Path, help="folder of Rasa bots")
    made.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="CELL",
        help="cells: PIPELINE[/DATASET[/PART[/SEED]]], * and ?",
    )
    made.add_argument("--encoder", default=EMBEDDED, help="of our pipelines: embedded or a folder")
    made.add_argument("--teacher", default=TEACHER, help="BERT checkpoint of the teacher's pipeline")
    made.add_argument("--keep-stale", action="store_true", help="measure only what is missing")
    made.add_argument("--retime", action="store_true", help="measure again what ran beside other work")
    made.add_argument("--no-reference", action="store_true", help="do without the reference cell")
    made.add_argument(
        "--report", action="store_true", help="make docs/nlu.md from the results; measures nothing"
    )
    made.add_argument("--machine", help="which machine's results the report shows: the name of their folder")
    made.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    made.add_argument("--logs", type=Path, default=Path("build/bench-nlu"), help="where the logs of cells go")
    made.add_argument("--order", help=argparse.SUPPRESS)
    return made


def main() -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args()
    if arguments.order:
        carry_out(arguments.order)
        return 0
    if arguments.report:
        from nlu.report import write_report

        return write_report(arguments.results, arguments.machine)
    if not arguments.data:
        parser().error("--data or --report is needed")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(arguments)
    except KeyboardInterrupt:
        _say("Interrupted. What is measured stays; the same command goes on from here.")
        return 130
