"""Loading what training stored: silent where there is nothing, and only there."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource

from sqz_nlu import Interpreter, SqueezeBertClassifier, SqueezeBertResponseSelector
from sqz_nlu.export.parity import Parity
from sqz_nlu.runtime.selector import Selector

COMPONENTS = [(SqueezeBertClassifier, Interpreter), (SqueezeBertResponseSelector, Selector)]


@pytest.fixture
def graph(tmp_path: Path):
    (tmp_path / "storage").mkdir()
    storage = LocalModelStorage.create(tmp_path / "storage")
    return storage, Resource("component"), ExecutionContext(GraphSchema({}))


@pytest.mark.parametrize(("component", "loaded"), COMPONENTS)
def test_only_nothing_stored_is_silent(component, loaded, graph, monkeypatch) -> None:
    def load(*arguments: object) -> None:
        raise ValueError("a fault of the package")

    monkeypatch.setattr(loaded, "load", load)
    config = component.get_default_config()
    component.load(config, *graph)
    with graph[0].write_to(graph[1]) as folder:
        (folder / "file").touch()
    with pytest.raises(ValueError, match="a fault of the package"):
        component.load(config, *graph)


def test_the_log_of_a_model_without_intents(graph, caplog) -> None:
    component = SqueezeBertClassifier.create(SqueezeBertClassifier.get_default_config(), *graph)
    parity = Parity(10, None, None, None, 0.8, 0.8, 1.0)
    with caplog.at_level(logging.INFO):
        component._log(SimpleNamespace(training=SimpleNamespace(fallback=None, held_out={}), parity=parity))
    assert "on 10 training texts: entity spans agree with F1 100.0%" in caplog.text
    assert "intent" not in caplog.text
