"""``sqz-nlu export``: get a bundle out of a model archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from sqz_nlu.cli.common import MODEL_HELP, Verbs, examples, model_path

_EXAMPLES = """
sqz-nlu export models/20240101-120000.tar.gz my-model
sqz-nlu parse my-model "turn on the kitchen light"
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "export", help="get the bundle out of a Rasa model archive", **examples(_EXAMPLES)
    )
    verb.add_argument("model", help=MODEL_HELP)
    verb.add_argument("folder", type=Path, help="where the bundle is written")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.archive import export_bundle

    print(export_bundle(model_path(arguments.model), arguments.folder))
    return 0
