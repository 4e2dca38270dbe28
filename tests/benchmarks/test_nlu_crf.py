"""The benchmark's CRF for DIET against Rasa's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nlu.crf import fast_crf

LENGTHS = [7, 1, 4, 6, 2]
TAGS = 9


@pytest.fixture(params=[max(LENGTHS), 1], ids=["words", "one word"])
def sequences(request: pytest.FixtureRequest) -> tuple[Any, Any, Any, Any]:
    """Scores of tags, transitions, tags and lengths."""
    import tensorflow as tf

    rng = np.random.default_rng(11)
    words = request.param
    scores = tf.constant(rng.normal(0, 3, (len(LENGTHS), words, TAGS)), tf.float32)
    transitions = tf.constant(rng.normal(0, 2, (TAGS, TAGS)), tf.float32)
    tags = tf.constant(rng.integers(0, TAGS, (len(LENGTHS), words)), tf.int32)
    return scores, transitions, tags, tf.constant([min(length, words) for length in LENGTHS])


def _likelihood(scores: Any, transitions: Any, tags: Any, lengths: Any) -> list[np.ndarray]:
    """The log-likelihoods, and how their sum changes with scores and transitions."""
    import tensorflow as tf
    from rasa.utils.tensorflow.crf import crf_log_likelihood

    with tf.GradientTape() as tape:
        tape.watch([scores, transitions])
        found, _ = crf_log_likelihood(scores, tags, lengths, transitions)
        total = tf.reduce_sum(found)
    gradients = tape.gradient(total, [scores, transitions])
    return [np.asarray(tf.convert_to_tensor(value)) for value in (found, *gradients) if value is not None]


@pytest.mark.usefixtures("as_it_was")
def test_likelihoods_and_gradients_are_rasas(sequences: tuple[Any, Any, Any, Any]) -> None:
    expected = _likelihood(*sequences)
    with fast_crf():
        found = _likelihood(*sequences)
    assert len(found) == len(expected) >= 2
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("as_it_was")
def test_the_best_tagging_is_rasas(sequences: tuple[Any, Any, Any, Any]) -> None:
    from rasa.utils.tensorflow import crf

    scores, transitions, _, lengths = sequences
    tags, _, best = crf.crf_decode(scores, transitions, lengths)
    with fast_crf():
        found, _, found_best = crf.crf_decode(scores, transitions, lengths)
    inside = np.arange(scores.shape[1]) < np.asarray(lengths)[:, None]
    np.testing.assert_array_equal(found.numpy(), np.where(inside, tags.numpy(), 0))
    np.testing.assert_allclose(found_best.numpy(), best.numpy(), rtol=1e-6)
