from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from sqz_nlu.runtime import bilou
from sqz_nlu.runtime.bilou import _repaired, _valid_spans, best_tagging, decode_bilou
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.ranking import log_softmax


def valid(previous: str, tag: str) -> bool:
    """BILOU's grammar, said directly; "" is the edge of the sentence."""
    if previous[:1] in ("B", "I"):
        return tag[:1] in ("I", "L") and tag[2:] == previous[2:]
    return tag[:1] not in ("I", "L")


def all_taggings(tags: tuple[str, ...], words: int):
    for path in itertools.product(range(len(tags)), repeat=words):
        names = ["", *(tags[index] for index in path), ""]
        if all(valid(a, b) for a, b in itertools.pairwise(names)):
            yield path


@pytest.mark.parametrize("types", [1, 2])
@pytest.mark.parametrize("words", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_tagging_is_the_best_valid_one(types: int, words: int, seed: int) -> None:
    labels = LabelSpace(entities=tuple("xy"[:types]))
    logits = np.random.default_rng(seed).normal(scale=2.0, size=(words, len(labels.tags)))
    scores = log_softmax(logits)
    paths = list(all_taggings(labels.tags, words))
    weights = np.exp([sum(scores[w, t] for w, t in enumerate(path)) for path in paths])
    best = paths[int(np.argmax(weights))]

    spans = decode_bilou(logits, types)

    tags = ["O"] * words
    for span in spans:
        names = labels.span_tags(labels.entities[span.entity], span.last - span.first + 1)
        tags[span.first : span.last + 1] = names
    assert tags == [labels.tags[index] for index in best]
    for span in spans:
        its = range(span.first, span.last + 1)
        every = [
            sum(scores[w, t] for w, t in zip(its, path, strict=True))
            for path in all_taggings(labels.tags, len(its))
        ]
        share = np.exp(sum(scores[w, best[w]] for w in its)) / np.exp(every).sum()
        assert span.confidence == pytest.approx(share)


def test_a_valid_greedy_tagging_is_what_the_recursion_finds() -> None:
    labels = LabelSpace(entities=("x", "y"))
    rng = np.random.default_rng(1)
    for names in (["O", "B-x", "L-x", "U-y"], ["B-y", "I-y", "L-y", "B-x", "L-x"], ["U-x", "U-x"]):
        logits = rng.normal(size=(len(names), len(labels.tags)))
        logits[np.arange(len(names)), [labels.tags.index(name) for name in names]] += 9.0
        likeliest = logits.argmax(1).tolist()
        assert _valid_spans(likeliest, 2) == _repaired(logits, likeliest, 2) != []


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_no_valid_tagging_is_worth_more_ties_included(kind: type) -> None:
    labels = LabelSpace(entities=("x", "y", "z"))
    names, rng = labels.tags, np.random.default_rng(3)
    steps = np.array([[0.0 if valid(a, b) else -1e9 for b in names] for a in names])
    first, last = ([0.0 if valid(*edge) else -1e9 for edge in edges] for edges in _edges(names))
    for _ in range(300):
        logits = rng.integers(-2, 3, (6, len(names))).astype(kind)
        best = logits[0] + first
        for row in logits[1:]:
            best = (best[:, None] + steps).max(0) + row
        path = [
            names.index(prefix if prefix == "O" else f"{prefix}-{labels.entities[entity]}")
            for prefix, entity in best_tagging(logits, 3)
        ]
        assert logits[np.arange(6), path].sum() == (best + last).max()
        assert all(valid(names[a], names[b]) for a, b in itertools.pairwise(path))


def test_words_far_from_an_invalid_tag_are_left_out_of_the_recursion(monkeypatch: Any) -> None:
    labels = LabelSpace(entities=("x", "y"))
    names = ["L-x", "O", "U-y", "O", "O", "B-x", "O", "L-x", "O", "U-x"]
    logits = np.full((len(names), len(labels.tags)), -9.0)
    logits[np.arange(len(names)), [labels.tags.index(name) for name in names]] = 9.0
    logits[0, labels.tags.index("U-x")] = 8.0
    logits[5:8, [labels.tags.index("U-x"), labels.tags.index("O")]] = 7.0
    logits[6, [labels.tags.index("I-x"), labels.tags.index("O")]] = 8.0, 9.0
    seen, viterbi = [], bilou._viterbi

    def watched(scores: Any, *rest: Any) -> Any:
        seen.append(len(scores))
        return viterbi(scores, *rest)

    monkeypatch.setattr(bilou, "_viterbi", watched)
    spans = [span[:3] for span in decode_bilou(logits, 2)]
    assert spans == [(0, 0, 0), (2, 2, 1), (5, 7, 0), (9, 9, 0)]
    assert seen == [3]


def _edges(names: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    return [("", name) for name in names], [(name, "") for name in names]


def test_an_invalid_greedy_tagging_is_repaired() -> None:
    labels = LabelSpace(entities=("x",))
    begin, last = labels.tags.index("B-x"), labels.tags.index("L-x")
    logits = np.zeros((3, len(labels.tags)))
    logits[0, begin] = 5.0  # greedy would read B-x O L-x, which is no entity
    logits[2, last] = 5.0
    spans = decode_bilou(logits, 1)
    assert [(span.first, span.last) for span in spans] == [(0, 2)]


def test_two_hundred_types_and_no_words() -> None:
    logits = np.random.default_rng(0).normal(size=(40, 801))
    spans = decode_bilou(logits, 200)
    assert all(a.last < b.first for a, b in itertools.pairwise(spans))
    assert decode_bilou(np.zeros((0, 801)), 200) == []


def test_extreme_logits_stay_finite() -> None:
    logits = np.full((3, 5), -1e4)
    logits[:, 4] = 1e4
    confidences = [span.confidence for span in decode_bilou(logits, 1)]
    assert confidences == pytest.approx([1.0, 1.0, 1.0])
    logits[:, 1:] = 1e4  # every tag but O is as likely as the others
    (span,) = decode_bilou(np.tile(logits, (200, 1)), 1)[:1]
    assert 0.0 <= span.confidence <= 1.0


@pytest.mark.parametrize("size", [1e30, 1e36])
def test_entities_never_overlap_whatever_the_logits(size: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        logits = rng.normal(size=(6, 9)).astype(np.float32)
        logits[rng.random(logits.shape) < 0.3] *= size
        tags = best_tagging(logits, 2)
        assert len(tags) == 6
        spans = decode_bilou(logits, 2)
        assert all(a.last < b.first for a, b in itertools.pairwise(spans))
        assert all(0 <= span.first <= span.last < 6 and 0.0 <= span.confidence <= 1.0 for span in spans)
