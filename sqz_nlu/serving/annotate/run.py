"""Annotates an input: plan, go on where an earlier run ended, do the parts, sum up."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqz_nlu.errors import AnnotateError
from sqz_nlu.runtime.archive import open_model
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.serving.annotate.files import Place, locate
from sqz_nlu.serving.annotate.part import DONE, Done, find_done
from sqz_nlu.serving.annotate.plan import Job, Part, cut, find_format, find_shards, settle
from sqz_nlu.serving.annotate.pool import on_processes

SUMMARY = "_summary.json"
_READERS = 16


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        rows: done in this run.
        failed: those of them with an error.
        parts: done in this run.
        parts_kept: that earlier runs had done.
        parts_in_all: that make the output.
        fraction: of the work of this run, by bytes of lines or rows of Parquet.
        seconds: since the first part was begun.
    """

    rows: int
    failed: int
    parts: int
    parts_kept: int
    parts_in_all: int
    fraction: float
    seconds: float


def annotate(
    source: str | Path,
    output: str | Path,
    model: str | Path,
    *,
    text_column: str = "text",
    file_format: str | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Writes the rows of a file or folder with what the model understands, one row for each row.

    A row gets ``sqz_intent`` (name), ``sqz_confidence``, ``sqz_entities`` (as Rasa gives them) and
    ``sqz_error``; a row that cannot be parsed gets its error alone. Run again after a crash, it does what
    is left.

    Args:
        source: a file or a folder: a path, or a URL that pyarrow knows.
        output: a folder for the parts: a path or URL; new, empty, or of a run that was cut off.
        model: bundle folder or model archive.
        text_column: the column of the texts.
        file_format: ``jsonl``, ``text`` or ``parquet``; none for what the file names say.
        workers: processes, or tasks at a time on Ray; none for all cores.
        ray_address: none for the processes of this machine; ``local`` for Ray on it, or a cluster's address.
        report: called when a part is done.

    Returns:
        The summary that is also written to ``_summary.json``.

    Raises:
        BundleError: the model is missing, damaged, or an encoder without intents and entities.
        AnnotateError: the input cannot be read, the output was begun with something else, or a worker died.
    """
    bundle = open_model(model)
    _try(bundle)
    source, output = _absolute(source), _absolute(output)
    _keep_apart(source, output)
    try:
        job = Job(source, output, find_format(source, file_format), text_column)
        shards = find_shards(job)
        parts = cut(shards, job.kind)
        place = locate(job.output)
        settle(place, job, bundle.manifest["checksum"], shards, parts)
        for folder in ("", DONE):
            place.sweep(folder)
        kept = _find_kept(place, parts)
        summary = _work(bundle, job, parts, kept, workers, ray_address, report)
        with place.write(SUMMARY) as file:
            file.write(json.dumps(summary).encode())
    except OSError as error:
        raise AnnotateError(
            f"Reading '{source}' or writing '{output}' failed ({error}). Mend it and run the same command "
            "again: the parts that are done are kept."
        ) from error
    return summary


def _try(bundle: Bundle) -> None:
    """Says early and once what does not work at all.

    On a thread of its own: where ONNX Runtime has worked, subnormal numbers are zero, of which numpy warns.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: Interpreter(bundle).parse("hello")).result()


def _work(
    bundle: Bundle,
    job: Job,
    parts: Sequence[Part],
    kept: dict[str, Done],
    workers: int | None,
    ray_address: str | None,
    report: Callable[[Progress], None],
) -> dict[str, Any]:
    left = {part.name: part for part in parts if part.name not in kept}
    length = sum(part.stop - part.start for part in left.values())
    begun = time.monotonic()
    done: list[Done] = []
    covered = 0
    for one in _runner(bundle, job, list(left.values()), workers, ray_address) if left else ():
        done.append(one)
        covered += left[one.name].stop - left[one.name].start
        report(
            Progress(
                rows=sum(part.rows for part in done),
                failed=sum(part.failed for part in done),
                parts=len(done),
                parts_kept=len(kept),
                parts_in_all=len(parts),
                fraction=covered / length,
                seconds=time.monotonic() - begun,
            )
        )
    seconds = time.monotonic() - begun
    everything = [*kept.values(), *done]
    return {
        "output": job.output,
        "rows": sum(part.rows for part in everything),
        "failed": sum(part.failed for part in everything),
        "parts": len(parts),
        "parts_kept": len(kept),
        "seconds": round(seconds, 3),
        "rows_per_second": round(sum(part.rows for part in done) / seconds, 1) if done else None,
    }


def _runner(
    bundle: Bundle, job: Job, parts: Sequence[Part], workers: int | None, ray_address: str | None
) -> Any:
    if ray_address is None:
        return on_processes(bundle, job, parts, workers)
    from sqz_nlu.serving.annotate.ray_data import on_ray

    return on_ray(bundle, job, parts, workers, ray_address)


def _find_kept(place: Place, parts: Sequence[Part]) -> dict[str, Done]:
    """The parts that earlier runs have done and whose files are as they left them."""
    sizes = place.sizes()
    present = [part for part in parts if part.name in sizes]
    with ThreadPoolExecutor(_READERS) as threads:
        found = threads.map(lambda part: find_done(place, part), present)
        return {done.name: done for done in found if done is not None and done.size == sizes[done.name]}


def _absolute(path: str | Path) -> str:
    """A path that means the same to every process."""
    return str(path) if "://" in str(path) else os.path.abspath(path)


def _keep_apart(source: str, output: str) -> None:
    if "://" in source + output:
        return
    inner, outer = Path(output).resolve(), Path(source).resolve()
    if inner == outer or outer in inner.parents:
        raise AnnotateError(
            f"The output '{output}' lies in the input '{source}'. Give a folder outside of it."
        )
