"""What a parse returns, typed; `to_dict` gives the JSON of Rasa's ``/model/parse``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]


@dataclass(frozen=True)
class Intent:
    """An intent and how sure the model is of it, in ``[0, 1]``; no name when there is none."""

    name: str | None
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Rasa's form."""
        return {"name": self.name, "confidence": self.confidence}


NO_INTENT = Intent(None, 0.0)


@dataclass(frozen=True)
class Entity:
    """An entity found in a text.

    Attributes:
        entity: its type.
        start: first character, in Unicode code points of the original text.
        end: one past the last character.
        value: ``text[start:end]``, or the canonical form where synonyms are applied.
        confidence: of its type and extent, in ``[0, 1]``.
        role: its role, if the model gives it one.
        confidence_role: of the role.
        group: its group, if the model gives it one.
        confidence_group: of the group.
        processors: what changed the value after extraction.
    """

    entity: str
    start: int
    end: int
    value: str
    confidence: float
    role: str | None = None
    confidence_role: float | None = None
    group: str | None = None
    confidence_group: float | None = None
    processors: tuple[str, ...] = ()

    def to_dict(self, extractor: str) -> dict[str, Any]:
        """Rasa's form, naming the component that found it."""
        data: dict[str, Any] = {
            "entity": self.entity,
            "start": self.start,
            "end": self.end,
            "confidence_entity": self.confidence,
        }
        if self.role is not None:
            data |= {"role": self.role, "confidence_role": self.confidence_role}
        if self.group is not None:
            data |= {"group": self.group, "confidence_group": self.confidence_group}
        data |= {"value": self.value, "extractor": extractor}
        if self.processors:
            data["processors"] = list(self.processors)
        return data


@dataclass(frozen=True)
class ParseResult:
    """One understood text.

    Attributes:
        text: the text as it came.
        intent: the most likely intent.
        intent_ranking: intents by falling confidence.
        entities: entities in order of appearance.
        words: where the words lie that entities are made of.
        extractor: the name of the component that found the entities.
    """

    text: str
    intent: Intent
    intent_ranking: tuple[Intent, ...]
    entities: tuple[Entity, ...]
    words: tuple[Span, ...]
    extractor: str = "SqueezeBertClassifier"

    def to_dict(self) -> dict[str, Any]:
        """The JSON that Rasa's ``/model/parse`` returns for the text."""
        return {
            "text": self.text,
            "intent": self.intent.to_dict(),
            "entities": [entity.to_dict(self.extractor) for entity in self.entities],
            "text_tokens": [list(word) for word in self.words],
            "intent_ranking": [intent.to_dict() for intent in self.intent_ranking],
        }


@dataclass(frozen=True)
class TokenStates:
    """What the encoder makes of one text.

    Attributes:
        states: the last layer's state of every token, special tokens included: ``float32 [tokens, hidden]``.
        spans: where each token lies in the text, in code points; special tokens have ``(0, 0)``.
        embedding: the mean of the states, ``float32 [hidden]``.
    """

    states: npt.NDArray[np.float32]
    spans: tuple[Span, ...]
    embedding: npt.NDArray[np.float32]
