"""Understands texts with a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import open_model
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.decode import EntityDecoder
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.patterns import PatternMatcher, PatternWeights
from sqz_nlu.runtime.ranking import rank_intents
from sqz_nlu.runtime.results import NO_INTENT, Entity, ParseResult, TokenStates
from sqz_nlu.runtime.session import GraphSession
from sqz_nlu.runtime.text import EncodedText, TextEncoder
from sqz_nlu.runtime.workers import Workers

INTENT_LOGITS = "intent_logits"
WORD_LOGITS = "word_logits"
EMBEDDING = "embedding"

_TOKENS_OF_BATCH = 192  # more at once fall out of a core's cache between two operators
Logits = npt.NDArray[np.float32]
Result = TypeVar("Result")


def states_name(layer: int) -> str:
    """The tensor of a graph with the token states after ``layer`` layers; 0 is the embeddings' output."""
    return f"layers.{layer - 1}.states" if layer else "embeddings"


@dataclass(frozen=True)
class DecodingConfig:
    """The part of a bundle's ``config.json`` that says how outputs are read.

    Attributes:
        labels: the label space.
        max_tokens: longest text in tokens.
        temperature: divides the intent logits.
        ranking_length: longest intent ranking; 0 for all.
        renormalize_confidences: whether the ranking's confidences sum to one.
        split_by_comma: whether a comma ends an entity, by type.
        split_default: for the types not named there.
        synonyms: canonical values by lower-cased entity value.
        extractor: the name given as ``extractor`` of entities.
        patterns: lookup tables and regular expressions, and what they add to the logits.
    """

    labels: LabelSpace = field(default_factory=LabelSpace)
    max_tokens: int = 256
    temperature: float = 1.0
    ranking_length: int = 10
    renormalize_confidences: bool = False
    split_by_comma: dict[str, bool] = field(default_factory=dict)
    split_default: bool = True
    synonyms: dict[str, str] = field(default_factory=dict)
    extractor: str = "SqueezeBertClassifier"
    patterns: PatternWeights | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        data = {**vars(self), "labels": self.labels.to_dict()}
        data.pop("patterns")
        return {**data, "patterns": self.patterns.to_dict()} if self.patterns else data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DecodingConfig:
        """Reads the JSON form.

        Raises:
            BundleError: a field is missing, unknown or of the wrong kind.
        """
        try:
            patterns = PatternWeights.from_dict(data["patterns"]) if data.get("patterns") else None
            labels = LabelSpace.from_dict(data["labels"])
            if patterns:
                patterns.check(len(labels.tags), len(labels.intents))
            _check_kinds(data, vars(cls()))
            return cls(**{**data, "labels": labels, "patterns": patterns})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                f"config.json of the bundle cannot be used: {error!r}. Train or export the bundle again."
            ) from error


