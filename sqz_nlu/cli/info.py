"""``sqz-nlu info``: what a model knows."""

from __future__ import annotations

import argparse
import json

from sqz_nlu.cli.common import MODEL_HELP, Verbs, open_bundle


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser("info", help="what a model knows and what it was made from")
    verb.add_argument("model", help=MODEL_HELP)
    verb.add_argument("--json", action="store_true", help="manifest and configuration as JSON")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.bundle import CARD

    bundle = open_bundle(arguments.model)
    if arguments.json:
        about = {"manifest": bundle.manifest, "config": bundle.config}
        print(json.dumps(about, indent=1, ensure_ascii=False))
    else:
        print(bundle.contents[CARD].decode("utf-8"), end="")
    return 0
