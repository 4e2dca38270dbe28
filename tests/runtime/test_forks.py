"""A forked child opens its own session, whatever its parent was doing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from golden_set import BUNDLE

SCRIPT = """
import gc, os, signal, sys
from sqz_nlu import Interpreter

interpreter = Interpreter.load(sys.argv[1], threads=int(sys.argv[2]))
texts = [f"turn on {n} lights" for n in range(40)]
expected = interpreter.parse("hello")
expected_of_batch = interpreter.parse_batch(texts)
with interpreter._session._lock:  # as if another thread were opening the session
    child = os.fork()
if child == 0:
    signal.alarm(20)
    assert interpreter.parse("hello") == expected
    assert interpreter.parse_batch(texts) == expected_of_batch
    del interpreter
    gc.collect()
    sys.exit(0)  # the interpreter is torn down, with all that is left of the parent's session
assert os.waitpid(child, 0)[1] == 0
assert interpreter.parse("hello") == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_child_answers_and_ends(threads: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(BUNDLE), threads]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


SHARED = """
import os, signal, sys
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, read_bundle
from sqz_nlu.runtime import shared_encoder

bundle = read_bundle(EMBEDDED_FOLDER)
with shared_encoder._shared.lock:  # as if another thread were loading an encoder
    child = os.fork()
if child == 0:
    signal.alarm(20)
    assert shared_encoder.shared_encoder(bundle).embed("hello") is not None
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_loads_a_shared_encoder() -> None:
    done = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
