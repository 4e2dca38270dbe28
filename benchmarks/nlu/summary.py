"""Cells of one machine, joined over their seeds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nlu.cells import DATA_SETS, FILES, UNSEEN
from nlu.data import BOT_PART
from nlu.pipelines import PIPELINES
from nlu.store import Record

Place = tuple[str, str]  # data set, part
PARTS = {  # for people
    "5shot": "5-shot",
    "10shot": "10-shot",
    "full": "full",
    UNSEEN: "unseen",
    BOT_PART: "bot",
}
NOTHING = "–"  # where a table has no figure
BUSY = 1.5  # load average for each usable core, above which times were measured beside other work


@dataclass(frozen=True)
class Group:
    """The cells of one pipeline at one place."""

    records: tuple[Record, ...]

    def values(self, metric: str) -> list[float]:
        """A metric by seed; empty where the pipeline does not have it."""
        return [record[metric] for record in self.records if record.get(metric) is not None]

    def mean(self, metric: str) -> float | None:
        """Its mean over the seeds."""
        return statistics.mean(self.values(metric)) if self.values(metric) else None

    def spread(self, metric: str) -> float:
        """Its standard deviation over the seeds; 0 for one."""
        return statistics.stdev(self.values(metric)) if len(self.values(metric)) > 1 else 0.0

    @property
    def seeds_missing(self) -> str:
        """Such as `1 of 3 seeds` where some are not measured yet; else empty."""
        planned = PIPELINES[self.records[0]["pipeline"]].seeds[self.records[0]["part"] == "full"]
        return f"{len(self.records)} of {planned} seeds" if len(self.records) < planned else ""

    @property
    def beside_other_work(self) -> bool:
        """Whether that holds for one of them."""
        return any(map(was_busy, self.records))


def was_busy(record: Record) -> bool:
    """Whether other processes ran meanwhile, as far as load average and usable cores tell."""
    threads = record["threads"]
    pinned = threads["usable"] < threads["cores"]
    return pinned or max(load[0] for load in record["load_average"].values()) > BUSY * threads["usable"]


class Summary:
    """Groups by place and pipeline, with the reference cells of their runs.

    Where a place's data have changed, only what was measured on the newest of them counts.
    """

    def __init__(self, records: Iterable[Record], references: Mapping[str, Record]) -> None:
        known = sorted((r for r in records if r["pipeline"] in PIPELINES), key=lambda r: str(r["run"]))
        newest = {(r["dataset"], r["part"]): r["key"].get("data") for r in known}
        gathered: dict[tuple[Place, str], list[Record]] = defaultdict(list)
        for record in known:
            place = record["dataset"], record["part"]
            if record["key"].get("data") == newest[place]:
                gathered[place, record["pipeline"]].append(record)
        self._groups = {key: Group(tuple(found)) for key, found in gathered.items()}
        self.references = references

    def __bool__(self) -> bool:
        return bool(self._groups)

    def group(self, place: Place, pipeline: str) -> Group | None:
        """The cells of a pipeline at a place."""
        return self._groups.get((place, pipeline))

    def groups(self) -> list[Group]:
        """All of them."""
        return list(self._groups.values())

    def pipelines(self) -> list[str]:
        """Those with a cell, in the order of the tables."""
        return [name for name in PIPELINES if any(name == pipeline for _, pipeline in self._groups)]

    def places(self) -> list[Place]:
        """Those with a cell: data sets from few to all examples, then bots."""
        seen = {place for place, _ in self._groups}
        known = [(name, part) for name, parts in DATA_SETS.items() for part in parts]
        bots = sorted(place for place in seen if place[1] == BOT_PART)
        known.sort(key=lambda place: list(FILES).index(place[1]))
        return [place for place in [*known, *bots] if place in seen]

    def mean(self, place: Place, pipeline: str, metric: str) -> float | None:
        """The mean over the seeds of what was measured."""
        group = self.group(place, pipeline)
        return group.mean(metric) if group else None

    def training_ratio(self, place: Place, pipeline: str, other: str) -> float | None:
        """Training time over that of another pipeline, each in units of its run's reference cell; time of
        processors where a run had no such cell.
        """
        mine, theirs = self._relative_training(place, pipeline), self._relative_training(place, other)
        if mine is None or theirs is None:
            mine, theirs = (self.mean(place, name, "train_cpu_s") for name in (pipeline, other))
        return mine / theirs if mine is not None and theirs else None

    def _relative_training(self, place: Place, pipeline: str) -> float | None:
        group = self.group(place, pipeline)
        if group is None:
            return None
        units = [self.references.get(record["run"], {}).get("train_s") for record in group.records]
        if None in units:
            return None
        return statistics.mean(r["train_s"] / unit for r, unit in zip(group.records, units, strict=True))
