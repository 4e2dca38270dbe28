"""Fixtures of the small Rasa bot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_bot import configuration, train


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory) -> None:
    """Rasa's cache, away from the working folder."""
    os.environ["RASA_CACHE_DIRECTORY"] = str(tmp_path_factory.mktemp("rasa-cache"))


@pytest.fixture(scope="session")
def archive(tiny_options, tmp_path_factory) -> Path:
    """A trained model archive of the small bot."""
    model = train(tmp_path_factory.mktemp("bot"), configuration(tiny_options))
    assert model is not None
    return model
