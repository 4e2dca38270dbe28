"""What the kinds of files have in common: chunks of rows, their texts, and the columns of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqz_nlu.errors import AnnotateError, did_you_mean

# Rows that are parsed at once. A part is always cut into the same chunks, so it always gets the same answers.
CHUNK = 4096
INTENT, CONFIDENCE, ENTITIES, ERROR = "sqz_intent", "sqz_confidence", "sqz_entities", "sqz_error"
ANSWER = (INTENT, CONFIDENCE, ENTITIES, ERROR)


@dataclass(frozen=True)
class Unreadable:
    """Stands for the text of a row that has none, and says why."""

    reason: str


Text = str | Unreadable


@dataclass(frozen=True)
class Chunk:
    """Some rows of a part.

    Attributes:
        texts: what to parse, one for each row.
        rows: the rows, in the form that the writer of the same kind of file takes.
    """

    texts: Sequence[Text]
    rows: Any


def text_of(row: Mapping[str, Any], column: str) -> Text:
    """The text of a row."""
    if column not in row:
        return Unreadable(f"the row has no '{column}'")
    text = row[column]
    return text if isinstance(text, str) else Unreadable(f"'{column}' is {text!r:.60}; expected a string")


def check_columns(where: str, columns: Sequence[str], text_column: str) -> None:
    """Refuses a shard that cannot be annotated.

    Raises:
        AnnotateError: there is no text column or several, or there are columns where the answers go.
    """
    if text_column not in columns:
        raise AnnotateError(
            f"'{where}' has no column '{text_column}'; it has {', '.join(columns) or 'none'}."
            f"{did_you_mean(text_column, columns)} Name the column of the texts with --text-column."
        )
    if columns.count(text_column) > 1:
        raise AnnotateError(f"'{where}' has several columns '{text_column}'. Rename all but one of them.")
    if taken := [name for name in ANSWER if name in columns]:
        raise AnnotateError(
            f"'{where}' already has {', '.join(taken)}: the answers go there. Rename them first."
        )
