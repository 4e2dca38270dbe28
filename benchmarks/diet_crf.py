"""How much faster DIET trains with the benchmarks' CRF (`nlu/crf.py`) than with Rasa's, in turns A B A B.

    python benchmarks/diet_crf.py --data DIR [--examples 1000] [--epochs 3]

DIR has hwu64_kfold1/train.jsonl, of which so many examples are used, evenly taken. The first epoch of a
training, which traces the graph, does not count. The losses are in the result, too: they are the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import rasa_default
from common import read_jsonl, write_result
from nlu.crf import fast_crf
from nlu.data import Material, write_training_file

CRFS = {"rasa": nullcontext, "products": fast_crf}
TURNS = 2


def epochs_of(material: Material, crf: str, epochs: int) -> list[dict[str, float]]:
    """Trains DIET; seconds and losses of each epoch."""
    import tensorflow as tf
    from rasa.utils.tensorflow.models import RasaModel

    found: list[dict[str, float]] = []
    fit, last = RasaModel.fit, 0.0

    def note(epoch: int, logs: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        found.append({"seconds": round(now - last, 2), **{n: round(float(v), 3) for n, v in logs.items()}})
        last = now

    def noted(*arguments: Any, callbacks: list[Any], **settings: Any) -> Any:
        nonlocal last
        last = time.perf_counter()
        watcher = tf.keras.callbacks.LambdaCallback(on_epoch_end=note)
        return fit(*arguments, callbacks=[*callbacks, watcher], **settings)

    pipeline = [*rasa_default.FEATURIZERS, rasa_default.diet(epochs, random_seed=7)]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(RasaModel, "fit", noted), CRFS[crf]():
        write_training_file(material, Path(folder) / "nlu.yml")
        rasa_default.train(Path(folder), pipeline)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3, help="of each training, the first included")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = read_jsonl(arguments.data / "hwu64_kfold1" / "train.jsonl")
    rows = rows[:: max(1, len(rows) // arguments.examples)]
    types = {kind for row in rows for _, _, kind, *_ in row["entities"]}
    material = Material(rows, [], [])
    turns = [
        {"crf": crf, "epochs": epochs_of(material, crf, arguments.epochs)}
        for _ in range(TURNS)
        for crf in CRFS
    ]
    seconds = {
        crf: statistics.median(
            epoch["seconds"] for turn in turns if turn["crf"] == crf for epoch in turn["epochs"][1:]
        )
        for crf in CRFS
    }
    result = {
        "examples": len(rows),
        "entity_types": len(types),
        "seconds_an_epoch": seconds,
        "times_as_fast": round(seconds["rasa"] / seconds["products"], 2),
        "turns": turns,
    }
    print(write_result("diet-crf", result), seconds, result["times_as_fast"])


if __name__ == "__main__":
    main()
