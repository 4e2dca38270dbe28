"""One cell, in a process of its own: trains with Rasa, asks every test text, writes the figures."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import io
import json
import os
import resource
import tarfile
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import rasa_default

from nlu import scoring
from nlu.crf import CRF, fast_crf
from nlu.data import Material, Row, write_training_file
from nlu.passes import SharedPasses
from nlu.pipelines import FIRST_SEED, PIPELINES, reference_steps
from nlu.places import Sources
from nlu.resume import Kept
from nlu.store import write_json
from nlu.waits import without_waits
from sqz_nlu.training.calibration import expected_calibration_error

SAME = 1e-9
WARM_UP = 10  # parses before those that count
IMPORTED_FIRST = ("rasa.model_training", "rasa.core.agent", "tensorflow")  # loading libraries is not training
REFERENCE = "reference"
REFERENCE_TEXTS = 200
REFERENCE_PLACE = ("hwu64", "5shot")


@dataclasses.dataclass(frozen=True)
class Order:
    """What a child process is told to do, as JSON on its command line.

    Attributes:
        pipeline: its key in `PIPELINES`, or `REFERENCE`.
        dataset: a data set or a bot.
        part: which part of it.
        seed: of the training.
        sources: where data, bots, encoder and teacher are.
        out: the file to write.
        kept: a folder for what is kept of a training of a TensorFlow model that is interrupted.
        passes: a folder for passes that pipelines share.
        facts: what the result says besides.
    """

    pipeline: str
    dataset: str
    part: str
    seed: int
    sources: dict[str, Any]
    out: str
    kept: str
    passes: str
    facts: dict[str, Any]

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(dataclasses.asdict(self))


def carry_out(text: str) -> None:
    """Measures what an order says; ends at once when the process that gave it is gone."""
    order = Order(**json.loads(text))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    started = time.perf_counter()
    load = os.getloadavg()
    sources = Sources.from_dict(order.sources)
    entities, passes = True, None
    if order.pipeline == REFERENCE:
        steps, imports, outside, of_tensorflow = reference_steps(), IMPORTED_FIRST, 0, True
    else:
        pipeline = PIPELINES[order.pipeline]
        entities, of_tensorflow = pipeline.entities, "tensorflow" in pipeline.packages
        passes = SharedPasses(Path(order.passes)) if pipeline.shares_passes else None
        steps = pipeline.steps(order.seed, sources.encoder, sources.teacher)
        wants_torch = pipeline.ours or pipeline.outside == "teacher"
        imports = (*IMPORTED_FIRST, "torch", "sqz_nlu.fit") if wants_torch else IMPORTED_FIRST
        outside = sources.outside_bytes(pipeline.outside)
    material = sources.material(order.dataset, order.part)
    if order.pipeline == REFERENCE:
        material = dataclasses.replace(material, test=material.test[:REFERENCE_TEXTS])
    kept = Kept(Path(order.kept), {"order": order.pipeline, **order.facts.get("key", {})})
    figures = train_and_ask(steps, material, kept, imports, entities, passes)
    figures["model_bytes"] = figures["archive_bytes"] + outside
    if of_tensorflow:
        figures |= {"crf": CRF, "waits": False}
    result = {
        "pipeline": order.pipeline,
        "dataset": order.dataset,
        "part": order.part,
        "seed": order.seed,
        **figures,
        **order.facts,
        "threads": {
            "cores": os.cpu_count(),
            "usable": len(os.sched_getaffinity(0)),
            "OMP_NUM_THREADS": os.getenv("OMP_NUM_THREADS"),
        },
        "load_average": {"start": _rounded(load), "end": _rounded(os.getloadavg())},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_s": round(time.perf_counter() - started, 1),
    }
    write_json(Path(order.out), result)
    kept.forget()


def _end_with_parent() -> None:
    """The parent holds the other end of standard input."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def _rounded(load: Sequence[float]) -> list[float]:
    return [round(value, 2) for value in load]


def train_and_ask(
    steps: rasa_default.Steps,
    material: Material,
    kept: Kept,
    imports: Sequence[str] = (),
    entities: bool = True,
    passes: SharedPasses | None = None,
) -> dict[str, Any]:
    """Trains with Rasa, loads the archive with Rasa, asks one text after the other.

    Args:
        steps: the pipeline.
        material: what it learns from and is asked.
        kept: of an earlier training that was interrupted, and where this one is kept.
        imports: modules that are loaded before the clock starts.
        entities: whether they are scored.
        passes: where passes are that the pipeline shares with another; ``None`` if it shares none.
    """
    warnings.simplefilter("ignore")
    for name in imports:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        learned = write_training_file(material, Path(folder) / "nlu.yml")
        figures = _train(Path(folder), steps, kept, passes)
        figures |= {"examples": len(material.train), "learned": learned, "asked": len(material.test)}
        return figures | _ask_and_score(Path(folder) / "models", material, entities)


