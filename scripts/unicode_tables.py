"""Writes sqz_nlu/web/unicode.js: the character classes of the tokenizers library and of Python, as data.

A browser knows classes of characters, too, but of a newer Unicode than the library's, and each browser of
another one. So the classes are asked from the library itself, once for every code point.

    python scripts/unicode_tables.py          write the file
    python scripts/unicode_tables.py --check  fail if it is not what would be written
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

FILE = Path(__file__).resolve().parents[1] / "sqz_nlu" / "web" / "unicode.js"
SEPARATOR = "\u0298"  # a letter to which no other character decomposes
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and chr(c) != SEPARATOR]
WIDTH = 100


def dropped_by(**steps: bool) -> list[str]:
    """The characters that these steps of BERT's normalizer drop."""
    chosen = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    normalizer = normalizers.BertNormalizer(**chosen | steps)
    seen = normalizer.normalize_str(SEPARATOR + SEPARATOR.join(CHARACTERS) + SEPARATOR)
    return [c for c, left in zip(CHARACTERS, seen[1:-1].split(SEPARATOR), strict=True) if not left]


def punctuation() -> list[str]:
    """The characters that BERT's pre-tokenizer makes words of their own, CJK aside."""
    text = SEPARATOR + SEPARATOR.join(CHARACTERS) + SEPARATOR
    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    return [piece for piece, _ in pieces if len(piece) == 1 and piece != SEPARATOR]


def runs(classes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """First and last code point, and class, of neighbours of one class."""
    current: tuple[int, int, int] | None = None
    for point, kind in classes:
        if current and point == current[1] + 1 and kind == current[2]:
            current = (current[0], point, kind)
        else:
            if current:
                yield current
            current = (point, point, kind)
    if current:
        yield current


def base36(number: int) -> str:
    """A number in the digits that JavaScript's parseInt(..., 36) reads."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return (base36(number // 36) if number >= 36 else "") + digits[number % 36]


def table(name: str, about: str, classes: Iterable[tuple[int, int]]) -> list[str]:
    """A constant: for each run the gap before it, its length, and its class where that is not 1."""
    position, cells = 0, []
    for first, last, kind in runs(classes):
        cell = [first - position, last - first] + [kind] * (kind != 1)
        cells.append(",".join(base36(number) for number in cell))
        position = last + 1
    lines, line = [], ""
    for cell in cells:
        if len(line) + len(cell) + 1 > WIDTH:
            lines.append(line)
            line = ""
        line += cell + " "
    lines.append(line)
    quoted = [f'  "{part}"' for part in (*lines[:-1], lines[-1].strip())]
    return [
        f"/** {about} */",
        f"export const {name} = new CharacterClass(",
        " +\n".join(quoted) + ",",
        ");",
        "",
    ]


HEAD = """\
// Written by scripts/unicode_tables.py from the tokenizers library and Python {python}: not to be edited.
// The classes of a browser are of another Unicode version.

/** Numbers for code points, most of them 0. */
export class CharacterClass {{
  /** @param {{string}} runs runs of one class: gap, length - 1 and class (1 where missing), in base 36 */
  constructor(runs) {{
    const cells = runs.split(" ").map((run) => run.split(",").map((part) => parseInt(part, 36)));
    let position = 0;
    /** @type {{{{first: number, last: number, kind: number}}[]}} */
    this.runs = cells.map(([gap, length, kind = 1]) => {{
      const first = position + gap;
      position = first + length + 1;
      return {{ first, last: first + length, kind }};
    }});
  }}

  /** The class of a code point. @param {{number}} point */
  of(point) {{
    let low = 0;
    let high = this.runs.length - 1;
    while (low <= high) {{
      const middle = (low + high) >> 1;
      const run = this.runs[middle];
      if (point < run.first) high = middle - 1;
      else if (point > run.last) low = middle + 1;
      else return run.kind;
    }}
    return 0;
  }}
}}
"""


def build() -> str:
    """The text of the file."""

    def ones(characters: Iterable[str]) -> list[tuple[int, int]]:
        return [(ord(character), 1) for character in characters]

    combining = [(ord(c), unicodedata.combining(c)) for c in CHARACTERS if unicodedata.combining(c)]
    parts = [
        table(
            "DROPPED",
            "What cleaning drops: controls, formats, U+0000, U+FFFD.",
            ones(dropped_by(clean_text=True)),
        ),
        table("MARK", "Marks that stripping accents drops.", ones(dropped_by(strip_accents=True))),
        table("PUNCTUATION", "What is a word of its own.", ones(punctuation())),
        table("DIGIT", "Python's str.isdigit.", ones(c for c in CHARACTERS if c.isdigit())),
        table("COMBINING", "Canonical combining classes.", combining),
    ]
    head = HEAD.format(python=".".join(map(str, sys.version_info[:2])))
    return "\n".join([head, *(line for part in parts for line in part)]).rstrip() + "\n"


def main() -> int:
    """Writes or checks the file."""
    text = build()
    if "--check" not in sys.argv:
        FILE.write_text(text, encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != text:
        print("sqz_nlu/web/unicode.js is not what scripts/unicode_tables.py writes. Run it.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
