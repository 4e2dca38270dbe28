"""What the table is judged by: figures to reach, in points of a percent where the metric is a share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nlu.cells import DATA_SETS, UNSEEN
from nlu.data import BOT_PART
from nlu.pipelines import PIPELINES
from nlu.summary import Place, Summary

OURS, FLOAT, DIET = "ours-int8", "ours-float", "diet"
FULL: tuple[Place, ...] = tuple((name, "full") for name, parts in DATA_SETS.items() if "full" in parts)

INTENTS = {
    ("banking77", "5shot"): 79.0,
    ("clinc150", "5shot"): 89.0,
    ("hwu64", "5shot"): 77.0,
    ("banking77", "10shot"): 86.0,
    ("clinc150", "10shot"): 92.5,
    ("hwu64", "10shot"): 84.0,
    ("banking77", "full"): 93.0,
    ("clinc150", "full"): 96.5,
    ("hwu64", "full"): 92.0,
}
SPANS = {("hwu64", "10shot"): 58.0, ("snips", "full"): 95.0, ("atis", "full"): 95.0}
SPANS_ABOVE_DIET = {("hwu64_kfold1", "full"): 2.0, ("snips", "full"): 0.0, ("atis", "full"): 0.0}
OUT_OF_SCOPE = ("clinc150", "full")
LEAST_AUROC, AUROC_ABOVE_DIET = 0.95, 0.03
MOST_ECE = 0.04
MOST_TRAINING = 0.15  # of DIET's time
MOST_LOST_TO_INT8 = 0.3  # points


@dataclass(frozen=True)
class Judgement:
    """A target and what became of it.

    Attributes:
        place: data set and part.
        what: the metric.
        target: in words.
        seen: what was measured, in words; empty if a cell is missing.
        met: whether it is reached; ``None`` if a cell is missing.
    """

    place: Place
    what: str
    target: str
    seen: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """For the table."""
        return "not measured" if self.met is None else "met" if self.met else "**missed**"


def judge(summary: Summary) -> Iterator[Judgement]:
    """All targets, measured or not."""
    for place, least in INTENTS.items():
        yield _at_least(summary, place, "intent_accuracy", least)
        if place[1] == "full":
            yield _above_diet(summary, place, "intent_accuracy", 0.0)
    for place, least in SPANS.items():
        yield _at_least(summary, place, "span_f1", least)
    for place, margin in SPANS_ABOVE_DIET.items():
        yield _above_diet(summary, place, "span_f1", margin)
    yield from _elsewhere(summary)
    yield from _out_of_scope(summary)
    for place in FULL:
        ece = summary.mean(place, OURS, "ece")
        yield _judgement(
            place, "ECE", f"at most {MOST_ECE}", ece, "{:.3f}", ece is not None and ece <= MOST_ECE
        )
    for place in FULL:
        ratio = summary.training_ratio(place, OURS, DIET)
        reached = ratio is not None and ratio <= MOST_TRAINING
        yield _judgement(place, "training", f"at most {MOST_TRAINING} of DIET's", ratio, "{:.3f}", reached)
    for place in summary.places():
        for metric in ("intent_accuracy", "span_f1"):
            lost = _difference(summary, place, metric, FLOAT, OURS)
            if lost is not None:
                reached = round(lost, 3) <= MOST_LOST_TO_INT8
                target = f"at most {MOST_LOST_TO_INT8} below float"
                yield _judgement(
                    place, f"{NAMES[metric]}, int8", target, -round(lost, 2) + 0.0, "{:+.2f}", reached
                )


def _elsewhere(summary: Summary) -> Iterator[Judgement]:
    """Bots, and sets that nothing was chosen on."""
    for place in summary.places():
        if place[1] in (BOT_PART, UNSEEN):
            yield _above_diet(summary, place, "intent_accuracy", 0.0)
            if summary.mean(place, OURS, "span_f1") is not None:
                yield _above_diet(summary, place, "span_f1", 0.0)


def _out_of_scope(summary: Summary) -> Iterator[Judgement]:
    value = summary.mean(OUT_OF_SCOPE, OURS, "auroc_out_of_scope")
    reached = value is not None and value >= LEAST_AUROC
    yield _judgement(OUT_OF_SCOPE, "AUROC", f"at least {LEAST_AUROC}", value, "{:.3f}", reached)
    points = _difference(summary, OUT_OF_SCOPE, "auroc_out_of_scope", OURS, DIET)
    gain = None if points is None else points / 100
    reached = gain is not None and gain >= AUROC_ABOVE_DIET
    yield _judgement(OUT_OF_SCOPE, "AUROC", f"above DIET by {AUROC_ABOVE_DIET}", gain, "{:+.3f}", reached)


NAMES = {"intent_accuracy": "intents", "span_f1": "span F1"}


def _judgement(
    place: Place, what: str, target: str, value: float | None, form: str, reached: bool
) -> Judgement:
    known = value is not None
    return Judgement(place, what, target, form.format(value) if known else "", reached if known else None)


def _at_least(summary: Summary, place: Place, metric: str, least: float) -> Judgement:
    value = summary.mean(place, OURS, metric)
    points = None if value is None else 100 * value
    reached = points is not None and points >= least
    return _judgement(place, NAMES[metric], f"at least {least:g}", points, "{:.1f}", reached)


def _above_diet(summary: Summary, place: Place, metric: str, margin: float) -> Judgement:
    gain = _difference(summary, place, metric, OURS, DIET)
    target = f"above DIET by {margin:g}" if margin else "above DIET"
    reached = gain is not None and (gain >= margin if margin else gain > 0)
    return _judgement(place, NAMES[metric], target, gain, "{:+.1f}", reached)


def _difference(summary: Summary, place: Place, metric: str, one: str, other: str) -> float | None:
    """Points of one pipeline above another; with several seeds of both, over the seeds they share."""
    first, second = summary.group(place, one), summary.group(place, other)
    if first is None or second is None:
        return None
    if {one, other} == {OURS, FLOAT}:
        shared = {r["seed"] for r in first.records} & {r["seed"] for r in second.records}
        first, second = (type(g)(tuple(r for r in g.records if r["seed"] in shared)) for g in (first, second))
    a, b = first.mean(metric), second.mean(metric)
    return None if a is None or b is None else 100 * (a - b)


assert {OURS, FLOAT, DIET} <= set(PIPELINES)
