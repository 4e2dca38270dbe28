"""What holds threads or locks leaves them to the parent when the process is forked."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """Something whose threads and locks are of no use in a forked process."""

    def forget(self) -> None:
        """Leaves them to the parent; called in the child."""


def forget_after_fork(thing: Forgetful) -> None:
    """Lets ``thing`` forget in every process that is forked from this one while it lives."""
    _things.add(thing)


_things: WeakSet[Forgetful] = WeakSet()


def _after_fork() -> None:
    for thing in list(_things):
        thing.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
