"""Parts on the processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection

from sqz_nlu.errors import AnnotateError
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.serving.annotate.part import Done, annotate_part
from sqz_nlu.serving.annotate.plan import Job, Part
from sqz_nlu.serving.settings import usable_processors


def on_processes(bundle: Bundle, job: Job, parts: Sequence[Part], workers: int | None) -> Iterator[Done]:
    """Annotates parts and yields each as soon as it is done.

    Args:
        bundle: the model; every process gets its bytes, so a change on disk cannot mix models.
        job: what the parts share.
        parts: to do.
        workers: processes; none for one for each core this process may use.

    Raises:
        AnnotateError: a process died.
    """
    context = get_context("spawn")
    # Nothing is ever sent: when this end closes, or this process dies in whatever way, the workers end too.
    ours_ends, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers or usable_processors(), context, _start, (bundle, ours_ends))
    try:
        for future in as_completed([pool.submit(_annotate, job, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool:
        raise AnnotateError(
            "A worker process died, perhaps for want of memory. Run the same command again, with fewer "
            "--workers: the parts that are done are kept."
        ) from None
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()


_interpreter: Interpreter | None = None


def _start(bundle: Bundle, parent: Connection) -> None:
    global _interpreter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and closes its end
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for every core
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _interpreter = Interpreter(bundle)


def _end_with(parent: Connection) -> None:
    try:
        parent.poll(None)
    finally:
        os._exit(1)


def _annotate(job: Job, part: Part) -> Done:
    assert _interpreter is not None, "the pool calls _start first"
    return annotate_part(_interpreter, job, part)
