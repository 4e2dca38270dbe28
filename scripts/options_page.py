"""Writes the table of docs/options.md from the options' own docstring and defaults.

python scripts/options_page.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sqz_nlu.training.options import TrainingOptions

PAGE = Path(__file__).parent.parent / "docs" / "options.md"
HEAD = "| option | default | meaning |\n|---|---|---|\n"


def table() -> str:
    """One row an option."""
    attributes = TrainingOptions.__doc__.split("Attributes:")[1]
    entries = re.split(r"\n        (?=\w+: )", attributes)[1:]
    meanings = dict(re.sub(r"\s+", " ", entry).strip().split(": ", 1) for entry in entries)
    rows = []
    for name, default in TrainingOptions.defaults().items():
        meaning = meanings[name if name in meanings else name.lower()].replace("``", "`")
        rows.append(f"| `{name}` | {shown(default)} | {meaning} |")
    return "\n".join(rows)


def shown(default: Any) -> str:
    """A default as YAML has it."""
    if default is None:
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> None:
    """Rewrites the page, or with --check only compares it."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(HEAD, 1)
    after = rest[rest.index("\n\n") :]
    fresh = before + HEAD + table() + after
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif fresh != text:
        sys.exit("docs/options.md is not up to date: run python scripts/options_page.py")


if __name__ == "__main__":
    main()
