"""Trainings of DIET do not wait for the tuning of their input pipeline, and have the batches they had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nlu.waits import without_waits

tf = pytest.importorskip("tensorflow")


class Batches(tf.keras.utils.Sequence):
    """Three batches of two numbers."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return np.full((2, 1), index, np.float32), np.zeros((2, 1), np.float32)


def dataset() -> Any:
    """What Keras reads the batches from."""
    from keras.engine.data_adapter import KerasSequenceAdapter

    return KerasSequenceAdapter(Batches()).get_dataset()


def test_nothing_is_tuned_and_batches_are_the_same() -> None:
    before = dataset()
    with without_waits():
        untuned = dataset()
    assert untuned.options().autotune.enabled is False
    assert before.options().autotune.enabled is not False
    assert dataset().options().autotune.enabled is not False
    for one, other in zip(untuned.take(3), before.take(3), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
