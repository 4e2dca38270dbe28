"""What README.md says of the comparison: our pipeline and Rasa's default one, place by place."""

from __future__ import annotations

from nlu.summary import PARTS, Place, Summary
from nlu.targets import DIET, OURS

NAME = "nlu"  # of the marks in README.md
NOTHING = "–"
HEAD = """| test messages understood, % | ours | DIET | entities, F1: ours | DIET | training: ours | DIET |
|---|---:|---:|---:|---:|---:|---:|"""
TAIL = """
![Intent accuracy against the time of one message; the area of a circle is the size of the
model](docs/nlu-intents.png)

Trained and asked through Rasa with default options (`make bench-nlu`); {seeds}training on {processor}. All
pipelines, calibration, sizes and times: [docs/nlu.md](docs/nlu.md)."""


def block(summary: Summary) -> str | None:
    """The table with its plot; ``None`` where nothing of ours is measured."""
    places = [place for place in summary.places() if summary.group(place, OURS)]
    if not places:
        return None
    groups = [group for place in places for name in (OURS, DIET) if (group := summary.group(place, name))]
    processor = ", ".join(
        sorted({r["machine"]["processor"].split(",")[0] for g in groups for r in g.records})
    )
    single = all(len(group.records) == 1 for group in groups)
    threads = {record["threads"]["usable"] for group in groups for record in group.records}
    where = f"one core of {processor}" if threads == {1} else processor
    seeds = "one seed, " if single else ""
    return "\n".join(
        [HEAD, *(_row(summary, place) for place in places), TAIL.format(seeds=seeds, processor=where)]
    )


def _row(summary: Summary, place: Place) -> str:
    cells = [f"{place[0]}, {PARTS[place[1]]}"]
    for metric, form, scale in (
        ("intent_accuracy", "{:.1f}", 100),
        ("span_f1", "{:.1f}", 100),
        ("train_s", "{:,.0f} s", 1),
    ):
        for name in (OURS, DIET):
            value = summary.mean(place, name, metric)
            cells.append(NOTHING if value is None else form.format(scale * value))
    return f"| {' | '.join(cells)} |"
