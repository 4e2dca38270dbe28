"""The command line: ``sqz-nlu VERB``. Results on standard output, progress and errors on standard error.

One module a verb: ``add`` declares its arguments, ``run`` does the work and returns the exit code.
Exit codes: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from sqz_nlu._version import __version__
from sqz_nlu.cli import annotate, bench, completion, export, info, migrate, parse, serve, squeeze, verify
from sqz_nlu.errors import SqzNluError

_VERBS = (parse, info, verify, bench, export, serve, annotate, squeeze, migrate, completion)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(prog="sqz-nlu", description="Rasa NLU on an int8 SqueezeBERT.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code."""
    parsed = build_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What UTF-8 lacks (lone surrogates) becomes the escape that JSON has for it.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = int(parsed.run(parsed))
        sys.stdout.flush()
        return code
    except SqzNluError as error:
        print(f"sqz-nlu: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        _stop_writing()
        return 1
    except OSError as error:  # a full disk, a name that is too long
        print(f"sqz-nlu: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _stop_writing()
        return 1
    except KeyboardInterrupt:
        print("sqz-nlu: interrupted", file=sys.stderr)
        return 130


def _stop_writing() -> None:
    """Python writes what is left once more at its exit, and would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
