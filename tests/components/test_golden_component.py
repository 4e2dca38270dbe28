"""The golden set through Rasa's component."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from golden_set import BUNDLE, assert_golden, golden_parses
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.nlu.training_data.message import Message

from sqz_nlu import SqueezeBertClassifier


def test_the_component_gives_the_golden_parses(tmp_path: Path) -> None:
    storage, resource = LocalModelStorage.create(tmp_path), Resource("classifier")
    with storage.write_to(resource) as folder:
        shutil.copytree(BUNDLE, folder / "bundle")
    config = SqueezeBertClassifier.get_default_config()
    classifier = SqueezeBertClassifier.load(config, storage, resource, ExecutionContext(GraphSchema({})))
    expected = golden_parses()
    messages = classifier.process([Message.build(parse["text"]) for parse in expected])
    answers = [json.loads(json.dumps(message.as_dict_nlu())) for message in messages]
    # A message without text, "", has no text of its own to give back.
    assert_golden([{"text": "", "entities": [], **answer} for answer in answers], expected)
