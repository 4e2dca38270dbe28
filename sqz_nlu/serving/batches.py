"""Batches in which a text that fails spoils no other."""

from __future__ import annotations

from collections.abc import Sequence

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import ParseResult


def parse_each(interpreter: Interpreter, texts: Sequence[str]) -> list[ParseResult | Exception]:
    """Parses texts together; where that fails, one by one, and a text that fails alone gets its error.

    Raises:
        BundleError: no text is to blame.
    """
    try:
        return [*interpreter.parse_batch(texts)]
    except BundleError:
        raise
    except Exception:  # one text spoils the batch: find out which
        return [_parse(interpreter, text) for text in texts]


def _parse(interpreter: Interpreter, text: str) -> ParseResult | Exception:
    try:
        return interpreter.parse(text)
    except Exception as error:
        return error
