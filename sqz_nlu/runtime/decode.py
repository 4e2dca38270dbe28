"""Logits to intents and entities, in vectorised numpy."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.results import NO_INTENT, Entity, Intent, Span

Floats = npt.NDArray[np.float64]
_IMPOSSIBLE = -1e30
_LARGEST = 500.0  # exponent
_FEW = (
    256  # up to here lists are faster: between texts each call of numpy costs as much as some dozen numbers
)


@dataclass(frozen=True)
class TaggedSpan:
    """Words ``first`` to ``last``, both included, of one entity type, with its confidence."""

    first: int
    last: int
    entity: int
    confidence: float


def log_softmax(logits: npt.ArrayLike) -> Floats:
    """Log-probabilities over the last axis."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(-1, keepdims=True)
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return normalised


def rank_intents(
    logits: npt.ArrayLike,
    intents: tuple[str, ...],
    temperature: float,
    ranking_length: int,
    renormalize: bool,
) -> tuple[Intent, tuple[Intent, ...]]:
    """The best intent and the ranking.

    Args:
        logits: ``[intents]``.
        intents: names in the order of the logits.
        temperature: divides the logits; fitted by calibration.
        ranking_length: longest ranking; 0 for all.
        renormalize: let the confidences of the ranking sum to one.
    """
    if not intents:
        return NO_INTENT, ()
    scores = np.asarray(logits, np.float64)
    length = min(ranking_length or len(scores), len(scores))
    rank = _rank_few if len(scores) <= _FEW else _rank_many
    order, weights, total = rank(scores, length, temperature)
    if renormalize:
        total = sum(weights)
    ranking = tuple(
        Intent(intents[index], weight / total) for index, weight in zip(order, weights, strict=True)
    )
    return ranking[0], ranking


def _rank_few(scores: Floats, length: int, temperature: float) -> tuple[list[int], list[float], float]:
    """The places of the ``length`` highest scores in falling order, of equal ones the first; their
    exponentials over the highest's, and the sum of all.
    """
    values = scores.tolist()
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    top = values[order[0]]
    weights = [math.exp((values[index] - top) / temperature) for index in order]
    return order[:length], weights[:length], sum(weights)


def _rank_many(scores: Floats, length: int, temperature: float) -> tuple[list[int], list[float], float]:
    """As `_rank_few`, in arrays, and without sorting what is not asked for."""
    last = len(scores) - length
    candidates = np.flatnonzero(scores >= np.partition(scores, last)[last])
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:length]
    weights = np.exp((scores - scores[order[0]]) / temperature)
    return order.tolist(), weights[order].tolist(), float(weights.sum())


def best_tagging(logits: npt.ArrayLike, entities: int) -> list[tuple[str, int]]:
    """The most likely valid BILOU tagging: of each word the prefix and the type; see `decode_bilou`.

    Args:
        logits: ``[words, 1 + 4 * entities]`` in the order of ``LabelSpace.tags``.
        entities: number of entity types.
    """
    scores = np.asarray(logits)
    if not len(scores) or not entities:
        return []
    likeliest = scores.argmax(1).tolist()
    return _valid_path(likeliest, entities) or _viterbi(scores, likeliest, entities)


def decode_bilou(logits: npt.ArrayLike, entities: int) -> list[TaggedSpan]:
    """The most likely valid BILOU tagging of a sentence.

    BILOU allows few transitions: after ``O``, ``L-x`` and ``U-x`` only ``O``, ``B-y`` and ``U-y``;
    after ``B-x`` and ``I-x`` only ``I-x`` and ``L-x``. So all a step of the Viterbi recursion
    needs from the past is one score for "outside" and one for "inside x" of each type, and the
    cost grows with the number of types, not with its square. Where the likeliest tag of every word
    already makes a valid tagging, it is the best one and the recursion is left out.

    The confidence of a span is its probability among all valid taggings of its words, the words around it
    being tagged as they are.

    Args:
        logits: ``[words, 1 + 4 * entities]`` in the order of ``LabelSpace.tags``.
        entities: number of entity types.

    Returns:
        Spans in order; they do not overlap.
    """
    scores = np.asarray(logits)
    spans, first = [], 0
    for word, (kind, entity) in enumerate(best_tagging(scores, entities)):
        if kind in "BU":
            first = word
        if kind in "LU":
            confidence = _span_probability(scores[first : word + 1].tolist(), entity, entities)
            spans.append(TaggedSpan(first, word, entity, confidence))
    return spans


