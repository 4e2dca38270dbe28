"""Parquet files: all columns and their types stay, the columns of the answer are added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from sqz_nlu.errors import AnnotateError
from sqz_nlu.serving.annotate.files import import_pyarrow
from sqz_nlu.serving.annotate.rows import (
    ANSWER,
    CHUNK,
    CONFIDENCE,
    ENTITIES,
    ERROR,
    INTENT,
    Chunk,
    check_columns,
    text_of,
)

# A row group can only be decoded from its beginning, so each of its parts decodes what lies before it, too.
_PARTS_OF_A_GROUP = 16


class Parquet:
    """Parquet; a part is a range of rows.

    Raises:
        AnnotateError: pyarrow is not installed.
    """

    suffix = ".parquet"
    smallest_part, largest_part = 1_000, 100_000

    def __init__(self, text_column: str) -> None:
        self._column = text_column
        self._pq = import_pyarrow("parquet", "Parquet")
        self._pa = import_pyarrow("lib", "Parquet")

    def inspect(self, file: BinaryIO, where: str, size: int) -> tuple[int, int]:
        """Checks the columns; returns the rows of the shard, and how few of them a part may have."""
        try:
            parquet = self._pq.ParquetFile(file)
        except (self._pa.ArrowException, OSError) as error:
            raise AnnotateError(
                f"'{where}' cannot be read as Parquet ({error}). Mend or remove it."
            ) from error
        check_columns(where, parquet.schema_arrow.names, self._column)
        metadata = parquet.metadata
        groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return int(metadata.num_rows), max(1, -(-max(groups, default=0) // _PARTS_OF_A_GROUP))

    def read(self, file: BinaryIO, start: int, stop: int) -> Iterator[Chunk]:
        """The rows ``[start, stop)``."""
        parquet = self._pq.ParquetFile(file)
        position = first = 0
        groups: list[int] = []
        for group in range(parquet.num_row_groups):
            length = parquet.metadata.row_group(group).num_rows
            if position + length > start and position < stop:
                first = first if groups else position
                groups.append(group)
            position += length
        position = first
        for batch in parquet.iter_batches(CHUNK, row_groups=groups):
            begin, end = max(start - position, 0), min(stop - position, batch.num_rows)
            position += batch.num_rows
            if begin < end:
                rows = batch.slice(begin, end - begin)
                texts = rows.column(self._column).to_pylist()
                yield Chunk([text_of({self._column: text}, self._column) for text in texts], rows)
            if position >= stop:
                return

    @contextmanager
    def writer(self, file: BinaryIO) -> Iterator[_Writer]:
        """What writes chunks with their answers."""
        writer = _Writer(file, self._pq, self._pa)
        try:
            yield writer
        finally:
            writer.close()


class _Writer:
    def __init__(self, file: BinaryIO, pq: Any, pa: Any) -> None:
        self._file, self._pq, self._pa = file, pq, pa
        self._writer: Any = None
        text, number, integer = pa.string(), pa.float64(), pa.int64()
        entity = {
            "entity": text,
            "start": integer,
            "end": integer,
            "confidence_entity": number,
            "role": text,
            "confidence_role": number,
            "group": text,
            "confidence_group": number,
            "value": text,
            "extractor": text,
            "processors": pa.list_(text),
        }
        entities = pa.list_(pa.struct(list(entity.items())))
        self._types = {INTENT: text, CONFIDENCE: number, ENTITIES: entities, ERROR: text}

    def write(self, rows: Any, answers: Sequence[Mapping[str, Any]]) -> None:
        schema = rows.schema
        columns = list(rows.columns)
        for name in ANSWER:
            kind = self._types[name]
            schema = schema.append(self._pa.field(name, kind))
            columns.append(self._pa.array([answer[name] for answer in answers], kind))
        if self._writer is None:
            self._writer = self._pq.ParquetWriter(self._file, schema)
        self._writer.write_batch(self._pa.RecordBatch.from_arrays(columns, schema=schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
