"""BlankSpacyTokenizer: spaCy's tokenization rules for 70 languages, without any model."""

from __future__ import annotations

from typing import Any

from rasa.engine.graph import ExecutionContext
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.tokenizers.tokenizer import Token, Tokenizer
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message

from sqz_nlu.errors import did_you_mean


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_TOKENIZER, is_trainable=False)
class BlankSpacyTokenizer(Tokenizer):
    """Cuts text into words by spaCy's rules for a language.

    Unlike ``SpacyTokenizer`` it needs no ``SpacyNLP`` and no model package. Set ``lang`` to the
    language's code (``en``, ``de``, ``fr``, ...; ``xx`` for a mixture).
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """The options of Rasa's tokenizers, and ``lang``."""
        return {
            "lang": "en",
            "intent_tokenization_flag": False,
            "intent_split_symbol": "_",
            "token_pattern": None,
            "prefix_separator_symbol": None,
        }

    @staticmethod
    def required_packages() -> list[str]:
        """SpaCy, for its rules."""
        return ["spacy"]

    def __init__(self, config: dict[str, Any]) -> None:
        """Loads the rules of the language.

        Raises:
            InvalidConfigException: an option is unknown, or spaCy has no rules for the language.
        """
        known = self.get_default_config()
        for key in config:
            if key not in known and not key.startswith("__"):
                raise InvalidConfigException(
                    f"BlankSpacyTokenizer: unknown option '{key}'.{did_you_mean(key, known)} Known "
                    f"options: {', '.join(sorted(known))}."
                )
        super().__init__(config)
        self._rules = _rules(config["lang"])

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> BlankSpacyTokenizer:
        """Creates the component."""
        return cls(config)

    def tokenize(self, message: Message, attribute: str) -> list[Token]:
        """The words of one attribute of a message; white space is no word."""
        words = [
            Token(word.text, word.idx) for word in self._rules(message.get(attribute)) if not word.is_space
        ]
        return list(self._apply_token_pattern(words))


def _rules(language: Any) -> Any:
    import spacy

    if not isinstance(language, str):
        raise InvalidConfigException(
            f"BlankSpacyTokenizer: lang is {language!r}; expected a language code such as 'en'."
        )
    try:
        return spacy.blank(language).tokenizer
    except ImportError as error:
        raise InvalidConfigException(
            f"BlankSpacyTokenizer: spaCy cannot tokenize lang '{language}': {_first_line(error)} "
            "Use a code that spaCy knows (en, de, fr, ...; xx for any), install what it asks for, or "
            "use another tokenizer."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
