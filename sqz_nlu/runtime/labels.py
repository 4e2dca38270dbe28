"""The label space of a model and its mapping to and from JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OUTSIDE = "O"
BILOU_PREFIXES = ("B", "I", "L", "U")


@dataclass(frozen=True)
class LabelSpace:
    """What a model can answer. Every tuple is sorted and free of duplicates.

    Attributes:
        intents: names of the intents.
        entities: entity types.
        roles: entity roles, of all types together.
        groups: entity groups, of all types together.
        roles_of: the roles that an entity type was seen with; ``None`` stands for "without a role".
        groups_of: likewise for groups.
        bilou: whether words are tagged with BILOU prefixes or with bare entity types.
        touching: entity types of which two were seen side by side, without a word between.
    """

    intents: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles_of: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    groups_of: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    bilou: bool = True
    touching: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Word tags in the order of the tag logits: ``O``, then all B-, all I-, all L-, all U-."""
        if not self.bilou:
            return (OUTSIDE, *self.entities) if self.entities else ()
        if not self.entities:
            return ()
        return (OUTSIDE, *(f"{p}-{entity}" for p in BILOU_PREFIXES for entity in self.entities))

    @property
    def role_classes(self) -> tuple[str | None, ...]:
        """Classes of the role logits: "no role" first; empty when there are no roles."""
        return (None, *self.roles) if self.roles else ()

    @property
    def group_classes(self) -> tuple[str | None, ...]:
        """Classes of the group logits: "no group" first; empty when there are no groups."""
        return (None, *self.groups) if self.groups else ()

    def span_tags(self, entity: str, words: int) -> list[str]:
        """The tags of a span of ``words`` words."""
        if not self.bilou:
            return [entity] * words
        if words == 1:
            return [f"U-{entity}"]
        return [f"B-{entity}", *[f"I-{entity}"] * (words - 2), f"L-{entity}"]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "intents": list(self.intents),
            "entities": list(self.entities),
            "roles": list(self.roles),
            "groups": list(self.groups),
            "roles_of": {key: list(value) for key, value in sorted(self.roles_of.items())},
            "groups_of": {key: list(value) for key, value in sorted(self.groups_of.items())},
            "bilou": self.bilou,
            "touching": list(self.touching),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSpace:
        """Reads the JSON form; raises ``KeyError`` or ``TypeError`` on another one."""
        return cls(
            intents=tuple(data["intents"]),
            entities=tuple(data["entities"]),
            roles=tuple(data["roles"]),
            groups=tuple(data["groups"]),
            roles_of={key: tuple(value) for key, value in data["roles_of"].items()},
            groups_of={key: tuple(value) for key, value in data["groups_of"].items()},
            bilou=bool(data["bilou"]),
            touching=tuple(data["touching"]),
        )


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in a stable order."""
    return tuple(sorted(set(labels)))
