"""``sqz-nlu parse``: understand texts."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
from collections.abc import Iterator

from sqz_nlu.cli.common import TRAINED_HELP, Verbs, add_threads, examples, positive

_EXAMPLES = """
sqz-nlu parse my-model "turn on the kitchen light"
sqz-nlu parse my-model < texts.txt > parses.jsonl
sqz-nlu parse --batch 64 my-model.tar.gz < texts.txt | jq .intent.name
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "parse", help="understand a text, or each line of standard input", **examples(_EXAMPLES)
    )
    verb.add_argument("model", help=TRAINED_HELP)
    verb.add_argument("text", nargs="?", help="left out: one JSON line for each line of standard input")
    verb.add_argument(
        "--batch",
        type=positive,
        default=1,
        metavar="N",
        help="read N lines, then answer them together: more lines a second, each a little later (default 1)",
    )
    add_threads(verb)
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.interpreter import Interpreter

    interpreter = Interpreter.load(arguments.model, arguments.threads)
    texts = iter([arguments.text]) if arguments.text is not None else _lines()
    while batch := list(itertools.islice(texts, arguments.batch)):
        results = interpreter.parse_batch(batch) if len(batch) > 1 else [interpreter.parse(batch[0])]
        for result in results:
            print(json.dumps(result.to_dict(), ensure_ascii=False), flush=True)
    return 0


def _lines() -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        yield line.rstrip("\r\n")