def _check_kinds(data: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raises ``TypeError`` for a value that is of another kind than its default."""
    for name, default in defaults.items():
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if name in data and name not in ("labels", "patterns") and not isinstance(data[name], kinds):
            raise TypeError(f"{name} is {data[name]!r}, expected a value such as {default!r}")


def _states(config: Mapping[str, Any]) -> str | None:
    """The name of the token states in the graph; ``None`` where a bundle does not say what its encoder is."""
    encoder = config.get("encoder", {})
    layers = encoder.get("num_hidden_layers") if isinstance(encoder, dict) else encoder
    if layers is None:
        return None
    if not isinstance(layers, int):
        raise BundleError(
            f"config.json of the bundle has the encoder {encoder!r}; expected an object with the number of "
            "its layers. Train or export the bundle again."
        )
    return states_name(layers)


class Interpreter:
    """Intents and entities of texts, from a bundle. Safe to share between threads.

    Many texts are computed a few at a time, so many of these at the same time as there are threads; a single
    text has all threads for its matrix products.

    Args:
        bundle: a verified bundle.
        threads: threads for one call.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.manifest = bundle.manifest
        self.path = bundle.path
        self.config = DecodingConfig.from_dict(bundle.config.get("decoding", {}))
        labels = self.config.labels
        try:
            tokenizer = Tokenizer.from_str(bundle.tokenizer)
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"tokenizer.json of the bundle cannot be used: {error}") from error
        self._states = _states(bundle.config)
        self._text = TextEncoder(tokenizer, self.config.max_tokens)
        self._session = GraphSession(bundle.model, threads)
        self._session_of_batch = GraphSession(bundle.model) if threads > 1 else self._session
        self._workers = Workers(threads)
        self._entities = EntityDecoder(
            labels, self.config.split_by_comma, self.config.split_default, self.config.synonyms
        )
        patterns = self.config.patterns
        self._patterns = PatternMatcher(patterns.patterns) if patterns else None
        self._outputs = [INTENT_LOGITS] * bool(labels.intents) + [WORD_LOGITS] * bool(labels.entities)

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Interpreter:
        """Loads a bundle.

        Args:
            path: a bundle's folder, the model archive of ``rasa train``, or ``"embedded"`` for the
                encoder that ships with the package, which embeds texts but has no intents or entities.
            threads: threads for one call; 1 is fastest for single short texts.

        Raises:
            BundleError: the bundle is missing, damaged or of another format.
        """
        return cls(open_model(path), threads)

    @property
    def labels(self) -> LabelSpace:
        """What the model can answer."""
        return self.config.labels

    def parse(self, text: str) -> ParseResult:
        """Finds the intent and the entities of one text.

        Raises:
            BundleError: the bundle holds an encoder only.
            TypeError: ``text`` is not a string.
        """
        _check_texts((text,))
        self._check_parses()
        encoded = self._text.encode(text)
        if not encoded.words:
            return self._nothing(text)
        outputs = self._session.run(self._outputs, _ids([encoded]))
        return self._read(text, encoded, [output[0] for output in outputs])

    def parse_batch(self, texts: Iterable[str]) -> list[ParseResult]:
        """Parses texts, those of equal length together, and returns the results in their order.

        Activations are quantized with one scale for each batch, so confidences can differ from
        those of `parse` in the third decimal.

        Raises:
            BundleError: the bundle holds an encoder only.
            TypeError: a text is not a string.
        """
        texts = _listed(texts)
        self._check_parses()
        return self._in_batches(texts, self._parse_equal)

    def has_words(self, text: str) -> bool:
        """Whether there is anything to read in a text; where not, `parse` gives no intent.

        Raises:
            TypeError: ``text`` is not a string.
        """
        _check_texts([text])
        return bool(self._text.encode(text).words)

    def embed(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Sentence vectors: the mean of the encoder's token states.

        Returns:
            ``float32 [texts, hidden]``.

        Raises:
            TypeError: a text is not a string, or ``texts`` is a single string.
        """
        texts = _listed(texts)
        if not texts:
            return np.zeros((0, int(self.manifest["hidden_size"])), np.float32)
        vectors: list[npt.NDArray[np.float32]] = self._in_batches(texts, self._embed_equal)
        return np.stack(vectors)

    def token_states(self, texts: Iterable[str]) -> list[TokenStates]:
        """The encoder's state of every token, with the place of each token in its text.

        Texts of equal length run together, so states can differ from those of a text alone in the third
        decimal (see `parse_batch`). The first call opens the graph anew with the states as an output.

        Returns:
            One for each text: states ``float32 [tokens, hidden]``, spans and mean. Texts longer than the
            limit are cut.

        Raises:
            BundleError: the graph has no token states of a SqueezeBERT.
            TypeError: a text is not a string, or ``texts`` is a single string.
        """
        texts = _listed(texts)
        if self._states is None:
            raise BundleError(f"The bundle '{self.path}' does not say what its encoder is: no token states.")
        self._session.expose(self._states)
        self._session_of_batch.expose(self._states)
        return self._in_batches(texts, self._states_equal)

    def _check_parses(self) -> None:
        if not self._outputs:
            raise BundleError(
                f"The bundle '{self.path}' holds an encoder without intents and entities: it can "
                "embed texts, not parse them. Load a bundle that was trained."
            )

    def _in_batches(
        self,
        texts: Sequence[str],
        run: Callable[[GraphSession, list[str], list[EncodedText]], list[Result]],
    ) -> list[Result]:
        encoded = self._text.encode_batch(texts)
        batches = list(_equal_lengths(encoded))
        session = self._session if len(batches) == 1 else self._session_of_batch
        every = self._workers.map(
            lambda rows: run(session, [texts[row] for row in rows], [encoded[row] for row in rows]), batches
        )
        results: dict[int, Result] = {}
        for rows, parsed in zip(batches, every, strict=True):
            results.update(zip(rows, parsed, strict=True))
        return [results[row] for row in range(len(texts))]

    def _embed_equal(
        self, session: GraphSession, texts: list[str], encoded: list[EncodedText]
    ) -> list[npt.NDArray[np.float32]]:
        return list(session.run([EMBEDDING], _ids(encoded))[0])

    def _states_equal(
        self, session: GraphSession, texts: list[str], encoded: list[EncodedText]
    ) -> list[TokenStates]:
        outputs = zip(*session.run([str(self._states), EMBEDDING], _ids(encoded)), strict=True)
        return [
            TokenStates(states, tuple(code.spans), embedding)
            for (states, embedding), code in zip(outputs, encoded, strict=True)
        ]

    def _parse_equal(
        self, session: GraphSession, texts: list[str], encoded: list[EncodedText]
    ) -> list[ParseResult]:
        """Parses texts that have the same number of tokens; the graph sees those with words."""
        rows = [row for row, code in enumerate(encoded) if code.words]
        found: dict[int, ParseResult] = {}
        if rows:
            outputs = session.run(self._outputs, _ids([encoded[row] for row in rows]))
            for row, *logits in zip(rows, *outputs, strict=True):
                found[row] = self._read(texts[row], encoded[row], logits)
        return [found.get(row) or self._nothing(text) for row, text in enumerate(texts)]

    def _nothing(self, text: str) -> ParseResult:
        return ParseResult(text, NO_INTENT, (), (), (), self.config.extractor)

    def _read(self, text: str, encoded: EncodedText, outputs: Sequence[Logits]) -> ParseResult:
        """The result of a text, from the outputs of the graph that belong to it."""
        config = self.config
        intent_logits = outputs[0] if config.labels.intents else None
        word_logits = _of_words(outputs[-1], encoded.first_tokens) if config.labels.entities else None
        if self._patterns and config.patterns:
            matches = self._patterns.find(text, encoded.words)
            intent_logits, word_logits = config.patterns.add(matches, intent_logits, word_logits)
        intent, ranking = rank_intents(
            () if intent_logits is None else intent_logits,
            config.labels.intents,
            config.temperature,
            config.ranking_length,
            config.renormalize_confidences,
        )
        entities: tuple[Entity, ...] = ()
        if word_logits is not None:
            entities = self._entities.decode(word_logits, encoded.words, text)
        return ParseResult(text, intent, ranking, entities, encoded.words, config.extractor)


def _of_words(logits: Logits, rows: Sequence[int]) -> Logits:
    """The rows of words' first tokens; no copy where each word is one token."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return logits[rows[0] : rows[-1] + 1]
    return logits.take(rows, 0)


def _equal_lengths(encoded: Sequence[EncodedText]) -> Iterator[list[int]]:
    """Row numbers in batches whose texts have the same number of tokens: nothing is padded."""
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row].ids))
    for length, equal in groupby(order, key=lambda row: len(encoded[row].ids)):
        rows, most = list(equal), max(1, _TOKENS_OF_BATCH // max(1, length))
        yield from (rows[first : first + most] for first in range(0, len(rows), most))


def _ids(encoded: Sequence[EncodedText]) -> npt.NDArray[np.int32]:
    return np.array([text.ids for text in encoded], np.int32)


def _listed(texts: Iterable[str]) -> list[str]:
    """The texts, checked, by place: a column of a table may have other indices."""
    if isinstance(texts, str):
        raise TypeError("Expected a list of texts, got a single string; put it in a list.")
    listed = list(texts)
    _check_texts(listed)
    return listed


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"Expected text as str, got {type(text).__name__}: {text!r}")
