"""The page on spaCy must work as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from golden_set import BUNDLE

from sqz_nlu.spacy_pipe import create_pipe  # registers the component

PAGE = Path(__file__).parent.parent / "docs" / "spacy.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert callable(create_pipe)
    shutil.copytree(BUNDLE, tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "[('office', 'room', 'from'), ('garden', 'room', 'to')]",
        "move_music",
    ]
