"""Writes docs/cli.md from the help of the command line.

python scripts/cli_page.py [--check]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "100"  # argparse wraps to the width of the terminal
PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
HEAD = """# Command line

Results go to standard output, as JSON wherever a program may read them; progress and errors go to standard
error. Exit codes: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted. `MODEL` is a bundle's folder, a
model archive of `rasa train`, or `embedded`.

This page is the output of `sqz-nlu VERB --help`, written by `python scripts/cli_page.py`.
"""


def page() -> str:
    """One section a verb."""
    from sqz_nlu.cli import build_parser
    from sqz_nlu.cli.completion import verb_parsers

    parser = build_parser()
    parts = {"sqz-nlu": parser}
    parts |= {f"sqz-nlu {name}": verb for name, verb in verb_parsers(parser).items()}
    shown = [f"\n## {name}\n\n```text\n{part.format_help().strip()}\n```\n" for name, part in parts.items()]
    return HEAD + "".join(shown)


def main() -> None:
    """Rewrites the page, or with --check only compares it."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit("docs/cli.md is not up to date: run python scripts/cli_page.py")


if __name__ == "__main__":
    main()
