"""Probes: texts with the answers a bundle gave when it was made, asked again."""

from __future__ import annotations

import json
from typing import Any

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.interpreter import Interpreter

_TOLERANCE = 0.05


def check_probes(interpreter: Interpreter) -> int:
    """Asks a model its probes and returns how many there were.

    Raises:
        BundleError: it answers differently here than where it was made.
    """
    probes = interpreter.manifest["probes"]
    for probe in probes:
        answer = interpreter.parse(probe["text"]).to_dict()
        if not _same(probe, answer):
            raise BundleError(
                f"'{interpreter.path}' is intact, but on this machine it answers "
                f"{json.dumps(answer)} where {json.dumps(probe)} was recorded when it was made."
            )
    return len(probes)


def _same(recorded: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether two parses agree but for values that synonyms change and small differences of CPUs."""

    def spans(parse: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(e["start"], e["end"], e["entity"], e.get("role")) for e in parse["entities"]]

    difference = abs(recorded["intent"]["confidence"] - answer["intent"]["confidence"])
    same_intent = recorded["intent"]["name"] == answer["intent"]["name"]
    return same_intent and difference <= _TOLERANCE and spans(recorded) == spans(answer)