def _train(
    folder: Path, steps: rasa_default.Steps, kept: Kept, passes: SharedPasses | None
) -> dict[str, Any]:
    with kept.training(), fast_crf(), without_waits(), passes.training() if passes else nullcontext():
        archive = rasa_default.train(folder, steps)
        seconds, cpu = kept.times()
    if passes:
        seconds, cpu = seconds + passes.seconds, cpu + passes.cpu_seconds
    if archive is None:
        raise RuntimeError("Rasa trained nothing; its log is above.")
    return {
        "train_s": round(seconds, 2),
        "train_cpu_s": round(cpu, 2),
        "train_pieces": kept.pieces,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "archive_bytes": Path(archive).stat().st_size,
        **_bundle_facts(Path(archive)),
    }


def _bundle_facts(archive: Path) -> dict[str, Any]:
    """Size and precision of the bundle in an archive; nothing where there is none."""
    facts: dict[str, Any] = {}
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
        for member in members:
            if member.name.endswith("bundle/manifest.json"):
                content = packed.extractfile(member) or io.BytesIO()
                facts["precision"] = json.load(content).get("precision")
                home = member.name.removesuffix("manifest.json")
                facts["bundle_bytes"] = sum(m.size for m in members if m.name.startswith(home))
    return facts


def _ask_and_score(models: Path, material: Material, entities: bool) -> dict[str, Any]:
    from rasa.core.agent import Agent

    rasa_default.silence_structlog()
    agent = Agent.load(str(models))
    loop = asyncio.new_event_loop()

    def ask(text: str) -> tuple[scoring.Answer, float]:
        started = time.perf_counter()
        parse = loop.run_until_complete(agent.parse_message(text))
        elapsed = 1000 * (time.perf_counter() - started)
        spans = frozenset((e["start"], e["end"], e["entity"]) for e in parse["entities"])
        return scoring.Answer(parse["intent"]["name"], parse["intent"]["confidence"], spans), elapsed

    for row in material.test[:WARM_UP]:
        ask(row["text"])
    answers, times = zip(*(ask(row["text"]) for row in material.test), strict=True)
    outside = [ask(row["text"])[0] for row in material.out_of_scope]
    return scores(material.test, answers, outside, entities) | {
        "parse_p50_ms": round(float(np.percentile(times, 50)), 3),
        "parse_p95_ms": round(float(np.percentile(times, 95)), 3),
    }


def scores(
    test: Sequence[Row],
    answers: Sequence[scoring.Answer],
    outside: Sequence[scoring.Answer],
    entities: bool = True,
) -> dict[str, Any]:
    """Shares, 0 to 1; no text is among them."""
    right = [row["intent"] == answer.intent for row, answer in zip(test, answers, strict=True)]
    confidences = [answer.confidence for answer in answers]
    figures: dict[str, Any] = {
        "intent_accuracy": scoring.accuracy(right),
        "ece": expected_calibration_error(confidences, right),
    }
    gold = [{(start, end, kind) for start, end, kind, *_ in row["entities"]} for row in test]
    if entities and any(gold):
        found = [answer.spans for answer in answers]
        texts = [row["text"] for row in test]
        score = scoring.span_score(gold, found)
        figures |= {"span_f1": score.f1, "span_precision": score.precision, "span_recall": score.recall}
        again = scoring.seqeval_span_f1(texts, gold, found)
        if again is not None and abs(again - score.f1) > SAME:
            raise RuntimeError(f"Span F1 is {score.f1} here and {again} by seqeval; expected the same.")
        figures["span_f1_seqeval"] = again
    if outside:
        figures["auroc_out_of_scope"] = scoring.auroc(confidences, [answer.confidence for answer in outside])
    return {name: None if value is None else round(value, 5) for name, value in figures.items()}


def reference_order(sources: Sources, out: Path, kept: Path, facts: dict[str, Any]) -> Order:
    """The small cell that every run measures again."""
    dataset, part = REFERENCE_PLACE
    return Order(REFERENCE, dataset, part, FIRST_SEED, sources.to_dict(), str(out), str(kept), "", facts)
