"""The CRF of Rasa 3.6's DIET with fewer numbers: the same loss and tags, more than twice as fast.

Rasa adds up all pairs of tags for every word, a tensor of batch x tags x tags, half a dozen times a step.
With the tags of HWU64 that is most of a training. Here the sum over pairs is a matrix product, and which
tag led to which is only asked along the best path. Rasa's functions are in `rasa/utils/tensorflow/crf.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

CRF = "products"  # in records of trainings with it; those with Rasa's name none


@contextmanager
def fast_crf() -> Iterator[None]:
    """Lets graphs of DIET that are traced in this context compute the CRF as this module does."""
    from rasa.utils.tensorflow import crf

    with mock.patch.object(crf, "crf_forward", forward), mock.patch.object(crf, "crf_decode", decode):
        yield


def forward(inputs: Any, state: Any, transition_params: Any, sequence_lengths: Any) -> Any:
    """Log sums over all taggings up to each sequence's last word, in place of Rasa's `crf_forward`.

    Args:
        inputs: scores of tags from the second word on, batch x words - 1 x tags.
        state: those of the first word, batch x tags.
        transition_params: from tag x to tag.
        sequence_lengths: words of each sequence.

    Returns:
        Batch x tags.
    """
    import tensorflow as tf

    highest = tf.stop_gradient(tf.reduce_max(transition_params))
    factors = tf.exp(transition_params - highest)

    def step(sums: Any, scores: Any) -> Any:
        top = tf.stop_gradient(tf.reduce_max(sums, axis=1, keepdims=True))
        return scores + top + highest + tf.math.log(tf.matmul(tf.exp(sums - top), factors))

    later = tf.scan(step, tf.transpose(inputs, [1, 0, 2]), state)
    sums = tf.transpose(tf.concat([state[tf.newaxis], later], axis=0), [1, 0, 2])
    last = tf.maximum(0, tf.cast(sequence_lengths, tf.int32) - 1)
    return tf.gather(sums, last, batch_dims=1)


def decode(potentials: Any, transition_params: Any, sequence_length: Any) -> tuple[Any, Any, Any]:
    """The best tagging of each sequence, in place of Rasa's `crf_decode` in training.

    Training asks for the tags alone, for the F1 on its progress bar. Confidences are 0 here: a trained model
    decodes with Rasa's own function.

    Args:
        potentials: scores of tags, batch x words x tags.
        transition_params: from tag x to tag.
        sequence_length: words of each sequence.

    Returns:
        Tags (batch x words; 0 after a sequence's end), zeros of that shape, and the score of each tagging.
    """
    import tensorflow as tf

    scores = tf.transpose(potentials, [1, 0, 2])
    count = tf.shape(scores)[0]
    last = tf.cast(sequence_length, tf.int32) - 1
    into = tf.transpose(transition_params)  # to tag x from tag: what is reduced lies together

    def forth(best: Any, here: tuple[Any, Any]) -> Any:
        word, unary = here
        return tf.where(word == 0, unary, unary + tf.reduce_max(best[:, tf.newaxis] + into, axis=2))

    best = tf.scan(forth, (tf.range(count), scores), tf.zeros_like(scores[0]))

    def back(following: Any, here: tuple[Any, Any]) -> Any:
        word, sums = here
        ending = (word == last)[:, tf.newaxis]
        leading = tf.where(ending, sums, sums + tf.gather(into, following))
        return tf.where(word <= last, tf.argmax(leading, axis=1, output_type=tf.int32), 0)

    tags = tf.scan(back, (tf.range(count), best), tf.zeros_like(last), reverse=True)
    tags = tf.transpose(tags)
    ends = tf.gather(tf.transpose(best, [1, 0, 2]), tf.maximum(0, last), batch_dims=1)
    return tags, tf.zeros_like(tags, potentials.dtype), tf.reduce_max(ends, axis=1)
