"""Writes docs/speed.md, its plots and the table in README.md from benchmarks/results/speed.json.

    python benchmarks/speed/page.py [--check]

With --check nothing is written: it fails where a page is not what the JSON says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import put_between_marks

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "speed.json"
PAGE, README = ROOT / "docs" / "speed.md", ROOT / "README.md"
BARS, CURVES = "speed.png", "speed-growth.png"
Parts = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure of the JSON and what it should reach.

    Attributes:
        text: what is compared.
        path: where the figure is, from the part on.
        target: the figure wanted.
        least: whether the target is the least or the most.
        unit: written behind the figure.
    """

    text: str
    path: str
    target: float
    least: bool = True
    unit: str = "x"

    def row(self, parts: Parts) -> str:
        """A line of the table."""
        wanted = f"{'>=' if self.least else '<='} {self.target:g} {self.unit}"
        value = look_up(parts, self.path)
        if value is None:
            return f"| {self.text} | {wanted} | not measured | |"
        met = value >= self.target if self.least else value <= self.target
        return f"| {self.text} | {wanted} | {value:g} {self.unit} | {'yes' if met else '**no**'} |"


GOALS = (
    Goal(
        "SqueezeBERT-base int8, faster than BERT-base float in ONNX Runtime",
        "encoders.ratios.base_over_bert_float",
        11,
    ),
    Goal("... than BERT-base int8 (`quantize_dynamic`)", "encoders.ratios.base_over_bert_int8", 3.2),
    Goal(
        "... than torch's own export of SqueezeBERT-base, float", "encoders.ratios.base_over_torch_float", 5
    ),
    Goal("... than that export with uint8 convolutions", "encoders.ratios.base_over_torch_uint8", 2.3),
    Goal(
        "embedded encoder int8, faster than BERT-base float", "encoders.ratios.embedded_over_bert_float", 60
    ),
    Goal("SqueezeBERT-base, time over the machine's bound", "machine.base.over_bound", 2, False),
    Goal("embedded encoder, time over the machine's bound", "machine.embedded.over_bound", 4, False),
    Goal("text to JSON over the graph alone", "messages.ratios.parse_over_graph", 1.3, False),
    Goal(
        "one message through Rasa, faster than Rasa's default DIET pipeline",
        "messages.ratios.ours_over_diet_in_rasa",
        6,
    ),
    Goal(
        "importing and loading in a fresh process, faster than DIET in Rasa",
        "processes.ratios.load_over_diet",
        30,
    ),
    Goal("loading a trained model, runtime only", "processes.figures.runtime_model.load_s", 0.5, False, "s"),
    Goal(
        "resident memory, runtime with the embedded encoder",
        "processes.figures.runtime_embedded.resident_mib",
        120,
        False,
        "MiB",
    ),
    Goal(
        "memory of a Rasa process with our pipeline, below DIET's",
        "processes.ratios.rasa_memory_saved_mib",
        100,
        True,
        "MiB",
    ),
    Goal(
        "batch 64, 1 thread: SqueezeBERT-base int8, faster than BERT-base float",
        "batch.ratios.base_over_bert_1",
        6,
    ),
    Goal("batch 64, 2 threads: the same", "batch.ratios.base_over_bert_2", 6),
    Goal(
        "batch 64, 2 threads over 1: embedded encoder",
        "batch.ratios.embedded_int8_scaling",
        1.7,
    ),
    Goal(
        "2,000 intents instead of 2 add to text to JSON",
        "growth.two_thousand_intents_add_percent",
        10,
        False,
        "%",
    ),
    *(
        Goal(f"an epoch of {name}, faster than with transformers' SqueezeBERT", f"training.ratios.{name}", 2)
        for name in ("banking77", "clinc150", "hwu64")
    ),
)

INTRODUCTION = """# Speed

Written by `python benchmarks/speed/page.py` from `benchmarks/results/speed.json`, which `make bench-speed`
measures. What is compared runs in turns in one process (A B C A B C ...), five calls a turn after one that is
not counted (messages: 25 after 5), calls above 0.2 s once a turn; ratios are of medians. Batch 1, 12 word
pieces, one thread unless said.
"""

REMARKS = {
    "batch": (
        "64 texts of 12 word pieces, on one thread or two. Ours is the runtime from texts to vectors,",
        "tokenizing included: some 200 tokens at a time, as many such batches side by side as there are",
        "threads. BERT is its graph alone; on two threads the faster of the whole batch and of halves side",
        "by side counts.",
        "",
    ),
}


def look_up(parts: Parts, path: str) -> float | None:
    """The figure at a dotted path; ``None`` where its part was not measured."""
    here: Any = parts
    for name in path.split("."):
        if not isinstance(here, Mapping) or name not in here:
            return None
        here = here[name]
    return float(here)


