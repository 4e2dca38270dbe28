"""One encoder for all who embed with it in a process: its weights are held once, a text is encoded once."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.forks import forget_after_fork
from sqz_nlu.runtime.interpreter import Interpreter


class SharedEncoder:
    """Embeds single texts and remembers the last one. Safe to share between threads.

    Several selectors in a pipeline ask for the same text one after the other.

    Args:
        interpreter: embeds.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._last: tuple[str, npt.NDArray[np.float32] | None] | None = None

    def embed(self, text: str) -> npt.NDArray[np.float32] | None:
        """The sentence vector of a text, ``float32 [1, hidden]``; not to be changed. None without words.

        Raises:
            TypeError: ``text`` is not a string.
        """
        last = self._last
        if last is None or last[0] != text:
            vector = self._interpreter.embed([text]) if self._interpreter.has_words(text) else None
            last = self._last = (text, vector)
        return last[1]


class _Shared:
    """The encoders that are held by someone, by fingerprint and threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.encoders: WeakValueDictionary[tuple[str, int], SharedEncoder] = WeakValueDictionary()
        forget_after_fork(self)

    def forget(self) -> None:
        """The lock may be held by a thread that a forked process does not have."""
        self.lock = threading.Lock()


_shared = _Shared()


def shared_encoder(bundle: Bundle, threads: int = 1) -> SharedEncoder:
    """The encoder of this bundle; the same object for as long as anyone holds it.

    Args:
        bundle: a verified bundle.
        threads: threads for one text.
    """
    key = (bundle.fingerprint, threads)
    with _shared.lock:
        encoder = _shared.encoders.get(key)
        if encoder is None:
            encoder = _shared.encoders[key] = SharedEncoder(Interpreter(bundle, threads))
        return encoder
