"""SqueezeBertResponseSelector: answers to frequent questions and small talk in a Rasa pipeline."""

from __future__ import annotations

from typing import Any

import rasa.shared.utils.io
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.constants import (
    RESPONSE_SELECTOR_DEFAULT_INTENT,
    RESPONSE_SELECTOR_PROPERTY_NAME,
    RESPONSE_SELECTOR_RETRIEVAL_INTENTS,
)
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.constants import INTENT, INTENT_RESPONSE_KEY, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from sqz_nlu._version import __version__
from sqz_nlu.components.citizenship import announce_selector
from sqz_nlu.components.configuration import read_options, stored
from sqz_nlu.errors import BundleError, DataError
from sqz_nlu.runtime.archive import open_model
from sqz_nlu.runtime.bundle import EMBEDDED
from sqz_nlu.runtime.selector import NO_SELECTION, UTTER, Selector, SelectorConfig, write_selector
from sqz_nlu.training.examples import Example
from sqz_nlu.training.selection import train_selection
from sqz_nlu.training.selector_options import SelectorOptions


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class SqueezeBertResponseSelector(GraphComponent):
    """Selects the response of a retrieval intent by similar sentences, in place of ResponseSelector.

    Needs no featurizer and no tokenizer. With the embedded encoder neither training nor serving needs torch.
    """

    def __init__(
        self,
        options: SelectorOptions,
        model_storage: ModelStorage,
        resource: Resource,
        selector: Selector | None = None,
    ) -> None:
        """Use `create` or `load`."""
        self._options = options
        self._model_storage = model_storage
        self._resource = resource
        self._selector = selector

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Every option with its default; see `SelectorOptions` for what they mean."""
        return SelectorOptions.defaults()

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """Trains anew when this package's version or the encoder's files change."""
        try:
            encoder = open_model(str(config.get("model", EMBEDDED))).fingerprint
        except BundleError:
            encoder = "not found"  # create() says so to the user
        return f"{__version__} {encoder}"

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SqueezeBertResponseSelector:
        """Creates an untrained component.

        Raises:
            InvalidConfigException: an option is unknown or wrong, or the encoder cannot be used.
        """
        options = cls._read_options(config)
        try:
            open_model(options.model)
        except BundleError as error:
            raise InvalidConfigException(f"{cls.__name__}: {error}") from error
        return cls(options, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> SqueezeBertResponseSelector:
        """Loads a trained component; one that had nothing to learn comes back untrained.

        Raises:
            InvalidConfigException: an option is wrong, or what was stored is damaged.
        """
        options = cls._read_options(config)
        selector = None
        try:
            with stored(model_storage, resource) as folder:
                if folder is not None:
                    selector = Selector.load(folder, options.intra_op_num_threads)
        except BundleError as error:
            raise InvalidConfigException(
                f"{cls.__name__}: the trained model cannot be loaded. {error} Run `rasa train` again."
            ) from error
        return cls(options, model_storage, resource, selector)

    @classmethod
    def _read_options(cls, config: dict[str, Any]) -> SelectorOptions:
        ours = {key: value for key, value in config.items() if key != "finetuning_epoch_fraction"}
        return read_options(cls, ours, SelectorOptions.from_dict)

    def train(self, training_data: TrainingData) -> Resource:
        """Learns which response answers which examples, and stores that.

        Data without retrieval intents is a warning, not an error: the component then selects nothing.
        Fine-tuning solves again for the data given.

        Raises:
            InvalidConfigException: the encoder cannot be used.
        """
        examples, responses = self._examples(training_data), _responses(training_data)
        try:
            encoder = open_model(self._options.model)
            head = train_selection(examples, responses, self._options, encoder)
            self._warn_of_missing(responses, head.keys)
            config = SelectorConfig(
                self._options.retrieval_intent,
                tuple(sorted(training_data.retrieval_intents)),
                {key: responses[key] for key in head.keys if key in responses},
                self._options.ranking_length,
                self._options.renormalize_confidences,
            )
            with self._model_storage.write_to(self._resource) as folder:
                write_selector(folder, encoder, self._options.model, head, config)
        except DataError as error:
            rasa.shared.utils.io.raise_warning(f"{type(self).__name__} was not trained. {error}")
        except BundleError as error:
            raise InvalidConfigException(f"{type(self).__name__}: {error}") from error
        return self._resource

    def _examples(self, training_data: TrainingData) -> list[Example]:
        wanted = self._options.retrieval_intent
        return [
            Example(message.get(TEXT) or "", message.get(INTENT_RESPONSE_KEY))
            for message in training_data.nlu_examples
            if message.get(INTENT_RESPONSE_KEY) and wanted in (None, message.get(INTENT))
        ]

    def _warn_of_missing(self, responses: dict[str, Any], keys: tuple[str, ...]) -> None:
        missing = [key for key in keys if not responses.get(key)]
        if missing:
            rasa.shared.utils.io.raise_warning(
                f"{type(self).__name__}: there are no responses for {', '.join(missing)}. "
                f"Add {UTTER}{missing[0]} and so on to the domain."
            )

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds ``response_selector`` to each message, beside what earlier selectors put there."""
        name = self._options.retrieval_intent or RESPONSE_SELECTOR_DEFAULT_INTENT
        for message in messages:
            selection, intents = NO_SELECTION, []
            if self._selector is not None:
                selection = self._selector.select(message.get(TEXT) or "")
                intents = list(self._selector.config.retrieval_intents)
            found = {
                **message.get(RESPONSE_SELECTOR_PROPERTY_NAME, {}),
                RESPONSE_SELECTOR_RETRIEVAL_INTENTS: intents,
                name: selection.to_dict(),
            }
            message.set(RESPONSE_SELECTOR_PROPERTY_NAME, found, add_to_output=True)
        return messages


def _responses(training_data: TrainingData) -> dict[str, Any]:
    """The responses of retrieval intents by response key."""
    return {
        action.removeprefix(UTTER): variants
        for action, variants in training_data.responses.items()
        if variants and action.startswith(UTTER) and "/" in action
    }


announce_selector(SqueezeBertResponseSelector)
