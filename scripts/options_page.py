"""Writes the tables of options in the docs from the options' own docstrings and defaults.

python scripts/options_page.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sqz_nlu.components.feature_encoder import FeaturizerOptions
from sqz_nlu.training.options import TrainingOptions

DOCS = Path(__file__).parent.parent / "docs"
PAGES: dict[str, type[Any]] = {"options.md": TrainingOptions, "featurizer.md": FeaturizerOptions}
HEAD = "| option | default | meaning |\n|---|---|---|\n"


def table(options: type[Any]) -> str:
    """One row an option."""
    attributes = (options.__doc__ or "").split("Attributes:")[1]
    entries = re.split(r"\n        (?=\w+: )", attributes)[1:]
    meanings = dict(re.sub(r"\s+", " ", entry).strip().split(": ", 1) for entry in entries)
    rows = []
    for name, default in options.defaults().items():
        meaning = meanings[name if name in meanings else name.lower()].replace("``", "`")
        rows.append(f"| `{name}` | {shown(default)} | {meaning} |")
    return "\n".join(rows)


def shown(default: Any) -> str:
    """A default as YAML has it."""
    if default is None:
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> None:
    """Rewrites the pages, or with --check only compares them."""
    for name, options in PAGES.items():
        page = DOCS / name
        text = page.read_text("utf-8")
        before, rest = text.split(HEAD, 1)
        after = rest[rest.index("\n\n") :]
        fresh = before + HEAD + table(options) + after
        if "--check" not in sys.argv:
            page.write_text(fresh, "utf-8")
        elif fresh != text:
            sys.exit(f"docs/{name} is not up to date: run python scripts/options_page.py")


if __name__ == "__main__":
    main()
