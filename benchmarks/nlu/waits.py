"""Keras' batches without the waits of TensorFlow's tuning of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def without_waits() -> Iterator[None]:
    """Lets trainings of Keras in this context read their batches from pipelines that are not tuned.

    A thread of TensorFlow 2.12 tunes a pipeline, and between two looks at it sleeps twice as long as before,
    up to a minute. A pipeline that ends, as one does after each epoch, may have to wait until that thread
    wakes up: then an epoch ends 41, 82 or 142 seconds after its begin and no sooner. There is nothing to tune
    where one generator makes the batches, so they are the same.
    """
    import tensorflow as tf
    from keras.engine.data_adapter import GeneratorDataAdapter

    options = tf.data.Options()
    options.autotune.enabled = False
    get_dataset = GeneratorDataAdapter.get_dataset

    def untuned(adapter: Any) -> Any:
        return get_dataset(adapter).with_options(options)

    with mock.patch.object(GeneratorDataAdapter, "get_dataset", untuned):
        yield
