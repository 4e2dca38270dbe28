"""What an operator may set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqz_nlu.errors import OptionError


def usable_processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(frozen=True)
class ServerSettings:
    """Limits and access of a server.

    Attributes:
        token: asked of every request but ``/``, ``/health``, ``/ready`` and ``/version``; ``None`` for none.
        cors: origins that browsers may call from, a list or tuple; ``"*"`` in it for all.
        threads: texts that are understood at the same time.
        queue: texts that may wait for a thread; more are refused with 503.
        max_body: largest request body in bytes.
        max_length: longest text in characters.
        max_batch: most texts of one ``/parse/batch``.
        watch: seconds between looks for a new model; 0 never looks.

    Raises:
        OptionError: a value is of another type or out of its range.
    """

    token: str | None = None
    cors: Sequence[str] = ()
    threads: int = field(default_factory=usable_processors)
    queue: int = 256
    max_body: int = 2**20
    max_length: int = 10_000
    max_batch: int = 128
    watch: float = 1.0

    def __post_init__(self) -> None:
        for name in ("threads", "queue", "max_body", "max_length", "max_batch"):
            value = getattr(self, name)
            if not _is_number(value, int) or value < 1:
                raise OptionError(f"{name} is {value!r}; expected a whole number of 1 or more.")
        if not _is_number(self.watch, int, float) or not self.watch >= 0:
            raise OptionError(f"watch is {self.watch!r}; expected 0 (never) or a number of seconds.")
        if self.token is not None and not isinstance(self.token, str):  # it is a secret: not shown
            kind = type(self.token).__name__
            raise OptionError(f"token is of type {kind}; expected a text. Put it in quotes.")
        if self.token == "":
            raise OptionError("token is empty; give a secret, or leave it out to ask for none.")
        if not isinstance(self.cors, tuple | list) or not all(isinstance(one, str) for one in self.cors):
            raise OptionError(
                f"cors is {self.cors!r}; expected a list of origins such as ['https://a.example.com']."
            )


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)
