"""Short structured logs: ``2026-01-31T12:00:00.000Z info model-loaded fingerprint=0f3a path=a.tar.gz``."""

from __future__ import annotations

import json
import logging
import time

_LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s"
logger = logging.getLogger("sqz_nlu.serving")


def log_event(level: int, event: str, **fields: object) -> None:
    """Logs an event with its fields. Texts of users are never among them."""
    parts = [event, *(f"{name}={_value(value)}" for name, value in fields.items())]
    logger.log(level, " ".join(parts))


def log_to_standard_error(level: int = logging.INFO) -> None:
    """Sends this package's events and uvicorn's warnings to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(_LINE, "%Y-%m-%dT%H:%M:%S"))
    for name, least in (("sqz_nlu", level), ("uvicorn", logging.WARNING)):
        target = logging.getLogger(name)
        target.handlers = [handler]
        target.setLevel(least)
        target.propagate = False


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        return super().format(record)


def _value(value: object) -> str:
    """The value, in quotes where a reader could not tell where it ends."""
    text = str(value)
    plain = text and text.isprintable() and not any(char in text for char in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
