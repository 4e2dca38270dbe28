"""The gate between a float graph and its int8 form: int8 is written only where it answers the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import ParseResult

Gold = tuple[str, str | None, frozenset[tuple[int, int, str]]]

INTENT_AGREEMENT = 0.99
INTENT_ACCURACY_DROP = 0.005
SPAN_F1_DROP = 0.01
_ONE_TEXT = 1.0


@dataclass(frozen=True)
class Parity:
    """How an int8 graph compares with its float form on texts of the training data.

    Attributes:
        texts: number of texts compared.
        intent_agreement: share of texts with the same top intent; ``None`` without intents.
        intent_accuracy_float: against the annotations; ``None`` without intents.
        intent_accuracy_int8: likewise.
        span_f1_float: micro-F1 of exact entity spans against the annotations; ``None`` without entities.
        span_f1_int8: likewise.
        span_agreement: F1 of the int8 spans against the float ones.
    """

    texts: int
    intent_agreement: float | None
    intent_accuracy_float: float | None
    intent_accuracy_int8: float | None
    span_f1_float: float | None
    span_f1_int8: float | None
    span_agreement: float | None

    def failures(self) -> list[str]:
        """What is out of bounds; a single text may differ however few there are."""
        slack = _ONE_TEXT / max(1, self.texts)
        found = []
        if self.intent_agreement is not None and self.intent_agreement < min(INTENT_AGREEMENT, 1.0 - slack):
            found.append(f"top intents agree on {self.intent_agreement:.1%} of {self.texts} texts")
        pairs = (
            ("intent accuracy", self.intent_accuracy_float, self.intent_accuracy_int8, INTENT_ACCURACY_DROP),
            ("entity span F1", self.span_f1_float, self.span_f1_int8, SPAN_F1_DROP),
        )
        for name, before, after, allowed in pairs:
            if before is not None and after is not None and before - after > max(allowed, slack):
                found.append(f"{name} falls from {before:.1%} to {after:.1%}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for people."""
        agreements = []
        if self.intent_agreement is not None:
            agreements.append(f"same top intent on {self.intent_agreement:.1%}")
        if self.span_agreement is not None:
            agreements.append(f"entity spans agree with F1 {self.span_agreement:.1%}")
        return f"int8 against float on {self.texts} training texts: {', '.join(agreements)}"


def compare(reference: Interpreter, candidate: Interpreter, gold: Sequence[Gold]) -> Parity:
    """Parses annotated texts with both graphs, one by one, as they will be parsed in use."""
    before = [reference.parse(text) for text, _, _ in gold]
    after = [candidate.parse(text) for text, _, _ in gold]
    intents = [intent for _, intent, _ in gold]
    spans = [annotated for _, _, annotated in gold]
    known = bool(reference.labels.intents) and any(intents)
    tagged = bool(reference.labels.entities)
    same = [a.intent.name == b.intent.name for a, b in zip(before, after, strict=True)]
    return Parity(
        texts=len(gold),
        intent_agreement=sum(same) / max(1, len(same)) if reference.labels.intents else None,
        intent_accuracy_float=_accuracy(before, intents) if known else None,
        intent_accuracy_int8=_accuracy(after, intents) if known else None,
        span_f1_float=span_f1(spans, list(map(spans_of, before))) if tagged else None,
        span_f1_int8=span_f1(spans, list(map(spans_of, after))) if tagged else None,
        span_agreement=(span_f1(list(map(spans_of, before)), list(map(spans_of, after))) if tagged else None),
    )


def spans_of(result: ParseResult) -> frozenset[tuple[int, int, str]]:
    """Start, end and type of every entity."""
    return frozenset((e.start, e.end, e.entity) for e in result.entities)


def span_f1(
    expected: Sequence[frozenset[tuple[int, int, str]]],
    found: Sequence[frozenset[tuple[int, int, str]]],
) -> float:
    """Micro-F1 of exact spans; 1 where there is nothing to find and nothing was found."""
    hits = sum(len(e & f) for e, f in zip(expected, found, strict=True))
    total = sum(map(len, expected)) + sum(map(len, found))
    return 2 * hits / total if total else 1.0


def _accuracy(results: Sequence[ParseResult], intents: Sequence[str | None]) -> float:
    pairs = [(r.intent.name, i) for r, i in zip(results, intents, strict=True) if i is not None]
    return sum(seen == expected for seen, expected in pairs) / max(1, len(pairs))
