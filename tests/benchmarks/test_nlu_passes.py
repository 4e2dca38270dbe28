"""Passes of training that two pipelines share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from nlu.passes import SharedPasses
from onnx import numpy_helper

from sqz_nlu.fit import fit
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.trainer import _Run


def train(examples, encoder: Path, folder: Path, quantization: str, seed: int = 7) -> dict[str, np.ndarray]:
    """Trains long enough for a rehearsal; the numbers of the graph."""
    options = TrainingOptions(
        model=str(encoder), epochs=4, random_seed=seed, quantization=quantization, drop_rate=0.2
    )
    fit(examples, options, folder)
    graph = onnx.load(folder / "model.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


@pytest.fixture
def passes_made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs that were really passed through."""
    made: list[int] = []
    one = _Run._pass

    def noted(self: _Run, rows) -> None:
        made.append(self.epoch)
        one(self, rows)

    monkeypatch.setattr(_Run, "_pass", noted)
    return made


def test_the_other_pipeline_takes_over_what_it_would_have_trained(
    tiny_examples, tiny_encoder, tmp_path: Path, passes_made: list[int]
) -> None:
    examples = [*tiny_examples, *tiny_examples]
    alone = train(examples, tiny_encoder, tmp_path / "alone", "none")
    epochs = len(passes_made)
    assert epochs >= 4
    first = SharedPasses(tmp_path / "passes")
    with first.training():
        rounded = train(examples, tiny_encoder, tmp_path / "first", "int8")
    assert len(passes_made) == 2 * epochs
    assert first.seconds == 0.0
    assert sorted(rounded) != sorted(alone)

    second = SharedPasses(tmp_path / "passes")
    with second.training():
        taken_over = train(examples, tiny_encoder, tmp_path / "second", "none")
    assert len(passes_made) == 2 * epochs
    assert second.seconds > 0.0
    assert second.cpu_seconds > 0.0
    assert not list((tmp_path / "passes").iterdir())
    assert sorted(taken_over) == sorted(alone)
    for name, value in alone.items():
        np.testing.assert_array_equal(taken_over[name], value, err_msg=name)


def test_another_seed_takes_nothing_over(
    tiny_examples, tiny_encoder, tmp_path: Path, passes_made: list[int]
) -> None:
    with SharedPasses(tmp_path / "passes").training():
        train(tiny_examples, tiny_encoder, tmp_path / "first", "none")
        epochs = len(passes_made)
        train(tiny_examples, tiny_encoder, tmp_path / "second", "none", seed=8)
    assert len(passes_made) == 2 * epochs
