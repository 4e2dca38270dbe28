"""Lookup tables and regular expressions: found in a text, they add to the logits of tags and intents.

What a pattern adds is linear and sparse, so it is kept out of the graph: a text without a match costs no
arithmetic, and int8 does not touch it. Tables are dictionaries, not alternations: the time to search one does
not grow with its entries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.results import Span

Logits = npt.NDArray[np.float32]
# The places a word can have in a match, in the order of the features: BILOU without O.
FIRST, INNER, LAST, ONLY = range(4)
PLACES = 4
_SEARCHED = 4096  # characters of a text that regular expressions see: a bound for slow ones


@dataclass(frozen=True)
class LookupTable:
    """A list of values, normalised by `normalised`."""

    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class RegexFeature:
    """A regular expression in Python's syntax."""

    name: str
    pattern: str


@dataclass(frozen=True)
class Patterns:
    """The patterns of a model; they are numbered tables first.

    Attributes:
        tables: lookup tables.
        regexes: regular expressions.
        case_sensitive: whether case matters, for both.
        word_boundaries: whether an entry of a table must begin and end where words do.
    """

    tables: tuple[LookupTable, ...] = ()
    regexes: tuple[RegexFeature, ...] = ()
    case_sensitive: bool = False
    word_boundaries: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each pattern."""
        return (*(table.name for table in self.tables), *(regex.name for regex in self.regexes))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "tables": [{"name": table.name, "entries": list(table.entries)} for table in self.tables],
            "regexes": [dict(vars(regex)) for regex in self.regexes],
            "case_sensitive": self.case_sensitive,
            "word_boundaries": self.word_boundaries,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Patterns:
        """Reads the JSON form; raises ``KeyError``, ``TypeError`` or ``ValueError`` on another one."""
        tables = tuple(LookupTable(table["name"], tuple(table["entries"])) for table in data["tables"])
        regexes = tuple(RegexFeature(**regex) for regex in data["regexes"])
        for table in tables:
            if not all(isinstance(entry, str) and entry for entry in table.entries):
                raise ValueError(f"an entry of the table {table.name!r} is empty or no text")
        for regex in regexes:
            if not isinstance(regex.pattern, str):
                raise TypeError(f"the regular expression {regex.name!r} is no text")
        return cls(
            tables,
            regexes,
            bool(data["case_sensitive"]),
            bool(data["word_boundaries"]),
        )


@dataclass(frozen=True)
class Match:
    """Words ``first`` to ``last``, both included, in which a pattern was found."""

    pattern: int
    first: int
    last: int


def normalised(text: str, words: Sequence[Span], case_sensitive: bool) -> tuple[str, list[Span]]:
    """The words of a text, with one space where the text has anything between them.

    Returns:
        The text, and where each word lies in it.
    """
    plain = ""
    places: list[Span] = []
    reach = 0
    for start, end in words:
        if places and start > reach:
            plain += " "
        word = text[start:end] if case_sensitive else text[start:end].lower()
        places.append((len(plain), len(plain) + len(word)))
        plain += word
        reach = end
    return plain, places


def word_features(matches: Iterable[Match], patterns: int) -> set[tuple[int, int]]:
    """Pairs of a word and one of its features, which are numbered place by place."""
    features: set[tuple[int, int]] = set()
    for match in matches:
        for word in range(match.first, match.last + 1):
            if match.first == match.last:
                place = ONLY
            else:
                place = {match.first: FIRST, match.last: LAST}.get(word, INNER)
            features.add((word, place * patterns + match.pattern))
    return features


class PatternMatcher:
    """Finds patterns in texts. Safe to share between threads.

    Args:
        patterns: what to find.

    Raises:
        BundleError: a regular expression is not valid in this Python.
    """

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._tables: dict[str, tuple[int, ...]] = {}
        for index, table in enumerate(patterns.tables):
            for entry in table.entries:
                self._tables[entry] = (*self._tables.get(entry, ()), index)
        lengths: dict[str, set[int]] = {}
        for entry in self._tables:
            lengths.setdefault(entry[0], set()).add(len(entry))
        self._lengths = {first: sorted(seen, reverse=True) for first, seen in lengths.items()}
        flags = 0 if patterns.case_sensitive else int(re.IGNORECASE)
        self._regexes = [
            (len(patterns.tables) + index, _compile(regex, flags))
            for index, regex in enumerate(patterns.regexes)
        ]

    def find(self, text: str, words: Sequence[Span]) -> list[Match]:
        """The words in which patterns match; matches of one table do not overlap, the longest wins.

        Args:
            text: the text.
            words: where its words lie, in order.
        """
        if not words:
            return []
        return [*self._find_entries(text, words), *self._find_regexes(text, words)]

    def _find_entries(self, text: str, words: Sequence[Span]) -> list[Match]:
        if not self._tables:
            return []
        plain, places = normalised(text, words, self._patterns.case_sensitive)
        bounded = self._patterns.word_boundaries
        starts, ends = [start for start, _ in places], {end for _, end in places}
        found: list[Match] = []
        reach = [0] * len(self._patterns.tables)
        for start in starts if bounded else range(len(plain)):
            for length in self._lengths.get(plain[start], ()):
                end = start + length
                if end > len(plain) or (bounded and end not in ends):
                    continue
                for table in self._tables.get(plain[start:end], ()):
                    if reach[table] <= start:
                        reach[table] = end
                        first, last = bisect_right(starts, start) - 1, bisect_right(starts, end - 1) - 1
                        found.append(Match(table, first, last))
        return found

    def _find_regexes(self, text: str, words: Sequence[Span]) -> list[Match]:
        seen = text[: min(words[-1][1], _SEARCHED)]
        begins = [start for start, _ in words]
        ends = [end for _, end in words]
        found: list[Match] = []
        for index, regex in self._regexes:
            for match in regex.finditer(seen):
                first = bisect_right(ends, match.start())
                last = bisect_right(begins, match.end() - 1) - 1
                if match.end() > match.start() and first <= last:
                    found.append(Match(index, first, last))
        return found


def _compile(regex: RegexFeature, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(regex.pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise BundleError(
            f"The regular expression '{regex.pattern}' of '{regex.name}' is not valid ({error})."
        ) from error


@dataclass(frozen=True)
class PatternWeights:
    """Patterns and what they add to logits.

    Attributes:
        patterns: what is looked for.
        tags: ``[PLACES * patterns, tags]``.
        intents: ``[patterns, intents]``.
    """

    patterns: Patterns
    tags: Logits
    intents: Logits

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **self.patterns.to_dict(),
            "tag_weights": _rows(self.tags),
            "intent_weights": _rows(self.intents),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PatternWeights:
        """Reads the JSON form; raises ``KeyError``, ``TypeError`` or ``ValueError`` on another one."""
        patterns = Patterns.from_dict(data)
        tags, intents = (np.array(data[key], np.float32) for key in ("tag_weights", "intent_weights"))
        for weights, rows in ((tags, PLACES * len(patterns.names)), (intents, len(patterns.names))):
            if weights.ndim != 2 or len(weights) != rows:
                raise ValueError(f"weights of shape {weights.shape}, expected {rows} rows")
        return cls(patterns, tags, intents)

    def check(self, tags: int, intents: int) -> None:
        """Raises ``ValueError`` where the weights are not for as many tags and intents."""
        seen = self.tags.shape[1], self.intents.shape[1]
        if seen != (tags, intents):
            raise ValueError(
                f"patterns have weights for {seen[0]} tags and {seen[1]} intents; expected {tags} and "
                f"{intents}"
            )

    def add(
        self, matches: Sequence[Match], intents: Logits | None, words: Logits | None
    ) -> tuple[Logits | None, Logits | None]:
        """Logits with what the matches add.

        Args:
            matches: of one text.
            intents: ``[intents]``.
            words: ``[words, classes]``, of which the first are tags.
        """
        if not matches:
            return intents, words
        if intents is not None:
            intents = intents + self.intents[sorted({match.pattern for match in matches})].sum(0)
        if words is not None:
            words = words.copy()
            for word, feature in sorted(word_features(matches, len(self.patterns.names))):
                words[word, : self.tags.shape[1]] += self.tags[feature]
        return intents, words


def _rows(weights: Logits) -> list[list[float]]:
    return [[round(float(value), 4) for value in row] for row in weights]
