"""Ray has an environment of its own: its packages and Rasa's want different versions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from golden_set import BUNDLE

ROOT = Path(__file__).resolve().parents[2]


def test_the_tests_of_the_cluster_pass_where_ray_is() -> None:
    built = subprocess.run(["bash", "scripts/bootstrap.sh", "ray"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    python = ROOT / ".venv-ray" / "bin" / "python"
    tests = subprocess.run(
        [python, "-m", "pytest", "--color=no", "tests/cluster"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SQZ_NLU_TEST_BUNDLE": str(BUNDLE)},
        capture_output=True,
        text=True,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    summary = tests.stdout.splitlines()[-1]
    assert " passed" in summary
    assert "skipped" not in summary
