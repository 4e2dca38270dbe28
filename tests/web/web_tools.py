"""Runs the scripts of this folder in Node and what they need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "node_modules"


def require_node() -> None:
    """Skips the test where Node or its packages are missing, but not in continuous integration."""
    _require(shutil.which("node") is not None and NODE_MODULES.is_dir(), "Node and its packages")


def require_chromium() -> None:
    """Likewise for Chromium."""
    _require(Path(os.environ.get("CHROMIUM", "/usr/bin/chromium")).exists(), "Chromium")


def _require(there: bool, what: str) -> None:
    if not there and "CI" not in os.environ:
        pytest.skip(f"needs {what}: make web-tools")


def node(script: str, *arguments: str, stdin: str = "") -> str:
    """Standard output of a script of this folder."""
    require_node()
    return run("node", str(Path(__file__).with_name(script)), *arguments, stdin=stdin)


def python(*arguments: str) -> str:
    """Standard output of Python, run in the root of the repository."""
    return run(sys.executable, *arguments)


def run(*command: str, stdin: str = "") -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
