"""Trainings of Rasa's TensorFlow models that outlive their process: DIET's can take half a day."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from nlu.store import write_json

EVERY_S = 60.0  # epochs shorter than this are not all kept


class Kept:
    """What is kept of a training, in a folder: weights, the optimiser's state and the times so far.

    What another cell, state of the packages or data left there is removed.

    Args:
        folder: may be missing.
        key: what the training must agree with to be gone on with.

    Attributes:
        epoch: epochs that are behind it.
        pieces: processes that took part, this one included.
        seconds: of the training, in earlier processes, up to where they were kept.
        cpu_seconds: likewise, of processors.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder, self.key = folder, key
        record = self._read()
        if record.get("key") != json.loads(json.dumps(key)):
            shutil.rmtree(folder, ignore_errors=True)
            record = {}
        self.epoch: int = record.get("epoch", 0)
        self.pieces: int = record.get("pieces", 0) + 1
        self.seconds: float = record.get("seconds", 0.0)
        self.cpu_seconds: float = record.get("cpu_seconds", 0.0)
        self._checkpoint: str | None = record.get("checkpoint")
        self._started = time.perf_counter(), time.process_time()

    def _read(self) -> dict[str, Any]:
        path = self.folder / "kept.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def times(self) -> tuple[float, float]:
        """Seconds and processor seconds of all pieces until now."""
        wall, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        return self.seconds + wall, self.cpu_seconds + cpu

    @contextmanager
    def training(self) -> Iterator[None]:
        """Lets the training of a Rasa model in this context begin where the last one was kept."""
        from rasa.utils.tensorflow.models import RasaModel

        fit = RasaModel.fit

        def going_on(
            model: Any, generator: Any, *, epochs: int, callbacks: list[Any], **settings: Any
        ) -> Any:
            begin = self._begin(model, generator)
            callbacks = [*callbacks, self._callback(model, epochs)]
            return fit(model, generator, epochs=epochs, callbacks=callbacks, **begin, **settings)

        self._started = time.perf_counter(), time.process_time()
        with mock.patch.object(RasaModel, "fit", going_on):
            yield

    def forget(self) -> None:
        """Removes the folder, once the training's figures are safe."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, model: Any, generator: Any) -> dict[str, int]:
        """Puts back weights and optimiser, the epoch and its batch size; what `fit` is told of it."""
        import numpy as np
        import tensorflow as tf

        if not self._checkpoint:
            return {}
        _checkpoint_of(model).restore(str(self.folder / self._checkpoint))
        seed = (model.random_seed or 0) + self.epoch  # else the first epochs' order and dropout come again
        np.random.seed(seed)
        tf.random.set_seed(seed)
        generator._current_epoch = self.epoch - 1
        generator.on_epoch_end()
        return {"initial_epoch": self.epoch}

    def _callback(self, model: Any, epochs: int) -> Any:
        import tensorflow as tf

        keeper = tf.train.CheckpointManager(_checkpoint_of(model), str(self.folder), max_to_keep=2)
        last = time.perf_counter()

        def keep(epoch: int, logs: Any = None) -> None:
            nonlocal last
            left = epochs - epoch - 1
            if not left:  # weights are put back by the first step that follows; so one must
                return
            if time.perf_counter() - last < EVERY_S and not (left == 1 and self.folder.is_dir()):
                return
            path = keeper.save(checkpoint_number=epoch + 1)
            seconds, cpu_seconds = self.times()
            record = {"key": self.key, "epoch": epoch + 1, "pieces": self.pieces}
            record |= {"seconds": seconds, "cpu_seconds": cpu_seconds, "checkpoint": Path(path).name}
            write_json(self.folder / "kept.json", record)
            last = time.perf_counter()

        return tf.keras.callbacks.LambdaCallback(on_epoch_end=keep)


def _checkpoint_of(model: Any) -> Any:
    import tensorflow as tf

    return tf.train.Checkpoint(model=model, optimizer=model.optimizer)
