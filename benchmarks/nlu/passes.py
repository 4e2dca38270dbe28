"""Passes of our training that two pipelines share: int8 and float differ in what follows them.

With the same seed and data the two are trained step by step alike; only then are weights rounded, or not. So
passes are kept for the other pipeline, by everything that they begin with.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from nlu.places import source_digest


class SharedPasses:
    """Passes that were made, in a folder; each is used once and then removed.

    Args:
        folder: may be missing.

    Attributes:
        seconds: that the passes used here had taken where they were made.
        cpu_seconds: likewise, of processors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = self.cpu_seconds = 0.0

    @contextmanager
    def training(self) -> Iterator[None]:
        """Trainings in this context keep their passes, or take over those that begin alike."""
        from sqz_nlu.training import trainer

        fit = trainer._Run.fit

        def shared(run: Any, rows: Sequence[Any], epochs: int, evaluated: Sequence[Any] = ()) -> None:
            if evaluated:
                return fit(run, rows, epochs, evaluated)
            path = self.folder / f"{_beginning(run, rows, epochs)}.pt"
            if path.is_file():
                self._take_over(run, path)
                path.unlink()
            else:
                started, began = _clock(), {n: v.clone() for n, v in run.network.state_dict().items()}
                fit(run, rows, epochs)
                self._keep(run, path, began, started)
            return None

        with mock.patch.object(trainer._Run, "fit", shared):
            yield

    def _keep(self, run: Any, path: Path, began: dict[str, Any], started: tuple[float, float]) -> None:
        import torch

        wall, cpu = _clock()
        ended = run.network.state_dict()
        content = {
            "network": {name: ended[name] for name in ended if not torch.equal(ended[name], began[name])},
            "optimizer": run.schedule.optimizer.state_dict(),
            "step": run.schedule.step,
            "epoch": run.epoch,
            "numpy": run.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "seconds": (wall - started[0], cpu - started[1]),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, unfinished := path.with_suffix(".unfinished"))
        unfinished.replace(path)

    def _take_over(self, run: Any, path: Path) -> None:
        import torch

        content = torch.load(path, weights_only=False)
        run.network.load_state_dict({**run.network.state_dict(), **content["network"]})
        run.schedule.optimizer.load_state_dict(content["optimizer"])
        run.schedule.step, run.epoch = content["step"], content["epoch"]
        run.rng.bit_generator.state = content["numpy"]
        torch.set_rng_state(content["torch"])
        wall, cpu = content["seconds"]
        self.seconds += wall
        self.cpu_seconds += cpu


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _beginning(run: Any, rows: Sequence[Any], epochs: int) -> str:
    """A digest of all that decides what the passes make of the network."""
    import torch

    options = dataclasses.replace(run.options, quantization="none")
    plan = dataclasses.replace(run.plan, way=1.0, refit=0.0)  # of what follows the passes
    digest = hashlib.sha256()
    for part in (source_digest(), options, plan, epochs, rows, run.schedule.step, run.bfloat16):
        digest.update(repr(part).encode() + b"\0")
    digest.update(repr(run.rng.bit_generator.state).encode() + torch.get_rng_state().numpy().tobytes())
    for name, value in sorted(run.network.state_dict().items()):
        digest.update(name.encode() + b"\0" + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
