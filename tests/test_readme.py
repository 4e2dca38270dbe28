"""What the README tells users to type must work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sqz_nlu.cli import build_parser
from sqz_nlu.training.options import TrainingOptions

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_python_blocks_run(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "my-model")
    assert blocks("python")
    for block in blocks("python"):
        result = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert "intent" in result.stdout


def test_the_pipeline_is_valid() -> None:
    (block,) = blocks("yaml")
    pipeline = {entry.pop("name"): entry for entry in yaml.safe_load(block)["pipeline"]}
    assert set(pipeline) >= {"sqz_nlu.BlankSpacyTokenizer", "sqz_nlu.SqueezeBertClassifier"}
    TrainingOptions.from_dict(pipeline["sqz_nlu.SqueezeBertClassifier"])


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {words[1] for words in commands() if words[0] == "make"}
    assert {"chat", "test"} <= named <= targets


def test_the_json_has_the_keys_of_a_parse(interpreter) -> None:
    (block,) = blocks("json")
    shown, real = json.loads(block), interpreter.parse("fly from paris to london").to_dict()
    assert set(shown) <= set(real)
    assert set(shown["entities"][0]) == {*real["entities"][0], "processors"}  # the bot has synonyms
    for entity in shown["entities"]:
        assert shown["text"][entity["start"] : entity["end"]] == entity["value"]


@pytest.mark.parametrize("words", [w for w in commands() if w[0] == "sqz-nlu"], ids=" ".join)
def test_verbs_exist(words: list[str]) -> None:
    assert build_parser().parse_args(words[1:]).verb == words[1]
