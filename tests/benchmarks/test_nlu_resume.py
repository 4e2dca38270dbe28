"""A training of DIET that is interrupted goes on in another process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasa_default
from nlu import resume
from nlu.data import Material
from nlu.measure import train_and_ask
from nlu.resume import Kept

EPOCHS = 6
KILLED_AFTER = 4
ONE_STEP = 1.01e-3  # of Adam with DIET's learning rate
KEY = {"data": "these"}
Epochs = list[tuple[int, int]]


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.fixture
def material(tiny_examples) -> Material:
    """Twenty examples to learn, three to ask."""
    rows = [{"text": e.text, "intent": e.intent, "entities": []} for e in tiny_examples]
    return Material(train=rows[::2], test=rows[1:6:2], out_of_scope=[])


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> Epochs:
    """Epochs in their order, with their batch sizes; last comes what is asked afterwards. All are kept."""
    from rasa.utils.tensorflow.data_generator import RasaBatchDataGenerator

    seen: Epochs = []
    real = RasaBatchDataGenerator.__getitem__

    def note(self: Any, index: int) -> Any:
        epoch = self._current_epoch, self._current_batch_size
        if epoch not in seen:
            seen.append(epoch)
        return real(self, index)

    monkeypatch.setattr(RasaBatchDataGenerator, "__getitem__", note)
    monkeypatch.setattr(resume, "EVERY_S", 0.0)
    return seen


def train(material: Material, kept: Kept) -> dict[str, Any]:
    """A short training of DIET; its figures."""
    diet = rasa_default.diet(EPOCHS, entity_recognition=False, random_seed=7, batch_size=[4, 10])
    return train_and_ask([*rasa_default.FEATURIZERS, diet], material, kept)


@pytest.mark.slow
@pytest.mark.usefixtures("as_it_was")
def test_an_interrupted_training_goes_on_where_it_was(
    material: Material, batch_sizes: Epochs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rasa.engine.exceptions import GraphComponentException

    models: list[Any] = []
    begin, write = Kept._begin, resume.write_json

    def watched(self: Kept, model: Any, generator: Any) -> dict[str, int]:
        models.append(model)
        told = begin(self, model, generator)
        if told:  # without a learning rate the weights stay those that were put back
            model.optimizer.learning_rate.assign(0.0)
        return told

    def killing(path: Path, record: dict[str, Any]) -> None:
        write(path, record)
        if record["epoch"] == KILLED_AFTER:
            raise KilledError

    monkeypatch.setattr(Kept, "_begin", watched)
    with monkeypatch.context() as dying:
        dying.setattr(resume, "write_json", killing)
        with pytest.raises(GraphComponentException) as died:
            train(material, Kept(tmp_path / "kept", KEY))
    assert isinstance(died.value.__cause__, KilledError)

    kept = Kept(tmp_path / "kept", KEY)
    assert (kept.epoch, kept.pieces) == (KILLED_AFTER, 2)
    before = kept.seconds
    assert before > 0
    figures = train(material, kept)
    assert figures["train_pieces"] == 2
    assert figures["train_s"] > before
    killed, resumed = models
    for one, other in zip(killed.trainable_variables, resumed.trainable_variables, strict=True):
        connected = (
            other.numpy() != 0
        )  # where DIET has cut a connection, one step moves it until it is cut again
        np.testing.assert_array_equal(one.numpy()[connected], other.numpy()[connected])
        assert np.abs(one.numpy()[~connected]).max(initial=0.0) <= ONE_STEP
    assert batch_sizes[:EPOCHS] == [(0, 4), (1, 5), (2, 6), (3, 7), (4, 8), (5, 10)]
    steps = sum(-(-20 // size) for _, size in batch_sizes[:EPOCHS])
    assert abs(int(resumed.optimizer.iterations.numpy()) - steps) <= EPOCHS  # balancing may add a batch
    assert Kept(tmp_path / "kept", KEY).epoch == EPOCHS - 1, "without a step nothing would be put back"
    kept.forget()
    assert not (tmp_path / "kept").exists()


def test_what_another_cell_left_is_not_gone_on_with(tmp_path: Path) -> None:
    record = {"key": KEY, "epoch": 3, "pieces": 1, "seconds": 9.0, "cpu_seconds": 9.0, "checkpoint": "ckpt-3"}
    (tmp_path / "kept.json").write_text(json.dumps(record))
    assert Kept(tmp_path, KEY).epoch == 3
    assert Kept(tmp_path, {"data": "others"}).epoch == 0
    assert not tmp_path.exists()
