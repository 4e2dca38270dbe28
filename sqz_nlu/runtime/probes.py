"""Probes: texts with the answers a bundle gave when it was made, asked again."""

from __future__ import annotations

import json
from typing import Any

import onnxruntime

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.interpreter import Interpreter

_TOLERANCE = 0.05


def check_probes(interpreter: Interpreter) -> int:
    """Asks a model its probes and returns how many there were.

    Raises:
        BundleError: it answers differently here than where it was made, or its probes cannot be read.
    """
    probes = interpreter.manifest.get("probes", [])
    try:
        for probe in probes:
            answer = interpreter.parse(probe["text"]).to_dict()
            if not same_answer(probe, answer):
                raise BundleError(
                    f"'{interpreter.path}' is intact, but on this machine it answers {json.dumps(answer)} "
                    f"where {json.dumps(probe)} was recorded when it was made. Do not use it here: install "
                    f"another version of onnxruntime (this is {onnxruntime.__version__}), or train the model "
                    "on this machine."
                )
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"The probes of '{interpreter.path}' cannot be read ({error!r}); expected parses as "
            "`sqz-nlu parse` prints them. Train or export the model again."
        ) from error
    return len(probes)


def same_answer(recorded: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether two parses agree but for values that synonyms change and small differences of CPUs."""

    def spans(parse: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(e["start"], e["end"], e["entity"], e.get("role"), e.get("group")) for e in parse["entities"]]

    difference = abs(recorded["intent"]["confidence"] - answer["intent"]["confidence"])
    same_intent = recorded["intent"]["name"] == answer["intent"]["name"]
    return same_intent and difference <= _TOLERANCE and spans(recorded) == spans(answer)
