"""Writes docs/encoders.md and .png from the JSON that `encoders.py` and `first_weights.py` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import read_result

DOCS = Path(__file__).parents[1] / "docs"
TEACHER, TRAINED = "teacher", ("embedded", "small")
UNKNOWN = "–"
Row = Mapping[str, Any]

_INTRODUCTION = """# Encoders: accuracy against time and size

Which shape should an encoder have? Each row below was made from the same teacher (all-MiniLM-L6-v2) by
`sqz-nlu squeeze` in the same way{how}, and lowered to the int8 graph.
A name says the groups of the attention's projections, of the projection after attention, and of the
feed-forward block; then the layers, where they are not 6. 1/1/1 is the teacher's own shape. Two rows were
trained: `embedded`, of the shape 1/1/2, is what ships with the package (its
[card](../sqz_nlu/encoder/embedded/README.md) says how it was made), and `small` is what `make encoder-small
TOKENS=1500000` makes. Compare their time and size with the other rows, and their accuracy with the teacher's.

![Accuracy against latency; the area of a disc is the size of the model](encoders.png)
"""
_CLOSED = ": weights in closed form, no training at all, so that shapes are compared and not patience"
_TRAINED = ": weights in closed form, then {tokens:,} tokens of distillation"
_COLUMNS = """
- **5**, **10**, **full**: accuracy in percent, the mean of banking77, clinc150 and hwu64 with 5, 10 and all
  training examples an intent: frozen encoder, mean pooling, logistic regression (C = 30), the int8 graph
  embedding one text at a time; in brackets the same in float32.
- **distance**: 1 - cosine of the pooled embedding to the teacher's, mean over the data sets' test texts,
  which no encoder has seen. **int8**: 1 - cosine between the int8 and the float embedding.
  The float of `embedded` has the weights as shipped, rounded already; the other rows' are not.
- **M**: parameters in millions, of the layers in brackets. **MB**: model.onnx and tokenizer.json.
  **M/token**: int8 multiply-adds for a token, in millions.
- **time**, **web**: median time of 12 tokens on one thread as a ratio to a fixed reference graph (6 x 384,
  4/1/4, as prototyped) timed in turns in the same process; natively and in onnxruntime-web on WebAssembly in
  Node; 95th percentile over the reference's median in brackets.
"""
_FIRST = """
## What the first weights buy

