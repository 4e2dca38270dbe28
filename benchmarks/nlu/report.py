"""docs/nlu.md with its plots, and the README's short form of it, made from the results of one machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from common import RESULTS, put_between_marks

from nlu import readme
from nlu.crf import CRF
from nlu.pipelines import PIPELINES
from nlu.places import ROOT
from nlu.store import Store
from nlu.summary import NOTHING, PARTS, Group, Place, Summary
from nlu.targets import OURS, judge

PAGE = ROOT / "docs" / "nlu.md"
README = ROOT / "README.md"
MIB = 2**20
PLOTS = {
    "nlu-intents.png": ("intent_accuracy", "Intent accuracy against the time of one message"),
    "nlu-entities.png": ("span_f1", "Span F1 against the time of one message"),
}

HEAD = """# Beside Rasa's default pipeline

Made by `python benchmarks/nlu --report` from [benchmarks/results](../benchmarks/results). To measure again:

    make bench-nlu DATA=DIR [BOTS=DIR] [ONLY="PIPELINE/DATASET/PART/SEED ..."]

Every pipeline is trained by Rasa and asked through Rasa, one message at a time, a process for each training.
[benchmarks.md](benchmarks.md#pipelines-side-by-side) says how a run is resumed, and where the data come from.
"""
METHOD = """
## How it is measured

- *DIET, Rasa's default*: the featurizers of `rasa init`'s pipeline (whitespace tokens, regexes, lexical and
  syntactic features, counts of words and of 1 to 4 characters) and DIETClassifier with 100 epochs and
  `constrain_similarities`. No FallbackClassifier.
- *MiniLM + logistic regression*: the teacher of the embedded encoder, frozen and in float32; intents only.
- *SqueezeBertClassifier*: all options at their defaults, `quantization: auto`; *float* has
  `quantization: none`. Until weights are rounded a training with the same seed is the same, so one of the two
  takes the passes over that the other has made, and the time they took.
- *DIET on SqueezeBertFeaturizer*: the pipeline of [featurizer.md](featurizer.md), with DIET as above.
- Test parts have their official size: they are scored from their own files, while Rasa drops duplicates. A
  bot is split 80/20 inside each intent, the same for all pipelines, texts of the same words on one side; each
  retrieval intent counts as one.
- Span F1 is micro-averaged over exact matches of start, end and type; where spans do not overlap, a cell
  fails unless seqeval, given the same spans as tags of characters, finds the same.
- ECE has ten bins of equal width. AUROC compares the confidences of a test part and of the out-of-scope texts
  beside it, 1,000 for clinc150.
- *Unseen* sets are small public ones on which nothing in this package was chosen: neither an option's
  default nor an encoder. What is true of the others may be due to choices that were made on them.
- Seeds: two for our full cells, three for our other ones, one elsewhere; tables have
  the mean, and ± one standard deviation where there are several.
- Training is the whole of Rasa's `train_nlu`, without cache, libraries loaded before. Size is Rasa's archive
  and the weights it needs besides; ours includes what `--finetune` continues from.
- Each run measures a short training of DIET again, and ratios of training times are in units of it, so that
  runs may be compared; where a run has gone without, they are of processor time.
- The tuning of TensorFlow's input pipelines is off (`benchmarks/nlu/waits.py`). It can let an epoch wait idly
  for up to a minute: in cells of DIET from before it was off, seconds are many more than processor seconds.
"""


FAST_CRF = """\
- In training DIET's CRF is computed by matrix products (`benchmarks/nlu/crf.py`). Losses and taggings are
  those of Rasa's own, with which an epoch takes {times} times as long where there are {types} entity types
  (`python benchmarks/diet_crf.py`): users of DIET wait longer than the table says.
"""


def write_report(results: Path, machine: str | None) -> int:
    """Writes the page and the plots; returns the exit status."""
    from nlu.plot import draw

    store = choose(results, machine)
    summary = Summary(store.records(), store.references())
    for name, (metric, title) in PLOTS.items():
        if places := measured(summary, metric):
            draw(summary, places, metric, title, PAGE.with_name(name))
    PAGE.write_text(page(summary), "utf-8")
    print(PAGE)
    if (short := readme.block(summary)) is not None:
        README.write_text(put_between_marks(README.read_text("utf-8"), readme.NAME, short), "utf-8")
    return 0


def choose(results: Path, machine: str | None) -> Store:
    """The machine that is asked for, or the one on which most targets are judged."""
    stores = [Store(folder) for folder in sorted(results.glob("nlu-*")) if folder.is_dir()]
    found = [store for store in stores if machine in (None, store.folder.name)]
    if not found:
        known = ", ".join(store.folder.name for store in stores) or "none; run make bench-nlu"
        sys.exit(f"There are no results of {machine or 'any machine'} in {results}. There are: {known}.")
    return max(found, key=_judged)


def _judged(store: Store) -> int:
    summary = Summary(store.records(), store.references())
    return sum(judgement.met is not None for judgement in judge(summary))


def measured(summary: Summary, metric: str) -> list[Place]:
    """The places where some pipeline has a metric."""
    return [
        place
        for place in summary.places()
        if any(summary.mean(place, name, metric) is not None for name in PIPELINES)
    ]


def page(summary: Summary) -> str:
    """The whole page."""
    points, share, size = _shown("{:.1f}", 100), _shown("{:.3f}"), _shown("{:.1f}", 1 / MIB, spread=False)
    seconds, milliseconds = _shown("{:,.0f}", time=True), _shown("{:.2f}", time=True)
    blocks = [
        HEAD,
        _origin(summary),
        _judgements(summary),
        _table(summary, "Intent accuracy, %", "intent_accuracy", points),
        _picture("nlu-intents.png", summary),
        _table(summary, "Span F1, %", "span_f1", points),
        _picture("nlu-entities.png", summary),
        _table(summary, "Expected calibration error", "ece", share),
        _table(summary, "AUROC, in scope against out of scope", "auroc_out_of_scope", share),
        _table(summary, "Training, processor seconds", "train_cpu_s", seconds),
        _table(summary, "Training, seconds", "train_s", seconds),
        _table(summary, "One message in Rasa, median ms", "parse_p50_ms", milliseconds),
        _table(summary, "One message in Rasa, p95 ms", "parse_p95_ms", milliseconds),
        _table(summary, "Size, MiB", "model_bytes", size),
        METHOD + _crf(summary),
    ]
    return "\n".join(block.strip("\n") + "\n" for block in blocks if block)


def _origin(summary: Summary) -> str:
    records = [record for group in summary.groups() for record in group.records]
    machines = sorted({record["machine"]["processor"] for record in records})
    versions = sorted({record["machine"]["sqz-nlu"] for record in records})
    busy = sum(group.beside_other_work for group in summary.groups())
    text = f"Processor: {', '.join(machines)}. sqz-nlu {', '.join(versions)}. Cells measured: {len(records)}."
    sources = {record["key"]["source"] for record in records if "source" in record["key"]}
    if len(sources) > 1:
        text += f" Our pipelines' cells come from {len(sources)} states of the code."
    if busy:
        text += " Times marked ~ were measured beside other work: accuracy does not depend on that, times do."
    if seconds := sorted(record["train_s"] for record in summary.references.values()):
        spread = f"{seconds[0]:.0f}" if len(seconds) == 1 else f"{seconds[0]:.0f} to {seconds[-1]:.0f}"
        text += f" The reference took {spread} s in {len(seconds)} {'run' if len(seconds) == 1 else 'runs'}."
    refused = [g for g in summary.groups() if any(_refused(r) for r in g.records)]
    if refused:
        text += (
            " Int8 was refused, and float kept, in: "
            + ", ".join(
                sorted(
                    {f"{r['dataset']} {PARTS[r['part']]}" for g in refused for r in g.records if _refused(r)}
                )
            )
            + "."
        )
    return text


def _crf(summary: Summary) -> str:
    """What is said of the CRF where trainings had the fast one."""
    if not any(record.get("crf") == CRF for group in summary.groups() for record in group.records):
        return ""
    measured_there = json.loads((RESULTS / "diet-crf.json").read_text("utf-8"))
    return FAST_CRF.format(
        times=f"{measured_there['times_as_fast']:.1f}", types=measured_there["entity_types"]
    )


def _refused(record: dict) -> bool:
    return record["pipeline"] == "ours-int8" and record.get("precision") != "int8"


def _judgements(summary: Summary) -> str:
    rows = []
    for one in judge(summary):
        group = summary.group(one.place, OURS)
        missing = f" ({group.seeds_missing})" if group and group.seeds_missing and one.seen else ""
        seen = f"{one.seen or NOTHING}{missing}"
        rows.append(f"| {_place(one.place)} | {one.what} | {one.target} | {seen} | {one.verdict} |")
    head = "## Targets\n\nOf SqueezeBertClassifier, as it is by default.\n\n"
    return head + "\n".join(["| data | what | target | measured | |", "|---|---|---|---:|---|", *rows])


def _table(summary: Summary, title: str, metric: str, cell: Callable[[Group, str], str]) -> str:
    places = measured(summary, metric)
    names = [
        name
        for name in summary.pipelines()
        if any(summary.mean(place, name, metric) is not None for place in places)
    ]
    if not places:
        return ""
    lines = [f"## {title}", "", "| data | " + " | ".join(PIPELINES[name].title for name in names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    for place in places:
        groups = (summary.group(place, name) for name in names)
        shown = (cell(g, metric) if g and g.mean(metric) is not None else NOTHING for g in groups)
        lines.append(f"| {_place(place)} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _shown(
    form: str, scale: float = 1.0, time: bool = False, spread: bool = True
) -> Callable[[Group, str], str]:
    """Writes a group's mean, and its spread over several seeds unless it is a time."""

    def cell(group: Group, metric: str) -> str:
        text = form.format(scale * _mean(group, metric))
        if time:
            return f"~{text}" if group.beside_other_work else text
        if spread and len(group.values(metric)) > 1:
            text += f" ± {form.format(scale * group.spread(metric))}"
        return f"{text} ({group.seeds_missing})" if spread and group.seeds_missing else text

    return cell


def _mean(group: Group, metric: str) -> float:
    value = group.mean(metric)
    assert value is not None, metric
    return value


def _picture(name: str, summary: Summary) -> str:
    metric, title = PLOTS[name]
    return (
        f"![{title}: the area of a circle is the size of the model]({name})"
        if measured(summary, metric)
        else ""
    )


def _place(place: Place) -> str:
    return f"{place[0]}, {PARTS[place[1]]}"
