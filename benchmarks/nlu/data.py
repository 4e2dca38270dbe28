"""Examples to learn from and to be asked, and the file that Rasa trains on."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from common import read_jsonl

BOT_PART = "split"  # four fifths of a bot's examples, asked the rest
LEAST_EXAMPLES = 250
TEST_SHARE = 5  # one example in so many is held out
SPLIT_SEED = 7
Row = dict[str, Any]  # text, intent, entities: lists of start, end, type, ...


@dataclass(frozen=True)
class Material:
    """What a cell learns from and is asked.

    Attributes:
        train: rows to learn from.
        test: rows to be asked.
        out_of_scope: rows that belong to no intent; empty where there are none.
        extras: lookup tables, regexes and synonyms of a bot, as entries of Rasa's NLU file.
    """

    train: list[Row]
    test: list[Row]
    out_of_scope: list[Row]
    extras: list[dict[str, Any]] = field(default_factory=list)

    def digest(self) -> str:
        """The first digits of a SHA-256 over everything."""
        whole = json.dumps([self.train, self.test, self.out_of_scope, self.extras], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    @property
    def has_entities(self) -> bool:
        """Whether there are entities to be found."""
        return any(row["entities"] for row in self.test)


def is_data_set(folder: Path) -> bool:
    """Whether a folder has a data set."""
    return (folder / "test.jsonl").is_file()


def read_data_set(folder: Path, file: str) -> Material:
    """A part of a data set."""
    out_of_scope = folder / "test_oos.jsonl"
    return Material(
        read_jsonl(folder / f"{file}.jsonl"),
        read_jsonl(folder / "test.jsonl"),
        read_jsonl(out_of_scope) if out_of_scope.is_file() else [],
    )


def bots_in(folder: Path) -> list[Path]:
    """The bots with enough examples to hold some out, by name."""
    found = [path.parent for path in sorted(folder.glob("*/domain.yml"))]
    return [bot for bot in found if len(_bot_rows(bot)[0]) >= LEAST_EXAMPLES]


def read_bot(folder: Path) -> Material:
    """A bot's examples, a fifth of each intent held out; an intent's only example is learned from.

    Of an intent's texts with the same words none is asked while another is learned from.
    """
    rows, extras = _bot_rows(folder)
    by_intent: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_intent[row["learned"]][_words(row["text"])].append(row)
    train: list[Row] = []
    test: list[Row] = []
    shuffle = random.Random(SPLIT_SEED)
    for intent in sorted(by_intent):
        alike = list(by_intent[intent].values())
        most = round(sum(map(len, alike)) / TEST_SHARE)
        held_out: list[Row] = []
        for same in shuffle.sample(alike, len(alike)):
            asked = len(alike) > 1 and (not held_out or len(held_out) + len(same) <= most)
            (held_out if asked else train).extend(same)
        test += held_out
    return Material(train, test, [], extras)


def _words(text: str) -> str:
    """What texts have in common that differ in case and marks only."""
    return " ".join(re.findall(r"\w+", text.lower())) or text


def _bot_rows(folder: Path) -> tuple[list[Row], list[dict[str, Any]]]:
    """The examples of a bot, each once, and its other NLU entries."""
    from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader

    rows: dict[str, Row] = {}
    extras: list[dict[str, Any]] = []
    for path in sorted((folder / "data").rglob("*.yml")):
        entries = (yaml.safe_load(path.read_text("utf-8")) or {}).get("nlu", [])
        extras += [entry for entry in entries if "intent" not in entry]
        if not entries:
            continue
        for message in RasaYAMLReader().read(str(path)).intent_examples:
            rows.setdefault(message.get("text"), _bot_row(message))
    return list(rows.values()), extras


def _bot_row(message: Any) -> Row:
    intent = message.get("intent")
    entities = [
        [found["start"], found["end"], found["entity"], found.get("role"), found.get("group"), found["value"]]
        for found in message.get("entities") or ()
    ]
    learned = message.get("intent_response_key") or intent
    return {"text": message.get("text"), "intent": intent, "entities": entities, "learned": learned}


def write_training_file(material: Material, path: Path) -> int:
    """Writes the rows as Rasa's NLU file; returns the number of examples that Rasa reads from it.

    Raises:
        ValueError: Rasa reads something else than what was written.
    """
    from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader
    from rasa.shared.nlu.training_data.training_data import TrainingData

    data = TrainingData([_message(row) for row in material.train])
    extras = yaml.safe_dump(material.extras, allow_unicode=True, sort_keys=False) if material.extras else ""
    path.write_text(data.nlu_as_yaml() + extras, "utf-8")
    read = RasaYAMLReader().read(str(path)).intent_examples
    expected = {(row["text"], row["intent"], _spans(row["entities"])) for row in material.train}
    seen = {
        (
            message.get("text"),
            message.get("intent"),
            frozenset((e["start"], e["end"], e["entity"]) for e in message.get("entities") or ()),
        )
        for message in read
    }
    if seen != expected:
        raise ValueError(
            f"Rasa reads {len(seen - expected)} examples otherwise than they are; expected all "
            f"{len(expected)} as in the data. Look for texts with brackets, or spaces at their ends."
        )
    return len(read)


def _spans(entities: list[Any]) -> frozenset[tuple[int, int, str]]:
    return frozenset((start, end, kind) for start, end, kind, *_ in entities)


def _message(row: Row) -> Any:
    from rasa.shared.nlu.training_data.message import Message

    entities = []
    for start, end, kind, *rest in row["entities"]:
        role, group, value = [*rest, None, None, None][:3]
        entity = {"start": start, "end": end, "entity": kind, "value": value or row["text"][start:end]}
        entity |= {key: said for key, said in (("role", role), ("group", group)) if said}
        entities.append(entity)
    return Message.build(row["text"], intent=row.get("learned", row["intent"]), entities=entities)
