"""Which shards there are, and the parts they are cut into.

A plan depends on the input, the model and nothing else, so that a run that goes on makes the parts the
first one would have made. The manifest in the output folder is the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol

from sqz_nlu._version import __version__
from sqz_nlu.errors import AnnotateError
from sqz_nlu.serving.annotate.files import Place, locate
from sqz_nlu.serving.annotate.lines import Lines
from sqz_nlu.serving.annotate.parquet import Parquet
from sqz_nlu.serving.annotate.rows import Chunk

MANIFEST = "_manifest.json"
FORMATS = ("jsonl", "text", "parquet")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text", ".parquet": "parquet"}
_MOST_PARTS = 1024  # for as long as the parts stay below their largest size
_END = 2**16
_READERS = 16


class Writer(Protocol):
    """Writes the rows of chunks with their answers."""

    def write(self, rows: Any, answers: Sequence[Mapping[str, Any]]) -> None:
        """Writes rows of a chunk with an answer for each."""


class Kind(Protocol):
    """A kind of file."""

    suffix: str
    smallest_part: int
    largest_part: int

    def inspect(self, file: BinaryIO, where: str, size: int) -> tuple[int, int]:
        """Checks the columns; returns the length of the shard in its unit, and of its shortest part."""

    def read(self, file: BinaryIO, start: int, stop: int) -> Iterator[Chunk]:
        """The rows of a part."""

    def writer(self, file: BinaryIO) -> AbstractContextManager[Writer]:
        """What writes chunks with their answers."""


@dataclass(frozen=True)
class Job:
    """What all parts of a run share.

    Attributes:
        source: path or URL of the input.
        output: path or URL of the folder of parts.
        format: one of ``FORMATS``.
        text_column: the column of the texts.
    """

    source: str
    output: str
    format: str
    text_column: str

    @property
    def kind(self) -> Kind:
        """How the files are read and written."""
        if self.format == "parquet":
            return Parquet(self.text_column)
        return Lines(self.text_column, plain=self.format == "text")


@dataclass(frozen=True)
class Shard:
    """A file of the input.

    Attributes:
        name: below the input.
        size: in bytes.
        length: in bytes for lines, in rows for Parquet.
        shortest: length that its parts have at least, but for the last.
        ends: SHA-256 of its first and last 64 KiB.
    """

    name: str
    size: int
    length: int
    shortest: int
    ends: str


@dataclass(frozen=True)
class Part:
    """What is done once: ``[start, stop)`` of a shard, in the unit of its length."""

    name: str
    shard: str
    start: int
    stop: int


def find_format(source: str, given: str | None) -> str:
    """The kind of the files of the input.

    Raises:
        AnnotateError: there are none, or they are not all of one known kind.
    """
    names = list(locate(source).sizes())
    if not names:
        raise AnnotateError(f"There is nothing at '{source}'. Expected a file, or a folder with files.")
    if given is not None:
        return given
    formats: dict[str, str] = {}
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in _SUFFIXES:
            raise AnnotateError(
                f"'{name}' does not end in {', '.join(_SUFFIXES)}. Remove it, or give --format for all files."
            )
        formats.setdefault(_SUFFIXES[suffix], name)
    if len(formats) > 1:
        raise AnnotateError(
            f"'{source}' holds files of more than one kind: {', '.join(formats.values())}. Split it."
        )
    return next(iter(formats))


def find_shards(job: Job) -> list[Shard]:
    """The files of the input, checked.

    Raises:
        AnnotateError: one cannot be read, or lacks the text column.
    """
    place, kind = locate(job.source), job.kind

    def look(name: str, size: int) -> Shard:
        with place.open(name) as file:
            ends = hashlib.sha256(file.read(_END))
            file.seek(max(size - _END, 0))
            ends.update(file.read(_END))
            file.seek(0)
            length, shortest = kind.inspect(file, name, size) if size or job.format == "parquet" else (0, 1)
        return Shard(name, size, length, shortest, ends.hexdigest())

    sizes = place.sizes()
    with ThreadPoolExecutor(_READERS) as threads:
        return list(threads.map(look, sizes.keys(), sizes.values()))


def cut(shards: Sequence[Shard], kind: Kind) -> list[Part]:
    """The parts of the shards, in order."""
    total = sum(shard.length for shard in shards)
    size = min(max(total // _MOST_PARTS, kind.smallest_part), kind.largest_part)
    ranges = [
        (shard.name, start, min(start + step, shard.length))
        for shard in shards
        for step in [max(size, shard.shortest)]
        for start in range(0, shard.length, step)
    ]
    return [Part(f"part-{index:06d}{kind.suffix}", *where) for index, where in enumerate(ranges)]


def settle(place: Place, job: Job, model: str, shards: Sequence[Shard], parts: Sequence[Part]) -> None:
    """Writes the manifest, or checks that the one that is there says the same.

    Args:
        place: the output.
        job: what the parts share.
        model: the checksum of the model.
        shards: of the input.
        parts: the shards are cut into.

    Raises:
        AnnotateError: the output was begun with something else, or is not an output.
    """
    manifest = {
        "sqz_nlu": __version__,
        "model": model,
        "format": job.format,
        "text_column": job.text_column,
        "shards": [asdict(shard) for shard in shards],
        "parts": [asdict(part) for part in parts],
    }
    try:
        with place.open(MANIFEST) as file:
            begun = json.load(file)
        if not isinstance(begun, dict) or not begun:
            raise ValueError(f"its {MANIFEST} holds {str(begun)[:50]}")
    except FileNotFoundError:
        if present := next(iter(place.sizes()), None):
            raise AnnotateError(
                f"'{job.output}' has no {MANIFEST} but holds '{present}'. Give a new folder."
            ) from None
        with place.write(MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1).encode())
        return
    except (ValueError, NotADirectoryError) as error:
        raise AnnotateError(
            f"'{job.output}' is not the folder of an earlier run ({error}). Give a new folder."
        ) from error
    for name, value in manifest.items():
        if begun.get(name) != value:
            other = f"{_spoken(name)}{_difference(begun.get(name), value)}"
            raise AnnotateError(
                f"'{job.output}' was begun with another {other}. "
                "Go on with what it was begun with, or give a new folder."
            )


def _spoken(name: str) -> str:
    return {"sqz_nlu": "version of sqz-nlu", "text_column": "text column", "shards": "input"}.get(name, name)


def _difference(begun: Any, now: Any) -> str:
    if not isinstance(now, list):
        return f" ({begun} then, {now} now)"
    if not isinstance(begun, list):
        return ""
    names = {entry["name"] for entry in begun + now if entry not in begun or entry not in now}
    return f" ('{min(names)}' has changed)" if names else ""
