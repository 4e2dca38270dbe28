from __future__ import annotations

import pytest

from sqz_nlu.runtime.ranking import rank_intents


def test_ranking() -> None:
    logits, names = [1.0, 3.0, 2.0], ("a", "b", "c")
    intent, ranking = rank_intents(logits, names, 1.0, 2, renormalize=False)
    assert [i.name for i in ranking] == ["b", "c"]
    assert intent == ranking[0]
    assert sum(i.confidence for i in ranking) < 1.0
    _, renormalised = rank_intents(logits, names, 1.0, 2, renormalize=True)
    assert sum(i.confidence for i in renormalised) == pytest.approx(1.0)
    _, everything = rank_intents(logits, names, 1.0, 0, renormalize=False)
    assert sum(i.confidence for i in everything) == pytest.approx(1.0)
    cool = rank_intents(logits, names, 0.5, 0, renormalize=False)[0].confidence
    assert cool > intent.confidence
    assert all(type(i.confidence) is float for i in everything)
