"""How long cells take, from those on record."""

from __future__ import annotations

from collections.abc import Sequence

from nlu.cells import Cell
from nlu.store import Record


def duration(cell: Cell, examples: int, records: Sequence[Record]) -> float | None:
    """About how many seconds a cell takes; ``None`` if its pipeline is on record nowhere.

    The nearest record counts: of the same place if there is one, else of the same pipeline and most alike in
    number of examples. Then the time grows with the examples, and is no less than the shortest on record.
    """
    alike = [record for record in records if record["pipeline"] == cell.pipeline]
    if not alike:
        return None
    here = [r["wall_s"] for r in alike if (r["dataset"], r["part"]) == (cell.dataset, cell.part)]
    if here:
        return float(sum(here) / len(here))
    nearest = min(alike, key=lambda r: max(r["examples"], examples) / max(1, min(r["examples"], examples)))
    scaled = nearest["wall_s"] * examples / nearest["examples"]
    return float(max(scaled, min(r["wall_s"] for r in alike)))


def in_words(seconds: Sequence[float | None]) -> str:
    """A sum of durations for people."""
    known = [value for value in seconds if value is not None]
    unknown = len(seconds) - len(known)
    if not known:
        return "no idea how long"
    minutes = round(sum(known) / 60)
    words = (
        f"about {minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"about {max(1, minutes)} min"
    )
    return f"{words} and {unknown} without a precedent" if unknown else words
