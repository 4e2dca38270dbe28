"""``sqz-nlu verify``: is a model intact, and does it answer here as it did where it was made?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from sqz_nlu.cli.common import MODEL_HELP, Verbs, open_bundle
from sqz_nlu.errors import BundleError

_PROBE_TOLERANCE = 0.05


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser("verify", help="check every byte of a model, and its answers on this machine")
    verb.add_argument("model", help=MODEL_HELP)
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.runtime.interpreter import Interpreter

    bundle = open_bundle(arguments.model)
    interpreter = Interpreter(bundle)
    for probe in bundle.manifest["probes"]:
        answer = interpreter.parse(probe["text"]).to_dict()
        if not _same(probe, answer):
            raise BundleError(
                f"'{arguments.model}' is intact, but on this machine it answers "
                f"{json.dumps(answer)} where {json.dumps(probe)} was recorded when it was made."
            )
    count = len(bundle.manifest["probes"])
    print(f"intact: {len(bundle.contents)} files, {count} probe(s) answered as recorded")
    return 0


def _same(recorded: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether two parses agree but for values that synonyms change and small differences of CPUs."""

    def spans(parse: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(e["start"], e["end"], e["entity"], e.get("role")) for e in parse["entities"]]

    difference = abs(recorded["intent"]["confidence"] - answer["intent"]["confidence"])
    same_intent = recorded["intent"]["name"] == answer["intent"]["name"]
    return same_intent and difference <= _PROBE_TOLERANCE and spans(recorded) == spans(answer)
