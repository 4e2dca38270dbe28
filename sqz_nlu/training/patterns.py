"""Patterns in training: where they match the examples, noise that makes a model use them, their weights.

Words say more than patterns do, so a model trained on both hardly learns to use the patterns: the words it
knows explain everything. Two kinds of noise change that. In some examples the matches are hidden, so that
words still suffice where a table lacks them. In the others, the words of some matches are swapped for other
words of the same pattern, so that the pattern must suffice where a word was never seen. That makes texts
that nobody would write: what texts mean as a whole is not learned from them (`JointNetwork.heads`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sqz_nlu.errors import PatternError
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.patterns import (
    PLACES,
    LookupTable,
    Match,
    PatternMatcher,
    Patterns,
    RegexFeature,
    normalised,
    word_features,
)
from sqz_nlu.runtime.text import EncodedText, TextEncoder
from sqz_nlu.training.examples import WordSpan
from sqz_nlu.training.options import TrainingOptions

_HIDDEN = 0.4  # share of examples whose matches are hidden
_SWAPPED = 0.5  # share of the other matches whose words are swapped
_SCALE = 8.0  # logits a unit of weight: Adam's steps do not grow with the few features


@dataclass(frozen=True)
class TokenMatch:
    """A match in tokens.

    Attributes:
        match: in words.
        words: the first token of each word.
        end: the token after the last.
        swappable: whether its words may be swapped. Those of a pattern with an entity type's name only where
            they are annotated as such an entity: elsewhere the pattern is wrong, and its words are right.
    """

    match: Match
    words: tuple[int, ...]
    end: int
    swappable: bool = True

    def features(self, patterns: int) -> list[tuple[int, int]]:
        """Pairs of a token and a feature."""
        found = word_features([self.match], patterns)
        return [(self.words[word - self.match.first], feature) for word, feature in found]


@dataclass(frozen=True)
class RowPatterns:
    """The matches of an example.

    Attributes:
        patterns: the number of patterns there are.
        found: matches.
        assumed: annotated entities that the pattern of their type's name does not match. Whoever names a
            table like an entity type means it to list such entities, so training lets it match.
        pools: for each pattern, token ids to swap its words for; shared by all examples.
        swapped: whether words of the example were swapped.
    """

    patterns: int = 0
    found: tuple[TokenMatch, ...] = ()
    assumed: tuple[TokenMatch, ...] = ()
    pools: Mapping[int, npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)
    swapped: bool = False


NO_PATTERNS = RowPatterns()


def noisy(ids: list[int], patterns: RowPatterns, rng: np.random.Generator) -> tuple[list[int], RowPatterns]:
    """Token ids and matches of an example as one step of training sees them."""
    matches = (*patterns.found, *patterns.assumed)
    if not matches:
        return ids, patterns
    if rng.random() < _HIDDEN:
        return ids, RowPatterns(patterns.patterns)
    ids = list(ids)
    swapped = [match for match in matches if match.swappable and rng.random() < _SWAPPED]
    for match in swapped:
        first = match.words[0]
        ids[first : match.end] = rng.choice(patterns.pools[match.match.pattern], match.end - first).tolist()
    return ids, RowPatterns(patterns.patterns, matches, swapped=bool(swapped))


def pattern_tensor(rows: Sequence[RowPatterns], width: int) -> Tensor:
    """Features, ``[batch, width, PLACES * patterns]``."""
    count = rows[0].patterns
    features = torch.zeros(len(rows), width, PLACES * count)
    for row, patterns in enumerate(rows):
        for match in patterns.found:
            for token, feature in match.features(count):
                features[row, token, feature] = 1.0
    return features


def matching(features: Tensor) -> Tensor:
    """Which patterns match somewhere: 0 or 1, ``[batch, patterns]``, of ``[batch, tokens, features]``."""
    matches: Tensor = features.unflatten(-1, (PLACES, features.shape[-1] // PLACES)).amax((1, 2))
    return matches


class PatternHead(nn.Module):
    """What patterns add to the logits of tags and intents.

    All places of a match share their weights: a word that begins a match adds to ``B-x`` what a word
    that is one adds to ``U-x``. So cities of one word teach what a table says of cities of three.

    Args:
        patterns: how many there are.
        labels: the label space.
        intents: classes.
    """

    def __init__(self, patterns: int, labels: LabelSpace, intents: int) -> None:
        super().__init__()
        self._bilou = labels.bilou
        self.outside = nn.Parameter(torch.zeros(patterns, 1 if labels.entities else 0))
        self.same_place = nn.Parameter(torch.zeros(patterns, len(labels.entities)))
        self.other_place = nn.Parameter(torch.zeros(patterns, len(labels.entities)))
        self.intents = nn.Parameter(torch.zeros(patterns, intents))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Addends of the tags ``[batch, tokens, tags]`` and intents ``[batch, intents]``."""
        return features @ self._of_tags(), self.of_intents(matching(features))

    def of_intents(self, matches: Tensor) -> Tensor:
        """Addends of the intents, from which patterns match ``[batch, patterns]``."""
        return matches @ self._of_intents()

    def weights(self) -> tuple[Tensor, Tensor]:
        """The weights of tags ``[features, tags]`` and intents ``[patterns, intents]``."""
        return self._of_tags(), self._of_intents()

    def _of_intents(self) -> Tensor:
        return _SCALE * self.intents

    def _of_tags(self) -> Tensor:
        rows = []
        for place in range(PLACES):
            columns: list[Tensor] = [self.outside, self.same_place]
            if self._bilou:
                places = [self.same_place if tag == place else self.other_place for tag in range(PLACES)]
                columns = [self.outside, *places]
            rows.append(torch.cat(columns, 1))
        return _SCALE * torch.cat(rows)


