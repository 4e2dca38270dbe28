"""What answers are worth: intent accuracy, span F1, AUROC. All shares, 0 to 1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int, str]  # start, end (code points), type


@dataclass(frozen=True)
class Answer:
    """What a pipeline said to a text."""

    intent: str | None
    confidence: float
    spans: frozenset[Span]


@dataclass(frozen=True)
class SpanScore:
    """Exact spans over all texts (micro average)."""

    precision: float
    recall: float
    f1: float


def accuracy(right: Sequence[bool]) -> float:
    """The share that is right."""
    return float(np.mean(right))


def span_score(gold: Sequence[Collection[Span]], found: Sequence[Collection[Span]]) -> SpanScore:
    """Compares spans: one is right if start, end and type are; 0 where there is nothing to divide by."""
    right = sum(len(set(g) & set(f)) for g, f in zip(gold, found, strict=True))
    all_found, all_gold = sum(map(len, found)), sum(map(len, gold))
    return SpanScore(
        right / all_found if all_found else 0.0,
        right / all_gold if all_gold else 0.0,
        2 * right / (all_found + all_gold) if all_found + all_gold else 0.0,
    )


def seqeval_span_f1(
    texts: Sequence[str], gold: Sequence[Collection[Span]], found: Sequence[Collection[Span]]
) -> float | None:
    """The F1 of `span_score` by seqeval, on a BIO tag for each character; ``None`` where spans overlap."""
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    try:
        tags = [[_tags(text, s) for text, s in zip(texts, spans, strict=True)] for spans in (gold, found)]
    except ValueError:
        return None
    return float(f1_score(*tags, average="micro", mode="strict", scheme=IOB2, zero_division=0))


def _tags(text: str, spans: Collection[Span]) -> list[str]:
    tags = ["O"] * max(1, len(text))
    for start, end, kind in spans:
        if any(tag != "O" for tag in tags[start:end]):
            raise ValueError("overlapping spans")
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
    return tags


def auroc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The chance that an in-scope text is answered with more confidence than another; a tie counts half."""
    scores = np.concatenate([np.asarray(inside, float), np.asarray(outside, float)])
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    wins = ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
    return float(wins / (len(inside) * len(outside)))
