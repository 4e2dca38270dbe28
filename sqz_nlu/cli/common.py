"""What the verbs share."""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from collections.abc import Iterator
from typing import Any

from sqz_nlu.errors import OptionError

TRAINED_HELP = "bundle folder, or model archive (.tar.gz) of rasa train"
MODEL_HELP = "bundle folder, model archive (.tar.gz) of rasa train, or 'embedded'"

Verbs = Any  # argparse keeps the type of its sub-parsers private


def examples(text: str) -> dict[str, Any]:
    """Arguments for ``add_parser`` that show examples below the help."""
    shown = "examples:\n" + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ")
    return {"epilog": shown, "formatter_class": argparse.RawDescriptionHelpFormatter}


def add_threads(verb: argparse.ArgumentParser) -> None:
    """Declares ``--threads``."""
    verb.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="threads for one text or batch (default 1)"
    )


def positive(text: str) -> int:
    """A whole number from 1 on, for ``type=`` of argparse."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


@contextlib.contextmanager
def extra(verb: str) -> Iterator[None]:
    """Around the imports of a verb whose packages come with the extra of the same name.

    Raises:
        OptionError: one is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise OptionError(
            f'`sqz-nlu {verb}` needs {error.name}. Install it: pip install "sqz-nlu[{verb}]"'
        ) from error


def open_bundle(model: str) -> Any:
    """The verified `Bundle` that MODEL stands for."""
    from sqz_nlu.runtime.archive import open_model

    return open_model(model)