class PatternRows:
    """Finds the patterns of training examples.

    Args:
        patterns: as they will be stored.
        encoder: cuts entries into tokens.
        entities: entity types.

    Raises:
        PatternError: a regular expression is not valid.
    """

    def __init__(self, patterns: Patterns, encoder: TextEncoder, entities: Container[str]) -> None:
        check_regexes(patterns.regexes)
        self._entities = entities
        self._names = patterns.names
        self._matcher = PatternMatcher(patterns)
        self._tokens: dict[int, set[int]] = {index: set() for index in range(len(self._names))}
        self._pools: dict[int, npt.NDArray[np.int64]] = {}
        for index, table in enumerate(patterns.tables):
            for encoded in encoder.encode_batch(table.entries):
                self._tokens[index].update(encoded.ids[1:-1])

    def row(self, text: str, encoded: EncodedText, annotated: Sequence[WordSpan]) -> RowPatterns:
        """The matches of one example; call `finish` after the last."""
        found = self._matcher.find(text, encoded.words)
        places = {(span.first, span.last, span.annotation.entity) for span in annotated}
        spans = {(match.pattern, word) for match in found for word in range(match.first, match.last + 1)}
        assumed = [
            Match(index, span.first, span.last)
            for span in annotated
            for index, name in enumerate(self._names)
            if name == span.annotation.entity
            and not any((index, word) in spans for word in range(span.first, span.last + 1))
        ]
        lengths = [*encoded.first_tokens[1:], len(encoded.ids) - 1]

        def tokens(match: Match) -> TokenMatch:
            words = tuple(encoded.first_tokens[match.first : match.last + 1])
            end = lengths[match.last]
            self._tokens[match.pattern].update(encoded.ids[words[0] : end])
            name = self._names[match.pattern]
            right = name not in self._entities or (match.first, match.last, name) in places
            return TokenMatch(match, words, end, right)

        return RowPatterns(
            len(self._names), tuple(map(tokens, found)), tuple(map(tokens, assumed)), self._pools
        )

    def finish(self) -> None:
        """Fixes what the words of each pattern are swapped for."""
        self._pools.update({index: np.array(sorted(seen)) for index, seen in self._tokens.items()})


def check_regexes(regexes: Iterable[RegexFeature]) -> None:
    """Refuses what is not a regular expression, to newer Pythons than this one too.

    Raises:
        PatternError: naming the one that is not.
    """
    for regex in regexes:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # flags after the beginning
                re.compile(regex.pattern)
        except (re.error, RecursionError, OverflowError, DeprecationWarning) as error:
            raise PatternError(
                f"The regular expression '{regex.pattern}' of the regex feature '{regex.name}' is not "
                f"valid: {error}. Correct it in the NLU data."
            ) from error


def stored_patterns(patterns: Patterns, options: TrainingOptions, encoder: TextEncoder) -> Patterns:
    """The patterns that a model will hold, with tables as they are looked up, in the order of their names:
    where a file has them is not a difference that training could see.

    Args:
        patterns: of the training data, with entries as they were written.
        options: say which are used, and how.
        encoder: cuts entries into words; one without a word is left out.
    """
    by_name = attrgetter("name")

    def stored(table: LookupTable) -> LookupTable:
        plain = (
            normalised(text, encoded.words, options.case_sensitive)[0]
            for text, encoded in zip(table.entries, encoder.encode_batch(table.entries), strict=True)
        )
        return LookupTable(table.name, tuple(sorted({text for text in plain if text})))

    return Patterns(
        tuple(sorted(map(stored, patterns.tables), key=by_name)) if options.use_lookup_tables else (),
        tuple(sorted(patterns.regexes, key=by_name)) if options.use_regexes else (),
        options.case_sensitive,
        options.use_word_boundaries,
    )
