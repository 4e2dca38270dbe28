"""Results: a file a cell, in a folder for each machine, replaced in one step."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import RESULTS, machine

from nlu.cells import Cell

Record = dict[str, Any]
LONGEST_RUN_S = 2 * 86_400


def write_json(path: Path, content: Record) -> None:
    """Writes beside the place and renames into it: a reader sees the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def run_name(moment: float) -> str:
    """A name for a run that began then, in seconds since the epoch; the names' order is that of time."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def machine_name(processor: str) -> str:
    """A folder's name for a kind of machine: times are compared only within one."""
    return f"nlu-{hashlib.sha256(processor.encode()).hexdigest()[:8]}"


class Store:
    """The results of one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def here(results: Path = RESULTS) -> Store:
        """Those of this machine."""
        return Store(results / machine_name(machine()["processor"]))

    def read(self, cell: Cell) -> Record | None:
        """A cell's record; ``None`` if there is none."""
        path = self.folder / cell.file
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    def records(self) -> Iterator[Record]:
        """All cells' records, by the name of their files."""
        for path in sorted(self.folder.glob("*.json")):
            if not path.name.startswith("reference-"):
                yield json.loads(path.read_text("utf-8"))

    def reference_path(self, run: str) -> Path:
        """Where a run keeps its reference cell."""
        return self.folder / f"reference-{run}.json"

    def references(self) -> dict[str, Record]:
        """The reference cells by run."""
        return {
            path.stem.removeprefix("reference-"): json.loads(path.read_text("utf-8"))
            for path in sorted(self.folder.glob("reference-*.json"))
        }

    def forget_unused_references(self) -> None:
        """Removes the reference cells of runs none of whose results is left, unless they may be under way."""
        used = {record["run"] for record in self.records()}
        recent = run_name(time.time() - LONGEST_RUN_S)
        for run in set(self.references()) - used:
            if run < recent:
                self.reference_path(run).unlink()


def stale_because(record: Record, key: dict[str, Any]) -> str | None:
    """What a record no longer agrees with; ``None`` if it counts as measured."""
    seen = record.get("key", {})
    return ", ".join(name for name in {**key, **seen} if seen.get(name) != key.get(name)) or None