def page(parts: Parts) -> str:
    """The text of docs/speed.md."""
    text = [INTRODUCTION, "| | goal | measured | reached |", "|---|---:|---:|---|"]
    text += [goal.row(parts) for goal in GOALS]
    text += ["", *_machines(parts)]
    for name in ("encoders", "messages", "batch"):
        if name in parts:
            text += ["", f"## {name.capitalize()}", "", *REMARKS.get(name, ())]
            text += _times(parts[name]["figures"])
    if "encoders" in parts:
        text += ["", f"![Times of the encoders]({BARS})"]
    if "processes" in parts:
        text += ["", "## Processes", "", *_processes(parts["processes"]["figures"])]
    if "machine" in parts:
        text += ["", *_distance(parts["machine"], look_up(parts, "encoders.figures.bert_float.median_ms"))]
    if "growth" in parts:
        text += ["", "## Growth", "", f"![Growth of cost]({CURVES})"]
    if "examples" in parts:
        text += ["", *_examples(parts["examples"]["figures"])]
    if "training" in parts:
        text += ["", "## Training", "", *_training(parts["training"])]
    return "\n".join(text) + "\n"


def _machines(parts: Parts) -> list[str]:
    seen = sorted(
        {
            f"{part['machine']['processor']}, onnxruntime {part['machine']['onnxruntime']}"
            for part in parts.values()
        }
    )
    return [f"Measured on: {'; '.join(seen)}."]


def _times(figures: Parts) -> list[str]:
    lines = ["| | median | 10% | 95% | |", "|---|---:|---:|---:|---:|"]
    for name, figure in figures.items():
        rate = f"{figure['sentences_per_s']:,.0f} sentences/s" if "sentences_per_s" in figure else ""
        times = " | ".join(f"{figure[key]:.2f} ms" for key in ("median_ms", "p10_ms", "p95_ms"))
        lines.append(f"| {name.replace('_', ' ')} | {times} | {rate} |")
    return lines


def _processes(figures: Parts) -> list[str]:
    lines = ["| fresh process | import | load | resident |", "|---|---:|---:|---:|"]
    return lines + [
        f"| {name.replace('_', ' ')} | {figure['import_s']:.2f} s | {figure['load_s']:.2f} s "
        f"| {figure['resident_mib']:,.0f} MiB |"
        for name, figure in figures.items()
    ]


def _distance(part: Parts, bert: float | None) -> list[str]:
    lines = [
        "## Distance to the machine",
        "",
        "The bound is the larger of two times: reading the weights at the bandwidth of a copy of their size",
        "(bytes read and written), and their multiply-adds at the rate of ONNX Runtime's fastest product.",
    ]
    for name in ("base", "embedded"):
        found = part[name]
        shares = ", ".join(f"{op} {share:g}" for op, share in found["profile_percent"].items() if share >= 1)
        lines += [
            "",
            f"- {name}: {found['figures']['graph']['median_ms']:.2f} ms; weights {found['memory_ms']:.2f} ms "
            f"({found['weight_bytes'] / 1e6:.1f} MB at {found['copy_gigabytes_per_s']:g} GB/s), arithmetic "
            f"{found['arithmetic_ms']:.2f} ms ({found['multiply_adds'] / 1e6:.0f} million at "
            f"{found['multiply_adds_per_ns']:g}/ns); {found['nodes']} operators, of their time in percent: "
            f"{shares}.",
        ]
        if bert is not None:
            bound = max(found["memory_ms"], found["arithmetic_ms"])
            lines[-1] += (
                f" BERT-base float takes {bert:.2f} ms, {bert / bound:.0f} times the bound: no graph with "
                "these products can be more than that much faster."
            )
    return lines


def _examples(figures: Parts) -> list[str]:
    lines = ["| training examples | one epoch, from examples to bundle | bundle |", "|---:|---:|---:|"]
    return lines + [
        f"| {int(count):,} | {figure['seconds']:.1f} s | {figure['bundle_megabytes']:.1f} MB |"
        for count, figure in figures.items()
    ]


def _training(part: Parts) -> list[str]:
    figures, ratios = part["figures"], part["ratios"]
    alike = [
        f"{name.removesuffix('_alike')} {ratio:.2f}"
        for name, ratio in ratios.items()
        if name.endswith("_alike")
    ]
    lines = [
        "One pass over the whole of a set, each in a process of its own: our training as it is by default",
        "and with all layers trained, and with transformers' SqueezeBertModel in the place of our encoder,",
        "in float32, as it comes, and in the precision of ours. Where layers are frozen it is the second",
        "pass and every later one: the first keeps what they make of the texts, and takes longer by that.",
        "The goals compare ours by default with theirs in float32. All layers trained and both in one",
        "precision, ours is faster by these factors:",
        f"{', '.join(alike)}.",
        "",
        "| one pass | examples | time | peak memory |",
        "|---|---:|---:|---:|",
    ]
    return lines + [
        f"| {name.replace('_', ', ', 1).replace('_', ' ')} | {figure['examples']:,.0f} "
        f"| {figure['seconds']:.1f} s | {figure['peak_mib']:,.0f} MiB |"
        for name, figure in figures.items()
    ]


