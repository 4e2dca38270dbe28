"""``sqz-nlu verify``: is a model intact, and does it answer here as it did where it was made?"""

from __future__ import annotations

import argparse

from sqz_nlu.cli.common import MODEL_HELP, Verbs, open_bundle


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser("verify", help="check every byte of a model, and its answers on this machine")
    verb.add_argument("model", help=MODEL_HELP)
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.interpreter import Interpreter
    from sqz_nlu.runtime.probes import check_probes

    bundle = open_bundle(arguments.model)
    count = check_probes(Interpreter(bundle))
    print(f"intact: {len(bundle.contents)} files, {count} probe(s) answered as recorded")
    return 0