def _span_probability(rows: list[list[float]], entity: int, entities: int) -> float:
    """The probability that words are one entity of the type, among all valid taggings of these words.

    Weights are relative to those of the entity's own tags: the entity weighs 1, and the sum over all
    taggings, found as in `_viterbi` with sums in place of maxima, is at least that.

    Args:
        rows: logits of the words' tags.
        entity: the type.
        entities: number of types.
    """
    begin, inner, last, unit = (slice(1 + entities * k, 1 + entities * (k + 1)) for k in range(4))
    path = [begin, *[inner] * (len(rows) - 2), last] if len(rows) > 1 else [unit]
    outside, inside = 1.0, [0.0] * entities
    for place, row in enumerate(rows):
        own = row[path[place]][entity]
        closed = outside * sum(_weights([row[0], *row[unit]], own))
        if place:
            closed += sum(map(mul, inside, _weights(row[last], own)))
        if place + 1 < len(rows):
            pairs = zip(_weights(row[begin], own), inside, _weights(row[inner], own), strict=True)
            inside = [outside * opening + before * staying for opening, before, staying in pairs]
        outside = closed
    return 1.0 / outside if math.isfinite(outside) else 0.0


def _weights(logits: list[float], over: float) -> list[float]:
    try:
        return [math.exp(logit - over) for logit in logits]
    except OverflowError:
        return [math.exp(min(logit - over, _LARGEST)) for logit in logits]


def _share(logits: list[float], of: slice) -> float:
    """The probability of some of the classes."""
    top = max(logits)
    weights = [math.exp(value - top) for value in logits]
    return min(sum(weights[of]) / sum(weights), 1.0)


