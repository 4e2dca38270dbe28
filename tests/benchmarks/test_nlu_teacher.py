"""The teacher under logistic regression, as a component in a Rasa pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nlu.teacher import TeacherIntentClassifier
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from tiny import tiny_tokenizer
from transformers import BertConfig, BertModel

EXAMPLES = {"hello": "greet", "hello there": "greet", "bye bye": "part", "bye": "part"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A random BERT in the hub's format."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=tiny_tokenizer().get_vocab_size(), initializer_range=0.2, **sizes)
    BertModel(config).save_pretrained(tmp_path / "bert")
    tiny_tokenizer().save(str(tmp_path / "bert" / "tokenizer.json"))
    return tmp_path / "bert"


def test_it_learns_is_stored_and_answers(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    storage, resource = LocalModelStorage(tmp_path / "storage"), Resource("teacher")
    config = {**TeacherIntentClassifier.get_default_config(), "checkpoint": str(checkpoint)}
    component = TeacherIntentClassifier.create(config, storage, resource, None)
    rows = [Message({"text": text, "intent": intent}) for text, intent in EXAMPLES.items()]
    component.train(TrainingData(training_examples=rows))
    loaded = TeacherIntentClassifier.load(config, storage, resource, None)
    messages = loaded.process([Message({"text": text}) for text in EXAMPLES])
    assert [message.get("intent")["name"] for message in messages] == list(EXAMPLES.values())
    assert sum(entry["confidence"] for entry in messages[0].get("intent_ranking")) == pytest.approx(1)
