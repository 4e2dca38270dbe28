"""Between Rasa's messages and this package's examples and results."""

from __future__ import annotations

import re
from pathlib import Path

from rasa.shared.nlu.constants import (
    ENTITIES,
    ENTITY_ATTRIBUTE_END,
    ENTITY_ATTRIBUTE_GROUP,
    ENTITY_ATTRIBUTE_ROLE,
    ENTITY_ATTRIBUTE_START,
    ENTITY_ATTRIBUTE_TYPE,
    INTENT,
    INTENT_RANKING_KEY,
    TEXT,
)
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from sqz_nlu.errors import PatternError
from sqz_nlu.runtime.patterns import LookupTable, Patterns, RegexFeature
from sqz_nlu.runtime.results import ParseResult
from sqz_nlu.training.examples import EntitySpan, Example

_COMMAND = re.compile(r"/[^\s{]+\{.*\}\s*$", re.DOTALL)


def to_examples(training_data: TrainingData) -> list[Example]:
    """The examples of the training data with a text of a user, also those of stories.

    Commands that stories may hold, such as ``/inform{"city": "Paris"}`` and ``/greet``, are left out: Rasa
    reads those.
    """
    return [
        Example(message.get(TEXT) or "", message.get(INTENT), tuple(_spans(message)))
        for message in training_data.nlu_examples
        if not _is_command(message)
    ]


def _is_command(message: Message) -> bool:
    """Whether the text names its own intent, or any intent with entities, as Rasa's commands do."""
    text = (message.get(TEXT) or "").strip()
    return bool(_COMMAND.match(text)) or text == f"/{message.get(INTENT)}"


def _spans(message: Message) -> list[EntitySpan]:
    return [
        EntitySpan(
            entity[ENTITY_ATTRIBUTE_START],
            entity[ENTITY_ATTRIBUTE_END],
            entity[ENTITY_ATTRIBUTE_TYPE],
            entity.get(ENTITY_ATTRIBUTE_ROLE),
            entity.get(ENTITY_ATTRIBUTE_GROUP),
        )
        for entity in message.get(ENTITIES) or []
    ]


def dialogue_intents(training_data: TrainingData) -> set[str]:
    """The intents that stories and rules name; none where only NLU data is trained on."""
    return {
        message.get(INTENT)
        for message in training_data.training_examples
        if message.get(INTENT) and not message.get(TEXT)
    }


def to_patterns(training_data: TrainingData) -> Patterns:
    """Lookup tables, those of one name together, and regex features.

    Raises:
        PatternError: the file of a table cannot be read.
    """
    tables: dict[str, list[str]] = {}
    for table in training_data.lookup_tables:
        elements = table["elements"]
        entries = elements if isinstance(elements, list) else _read_table(table["name"], elements)
        tables.setdefault(table["name"], []).extend(entries)
    return Patterns(
        tuple(LookupTable(name, tuple(entries)) for name, entries in tables.items()),
        tuple(RegexFeature(regex["name"], regex["pattern"]) for regex in training_data.regex_features),
    )


def _read_table(name: str, path: str) -> list[str]:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PatternError(
            f"The file '{path}' of the lookup table '{name}' cannot be read ({error}). Expected a UTF-8 "
            "text with one entry on each line."
        ) from error
    return [line.strip() for line in lines if line.strip()]


def write_result(message: Message, result: ParseResult, intents: bool, entities: bool) -> None:
    """Puts a parse into a message, keeping the entities that others found before.

    Args:
        message: changed in place.
        result: the parse of its text.
        intents: whether intents are this component's business.
        entities: whether entities are.
    """
    if intents:
        ranking = [intent.to_dict() for intent in result.intent_ranking]
        message.set(INTENT, result.intent.to_dict(), add_to_output=True)
        message.set(INTENT_RANKING_KEY, ranking, add_to_output=True)
    if entities:
        found = [entity.to_dict(result.extractor) for entity in result.entities]
        message.set(ENTITIES, [*(message.get(ENTITIES) or []), *found], add_to_output=True)
