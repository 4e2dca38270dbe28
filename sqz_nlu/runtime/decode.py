"""Word logits to entities."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.runtime.bilou import TaggedSpan, decode_bilou
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.results import Entity, Span

Names = tuple[str | None, ...]
Classes = tuple[tuple[int, str | None], ...]  # column and name of each
Class = tuple[str | None, float | None]  # with its confidence


def _share(logits: list[float], of: int) -> float:
    """The probability of one of the classes."""
    top = max(logits)
    weights = [math.exp(value - top) for value in logits]
    return weights[of] / sum(weights)


def decode_plain(logits: npt.ArrayLike) -> list[TaggedSpan]:
    """Spans of neighbouring words whose likeliest tag is the same entity type (no BILOU).

    Args:
        logits: ``[words, 1 + entities]``.
    """
    scores = np.asarray(logits)
    words = [
        TaggedSpan(word, word, tag - 1, _share(scores[word].tolist(), tag))
        for word, tag in enumerate(scores.argmax(-1).tolist() if len(scores) else [])
        if tag
    ]
    return merge_touching(words, ())


def merge_touching(spans: Sequence[TaggedSpan], kept_apart: Container[int]) -> list[TaggedSpan]:
    """Joins spans of one type that follow each other directly, except of types in ``kept_apart``.

    A word that is an entity of its own elsewhere ("peanut", "butter") draws a model to tag it so in a longer
    name, too. Where the training data never has two entities of the type side by side, one is meant.
    """
    merged: list[TaggedSpan] = []
    last, entity = -1, -1
    for span in spans:
        if span.first == last + 1 and span.entity == entity and entity not in kept_apart:
            before = merged[-1]
            confidence = min(before.confidence, span.confidence)
            merged[-1] = TaggedSpan(before.first, span.last, entity, confidence)
        else:
            merged.append(span)
        last, entity = span.last, span.entity
    return merged


def split_at_commas(span: TaggedSpan, words: tuple[Span, ...], text: str) -> list[TaggedSpan]:
    """Cuts a span at its commas, except inside numbers such as ``1,000``."""
    if "," not in text[words[span.first][0] : words[span.last][1]]:
        return [span]
    pieces, first = [], span.first
    for word in range(span.first, span.last + 1):
        start, end = words[word]
        inside_number = text[start - 1 : start].isdigit() and text[end : end + 1].isdigit()
        if text[start:end] == "," and not inside_number:
            pieces.append((first, word - 1))
            first = word + 1
    pieces.append((first, span.last))
    return [TaggedSpan(begin, end, span.entity, span.confidence) for begin, end in pieces if begin <= end]


@dataclass(frozen=True)
class EntityDecoder:
    """Turns the word logits of a text into entities.

    Attributes:
        labels: the label space.
        split_by_comma: whether a comma ends an entity, by entity type; others by ``split_default``.
        split_default: for types that ``split_by_comma`` does not name.
        synonyms: canonical values by lower-cased entity value.
    """

    labels: LabelSpace
    split_by_comma: Mapping[str, bool]
    split_default: bool
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def decode(self, logits: npt.NDArray[Any], words: tuple[Span, ...], text: str) -> tuple[Entity, ...]:
        """Finds entities.

        Args:
            logits: ``[words, tags + role classes + group classes]``, side by side.
            words: spans of the words in ``text``.
            text: the original text.
        """
        labels = self.labels
        if not labels.entities or not words:
            return ()
        if labels.bilou:
            spans = decode_bilou(logits[:, : self._tags], len(labels.entities))
        else:
            spans = decode_plain(logits[:, : self._tags])
        found = []
        for whole in merge_touching(spans, self._kept_apart):
            name = labels.entities[whole.entity]
            split = self.split_by_comma.get(name, self.split_default)
            for span in split_at_commas(whole, words, text) if split else (whole,):
                found.append(self._entity(name, span, logits, words, text))
        return tuple(found)

    def _entity(
        self, name: str, span: TaggedSpan, logits: npt.NDArray[Any], words: tuple[Span, ...], text: str
    ) -> Entity:
        first, last, _, confidence = span
        role: Class = (None, None)
        group: Class = (None, None)
        roles, groups = self._classes.get(name, ((), ()))
        if roles or groups:
            rows = logits[first : last + 1].tolist()
            role, group = _likeliest(rows, roles), _likeliest(rows, groups)
        start, end = words[first][0], words[last][1]
        value = text[start:end]
        canonical = self.synonyms.get(value.lower()) if self.synonyms else None
        if canonical is None:
            return Entity(name, start, end, value, confidence, *role, *group)
        # As Rasa's EntitySynonymMapper leaves it.
        return Entity(name, start, end, canonical, confidence, *role, *group, ("EntitySynonymMapper",))

    @cached_property
    def _tags(self) -> int:
        return len(self.labels.tags)

    @cached_property
    def _classes(self) -> dict[str, tuple[Classes, Classes]]:
        """Of each entity type that has any, the roles and the groups it was seen with."""
        labels = self.labels
        kinds = (labels.role_classes, labels.roles_of), (labels.group_classes, labels.groups_of)
        begins = self._tags, self._tags + len(labels.role_classes)
        every = {}
        for name in labels.entities:
            roles, groups = (
                _allowed(begin, classes, seen.get(name, ()))
                for begin, (classes, seen) in zip(begins, kinds, strict=True)
            )
            if roles or groups:
                every[name] = roles, groups
        return every

    @cached_property
    def _kept_apart(self) -> frozenset[int]:
        return frozenset(self.labels.entities.index(name) for name in self.labels.touching)


def _allowed(begin: int, classes: Names, seen: Names) -> Classes:
    """The columns and names of the classes that a type was seen with; none where there is no choice."""
    if not any(seen):
        return ()
    return tuple((begin + place, name) for place, name in enumerate(classes) if name in seen)


def _likeliest(rows: list[list[float]], classes: Classes) -> Class:
    """The role or group of a span: the class of highest mean log-probability over the span's words;
    ``(None, None)`` when that is "none".

    Args:
        rows: logits of the words.
        classes: column and name of each class in question.
    """
    if not classes:
        return None, None
    # The constant of each word's log-softmax drops out.
    scores = [sum(row[column] for row in rows) / len(rows) for column, _ in classes]
    best = max(range(len(scores)), key=scores.__getitem__)
    name = classes[best][1]
    return (None, None) if name is None else (name, _share(scores, best))
