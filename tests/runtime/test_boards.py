"""The runtime installs from wheels alone where docs/small-boards.md says so. Asks the package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from wheels import ROOT

PACKAGES = {"numpy", "onnxruntime", "tokenizers"}
pytestmark = pytest.mark.slow


def resolve(uv: str, platform: str, python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [uv, "pip", "compile", "--quiet", "--python-platform", platform, "--python-version", python]
    command += ["--only-binary", ":all:", "--no-header", "--no-annotate", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--output-file", str(folder / "lock.txt")], cwd=ROOT, capture_output=True, text=True
    )
    if re.search("Failed to fetch|error sending request", done.stderr):
        pytest.skip(f"the package registry cannot be reached: {done.stderr[:200]}")
    return done


@pytest.mark.parametrize("python", ["3.10", "3.12"])
@pytest.mark.parametrize("platform", ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"])
def test_everything_comes_as_a_wheel(uv: str, platform: str, python: str, tmp_path: Path) -> None:
    done = resolve(uv, platform, python, tmp_path)
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in (tmp_path / "lock.txt").read_text().splitlines()}
    assert names >= PACKAGES
    assert names.isdisjoint({"torch", "transformers", "rasa", "tensorflow", "onnx", "spacy"})


@pytest.mark.parametrize("platform", ["aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"])
def test_there_is_still_no_onnxruntime_for_musl(uv: str, platform: str, tmp_path: Path) -> None:
    # The day this fails, docs/small-boards.md can promise Alpine.
    done = resolve(uv, platform, "3.12", tmp_path)
    assert done.returncode != 0
    assert "onnxruntime" in done.stderr
