"""SqueezeBertFeaturizer: dense features of words and sentences for the other components of a pipeline."""

from __future__ import annotations

import functools
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.constants import DENSE_FEATURIZABLE_ATTRIBUTES, TOKENS_NAMES
from rasa.nlu.featurizers.dense_featurizer.dense_featurizer import DenseFeaturizer
from rasa.nlu.tokenizers.tokenizer import Token, Tokenizer
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.constants import ACTION_TEXT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from sqz_nlu._version import __version__
from sqz_nlu.components.configuration import read_options
from sqz_nlu.components.feature_encoder import (
    FeaturizerOptions,
    check_encoder,
    encoder_fingerprint,
    load_encoder,
    store_encoder,
    vocabulary_warning,
)
from sqz_nlu.errors import BundleError, EncoderError, SqzNluError
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import TokenStates

logger = logging.getLogger(__name__)

# An end-to-end policy asks for the features of a whole conversation at every turn.
_REMEMBERED = 64


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=True)
class SqueezeBertFeaturizer(DenseFeaturizer, GraphComponent):
    """Adds a vector for every token and one for the sentence, from an int8 SqueezeBERT.

    For DIETClassifier, ResponseSelector, TEDPolicy and whatever else takes dense features. The encoder is not
    changed by training; what ``train`` stores is which encoder it was, so that a model keeps its features.
    Neither training with the embedded encoder nor serving needs torch.
    """

    def __init__(
        self,
        config: dict[str, Any],
        options: FeaturizerOptions,
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        interpreter: Interpreter | None = None,
    ) -> None:
        """Use `create` or `load`."""
        super().__init__(execution_context.node_name, config)
        self._options = options
        self._model_storage = model_storage
        self._resource = resource
        self._interpreter = interpreter
        # What the user asks for, or what the encoder can take, if that is less.
        self._limit = options.max_sequence_length if interpreter is None else interpreter.config.max_tokens
        self._states = functools.lru_cache(_REMEMBERED)(self._encode)

    @classmethod
    def required_components(cls) -> list[type]:
        """A tokenizer: there is one vector for each of its tokens."""
        return [Tokenizer]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Every option with its default; see `FeaturizerOptions` for what they mean."""
        return FeaturizerOptions.defaults()

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Checks the options.

        Raises:
            InvalidConfigException: an option is unknown, of the wrong type or out of range.
        """
        cls._read_options(config)

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """Makes features anew when this package's version or the encoder's files change."""
        try:
            encoder = encoder_fingerprint(cls._read_options(config))
        except (EncoderError, InvalidConfigException):
            encoder = "not found"  # create() says so to the user
        return f"{__version__} {encoder}"

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SqueezeBertFeaturizer:
        """Creates a component that `train` has not given its encoder yet.

        Raises:
            InvalidConfigException: an option is unknown or wrong, or the encoder cannot be found.
        """
        options = cls._read_options(config)
        try:
            check_encoder(options)
        except (EncoderError, BundleError) as error:
            raise InvalidConfigException(f"{cls.__name__}: {error}") from error
        return cls(config, options, model_storage, resource, execution_context)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> SqueezeBertFeaturizer:
        """Loads the encoder that the model was trained with.

        Raises:
            InvalidConfigException: an option is wrong, or the encoder is missing, damaged or another one.
        """
        options = cls._read_options(config)
        try:
            with model_storage.read_from(resource) as folder:
                interpreter = load_encoder(options, folder)
        except (BundleError, ValueError) as error:
            raise InvalidConfigException(
                f"{cls.__name__}: the trained model cannot be loaded. {error} Or run `rasa train` again."
            ) from error
        return cls(config, options, model_storage, resource, execution_context, interpreter)

    @classmethod
    def _read_options(cls, config: dict[str, Any]) -> FeaturizerOptions:
        return read_options(cls, config, FeaturizerOptions.from_dict)

    def train(self, training_data: TrainingData) -> Resource:
        """Stores which encoder makes the features; one from the hub or a local folder is lowered first.

        Raises:
            InvalidConfigException: the encoder cannot be used.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                bundle = store_encoder(self._options, Path(folder))
                with self._model_storage.write_to(self._resource) as stored:
                    for old in stored.iterdir():
                        shutil.rmtree(old) if old.is_dir() else old.unlink()
                    shutil.copytree(folder, stored, dirs_exist_ok=True)
        except SqzNluError as error:
            raise InvalidConfigException(f"{type(self).__name__}: {error}") from error
        texts = [message.get(TEXT) or "" for message in training_data.nlu_examples]
        if warning := vocabulary_warning(bundle, self._options.model, texts):
            logger.warning("%s: %s", type(self).__name__, warning)
        return self._resource

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Adds features of texts, responses and bot utterances to every message that has them."""
        cut = 0
        for message in training_data.training_examples:
            for attribute in DENSE_FEATURIZABLE_ATTRIBUTES:
                cut += self._featurize(message, attribute)
        if cut:
            advice = "Raise max_sequence_length if the encoder allows it, or shorten the texts."
            if self._limit < self._options.max_sequence_length:
                advice = "The encoder takes no more: shorten the texts."
            logger.warning(
                "%s: %d texts have more than %d word pieces; the words beyond have zero features. %s",
                type(self).__name__,
                cut,
                self._limit,
                advice,
            )
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds features of the text or bot utterance to each message."""
        for message in messages:
            for attribute in (TEXT, ACTION_TEXT):
                self._featurize(message, attribute)
        return messages

    def _featurize(self, message: Message, attribute: str) -> bool:
        """Adds the features of one attribute; true where words lie beyond the longest text."""
        text, tokens = message.get(attribute), message.get(TOKENS_NAMES[attribute])
        if text is None or tokens is None:
            return False
        states = self._states(text)
        words = average_by_token(states, tokens)
        self.add_features_to_message(words, states.embedding[None].copy(), attribute, message)
        if len(states.spans) < self._limit:  # not cut; a last word may have no word pieces all the same
            return False
        last = max((end for _, end in states.spans), default=0)
        return any(token.start >= last for token in tokens)

    def _encode(self, text: str) -> TokenStates:
        # Alone, not in a batch: features of a text must not depend on what stands beside it.
        if self._interpreter is None:
            raise RuntimeError(f"{type(self).__name__} was created and not loaded; it has no encoder.")
        return self._interpreter.token_states([text])[0]


def average_by_token(states: TokenStates, tokens: Sequence[Token]) -> npt.NDArray[np.float32]:
    """The mean state of the word pieces that overlap each token.

    Args:
        states: of a text.
        tokens: any cutting of the text into tokens.

    Returns:
        ``float32 [len(tokens), hidden]``; zeros for a token without word pieces, such as one beyond the
        longest text.
    """
    spans = np.array(states.spans)
    first = np.array([token.start for token in tokens])[:, None]
    end = np.array([token.end for token in tokens])[:, None]
    overlap = ((spans[:, 0] < end) & (spans[:, 1] > first)).astype(np.float32)
    mean: npt.NDArray[np.float32] = overlap @ states.states / np.maximum(overlap.sum(1, keepdims=True), 1.0)
    return mean
