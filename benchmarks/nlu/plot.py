"""Accuracy against the time of one message; the area of a circle is the size of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from nlu.pipelines import PIPELINES
from nlu.summary import PARTS, Place, Summary

COLOURS = {
    "diet": "#b3482f",
    "teacher": "#8a8a8a",
    "ours-int8": "#1f6f8b",
    "ours-float": "#8fc1d4",
    "diet-on-ours": "#d9a441",
}
POINTS_A_MIB = 6.0  # area of a circle, in square points, for each MiB
COLUMNS = 3
WIDTH, PANEL_HEIGHT, HEAD, FOOT = 10.2, 2.6, 0.4, 1.3  # inches
SIZES = (10, 50, 100)  # MiB, in the key
MIB = 2**20
MOST = 100.5  # percent
LEAST_SPAN = 4.0  # points of percent in a panel: less than that would make much of little


def draw(summary: Summary, places: Sequence[Place], metric: str, title: str, path: Path) -> None:
    """Draws a panel for each place with something to compare, or for all if none has; writes a PNG."""

    def measured(place: Place) -> int:
        return sum(_any(summary, [place], name, metric) for name in PIPELINES)

    places = [place for place in places if measured(place) > 1] or places
    rows = math.ceil(len(places) / COLUMNS)
    height = PANEL_HEIGHT * rows + HEAD + FOOT
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(WIDTH, height), squeeze=False)
    for panel, place in zip(panels.flat, places, strict=False):
        _panel(panel, summary, place, metric)
    for panel in panels.flat[len(places) :]:
        panel.set_axis_off()
    figure.suptitle(f"{title}, %", fontsize=13, y=1 - 0.1 / height, va="top")
    figure.tight_layout(rect=(0, FOOT / height, 1, 1))
    label = "one message in Rasa, median ms (log)"
    if any(group.beside_other_work for group in summary.groups()):
        label += "; some were measured beside other work, see the tables"
    figure.text(0.5, (FOOT - 0.15) / height, label, ha="center", fontsize=10)
    _keys(figure, [name for name in summary.pipelines() if _any(summary, places, name, metric)])
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _keys(figure: Figure, names: Sequence[str]) -> None:
    """The keys of colours and of sizes, below the panels."""
    height = figure.get_figheight()
    colours = [
        Line2D([], [], marker="o", linestyle="", color=COLOURS[name], label=PIPELINES[name].title)
        for name in names
    ]
    look = {"marker": "o", "linestyle": "", "markerfacecolor": "none", "markeredgecolor": "#666666"}
    sizes = [
        Line2D([], [], **look, markersize=math.sqrt(POINTS_A_MIB * size), label=f"  {size} MiB")
        for size in SIZES
    ]
    for y, handles in ((0.5, colours), (0.02, sizes)):
        figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=(0.5, y / height),
            ncol=3,
            frameon=False,
            fontsize=9,
        )


def _any(summary: Summary, places: Sequence[Place], name: str, metric: str) -> bool:
    return any(summary.mean(place, name, metric) is not None for place in places)


def _panel(panel: Axes, summary: Summary, place: Place, metric: str) -> None:
    times = []
    for name in PIPELINES:
        group = summary.group(place, name)
        value = group.mean(metric) if group else None
        if group is None or value is None:
            continue
        time, size = group.mean("parse_p50_ms"), group.mean("model_bytes")
        assert time is not None
        assert size is not None
        times.append(time)
        panel.scatter(
            time, 100 * value, s=POINTS_A_MIB * size / MIB, color=COLOURS[name], alpha=0.75, linewidths=0
        )
        panel.plot(time, 100 * value, marker=".", color="black", markersize=3)
    panel.set_xscale("log")
    panel.set_xlim(min(times) / 2, max(times) * 2)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(y=0.35)
    panel.set_ylim(*_limits(*panel.get_ylim()))
    panel.set_title(f"{place[0]}, {PARTS[place[1]]}", fontsize=10)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.25)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _limits(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis in percent, of which at least `LEAST_SPAN` is shown."""
    more = max(0.0, LEAST_SPAN - (high - low)) / 2
    high = min(high + more, MOST)
    return min(low - more, high - LEAST_SPAN), high
