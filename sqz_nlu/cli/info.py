"""``sqz-nlu info``: what a model knows."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqz_nlu.cli.common import MODEL_HELP, Verbs, examples, open_bundle

_EXAMPLES = """
sqz-nlu info my-model
sqz-nlu info models/20240101-120000.tar.gz
sqz-nlu info --json my-model | jq .config.decoding.labels.intents
"""
_WIDTH = 100


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "info", help="what a model knows and what it was made from", **examples(_EXAMPLES)
    )
    verb.add_argument("model", help=MODEL_HELP)
    verb.add_argument("--json", action="store_true", help="manifest and configuration as JSON")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    bundle = open_bundle(arguments.model)
    if arguments.json:
        about = {"manifest": bundle.manifest, "config": bundle.config}
        print(json.dumps(about, indent=1, ensure_ascii=False))
        return 0
    for name, value in [("model", arguments.model), *_facts(bundle.manifest, bundle.config)]:
        lines = textwrap.wrap(value, _WIDTH, break_on_hyphens=False) or [""]
        print(f"{name:<14}  " + f"\n{'':<16}".join(lines))
    return 0


def _facts(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value of each line."""
    producer = ", ".join(f"{name} {version}" for name, version in manifest.get("producer", {}).items())
    yield "format", f"{manifest['format_version']}, written by {producer}"
    if manifest.get("language"):
        yield "language", manifest["language"]
    geometry, encoder = config.get("encoder", {}), manifest.get("encoder", {})
    shape = f"{geometry.get('num_hidden_layers')} layers of {geometry.get('hidden_size')}"
    fingerprint = encoder.get("fingerprint", "")[:12]
    yield "encoder", f"{encoder.get('name')} {fingerprint} ({shape}, {manifest.get('precision')})"
    yield from _labels(config.get("decoding", {}))
    for key, name in (
        ("data", "trained on"),
        ("held_out", "held out"),
        ("epochs", "epochs"),
        ("fallback", "fallback"),
        ("parity", "parity"),
    ):
        if manifest.get(key):
            yield name, _figures(manifest[key])
    yield "probes", str(len(manifest.get("probes", ())))
    for name, file in manifest["files"].items():
        yield name, f"{file['size']:>10,} bytes  sha256 {file['sha256']}"
    yield "checksum", manifest["checksum"]


def _labels(decoding: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    labels = decoding.get("labels", {})
    for kind in ("intents", "entities", "roles", "groups"):
        names: Sequence[str] = labels.get(kind, ())
        yield kind, f"{len(names)}: {', '.join(names)}" if names else "none"
    if decoding.get("synonyms"):
        yield "synonyms", str(len(decoding["synonyms"]))
    yield "longest text", f"{decoding.get('max_tokens')} tokens"


def _figures(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(
        f"{name.replace('_', ' ')} {_figure(figure)}" for name, figure in value.items() if figure is not None
    )


def _figure(value: Any) -> str:
    return f"{round(value, 3):g}" if isinstance(value, float) else str(value)
