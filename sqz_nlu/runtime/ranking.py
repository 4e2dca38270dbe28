"""Logits to ranked intents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.runtime.results import NO_INTENT, Intent

Floats = npt.NDArray[np.float64]
_FEW = 256  # intents up to which lists are faster than arrays


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
    scores = np.asarray(logits)
    length = min(ranking_length or len(scores), len(scores))
    rank = _rank_few if len(scores) <= _FEW else _rank_many
    order, weights, total = rank(scores, length, temperature)
    if renormalize:
        total = sum(weights)
    ranking = [Intent(intents[index], weight / total) for index, weight in zip(order, weights, strict=True)]
    return ranking[0], tuple(ranking)


def _rank_few(
    scores: npt.NDArray[Any], length: int, temperature: float
) -> tuple[list[int], list[float], float]:
    """The places of the ``length`` highest scores in falling order, of equal ones the first; their
    exponentials over the highest's, and the sum of all.
    """
    values = scores.tolist()
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    top, exp = values[order[0]], math.exp
    weights = [exp((value - top) / temperature) for value in values]
    del order[length:]
    return order, [weights[index] for index in order], sum(weights)


def _rank_many(
    scores: npt.NDArray[Any], length: int, temperature: float
) -> tuple[list[int], list[float], float]:
    """As `_rank_few`, in arrays, and without sorting what is not asked for."""
    scores = scores.astype(np.float64)
    last = len(scores) - length
    candidates = np.flatnonzero(scores >= np.partition(scores, last)[last])
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:length]
    weights = np.exp((scores - scores[order[0]]) / temperature)
    return order.tolist(), weights[order].tolist(), float(weights.sum())
