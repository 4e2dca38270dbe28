"""docs/speed.md and the README say what benchmarks/results/speed.json holds."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "speed" / "page.py"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = spec_from_file_location("speed_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_pages_say_what_was_measured() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_goal_says_whether_it_is_reached(page: ModuleType) -> None:
    parts = {"part": {"ratios": {"a": 3.0}}}
    assert page.Goal("A", "part.ratios.a", 2).row(parts).endswith("| 3 x | yes |")
    assert page.Goal("A", "part.ratios.a", 4).row(parts).endswith("| 3 x | **no** |")
    assert page.Goal("A", "part.ratios.a", 2, least=False).row(parts).endswith("**no** |")
    assert "not measured" in page.Goal("B", "part.ratios.b", 2).row(parts)


def test_every_goal_has_a_figure_or_its_part_was_not_measured(page: ModuleType) -> None:
    parts = json.loads(page.RESULT.read_text("utf-8"))
    for goal in page.GOALS:
        if goal.path.split(".")[0] in parts:
            assert page.look_up(parts, goal.path) is not None, goal.path


@pytest.mark.parametrize("kind", ["transformers", "transformers_float32"])
def test_an_epoch_is_timed_with_transformers_encoder(tmp_path: Path, kind: str) -> None:
    rows = [{"text": f"say {word}", "intent": word} for word in ("one", "two")] * 2
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    command = [sys.executable, SCRIPT.with_name("train_once.py"), tmp_path, kind]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["examples"] == 4
    assert figures["peak_mib"] > 100
