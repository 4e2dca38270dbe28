"""The package as users get it: a wheel, for tests in environments of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a command prints; it must succeed."""
    # At the root by default: there pyenv's shims know which Python is meant.
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr}"
    return done.stdout.strip()


def find_uv() -> str | None:
    """An uv that runs; a pyenv shim of it may not."""
    for candidate in ("uv", str(ROOT / ".bootstrap" / "bin" / "uv")):
        try:
            subprocess.run([candidate, "--version"], cwd=ROOT, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


def build_wheel(source: Path) -> Path:
    """The wheel of this package, built in the folder ``source`` so that the tree stays clean."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "sqz_nlu", source / "sqz_nlu", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", cwd=source)
    return next((source / "dist").glob("*.whl"))
