"""The split of a bot's examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from nlu.data import read_bot

pytest.importorskip("rasa")

NLU = """version: "3.1"
nlu:
- intent: greet
  examples: |
{greetings}
- intent: order
  examples: |
    - A [pizza](dish), please!
    - a [pizza](dish) please
- intent: bye
  examples: |
    - bye
"""


def test_texts_of_the_same_words_are_on_one_side(tmp_path: Path) -> None:
    greetings = [f"{hello} number {number}" for number in range(10) for hello in ("hello", "Hello,")]
    (tmp_path / "data").mkdir()
    examples = "\n".join(f"    - {text}" for text in greetings)
    (tmp_path / "data" / "nlu.yml").write_text(NLU.format(greetings=examples), "utf-8")
    split = read_bot(tmp_path)
    assert split == read_bot(tmp_path)
    train, test = ([row["text"] for row in rows] for rows in (split.train, split.test))
    assert sorted(train + test) == sorted([*greetings, "A pizza, please!", "a pizza please", "bye"])
    asked = [text for text in test if "number" in text]
    assert len(asked) == 4
    assert {text.split()[-1] for text in asked}.isdisjoint(text.split()[-1] for text in train)
    assert test == asked  # the only words of an intent are learned from
