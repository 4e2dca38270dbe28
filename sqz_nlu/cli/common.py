"""What the verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODEL_HELP = "bundle folder, model archive (.tar.gz) of rasa train, or 'embedded'"

Verbs = Any  # argparse keeps the type of its sub-parsers private


def model_path(model: str) -> str | Path:
    """The path that MODEL stands for on the command line."""
    from sqz_nlu.runtime.bundle import EMBEDDED, EMBEDDED_FOLDER

    return EMBEDDED_FOLDER if model == EMBEDDED else model


def open_bundle(model: str) -> Any:
    """The verified `Bundle` that MODEL stands for."""
    from sqz_nlu.runtime.archive import open_model

    return open_model(model_path(model))
