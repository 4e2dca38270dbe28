"""The model card of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqz_nlu.export.parity import Parity
from sqz_nlu.runtime.labels import LabelSpace

_MODEL = (
    "An intent and entity model written by sqz-nlu. Load it with",
    '`from sqz_nlu import Interpreter; Interpreter.load("this folder").parse("some text")`.',
)
_ENCODER = (
    "An encoder written by sqz-nlu: it turns texts into vectors, without intents and entities. Load it with",
    '`from sqz_nlu import Interpreter; Interpreter.load("this folder").embed(["some text"])`. To train',
    "from it, give the folder as option `model` of a component.",
)


def model_card(facts: Mapping[str, Any], labels: LabelSpace, model_bytes: int, latency: str | None) -> str:
    """A page in Markdown: what the model knows, what it was made from, how good it is.

    Args:
        facts: the entries of the manifest.
        labels: the label space.
        model_bytes: size of ``model.onnx``.
        latency: measured time of a parse, in words.
    """
    encoder = facts["encoder"]
    lines = [
        "# Model card",
        "",
        *(_MODEL if labels.intents or labels.entities else _ENCODER),
        "",
        f"- Language: {facts.get('language') or 'not stated'}",
        f"- Encoder: {encoder['name']} ({encoder['fingerprint'][:12]})",
        f"- Precision: {facts['precision']}, model.onnx {model_bytes / 1e6:.1f} MB",
    ]
    if latency:
        lines.append(f"- Speed where it was made: {latency}")
    data = facts.get("data") or {}
    if data:
        lines.append(
            f"- Training data: {data['examples']} examples, {len(labels.intents)} intents, "
            f"{data['spans']} entity annotations"
        )
    lines += _held_out(facts.get("held_out") or {}) + _parity(facts.get("parity"))
    lines += _fallback(facts.get("fallback"))
    for title, names in (
        ("Intents", labels.intents),
        ("Entities", labels.entities),
        ("Roles", labels.roles),
        ("Groups", labels.groups),
    ):
        if names:
            lines += ["", f"## {title}", "", ", ".join(f"`{name}`" for name in names)]
    return "\n".join(lines) + "\n"


def _held_out(figures: Mapping[str, float]) -> list[str]:
    if not figures:
        return []
    parts = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items() if name != "examples"]
    return [f"- On {figures['examples']:.0f} examples while they were held out: {', '.join(parts)}"]


def _parity(parity: Mapping[str, Any] | None) -> list[str]:
    return [f"- {Parity(**parity)}"] if parity else []


def _fallback(fallback: Mapping[str, Any] | None) -> list[str]:
    if not fallback:
        return []
    line = f"- A FallbackClassifier threshold of {fallback['threshold']:.2f} would have kept "
    line += f"{fallback['kept']:.1%} of {fallback['right']} right held-out answers"
    if fallback["turned_away"] is not None:
        line += f" and turned away {fallback['turned_away']:.1%} of {fallback['wrong']} wrong ones"
    return [line]
