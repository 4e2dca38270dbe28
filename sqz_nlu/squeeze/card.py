"""The model card of a squeezed encoder, in Markdown, from the records of its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from transformers import SqueezeBertConfig


def encoder_card(record: Mapping[str, Any], config: SqueezeBertConfig) -> str:
    """The card of what ``sqz-nlu squeeze`` made.

    Args:
        record: the content of ``squeeze.json``.
        config: the encoder's geometry.
    """
    settings, teacher = record["settings"], record.get("teacher") or {}
    made, on = ("Distilled", "Trained") if record["history"] else ("Made", "Fitted")
    lines = [
        *_front_matter(teacher),
        "# A SqueezeBERT encoder",
        "",
        f"{made} from `{_shown(settings['teacher'])}` by sqz-nlu {record['sqz_nlu']}. Load it with "
        "`transformers.SqueezeBertModel`, or train an intent and entity model on it: `model: this/folder`.",
        "",
        f"- Geometry: {geometry(config.to_dict())}",
        f"- Language: {_listed(teacher.get('language')) or 'not stated by the teacher'}",
        f"- Licence: {_listed(teacher.get('license')) or 'not stated by the teacher'} (the teacher's)",
        "",
        "## How it was made",
        "",
        making(record),
        "",
        *text_table(record["corpus_lines"]),
    ]
    if probe := record.get("probe"):
        columns = {"teacher": "teacher", "float": "this encoder", "int8": "as int8 graph"}
        lines += ["", "## What it knows", "", *probe_table(probe, columns)]
    limits = (
        f"{on} on sentences of up to {settings['max_length']} tokens; longer texts work but were not "
        "practised. It learned from its teacher and from the text above and carries their biases."
    )
    return "\n".join([*lines, "", "## Limits", "", limits]) + "\n"


def _front_matter(teacher: Mapping[str, Any]) -> list[str]:
    """What the hub and the warning about foreign texts read."""
    facts = {name: teacher[name] for name in ("language", "license") if isinstance(teacher.get(name), str)}
    return ["---", *(f"{k}: {v}" for k, v in facts.items()), "tags: [squeezebert, sqz-nlu]", "---", ""]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _shown(teacher: str) -> str:
    """A teacher's name without the way to it on the machine of the run."""
    return PurePath(teacher).name if PurePath(teacher).is_absolute() else teacher


def geometry(config: Mapping[str, Any]) -> str:
    """Layers, widths, groups and vocabulary in words."""
    attention, wide = config["q_groups"], config["intermediate_groups"]
    groups = _groups(attention)
    if wide != attention:
        groups = f"{_groups(attention)} in attention and {_groups(wide)} in the feed-forward block"
    return (
        f"{config['num_hidden_layers']} layers, {config['hidden_size']} wide, "
        f"{config['num_attention_heads']} heads, {groups} "
        f"({config['post_attention_groups']} after attention), {config['vocab_size']} word pieces"
    )


def _groups(count: int) -> str:
    return f"{count} group{'s' * (count != 1)}"


def making(record: Mapping[str, Any]) -> str:
    """Length, rates, time and last losses in words; of a run of 0 tokens, that nothing was trained."""
    settings = record["settings"]
    before = record.get("started_from")
    if not record["history"]:
        origin = (
            "the teacher's, and where these were cut into groups or layers were left out, fitted to its "
            "states by least squares on a sample of the text"
        )
        if before is not None:
            origin = "those of an encoder squeezed before, its massive activations spread"
        return (
            f"The weights are the first ones, without training (`--tokens 0`): {origin}, seed "
            f"{settings['seed']}."
        )
    last = record["history"][-1]
    layers = ", ".join(f"{loss:.2f}" for loss in last["layers"])
    then = ""
    if before is not None:
        then = "Starting from an encoder squeezed before"
        then += f" in {course(before)}: " if "tokens" in before else ": "
    return (
        f"{then}{course(record)}. Last losses: squared distance to the teacher over its variance, "
        f"by layer, {layers}; cosine distance of the pooled embeddings {last['pooled']:.3f}."
    )


def course(record: Mapping[str, Any]) -> str:
    """Length, rate and time of a run."""
    settings = record["settings"]
    return (
        f"{record['tokens']:,} tokens in {record['steps']:,} steps of at most {settings['batch_tokens']} "
        f"tokens, AdamW at {settings['learning_rate']}, seed {settings['seed']}, {_time(record['seconds'])}"
        f"{_machine(record.get('machine'))}"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _machine(machine: Mapping[str, Any] | None) -> str:
    if not machine:
        return ""
    many = f", {machine['processes']} processes" if machine["processes"] > 1 else ""
    threads = machine.get("threads")
    each = "" if threads is None else f", {threads} thread{'s' * (threads > 1)}{' each' if many else ''}"
    return f" on {machine['device']}{many}{each}"


def text_table(
    lines_of_files: Mapping[str, int], sources: Mapping[str, tuple[str, str]] | None = None
) -> list[str]:
    """Rows of a table with the text files, the longest first.

    Args:
        lines_of_files: lines read by file name.
        sources: licence and title by file name without endings, if known for all.
    """
    rows = ["| text | lines |", "|---|---:|"]
    if sources is not None:
        rows = ["| text | lines | licence |", "|---|---:|---|"]
    for name, count in sorted(lines_of_files.items(), key=lambda item: (-item[1], item[0])):
        licence, title = ("", name) if sources is None else sources[name.split(".")[0]]
        rows.append(f"| {title} | {count:,} |" + (f" {licence} |" if sources is not None else ""))
    return rows


def probe_table(probe: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    """Rows of a table with the figures of the frozen probe, and what they are.

    Args:
        probe: what `sqz_nlu.squeeze.probe.probe` returned, with ``share_of_teacher``.
        columns: headings by name of embedder.
    """
    titles: Sequence[str] = list(columns.values())
    lines = [
        "Frozen, mean-pooled, logistic regression (C = 30) on the unit-length embeddings; accuracy in "
        "percent on the test part. The teacher is in float32.",
        "",
        f"| data | examples an intent | {' | '.join(titles)} |",
        "|---|---|" + "---:|" * len(titles),
    ]
    for cell in probe["cells"]:
        figures = " | ".join(f"{cell[name]:.1f}" for name in columns)
        lines.append(f"| {cell['data']} | {cell['shots']} | {figures} |")
    means = (sum(cell[name] for cell in probe["cells"]) / len(probe["cells"]) for name in columns)
    lines.append(f"| mean | | {' | '.join(f'{mean:.1f}' for mean in means)} |")
    kept = 100 * probe["share_of_teacher"]
    return [*lines, "", f"Over all rows the int8 graph keeps {kept:.1f}% of its teacher's accuracy."]
