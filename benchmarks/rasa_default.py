"""Rasa's own pipeline, as `rasa init` of Rasa 3.6 writes it, for the benchmarks that compare with it."""

from __future__ import annotations

import logging
from typing import Any

import structlog

Steps = list[dict[str, Any]]  # a pipeline, as config.yml has it

EPOCHS = 100

FEATURIZERS: Steps = [
    {"name": "WhitespaceTokenizer"},
    {"name": "RegexFeaturizer"},
    {"name": "LexicalSyntacticFeaturizer"},
    {"name": "CountVectorsFeaturizer"},
    {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
]
FALLBACK: Steps = [{"name": "FallbackClassifier", "threshold": 0.3, "ambiguity_threshold": 0.1}]


def diet(epochs: int = EPOCHS, **options: Any) -> dict[str, Any]:
    """DIETClassifier; ``options`` are further ones of its own."""
    return {"name": "DIETClassifier", "epochs": epochs, "constrain_similarities": True, **options}


def silence_structlog() -> None:
    """Keeps Rasa's lines for each message off the terminal, where they would be part of what is timed.

    `rasa run` does the same by its log level; `Agent.load` alone does not.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