def _valid_path(tags: list[int], entities: int) -> list[tuple[str, int]] | None:
    """Tags as prefix and type; ``None`` if they break BILOU's grammar."""
    if not any(tags):
        return [("O", 0)] * len(tags)
    path: list[tuple[str, int]] = []
    inside: int | None = None
    for tag in tags:
        kind, entity = ("O", 0) if tag == 0 else ("BILU"[(tag - 1) // entities], (tag - 1) % entities)
        continues = kind in "IL"
        if continues != (inside is not None) or (continues and entity != inside):
            return None
        inside = entity if kind in "BI" else None
        path.append((kind, entity))
    return path if inside is None else None


def _viterbi(
    scores: npt.NDArray[np.floating[Any]], likeliest: list[int], entities: int
) -> list[tuple[str, int]]:
    """The recursion, over the types of which an entity of several words can be part of the best tagging.

    That is out of the question for a type whose ``B``, ``I`` and ``L`` are at every word worth less than the
    word on its own, outside or an entity of one word.

    Args:
        scores: ``[words, 1 + 4 * entities]``.
        likeliest: the place of each word's highest score.
        entities: number of entity types.
    """
    unit = 1 + 3 * entities
    alone: list[float] = []
    singles: list[tuple[str, int]] = []
    found: set[int] = set()
    for row, tag in zip(scores, likeliest, strict=True):
        if tag == 0 or tag >= unit:
            alone.append(float(row[tag]))
            singles.append(("U", tag - unit) if tag else ("O", 0))
            continue
        values = row.tolist()
        highest = max(values[unit:])
        alone.append(max(values[0], highest))
        singles.append(("U", values.index(highest, unit) - unit) if highest > values[0] else ("O", 0))
        found.update(place % entities for place, score in enumerate(values[1:unit]) if score >= alone[-1])
    types = sorted(found)
    columns = [1 + entities * kind + entity for kind in range(3) for entity in types]
    rows, count = scores[:, columns].tolist(), len(types)
    longer = ([row[count * kind : count * (kind + 1)] for row in rows] for kind in range(3))
    return _path(alone, singles, types, *longer)


def _path(
    alone: list[float],
    singles: list[tuple[str, int]],
    types: list[int],
    begin: list[list[float]],
    inner: list[list[float]],
    last: list[list[float]],
) -> list[tuple[str, int]]:
    """The best way through the words.

    Args:
        alone: of each word, its score outside or as an entity of one word, whichever is better.
        singles: which that is.
        types: the types of longer entities.
        begin: scores of ``B-x`` for each word and each of these types.
        inner: of ``I-x``.
        last: of ``L-x``.
    """
    total, inside = 0.0, [_IMPOSSIBLE] * len(types)
    closes: list[tuple[str, int]] = []
    continues: list[list[bool]] = []
    for score, single, opening, staying, closing in zip(alone, singles, begin, inner, last, strict=True):
        best, close = total + score, single
        ahead, onward = [], []
        for entity, before, b, i, c in zip(types, inside, opening, staying, closing, strict=True):
            if before + c > best:
                best, close = before + c, ("L", entity)
            onward.append(before + i > total + b)
            ahead.append(max(before + i, total + b))
        closes.append(close)
        continues.append(onward)
        total, inside = best, ahead
    path: list[tuple[str, int]] = []
    within: int | None = None
    for close, onward in zip(reversed(closes), reversed(continues), strict=True):
        if within is None:
            step = close
            within = types.index(close[1]) if close[0] == "L" else None
        else:
            step = ("I" if onward[within] else "B", types[within])
            within = within if onward[within] else None
        path.append(step)
    return path[::-1]


def decode_plain(logits: npt.ArrayLike) -> list[TaggedSpan]:
    """Spans of neighbouring words whose likeliest tag is the same entity type (no BILOU).

    Args:
        logits: ``[words, 1 + entities]``.
    """
    scores = np.asarray(logits)
    words = [
        TaggedSpan(word, word, tag - 1, _share(scores[word].tolist(), slice(tag, tag + 1)))
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
    for span in spans:
        before = merged[-1] if merged else None
        if (
            before is not None
            and (before.entity, before.last + 1) == (span.entity, span.first)
            and span.entity not in kept_apart
        ):
            confidence = min(before.confidence, span.confidence)
            merged[-1] = TaggedSpan(before.first, span.last, span.entity, confidence)
        else:
            merged.append(span)
    return merged


def split_at_commas(span: TaggedSpan, words: tuple[Span, ...], text: str) -> list[TaggedSpan]:
    """Cuts a span at its commas, except inside numbers such as ``1,000``."""
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
    """

    labels: LabelSpace
    split_by_comma: Mapping[str, bool]
    split_default: bool

    def decode(self, logits: npt.ArrayLike, words: tuple[Span, ...], text: str) -> tuple[Entity, ...]:
        """Finds entities.

        Args:
            logits: ``[words, tags + role classes + group classes]``, side by side.
            words: spans of the words in ``text``.
            text: the original text.
        """
        labels = self.labels
        if not labels.entities or not words:
            return ()
        values = np.asarray(logits)
        tags, roles = self._columns
        if labels.bilou:
            spans = decode_bilou(values[:, :tags], len(labels.entities))
        else:
            spans = decode_plain(values[:, :tags])
        found = []
        for whole in merge_touching(spans, self._kept_apart):
            name = labels.entities[whole.entity]
            split = self.split_by_comma.get(name, self.split_default)
            for span in split_at_commas(whole, words, text) if split else [whole]:
                rows = values[span.first : span.last + 1]
                role = _classify(rows[:, tags:roles], labels.role_classes, labels.roles_of.get(name))
                group = _classify(rows[:, roles:], labels.group_classes, labels.groups_of.get(name))
                start, end = words[span.first][0], words[span.last][1]
                found.append(Entity(name, start, end, text[start:end], span.confidence, *role, *group))
        return tuple(found)

    @cached_property
    def _columns(self) -> tuple[int, int]:
        """Where the tags end and where the roles end."""
        tags = len(self.labels.tags)
        return tags, tags + len(self.labels.role_classes)

    @cached_property
    def _kept_apart(self) -> frozenset[int]:
        return frozenset(self.labels.entities.index(name) for name in self.labels.touching)


def _classify(
    logits: npt.ArrayLike, classes: tuple[str | None, ...], seen: tuple[str | None, ...] | None
) -> tuple[str | None, float | None]:
    """The role or group of a span: the class, among those its type was seen with, of highest mean
    log-probability over the span's words; ``(None, None)`` when that is "none".
    """
    if not classes or not seen or seen == (None,):
        return None, None
    allowed = [index for index, name in enumerate(classes) if name in seen]
    if not allowed:
        return None, None
    rows = np.asarray(logits).tolist()
    # The constant of each word's log-softmax drops out.
    scores = [sum(row[index] for row in rows) / len(rows) for index in allowed]
    best = max(range(len(scores)), key=scores.__getitem__)
    name = classes[allowed[best]]
    return (None, None) if name is None else (name, _share(scores, slice(best, best + 1)))
