"""Rasa's own pipeline, as `rasa init` of Rasa 3.6 writes it, for the benchmarks that compare with it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import structlog
import yaml

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


def response_selector() -> dict[str, Any]:
    """ResponseSelector."""
    return {"name": "ResponseSelector", "epochs": EPOCHS, "constrain_similarities": True}


def train(folder: Path, steps: Steps) -> str | None:
    """Trains a pipeline with Rasa, without its cache, on ``folder/nlu.yml``; the archive, or ``None``."""
    from rasa.model_training import train_nlu

    os.environ |= {"RASA_CACHE_DIRECTORY": f"{folder}/cache", "RASA_MAX_CACHE_SIZE": "0"}
    config = {"recipe": "default.v1", "assistant_id": "bench", "language": "en", "pipeline": steps}
    (folder / "config.yml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    archive: str | None = train_nlu(f"{folder}/config.yml", f"{folder}/nlu.yml", f"{folder}/models")
    return archive


def silence_structlog() -> None:
    """Keeps Rasa's lines for each message off the terminal, where they would be part of what is timed.

    `rasa run` does the same by its log level; `Agent.load` alone does not.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
