"""BlankSpacyTokenizer: spaCy's tokenization rules for 70 languages, without any model."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
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


@contextlib.contextmanager
def _torch_hidden() -> Iterator[None]:
    """Keeps spaCy's import from importing torch, which tokenization has no use for.

    thinc, below spaCy, imports torch where it is installed: seconds and hundreds of megabytes for every
    ``rasa run``. Where torch is loaded already, or a package is installed that runs spaCy's models on torch,
    nothing is hidden.
    """
    users = ("spacy_transformers", "spacy_curated_transformers", "spacy_llm")
    needed = any(importlib.util.find_spec(user) is not None for user in users)
    if needed or "torch" in sys.modules or "thinc" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # makes `import torch` an ImportError
    try:
        yield
    finally:
        del sys.modules["torch"]


def _rules(language: Any) -> Any:
    with _torch_hidden():
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
