"""The best valid BILOU tagging of a sentence, and how sure its entities are.

BILOU allows few transitions: after ``O``, ``L-x`` and ``U-x`` only ``O``, ``B-y`` and ``U-y``; after ``B-x``
and ``I-x`` only ``I-x`` and ``L-x``. So all a step of the Viterbi recursion needs from the past is one score
for "outside" and one for "inside x" of each type: the cost grows with the number of types, not its square.

Lists are faster here than arrays: between two texts each call of numpy costs as much as some dozen numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import mul
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]
Words = tuple[int, int, int]
"""The first and the last word of an entity, and its type."""
_IMPOSSIBLE = -math.inf
_LARGEST = 500.0  # exponent


class TaggedSpan(NamedTuple):
    """Words ``first`` to ``last``, both included, of one entity type, with its confidence."""

    first: int
    last: int
    entity: int
    confidence: float


def decode_bilou(logits: npt.ArrayLike, entities: int) -> list[TaggedSpan]:
    """The entities of the most likely valid BILOU tagging of a sentence.

    The confidence of a span is its probability among all valid taggings of its words, the words around it
    being tagged as they are.

    Args:
        logits: ``[words, 1 + 4 * entities]`` in the order of ``LabelSpace.tags``.
        entities: number of entity types.

    Returns:
        Spans in order; they do not overlap.
    """
    scores = np.asarray(logits)
    return [
        TaggedSpan(first, last, entity, _probability(scores[first : last + 1].tolist(), entity, entities))
        for first, last, entity in best_spans(scores, entities)
    ]


def best_tagging(logits: npt.ArrayLike, entities: int) -> list[tuple[str, int]]:
    """The most likely valid BILOU tagging: of each word the prefix and the type; see `best_spans`."""
    scores = np.asarray(logits)
    tags = [("O", 0)] * len(scores)
    for first, last, entity in best_spans(scores, entities):
        tags[first : last + 1] = [("I", entity)] * (last + 1 - first)
        tags[first], tags[last] = ("B", entity), ("L", entity)
        if first == last:
            tags[first] = ("U", entity)
    return tags


def best_spans(scores: Scores, entities: int) -> list[Words]:
    """The entities of the most likely valid tagging, in order.

    Where the likeliest tag of every word already makes a valid tagging, it is the best one and the recursion
    is left out.

    Args:
        scores: ``[words, 1 + 4 * entities]`` in the order of ``LabelSpace.tags``.
        entities: number of entity types.
    """
    if not len(scores) or not entities:
        return []
    likeliest = scores.argmax(1).tolist()
    spans = _valid_spans(likeliest, entities)
    return _repaired(scores, likeliest, entities) if spans is None else spans


def _valid_spans(tags: list[int], entities: int) -> list[Words] | None:
    """The entities of a tagging; ``None`` if it breaks BILOU's grammar."""
    spans: list[Words] = []
    first, inside = 0, -1
    for word, tag in enumerate(tags):
        if not tag:
            if inside >= 0:
                return None
            continue
        prefix, entity = divmod(tag - 1, entities)
        if prefix in (1, 2):
            if entity != inside:
                return None
            if prefix == 2:
                spans.append((first, word, entity))
                inside = -1
        elif inside >= 0:
            return None
        elif prefix:
            spans.append((word, word, entity))
        else:
            first, inside = word, entity
    return spans if inside < 0 else None


def _repaired(scores: Scores, likeliest: list[int], entities: int) -> list[Words]:
    """The entities of the best valid tagging, by the recursion where it is needed.

    A word *alone* is outside or an entity of its own, whichever is better. To some words it is worth more to
    be part of a longer entity. Where all the words that can win around a word win less than the word loses,
    it is alone in the best tagging, and what lies between two such words is a sentence of its own.

    Args:
        scores: ``[words, 1 + 4 * entities]``.
        likeliest: the place of each word's highest score.
        entities: number of entity types.
    """
    unit = 1 + 3 * entities
    longer: list[float] = scores[:, 1:unit].max(1).tolist()
    alone: list[float] = []
    singles: list[int] = []  # the type of an entity of this word; -1 for none
    for word, tag in enumerate(likeliest):
        if 0 < tag < unit:
            row = scores[word].tolist()
            highest = max(row[unit:])
            alone.append(max(row[0], highest))
            singles.append(row.index(highest, unit) - unit if highest > row[0] else -1)
        else:
            alone.append(scores.item(word, tag))
            singles.append(tag - unit if tag else -1)
    spans: list[Words] = []
    for begin, end in _runs([part - own for part, own in zip(longer, alone, strict=True)]):
        if end - begin > 1:
            spans += _viterbi(scores[begin:end], alone[begin:end], singles[begin:end], entities, begin)
        elif singles[begin] >= 0:
            spans.append((begin, begin, singles[begin]))
    return spans


