"""Training examples, and their entities aligned to the words of the tokenizer."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqz_nlu.runtime.labels import LabelSpace, sorted_labels
from sqz_nlu.runtime.results import Span

logger = logging.getLogger(__name__)

_LISTED = 20


@dataclass(frozen=True)
class EntitySpan:
    """An annotated entity: ``text[start:end]``, offsets in Unicode code points."""

    start: int
    end: int
    entity: str
    role: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Example:
    """An utterance with its intent, if any, and its entities."""

    text: str
    intent: str | None = None
    entities: tuple[EntitySpan, ...] = ()


@dataclass(frozen=True)
class WordSpan:
    """An annotation in words: ``first`` to ``last``, both included."""

    first: int
    last: int
    annotation: EntitySpan


@dataclass
class Misalignments:
    """Annotations that words cannot be tagged with as they are; each is kept once."""

    messages: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def add(self, text: str, span: EntitySpan, nearest: Span | None) -> None:
        """Records one annotation and the words it was moved to (``None``: it was dropped)."""
        seen = text[span.start : span.end]
        if nearest is None:
            what = "covers no word and was left out"
        else:
            what = (
                f"does not begin and end at word boundaries; it was learned as "
                f"'{text[nearest[0] : nearest[1]]}' ({nearest[0]}:{nearest[1]})"
            )
        self.messages[(text, span.start, span.end)] = (
            f"'{seen}' ({span.start}:{span.end}, {span.entity}) in '{text}' {what}"
        )

    def overlapping(self, text: str, span: EntitySpan, kept: EntitySpan) -> None:
        """Records one annotation that was left out for another one of the same words."""
        self.messages[(text, span.start, span.end)] = (
            f"'{text[span.start : span.end]}' ({span.start}:{span.end}, {span.entity}) in '{text}' overlaps "
            f"'{text[kept.start : kept.end]}' ({kept.entity}) and was left out: a word has one entity"
        )

    def report(self) -> None:
        """Logs the count and the list, once."""
        if not self.messages:
            return
        lines = list(self.messages.values())
        shown = "".join(f"\n  - {line}" for line in lines[:_LISTED])
        more = f"\n  … and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
        logger.warning(
            "%d entity annotation(s) do not match the words of their text. Correct them in the "
            "training data:%s%s",
            len(lines),
            shown,
            more,
        )


def align(example: Example, words: Sequence[Span], misaligned: Misalignments) -> list[WordSpan]:
    """Maps annotations to words; one that begins or ends inside a word is widened to it.

    Args:
        example: the annotated text.
        words: character spans of its words.
        misaligned: receives the annotations that had to be changed.

    Returns:
        Spans in order. Of overlapping ones only the first is kept.
    """
    reach = words[-1][1] if words else 0
    aligned: list[WordSpan] = []
    for span in sorted(example.entities, key=lambda s: (s.start, s.end)):
        if words and span.start >= reach and example.text[reach:].strip():
            continue  # beyond the length limit: not seen at all
        if words and any(char.isalnum() for char in example.text[reach : span.end]):
            continue  # the limit cuts it
        inside = [
            index
            for index, (start, end) in enumerate(words)
            if span.start < span.end and start < span.end and end > span.start
        ]
        if not inside:
            misaligned.add(example.text, span, None)
            continue
        first, last = inside[0], inside[-1]
        nearest = (words[first][0], words[last][1])
        if nearest != (span.start, span.end):
            misaligned.add(example.text, span, nearest)
        if aligned and aligned[-1].last >= first:
            if aligned[-1].annotation != span:
                misaligned.overlapping(example.text, span, aligned[-1].annotation)
            continue
        aligned.append(WordSpan(first, last, span))
    return aligned


def label_space(examples: Iterable[Example], intents: bool, entities: bool, bilou: bool) -> LabelSpace:
    """The labels of the examples; without ``intents`` or ``entities`` those stay empty."""
    examples = list(examples)
    spans = [span for example in examples for span in example.entities] if entities else []
    roles_of: dict[str, set[str | None]] = defaultdict(set)
    groups_of: dict[str, set[str | None]] = defaultdict(set)
    for span in spans:
        roles_of[span.entity].add(span.role)
        groups_of[span.entity].add(span.group)
    return LabelSpace(
        intents=sorted_labels(e.intent for e in examples if e.intent) if intents else (),
        entities=sorted_labels(span.entity for span in spans),
        roles=sorted_labels(span.role for span in spans if span.role),
        groups=sorted_labels(span.group for span in spans if span.group),
        roles_of={entity: _none_first(seen) for entity, seen in roles_of.items()},
        groups_of={entity: _none_first(seen) for entity, seen in groups_of.items()},
        bilou=bilou,
        touching=sorted_labels(_touching(examples)) if entities else (),
    )


def _touching(examples: Iterable[Example]) -> Iterator[str]:
    """Types of entities that stand side by side with nothing but white space between."""
    for example in examples:
        spans = sorted(example.entities, key=lambda span: span.start)
        for left, right in itertools.pairwise(spans):
            between = example.text[left.end : right.start]
            if left.entity == right.entity and left.end <= right.start and not between.strip():
                yield left.entity


def _none_first(seen: set[str | None]) -> tuple[str | None, ...]:
    return tuple(sorted(seen, key=lambda name: (name is not None, name or "")))