Without any training: squared distance of each layer's states to the teacher's over their variance, and cosine
distance of the pooled embedding, on {sentences:,} sentences that took no part in the fit. **int8**: cosine
distance between the embedding as it is and with products rounded as in the int8 graph. *Spread*: massive
activations are divided among several units ([why](squeeze.md#for-8-bits)).

"""
_MAKING = """
## Make them again

    make bench-encoders DATA=DIR CORPUS=DIR             # accuracy; rows that are measured are kept
    make web-tools bench-encoders LATENCY=1             # times, on a quiet machine
    python benchmarks/first_weights.py --corpus DIR
    python benchmarks/encoders.py --report              # this page

The raw figures are in `benchmarks/results/encoders.json` and `first-weights.json`. `--only ROW ...`
measures some rows, `--tokens N` adds training, `--full` adds all training examples.

## A small encoder

    make encoder-small CORPUS=DIR DATA=DIR TOKENS=1500000 [OUT=build/encoder-small]

makes the row `small`, trained on the same text as the embedded encoder: 2 layers and 11,000 word pieces, for
pages and phones where every megabyte counts. Train on it with `model: build/encoder-small`.
"""


def write_page(result: Mapping[str, Any]) -> list[Path]:
    """Writes the page and the plot; returns their paths."""
    rows: Mapping[str, Row] = result["rows"]
    tokens = {row["settings"]["tokens"] for row in rows.values() if "tokens" in row.get("settings", {})}
    trained = max(tokens, default=0)
    how = _TRAINED.format(tokens=trained) if trained else _CLOSED
    lines = [_INTRODUCTION.format(how=how), *table(rows), _COLUMNS]
    if first := read_result("first-weights"):
        lines += first_weights(first)
    page = DOCS / "encoders.md"
    page.write_text("\n".join([*lines, _MAKING]).rstrip() + "\n", "utf-8")
    return [page, plot(rows, DOCS / "encoders.png")]


def table(rows: Mapping[str, Row]) -> list[str]:
    """One line of Markdown a row."""
    titles = ["", "5", "10", "full", "distance", "int8", "M", "MB", "M/token", "time", "web"]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    return lines + ["| " + " | ".join([name, *_figures(row)]) + " |" for name, row in rows.items()]


def _figures(row: Row) -> list[str]:
    accuracy = row.get("accuracy", {})
    means = accuracy.get("means", {})
    exact = means.get("float") or means.get("teacher", {})
    shown = []
    for shots in ("5", "10", "full"):
        if "int8" in means and shots in means["int8"]:
            shown.append(f"{means['int8'][shots]:.1f} ({exact[shots]:.1f})")
        else:
            shown.append(f"({exact[shots]:.1f})" if shots in exact else UNKNOWN)
    if "parameters" not in accuracy:
        return [*shown, *[UNKNOWN] * 5, *_times(row)]
    return [
        *shown,
        f"{accuracy['pooled_distance']:.3f}",
        f"{1 - accuracy['cosine_int8_float']:.4f}",
        f"{accuracy['parameters'] / 1e6:.1f} ({accuracy['layer_parameters'] / 1e6:.1f})",
        f"{accuracy['megabytes']['both']:.1f}",
        f"{accuracy['int8_multiply_adds_per_token'] / 1e6:.1f}",
        *_times(row),
    ]


def _times(row: Row) -> list[str]:
    figures = [row.get(f"latency_{kind}") for kind in ("native", "web")]
    return [f"{f['ratio']:.2f} ({f['ratio_p95']:.2f})" if f else UNKNOWN for f in figures]


def first_weights(result: Mapping[str, Any]) -> list[str]:
    """The table of what order and regression buy."""
    layers = max(len(row["layers"]) for row in result["rows"])
    heads = [f"layer {number}" for number in range(1, layers + 1)]
    lines = [_FIRST.format(sentences=result["held_out_sentences"]).strip("\n"), ""]
    lines.append("| groups | first weights | " + " | ".join(heads) + " | pooled | int8 |")
    lines.append("|---|---|" + "---:|" * (layers + 2))
    for row in result["rows"]:
        losses = " | ".join(f"{loss:.3f}" for loss in row["layers"])
        figures = f"{losses} | {row['pooled']:.3f} | {row['rounded']:.4f}"
        lines.append(f"| {row['groups']} | {row['first_weights']} | {figures} |")
    return ["", *lines]


def plot(rows: Mapping[str, Row], path: Path) -> Path:
    """Accuracy with 10 examples against time, or against multiply-adds until times are measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = {name: row for name, row in rows.items() if "parameters" in row.get("accuracy", {})}
    timed = bool(measured) and all("latency_native" in row for row in measured.values())
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    for name, row in measured.items():
        accuracy = row["accuracy"]
        x = row["latency_native"]["ratio"] if timed else accuracy["int8_multiply_adds_per_token"] / 1e6
        y = accuracy["means"]["int8"]["10"]
        colour = "#c44e52" if name in TRAINED else "#4c72b0"
        size = 14 * accuracy["megabytes"]["both"]
        axes.scatter(x, y, s=size, color=colour, alpha=0.55, edgecolor=colour)
        label = f"{name}\n{accuracy['megabytes']['both']:.1f} MB"
        axes.annotate(label, (x, y), xytext=(0, 12), textcoords="offset points", ha="center", fontsize=8)
    if TEACHER in rows:
        level = rows[TEACHER]["accuracy"]["means"]["teacher"]["10"]
        axes.axhline(level, color="#555555", linestyle="--", linewidth=1)
        axes.annotate(
            "teacher, float32", (0.01, level), xycoords=("axes fraction", "data"), va="bottom", fontsize=8
        )
    for title, colour in (("first weights, no training", "#4c72b0"), ("trained", "#c44e52")):
        axes.scatter([], [], s=60, color=colour, alpha=0.55, label=title)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.margins(x=0.12, y=0.18)
    axes.set_xlim(left=0)
    axes.set_xlabel(
        "time of 12 tokens, 1 thread, over the reference" if timed else "int8 multiply-adds a token, millions"
    )
    axes.set_ylabel("accuracy with 10 examples an intent, %")
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return path
