"""Files with a row a line: JSON Lines, and plain text. What is written is JSON Lines.

Every line is a row, so that line n of the output is line n of the input. A line that cannot be read as a
row is kept as text under ``sqz_line``, with the error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

from sqz_nlu.serving.annotate.rows import ANSWER, CHUNK, Chunk, Text, Unreadable, check_columns, text_of
from sqz_nlu.serving.shortcuts import finite

_LINE = "sqz_line"
_HEAD = 100
_BOM = b"\xef\xbb\xbf"


class Lines:
    """JSON Lines or plain text; a part is the lines that begin in a range of bytes."""

    suffix = ".jsonl"
    smallest_part, largest_part = 2**16, 2**23

    def __init__(self, text_column: str, plain: bool) -> None:
        self._column = text_column
        self._plain = plain

    def inspect(self, file: BinaryIO, where: str, size: int) -> tuple[int, int]:
        """Checks the columns of the first rows; returns the length of the shard in bytes, and 1.

        Where each of them has answers, the file was annotated before. Where only some have, these fail alone.
        """
        if not self._plain:
            head = (_names(line) for line in islice(_lines(file, 0, size), _HEAD))
            rows = [names for names in head if names]
            columns = dict.fromkeys(
                name
                for names in rows
                for name in names
                if name not in ANSWER or all(name in others for others in rows)
            )
            if columns:
                check_columns(where, list(columns), self._column)
        return size, 1

    def read(self, file: BinaryIO, start: int, stop: int) -> Iterator[Chunk]:
        """The rows of the lines that begin in ``[start, stop)``."""
        rows = (self._row(line) for line in _lines(file, start, stop))
        while chunk := list(islice(rows, CHUNK)):
            yield Chunk([text for _, text in chunk], [row for row, _ in chunk])

    @contextmanager
    def writer(self, file: BinaryIO) -> Iterator[_Writer]:
        """What writes chunks with their answers."""
        yield _Writer(file)

    def _row(self, line: bytes) -> tuple[dict[str, Any], Text]:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"the line is not UTF-8: byte 0x{line[error.start]:02x} at {error.start}"
            return self._unread(line.decode("utf-8", "replace"), reason)
        if self._plain:
            return {self._column: text}, text
        try:
            row = json.loads(text, parse_constant=finite, parse_float=finite)
        except (ValueError, RecursionError) as error:
            return self._unread(text, f"the line is not JSON: {error}")
        if not isinstance(row, dict):
            return self._unread(text, f"the line is a JSON {type(row).__name__}; expected an object")
        if taken := [name for name in (*ANSWER, _LINE) if name in row]:
            return self._unread(text, f"the row already has {', '.join(taken)}")
        return row, text_of(row, self._column)

    def _unread(self, text: str, reason: str) -> tuple[dict[str, Any], Text]:
        return {self._column if self._plain else _LINE: text}, Unreadable(reason)


def _names(line: bytes) -> list[str]:
    """The names in a line that is a JSON object; none in any other."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return []
    return list(row) if isinstance(row, dict) else []


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            self._file.write(_json({**row, **answer}) + b"\n")


def _json(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate can only be written escaped
        return json.dumps(row).encode("ascii")


def _lines(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """The lines whose first byte lies in ``[start, stop)``, without what ends them."""
    position = max(start - 1, 0)
    file.seek(position)
    if start:  # the line of the byte before belongs to an earlier part
        position += len(file.readline())
    while position < stop and (line := file.readline()):
        mark = _BOM if position == 0 else b""
        position += len(line)
        yield line.removeprefix(mark).removesuffix(b"\n").removesuffix(b"\r")
