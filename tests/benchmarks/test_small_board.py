"""docs/small-boards.md says what benchmarks/results/small-board.json holds."""

from __future__ import annotations

import small_board
from common import put_between_marks, read_result


def test_the_page_says_what_was_measured() -> None:
    page = small_board.PAGE.read_text("utf-8")
    assert "<!-- board -->" in page
    assert put_between_marks(page, "board", small_board.block(read_result("small-board"))) == page