def _runs(gains: list[float]) -> Iterator[tuple[int, int]]:
    """Cuts a sentence around every word that is in no stretch of words with a sum of at least 0.

    Args:
        gains: what each word wins in a longer entity; losses are negative.

    Returns:
        The first word of each piece, and one past its last.
    """
    after = [0.0]  # the most that words from here on win together
    for gain in reversed(gains):
        after.append(max(gain + after[-1], 0.0))
    before, begin = 0.0, 0
    for word, gain in enumerate(gains):
        if before + gain + after[-2 - word] < 0:
            if begin < word:
                yield begin, word
            yield word, word + 1
            begin = word + 1
        before = max(before + gain, 0.0)
    if begin < len(gains):
        yield begin, len(gains)


def _viterbi(
    scores: Scores, alone: list[float], singles: list[int], entities: int, begin: int
) -> list[Words]:
    """The recursion, over the types of which a longer entity can be part of the best tagging.

    That is out of the question for a type whose ``B``, ``I`` and ``L`` are worth less to every word than
    being alone.

    Args:
        scores: ``[words, 1 + 4 * entities]`` of some words of a sentence.
        alone: of each of them, the score outside or as an entity of one word.
        singles: the type of that entity; -1 for none.
        entities: number of entity types.
        begin: the place of the first of the words in their sentence.
    """
    rows = scores[:, 1 : 1 + 3 * entities].tolist()
    found = {
        place % entities
        for row, own in zip(rows, alone, strict=True)
        for place, score in enumerate(row)
        if score >= own
    }
    types = sorted(found)
    total, inside = 0.0, [_IMPOSSIBLE] * len(types)
    closed: list[int] = []  # of each word, the place in `types` of a longer entity that best ends there; -1
    stayed: list[list[bool]] = []  # and of each type, whether it is best inside since an earlier word
    for row, own in zip(rows, alone, strict=True):
        best, close = total + own, -1
        ahead, onward = [], []
        for place, (entity, before) in enumerate(zip(types, inside, strict=True)):
            opening, staying = total + row[entity], before + row[entities + entity]
            closing = before + row[2 * entities + entity]
            if closing > best:
                best, close = closing, place
            onward.append(staying > opening)
            ahead.append(staying if staying > opening else opening)
        closed.append(close)
        stayed.append(onward)
        total, inside = best, ahead
    spans: list[Words] = []
    word = len(alone) - 1
    while word >= 0:
        last, place = word, closed[word]
        if place >= 0:
            word -= 1
            while stayed[word][place]:
                word -= 1
            spans.append((begin + word, begin + last, types[place]))
        elif singles[word] >= 0:
            spans.append((begin + word, begin + word, singles[word]))
        word -= 1
    return spans[::-1]


def _probability(rows: list[list[float]], entity: int, entities: int) -> float:
    """The probability that words are one entity of the type, among all valid taggings of these words.

    Weights are relative to those of the entity's own tags: the entity weighs 1, and the sum over all
    taggings, found by the recursion with sums in place of maxima, is at least that.

    Args:
        rows: logits of the words' tags.
        entity: the type.
        entities: number of types.
    """
    inner, last, unit = 1 + entities, 1 + 2 * entities, 1 + 3 * entities
    if len(rows) == 1:
        row = rows[0]
        return 1.0 / sum(_weights([row[0], *row[unit:]], row[unit + entity]))
    opening = _weights(rows[0], rows[0][1 + entity])
    outside, inside = opening[0] + sum(opening[unit:]), opening[1:inner]
    for row, own in zip(rows[1:], [inner] * (len(rows) - 2) + [last], strict=True):
        weights = _weights(row, row[own + entity])
        closed = sum(map(mul, inside, weights[last:unit]))
        if own == inner:
            pairs = zip(weights[1:inner], inside, weights[inner:last], strict=True)
            inside = [outside * begin + before * stay for begin, before, stay in pairs]
        outside = outside * (weights[0] + sum(weights[unit:])) + closed
    return 1.0 / outside if math.isfinite(outside) else 0.0


def _weights(logits: list[float], over: float) -> list[float]:
    try:
        return [math.exp(logit - over) for logit in logits]
    except OverflowError:
        return [math.exp(min(logit - over, _LARGEST)) for logit in logits]
