"""What README.md says of the comparison: our pipeline and Rasa's default one, place by place."""

from __future__ import annotations

from collections.abc import Sequence

from nlu.cells import UNSEEN
from nlu.data import BOT_PART
from nlu.summary import NOTHING, Group, Place, Summary
from nlu.targets import DIET, OURS

NAME = "nlu"  # of the marks in README.md
EXAMPLES = {
    "5shot": "5 examples an intent",
    "10shot": "10 examples an intent",
    "full": "all examples",
    UNSEEN: "a set that nothing was chosen on",
    BOT_PART: "four fifths of a bot's examples",
}
HEAD = """| trained on | intents, %: ours | DIET | entities, F1 %: ours | DIET | core seconds: ours | DIET |
|---|---:|---:|---:|---:|---:|---:|"""
TAIL = """
![Intent accuracy against the time of one message; the area of a circle is the size of the
model](docs/nlu-intents.png)

Trained and asked through Rasa, with default options (`make bench-nlu`);
{how}. Core seconds are those of training.
All pipelines, calibration, sizes and times: [docs/nlu.md](docs/nlu.md)."""


def block(summary: Summary) -> str | None:
    """The table with its plot; ``None`` where nothing of ours is measured."""
    places = [place for place in summary.places() if summary.group(place, OURS)]
    if not places:
        return None
    groups = [group for place in places for name in (OURS, DIET) if (group := summary.group(place, name))]
    return "\n".join([HEAD, *(_row(summary, place) for place in places), TAIL.format(how=_how(groups))])


def _how(groups: Sequence[Group]) -> str:
    """How it was measured, as far as a reader must know."""
    records = [record for group in groups for record in group.records]
    processors = sorted({record["machine"]["processor"].split(",")[0] for record in records})
    one_core = {record["threads"]["usable"] for record in records} == {1}
    facts = (
        "one seed" if len(records) == len(groups) else "",
        f"on {'one core of ' if one_core else ''}{' and '.join(processors)}",
        "beside other work" if any(group.beside_other_work for group in groups) else "",
    )
    return ", ".join(filter(None, facts))


def _row(summary: Summary, place: Place) -> str:
    cells = [f"{place[0]}, {EXAMPLES[place[1]]}"]
    for metric, form, scale in (
        ("intent_accuracy", "{:.1f}", 100),
        ("span_f1", "{:.1f}", 100),
        ("train_cpu_s", "{:,.0f}", 1),
    ):
        for name in (OURS, DIET):
            value = summary.mean(place, name, metric)
            cells.append(NOTHING if value is None else form.format(scale * value))
    return f"| {' | '.join(cells)} |"
