"""Rasa NLU on an int8 SqueezeBERT: joint intents and entities, served by ONNX Runtime.

Importing this package costs nothing: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sqz_nlu._version import __version__

if TYPE_CHECKING:
    from sqz_nlu.components.classifier import SqueezeBertClassifier
    from sqz_nlu.components.featurizer import SqueezeBertFeaturizer
    from sqz_nlu.components.response_selector import SqueezeBertResponseSelector
    from sqz_nlu.components.tokenizer import BlankSpacyTokenizer
    from sqz_nlu.runtime.interpreter import Interpreter

__all__ = [
    "BlankSpacyTokenizer",
    "Interpreter",
    "SqueezeBertClassifier",
    "SqueezeBertFeaturizer",
    "SqueezeBertResponseSelector",
    "__version__",
]

_HOMES = {
    "BlankSpacyTokenizer": "sqz_nlu.components.tokenizer",
    "Interpreter": "sqz_nlu.runtime.interpreter",
    "SqueezeBertClassifier": "sqz_nlu.components.classifier",
    "SqueezeBertFeaturizer": "sqz_nlu.components.featurizer",
    "SqueezeBertResponseSelector": "sqz_nlu.components.response_selector",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sqz_nlu' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
