"""The golden set: texts with the answers that every surface must give with the golden bundle.

Made by scripts/golden.py. Nothing but the standard library here: it also runs in bare environments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
BUNDLE = GOLDEN / "bundle"
PARSES = GOLDEN / "parses.jsonl"

CONFIDENCE = 0.02
# The activations of a batch share one scale, and the golden model is small.
CONFIDENCE_IN_BATCHES = 0.06
_DIGITS = 5

Parse = Mapping[str, Any]


def golden_parses(one_line: bool = False) -> list[dict[str, Any]]:
    """The expected parses, `Interpreter.parse(text).to_dict()` each.

    Args:
        one_line: only texts that fit on a line of standard input.
    """
    parses = [json.loads(line) for line in PARSES.read_text("ascii").splitlines()]
    return [p for p in parses if not (one_line and {"\n", "\r"} & set(p["text"]))]


def golden_messages() -> list[dict[str, Any]]:
    """The expected parses of what a server for Rasa gives to the model.

    As in Rasa, messages are stripped, and ``/greet`` is an intent by name.
    """
    return [p for p in golden_parses() if p["text"] == p["text"].strip() and not p["text"].startswith("/")]


def as_expected(parse: Parse) -> Any:
    """A parse as parses.jsonl has it: confidences rounded."""
    return json.loads(json.dumps(parse), parse_float=lambda digits: round(float(digits), _DIGITS))


def assert_golden(parses: Sequence[Parse], expected: Sequence[Parse], tolerance: float = CONFIDENCE) -> None:
    """Fails with a list of all differences.

    Args:
        parses: what a surface answered, each with at least text, intent and entities.
        expected: `golden_parses`, in the same order.
        tolerance: between confidences; `CONFIDENCE_IN_BATCHES` where texts are answered in batches.
    """
    found = [
        f"{right['text'][:60]!r}: {difference}"
        for parse, right in zip(parses, expected, strict=True)
        for difference in differences(parse, right, tolerance)
    ]
    assert not found, "\n".join(found)


def differences(parse: Parse, expected: Parse, tolerance: float = CONFIDENCE) -> list[str]:
    """How a parse differs in what counts: text, intent on top, entities, confidences."""
    pairs = [
        ("text", parse["text"], expected["text"]),
        ("intent", parse["intent"]["name"], expected["intent"]["name"]),
        ("entities", _spans(parse), _spans(expected)),
    ]
    found = [f"{name} is {seen!r}, expected {right!r}" for name, seen, right in pairs if seen != right]
    if found:
        return found
    return [
        f"a confidence is {seen}, expected {right}"
        for seen, right in zip(_confidences(parse), _confidences(expected), strict=True)
        if abs(seen - right) > tolerance
    ]


def _spans(parse: Parse) -> list[tuple[Any, ...]]:
    return [
        (e["start"], e["end"], e["entity"], e.get("role"), e.get("group"), e["value"])
        for e in parse["entities"]
    ]


def _confidences(parse: Parse) -> list[float]:
    of_entities = [e[key] for e in parse["entities"] for key in sorted(e) if key.startswith("confidence")]
    return [parse["intent"]["confidence"], *of_entities]
