"""``sqz-nlu annotate``: understand millions of utterances."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from sqz_nlu.cli.common import TRAINED_HELP, Verbs, positive

if TYPE_CHECKING:
    from sqz_nlu.serving.annotate.run import Progress

_SECONDS_BETWEEN_LINES = 10.0
_NOTES = """examples:
  sqz-nlu annotate --model my-model chats.jsonl annotated
  sqz-nlu annotate --model my-model --workers 4 texts.txt annotated

OUTPUT gets all rows of INPUT, in order, and sqz_intent, sqz_confidence, sqz_entities, sqz_error.
Text gives JSON Lines, the other formats stay what they are. Stopped or killed, the same command goes on
where it ended. URLs (s3://, gs://, ...) and Parquet need sqz-nlu[parquet], Ray sqz-nlu[ray].
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "annotate",
        help="understand files full of utterances, on all cores or a Ray cluster",
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("input", help="file or folder: JSON Lines, text (a line each) or Parquet; path or URL")
    verb.add_argument("output", help="folder for the parts; new, or of a run to go on with; path or URL")
    verb.add_argument("--model", required=True, help=TRAINED_HELP)
    verb.add_argument("--text-column", default="text", help="column of the texts (default: text)")
    verb.add_argument("--format", choices=("jsonl", "text", "parquet"), help="default: by the file names")
    verb.add_argument(
        "--workers", type=positive, help="processes, or tasks at a time on Ray; default: all cores"
    )
    verb.add_argument("--ray-address", help="'local', 'auto' or the address of a Ray cluster")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.serving.annotate.run import annotate

    summary = annotate(
        arguments.input,
        arguments.output,
        arguments.model,
        text_column=arguments.text_column,
        file_format=arguments.format,
        workers=arguments.workers,
        ray_address=arguments.ray_address,
        report=_Reporter(),
    )
    print(json.dumps(summary, ensure_ascii=False))
    return 0


class _Reporter:
    """Writes progress to standard error: one line that changes, or some lines where nobody watches."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        finished = progress.parts + progress.parts_kept == progress.parts_in_all
        now = time.monotonic()
        if not (self._live or finished or now - self._last >= _SECONDS_BETWEEN_LINES):
            return
        self._last = now
        ends = "\n" if finished or not self._live else ""
        print(f"{chr(13) * self._live}{describe(progress)}", end=ends, file=sys.stderr, flush=True)


def describe(progress: Progress) -> str:
    """How far a run is, in one line."""
    left = progress.seconds / progress.fraction - progress.seconds
    kept = f" ({progress.parts_kept} kept)" if progress.parts_kept else ""
    return (
        f"{progress.rows:,} rows, {progress.failed:,} failed, "
        f"{progress.parts + progress.parts_kept:,} of {progress.parts_in_all:,} parts{kept}, "
        f"{progress.rows / max(progress.seconds, 1e-9):,.0f} rows/s, {_clock(left)} left "
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
