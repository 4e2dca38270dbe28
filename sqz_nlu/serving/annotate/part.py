"""Annotates one part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import ParseResult
from sqz_nlu.serving.annotate.files import Place, locate
from sqz_nlu.serving.annotate.plan import Job, Part
from sqz_nlu.serving.annotate.rows import CONFIDENCE, ENTITIES, ERROR, INTENT, Text, Unreadable
from sqz_nlu.serving.batches import parse_each

DONE = "_done"


@dataclass(frozen=True)
class Done:
    """A part that is done.

    Attributes:
        name: of the part.
        rows: in it.
        failed: those of them with an error.
        size: of its file, in bytes.
    """

    name: str
    rows: int
    failed: int
    size: int


def annotate_part(interpreter: Interpreter, job: Job, part: Part) -> Done:
    """Writes the rows of a part with their answers, and after it what says that it is done.

    Both appear complete or not at all. Doing a part again, or twice at the same time, leaves the same files.
    """
    output = locate(job.output)
    rows = failed = 0
    with locate(job.source).open(part.shard) as file, output.write(part.name) as target:
        with job.kind.writer(target) as writer:
            for chunk in job.kind.read(file, part.start, part.stop):
                answers = understand(interpreter, chunk.texts)
                writer.write(chunk.rows, answers)
                rows += len(answers)
                failed += sum(answer[ERROR] is not None for answer in answers)
        size = target.tell()
    done = Done(part.name, rows, failed, size)
    with output.write(f"{DONE}/{part.name}.json") as target:
        target.write(json.dumps(asdict(done)).encode())
    return done


def find_done(output: Place, part: Part) -> Done | None:
    """What says that a part is done, if it is."""
    try:
        with output.open(f"{DONE}/{part.name}.json") as file:
            return Done(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):  # torn by a crash of the machine: done again
        return None


def understand(interpreter: Interpreter, texts: Sequence[Text]) -> list[dict[str, Any]]:
    """The columns of the answers; what cannot be parsed gets its error and spoils nothing else."""
    results = iter(parse_each(interpreter, [text for text in texts if not isinstance(text, Unreadable)]))
    return [_answer(text if isinstance(text, Unreadable) else next(results)) for text in texts]


def _answer(result: ParseResult | Exception | Unreadable) -> dict[str, Any]:
    if isinstance(result, Exception):
        result = Unreadable(f"{type(result).__name__}: {result}")
    if isinstance(result, Unreadable):
        return {INTENT: None, CONFIDENCE: None, ENTITIES: None, ERROR: result.reason}
    return {
        INTENT: result.intent.name,
        CONFIDENCE: result.intent.confidence,
        ENTITIES: [entity.to_dict(result.extractor) for entity in result.entities],
        ERROR: None,
    }
