"""``sqz-nlu parse``: understand texts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from sqz_nlu.cli.common import MODEL_HELP, Verbs


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser("parse", help="understand a text, or each line of standard input")
    verb.add_argument("model", help=MODEL_HELP)
    verb.add_argument("text", nargs="?", help="left out: one JSON line for each line of standard input")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.interpreter import Interpreter

    interpreter = Interpreter.load(arguments.model)
    texts = [arguments.text] if arguments.text is not None else _lines()
    for text in texts:
        print(json.dumps(interpreter.parse(text).to_dict(), ensure_ascii=False), flush=True)
    return 0


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\r\n")
