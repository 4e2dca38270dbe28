"""Parts on a Ray cluster: a Ray Data row is a part, mapped to what says that it is done.

The map is a task, not an actor: a task of a node that is lost runs again wherever there is room. The parts
are written by the tasks themselves, so that Ray may run one twice and nothing is lost or doubled.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqz_nlu.errors import AnnotateError
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.serving.annotate.part import Done, annotate_part
from sqz_nlu.serving.annotate.plan import Job, Part

_SECONDS_TO_ANSWER = 10.0


def on_ray(
    bundle: Bundle, job: Job, parts: Sequence[Part], workers: int | None, address: str
) -> Iterator[Done]:
    """Annotates parts and yields each as soon as it is done.

    Args:
        bundle: the model; it travels to the nodes through Ray, so they need no copy of its files.
        job: what the parts share; the nodes must reach its paths.
        parts: to do.
        workers: tasks at a time, a core each; none for as many as there are cores.
        address: ``local`` for a cluster of this machine, ``auto``, or where the cluster is.

    Raises:
        AnnotateError: Ray is not installed, the cluster cannot be reached, or a part failed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise AnnotateError(
            "--ray-address needs Ray, which is not installed. Run `pip install 'sqz-nlu[ray]'`."
        ) from None
    connected = ray.is_initialized()  # by whoever called this from Python
    try:
        if not connected:
            _knock(address)
            ray.init(address, logging_level=logging.WARNING, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise AnnotateError(f"No Ray cluster at '{address}' ({error}). Is it running?") from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        dataset = ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts)).map(
            _annotate,
            fn_kwargs={"job": job, "model": ray.put(bundle)},
            concurrency=workers,
            num_cpus=1,
        )
        for row in dataset.iter_rows():
            yield Done(**row)
    except ray.exceptions.RayError as error:
        raise AnnotateError(
            f"A part failed on the cluster ({_cause(error)}). Run the same command again: the parts that "
            "are done are kept."
        ) from error
    finally:
        if not connected:
            ray.shutdown()


def _annotate(row: dict[str, Any], job: Job, model: Any) -> dict[str, Any]:
    return asdict(annotate_part(_interpreter(model), job, Part(**row)))


@lru_cache(maxsize=1)  # a process does many parts
def _interpreter(model: Any) -> Interpreter:
    import ray

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a task for every core
    return Interpreter(ray.get(model))


def _knock(address: str) -> None:
    """Finds out in seconds that nobody is at an address; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "://" not in address:
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()


def _cause(error: BaseException) -> str:
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
