"""``sqz-nlu bench``: how fast a model is on this machine, and what it takes."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqz_nlu.cli.common import MODEL_HELP, Verbs, add_threads, examples, open_bundle, positive

_EXAMPLES = """
sqz-nlu bench my-model
sqz-nlu bench my-model --threads 2 --words 8 32 > bench.json
sqz-nlu bench my-model --text "turn on the kitchen light" "play some music"
"""
_SENTENCE = "could you please turn on the lights in the living room and play some quiet music for us".split()
_WORDS = (4, 8, 16, 32)
_WARM_UP = 20


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "bench",
        help="measure latency, memory and load time of a model on this machine",
        description="JSON goes to standard output, a table to standard error.",
        **examples(_EXAMPLES),
    )
    verb.add_argument("model", help=MODEL_HELP)
    texts = verb.add_mutually_exclusive_group()
    texts.add_argument(
        "--words",
        type=positive,
        nargs="+",
        default=_WORDS,
        metavar="N",
        help="lengths of built-in texts (default 4 8 16 32)",
    )
    texts.add_argument("--text", nargs="+", help="texts of your own")
    verb.add_argument(
        "--rounds",
        type=positive,
        default=500,
        metavar="N",
        help="questions for each text (default 500)",
    )
    add_threads(verb)
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    before = _resident()
    started = time.perf_counter()
    from sqz_nlu.runtime.interpreter import Interpreter

    imported = time.perf_counter()
    interpreter = Interpreter(open_bundle(arguments.model), arguments.threads)
    ask = _question(interpreter)
    ask(_text(1))  # opens the ONNX Runtime session
    loaded = time.perf_counter()
    texts = arguments.text or [_text(words) for words in arguments.words]
    latency = _latencies(ask, texts, arguments.rounds)
    report = {
        "model": Path(arguments.model).name,
        "precision": interpreter.manifest.get("precision"),
        "threads": arguments.threads,
        "machine": _machine(),
        "import_seconds": round(imported - started, 4),
        "load_seconds": round(loaded - imported, 4),
        "resident_mib": {"before": before, "after": _resident()},
        "rounds": arguments.rounds,
        "latency_ms": latency,
    }
    _show(report)
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0


def _text(words: int) -> str:
    return " ".join(itertools.islice(itertools.cycle(_SENTENCE), words))


def _question(interpreter: Any) -> Callable[[str], Any]:
    """What is measured: a parse, or an embedding where the bundle is an encoder."""
    if interpreter.labels.intents or interpreter.labels.entities:
        return interpreter.parse  # type: ignore[no-any-return]
    return lambda text: interpreter.embed([text])


def _latencies(ask: Callable[[str], Any], texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Percentiles for each text; the texts take turns, so that a busy moment hits all alike."""
    import numpy as np

    times: list[list[float]] = [[] for _ in texts]
    for turn in range(-_WARM_UP, rounds):
        for row, text in zip(times, texts, strict=True):
            started = time.perf_counter()
            ask(text)
            if turn >= 0:
                row.append(1000 * (time.perf_counter() - started))
    rows = []
    for text, row in zip(texts, times, strict=True):
        points = zip(("p50", "p95", "p99"), np.percentile(row, [50, 95, 99]), strict=True)
        facts = {"words": len(text.split()), "characters": len(text)}
        rows.append({**facts, **{name: round(float(value), 4) for name, value in points}})
    return rows


def _resident() -> float | None:
    """Resident memory of this process in MiB, where the system tells (Linux)."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return None
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kib) / 1024, 1)


def _machine() -> dict[str, str]:
    import onnxruntime

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def _show(report: dict[str, Any]) -> None:
    """The table for people."""
    seconds = f"import {report['import_seconds']:.2f} s, load {report['load_seconds']:.2f} s"
    memory = report["resident_mib"]["after"]
    lines = [
        f"{report['model']} ({report['precision']}), {report['threads']} thread(s), "
        f"{report['machine']['architecture']}, onnxruntime {report['machine']['onnxruntime']}",
        seconds + (f", resident memory {memory:.0f} MiB" if memory is not None else ""),
        f"{'words':>6} {'p50':>9} {'p95':>9} {'p99':>9}   ms a text",
    ]
    for row in report["latency_ms"]:
        lines.append(f"{row['words']:>6} {row['p50']:>9.3f} {row['p95']:>9.3f} {row['p99']:>9.3f}")
    print("\n".join(lines), file=sys.stderr)
