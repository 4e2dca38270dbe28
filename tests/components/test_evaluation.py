"""`rasa test nlu` by cross-validation, and the comparison of two configurations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_bot import configuration

pytestmark = pytest.mark.slow


def nlu() -> list[dict]:
    """Ten examples of each of two intents: a part must be left over for testing."""
    words = ("light", "lights", "music", "fly", "garden", "kitchen", "bedroom", "paris", "london", "hi")
    on = [f"turn on the [{word}](device)" for word in words]
    move = [f"move to [{word}](device)" for word in words]
    return [
        {"intent": name, "examples": "".join(f"- {text}\n" for text in texts)}
        for name, texts in (("turn_on", on), ("move", move))
    ]


def rasa(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rasa", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.fixture
def folder(tiny_options, tmp_path: Path) -> Path:
    for name, epochs in (("one", 5), ("two", 30)):
        config = configuration(tiny_options, epochs=epochs)
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    (tmp_path / "nlu.yml").write_text(yaml.safe_dump({"version": "3.1", "nlu": nlu()}))
    (tmp_path / "domain.yml").write_text('version: "3.1"\n')
    return tmp_path


def test_cross_validation_writes_all_reports(folder: Path) -> None:
    rasa(
        folder, "test", "nlu", "--nlu", "nlu.yml", "--config", "two.yml", "--cross-validation", "--folds", "2"
    )
    results = folder / "results"
    for name in ("intent_report.json", "SqueezeBertClassifier_report.json"):
        assert json.loads((results / name).read_text())
    for kind in ("confusion_matrix", "histogram"):
        for name in ("intent", "SqueezeBertClassifier"):
            assert (results / f"{name}_{kind}.png").stat().st_size > 1000


def test_two_configurations_are_compared(folder: Path) -> None:
    command = ["test", "nlu", "--nlu", "nlu.yml", "--config", "one.yml", "two.yml"]
    rasa(folder, *command, "--runs", "1", "--percentages", "50")
    results = folder / "results"
    scores = json.loads((results / "results.json").read_text())
    assert set(scores) == {"one", "two"}
    assert (results / "nlu_model_comparison_graph.pdf").is_file()