def readme_table(parts: Parts) -> str:
    """What README.md says of speed."""
    lines = ["| | median | p95 | |", "|---|---:|---:|---|"]
    rows = (
        ("Rasa's default pipeline (DIET)", "diet_in_rasa", None),
        ("our pipeline in Rasa", "ours_in_rasa", "ours_over_diet_in_rasa"),
        ("the same model without Rasa, text to JSON", "text_to_json", "parse_over_diet"),
    )
    for text, name, ratio in rows:
        figure = parts["messages"]["figures"][name]
        faster = f"{parts['messages']['ratios'][ratio]:.1f} times faster" if ratio else ""
        lines.append(f"| {text} | {figure['median_ms']:.2f} ms | {figure['p95_ms']:.2f} ms | {faster} |")
    processes = parts["processes"]["figures"]
    alone, ours, diet = (processes[name] for name in ("runtime_model", "ours_in_rasa", "diet_in_rasa"))
    starts = [figure["import_s"] + figure["load_s"] for figure in (alone, ours, diet)]
    lines += [
        "",
        f"Without Rasa a fresh process imports and loads the model in {starts[0]:.2f} s and takes "
        f"{alone['resident_mib']:.0f} MiB.",
        f"Rasa itself takes {starts[1]:.1f} s and {ours['resident_mib']:,.0f} MiB with our pipeline, "
        f"{starts[2]:.1f} s and {diet['resident_mib']:,.0f} MiB with DIET.",
        "More, with plots: [docs/speed.md](docs/speed.md).",
    ]
    return "\n".join(lines)


def readme(parts: Parts, text: str) -> str:
    """README.md with its table of speed; as it is where the parts for it or its marks are missing."""
    if not {"messages", "processes"} <= set(parts):
        return text
    return put_between_marks(text, "speed", readme_table(parts))


def draw(parts: Parts) -> None:
    """Writes the plots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if "encoders" in parts:
        figures = parts["encoders"]["figures"]
        names = sorted(figures, key=lambda name: figures[name]["median_ms"])
        values = [figures[name]["median_ms"] for name in names]
        ours = ("base_int8", "embedded_int8")
        figure, axes = pyplot.subplots(figsize=(7, 2.8), layout="constrained")
        colours = ["#1f77b4" if name in ours else "#b0b0b0" for name in names]
        bars = axes.barh([name.replace("_", " ") for name in names], values, color=colours)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set_xlabel("milliseconds, 12 word pieces, one thread (blue: ours)")
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(PAGE.parent / BARS, dpi=120, metadata={"Software": None})
    if "growth" in parts:
        curves = {
            "word pieces": parts["growth"]["length"],
            "texts in a batch": parts["growth"]["batch"],
            "intents": parts["growth"]["intents"],
            "entity types": parts["growth"]["entity_types"],
        }
        figure, grid = pyplot.subplots(2, 2, figsize=(8, 5.5), layout="constrained")
        for axes, (title, points) in zip(grid.flat, curves.items(), strict=True):
            numbers = [int(name) for name in points]
            axes.plot(numbers, [point["median_ms"] for point in points.values()], marker="o")
            axes.set_xscale("symlog" if 0 in numbers else "log")
            axes.set_xticks(numbers, [f"{number:,}" for number in numbers], fontsize=7)
            axes.minorticks_off()
            if title in ("word pieces", "texts in a batch"):
                axes.set_yscale("log")
            else:
                axes.set_ylim(0, 1.15 * max(point["median_ms"] for point in points.values()))
            axes.set_xlabel(title)
            axes.set_ylabel("milliseconds")
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(PAGE.parent / CURVES, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    parts = json.loads(RESULT.read_text("utf-8"))
    texts = {PAGE: page(parts), README: readme(parts, README.read_text("utf-8"))}
    if arguments.check:
        found = {path: path.read_text("utf-8") if path.is_file() else "" for path in texts}
        stale = [path for path, text in texts.items() if found[path] != text]
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            sys.exit(f"{names}: not what {RESULT.name} says; run python benchmarks/speed/page.py.")
        return
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    draw(parts)


if __name__ == "__main__":
    main()
