"""Examples as numbers, and batches of about equal length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.examples import Example, Misalignments, align
from sqz_nlu.training.names import telling_names
from sqz_nlu.training.patterns import NO_PATTERNS, PatternRows, RowPatterns, noisy, pattern_tensor

IGNORE = -100
_POOL_BATCHES = 16
_ROUNDING_BATCH = 64
_TOKENS_TO_ROUND_BY = 4096  # with four times as many the states change no less
_TOGETHER = 2  # examples of an intent that a batch gets at once, so that they can be compared


@dataclass(frozen=True)
class Row:
    """An example as numbers; the word lists run over all tokens, ``IGNORE`` where no word begins.

    Attributes:
        ids: token ids.
        intent: class, or ``IGNORE``.
        tags: classes of ``LabelSpace.tags``.
        roles: classes of ``LabelSpace.role_classes``; ``IGNORE`` outside entities.
        groups: likewise for groups.
        patterns: matches of lookup tables and regular expressions.
    """

    ids: list[int]
    intent: int
    tags: list[int]
    roles: list[int]
    groups: list[int]
    patterns: RowPatterns = NO_PATTERNS


@dataclass(frozen=True)
class Batch:
    """Rows padded to the longest.

    Attributes:
        ids: ``[batch, tokens]``.
        mask: ``[batch, tokens]``, 1 for tokens and 0 for padding.
        intents: ``[batch]``.
        tags: ``[batch, tokens]``.
        roles: ``[batch, tokens]``.
        groups: ``[batch, tokens]``.
        patterns: features, ``[batch, tokens, features]``.
        swapped: whether words were swapped for others of their patterns, ``[batch]``.
    """

    ids: Tensor
    mask: Tensor
    intents: Tensor
    tags: Tensor
    roles: Tensor
    groups: Tensor
    patterns: Tensor
    swapped: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(value.to(device) for value in vars(self).values()))


def encode_examples(
    examples: Sequence[Example],
    labels: LabelSpace,
    encoder: TextEncoder,
    patterns: PatternRows | None = None,
) -> list[Row]:
    """Turns examples into rows, logging entity annotations that do not match words."""
    intents = {name: index for index, name in enumerate(labels.intents)}
    tags = {name: index for index, name in enumerate(labels.tags)}
    roles = {name: index for index, name in enumerate(labels.role_classes)}
    groups = {name: index for index, name in enumerate(labels.group_classes)}
    misaligned = Misalignments()
    rows = []
    for example, encoded in zip(examples, encoder.encode_batch([e.text for e in examples]), strict=True):
        size = len(encoded.ids)
        spans = align(example, encoded.words, misaligned) if tags else []
        row = Row(
            encoded.ids,
            intents.get(example.intent or "", IGNORE),
            [IGNORE] * size,
            [IGNORE] * size,
            [IGNORE] * size,
        )
        if tags:
            for token in encoded.first_tokens:
                row.tags[token] = 0
            for span in spans:
                annotation, count = span.annotation, span.last - span.first + 1
                names = labels.span_tags(annotation.entity, count)
                for word, tag in zip(range(span.first, span.last + 1), names, strict=True):
                    token = encoded.first_tokens[word]
                    row.tags[token] = tags[tag]
                    row.roles[token] = roles.get(annotation.role, IGNORE)
                    row.groups[token] = groups.get(annotation.group, IGNORE)
        if patterns is not None:
            row = replace(row, patterns=patterns.row(example.text, encoded, spans))
        rows.append(row)
    misaligned.report()
    if patterns is not None:
        patterns.finish()
    return rows


def name_rows(
    examples: Sequence[Example], labels: LabelSpace, encoder: TextEncoder, patterns: int = 0
) -> list[Row]:
    """A row for the name of each intent that has examples, if it is one of `telling_names`.

    Args:
        examples: annotated utterances.
        labels: has their intents.
        encoder: makes tokens.
        patterns: how many lookup tables and regular expressions there are; none matches a name.
    """
    classes = {name: index for index, name in enumerate(labels.intents)}
    seen = [example.intent for example in examples if example.intent in classes]
    told = telling_names(seen, [example.text for example in examples])
    rows = []
    for name, encoded in zip(told, encoder.encode_batch(list(told.values())), strict=True):
        if encoded.words:
            nothing = [IGNORE] * len(encoded.ids)
            rows.append(Row(encoded.ids, classes[name], nothing, nothing, nothing, RowPatterns(patterns)))
    return rows


def collate(rows: Sequence[Row]) -> Batch:
    """Pads rows to a batch."""
    width = max(len(row.ids) for row in rows)

    def pad(values: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([value + [fill] * (width - len(value)) for value in values])

    return Batch(
        pad([row.ids for row in rows], 0),
        pad([[1] * len(row.ids) for row in rows], 0),
        torch.tensor([row.intent for row in rows]),
        pad([row.tags for row in rows], IGNORE),
        pad([row.roles for row in rows], IGNORE),
        pad([row.groups for row in rows], IGNORE),
        pattern_tensor([row.patterns for row in rows], width),
        torch.tensor([row.patterns.swapped for row in rows]),
    )


def shuffled_batches(rows: Sequence[Row], batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """One pass over the rows in random order, in batches of about equal length; two and two of an intent."""
    units = _together(rows, rng)
    batches = []
    for first in range(0, len(units), pool := batch_size * _POOL_BATCHES // _TOGETHER):
        part = sorted(units[first : first + pool], key=lambda unit: max(len(rows[row].ids) for row in unit))
        order = [row for unit in part for row in unit]
        batches += [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for index in rng.permutation(len(batches)):
        yield collate([noisy_row(rows[row], rng) for row in batches[index]])


def _together(rows: Sequence[Row], rng: np.random.Generator) -> list[list[int]]:
    """The rows' numbers in random order, two of the same intent at a time; what has no intent stays alone."""
    by_intent: dict[int, list[int]] = defaultdict(list)
    units = []
    for row in map(int, rng.permutation(len(rows))):
        if rows[row].intent == IGNORE:
            units.append([row])
        else:
            by_intent[rows[row].intent].append(row)
    for found in by_intent.values():
        units += [found[i : i + _TOGETHER] for i in range(0, len(found), _TOGETHER)]
    return [units[index] for index in rng.permutation(len(units))]


def noisy_row(row: Row, rng: np.random.Generator) -> Row:
    """The row as one step of training sees it: some of its patterns hidden, some of their words swapped."""
    ids, patterns = noisy(row.ids, row.patterns, rng)
    return replace(row, ids=ids, patterns=patterns)


def ordered_batches(rows: Sequence[Row], batch_size: int) -> Iterator[Batch]:
    """The rows in their order."""
    for first in range(0, len(rows), batch_size):
        yield collate(rows[first : first + batch_size])


def rounding_batches(rows: Sequence[Row]) -> Iterator[Batch]:
    """Some of the rows, enough for `round_weights`; those of a batch are about equally long."""
    chosen: list[Row] = []
    tokens = 0
    for index in np.random.default_rng(0).permutation(len(rows)):  # they come intent by intent
        tokens += len(rows[index].ids)
        if chosen and tokens > _TOKENS_TO_ROUND_BY:
            break
        chosen.append(rows[index])
    yield from ordered_batches(sorted(chosen, key=lambda row: len(row.ids)), _ROUNDING_BATCH)
