"""Messages that name their intent: ``/inform@0.9{"city": "Oslo"}``.

Rasa's buttons send them, and Rasa's NLU answers them without a model (its RegexMessageHandler). A bot whose
NLU is elsewhere sends them there, so a server in its place has to answer them alike.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SHORTCUT = re.compile(r"/(?P<intent>[^{@]+)(?P<confidence>@[0-9.]+)?(?P<entities>\{.+\})?")
_EXTRACTOR = "RegexMessageHandler"


def read_shortcut(text: str) -> dict[str, Any] | None:
    """What a message that names its intent means, as Rasa's JSON; ``None`` for any other text."""
    found = _SHORTCUT.match(text)
    if found is None:
        return None
    intent = {"name": found["intent"].strip(), "confidence": _confidence(found["confidence"])}
    start, end = found.span("entities")
    entities = [
        {"entity": name, "value": value, "start": start, "end": end, "extractor": _EXTRACTOR}
        for name, values in _entities(found["entities"]).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    return {"text": text, "intent": intent, "entities": entities, "intent_ranking": [dict(intent)]}


def _confidence(given: str | None) -> float:
    if given is None:
        return 1.0
    try:
        return min(1.0, float(given[1:]))
    except ValueError:
        return 0.0


def _entities(given: str | None) -> dict[str, Any]:
    try:
        entities = json.loads(given or "{}", parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError):
        return {}
    return entities if isinstance(entities, dict) else {}


def finite(number: str) -> float:
    """A number of JSON's text; raises ``ValueError`` for one that JSON cannot say as a 64-bit number."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} cannot be said in JSON")
    return value
