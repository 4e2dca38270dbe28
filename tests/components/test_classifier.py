from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rasa.core.agent import Agent
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from tiny_bot import NLU, configuration, train

from sqz_nlu import Interpreter, SqueezeBertClassifier
from sqz_nlu.components.citizenship import announce_confidences
from sqz_nlu.components.messages import to_examples
from sqz_nlu.training.examples import EntitySpan


@pytest.fixture
def graph(tmp_path: Path):
    (tmp_path / "storage").mkdir()
    storage = LocalModelStorage.create(tmp_path / "storage")
    return storage, Resource("classifier"), ExecutionContext(GraphSchema({}))


def configured(options, **changes) -> dict:
    config = configuration(options, **changes)["pipeline"][1]
    return SqueezeBertClassifier.get_default_config() | {k: v for k, v in config.items() if k != "name"}


def test_it_is_an_intent_classifier_with_epochs() -> None:
    assert issubclass(SqueezeBertClassifier, IntentClassifier)  # or FallbackClassifier would refuse it
    assert "epochs" in SqueezeBertClassifier.get_default_config()  # or --epoch-fraction is ignored


def test_training_data_become_examples() -> None:
    examples = to_examples(RasaYAMLReader().reads(NLU))
    fly = next(example for example in examples if "the kitchen" in example.text and example.intent == "fly")
    assert fly.entities == (EntitySpan(7, 18, "city", "to", None),)
    assert {example.intent for example in examples} == {"greet", "bye", "turn_on", "fly"}


def test_train_persist_load_process(graph, tiny_options) -> None:
    config = configured(tiny_options)
    component = SqueezeBertClassifier.create(config, *graph)
    resource = component.train(RasaYAMLReader().reads(NLU))
    assert resource == graph[1]
    texts = ["hello", "turn on the light in the garden", "fly from paris to london", "", "/greet"]
    runs = []
    for _ in range(2):
        loaded = SqueezeBertClassifier.load(config, *graph)
        messages = loaded.process([Message({"text": text}) for text in texts])
        runs.append([message.as_dict(only_output_properties=True) for message in messages])
    assert runs[0] == runs[1]
    assert runs[0][0]["intent"]["name"] == "greet"
    assert [e["entity"] for e in runs[0][1]["entities"]] == ["device", "room"]
    assert runs[0][3]["intent"] == {"name": None, "confidence": 0.0}
    json.dumps(runs, allow_nan=False)


def test_entities_found_before_are_kept(graph, tiny_options) -> None:
    config = configured(tiny_options)
    SqueezeBertClassifier.create(config, *graph).train(RasaYAMLReader().reads(NLU))
    earlier = {"entity": "number", "start": 0, "end": 1, "value": 7, "extractor": "Duckling"}
    message = Message({"text": "turn on the light", "entities": [earlier]})
    SqueezeBertClassifier.load(config, *graph).process([message])
    assert message.get("entities")[0] == earlier
    assert len(message.get("entities")) > 1


@pytest.mark.parametrize("nlu", ["nlu: []", "nlu:\n- lookup: city\n  examples: |\n    - paris"])
def test_nothing_to_learn_is_a_warning_and_an_empty_answer(nlu: str, graph, tiny_options) -> None:
    config = configured(tiny_options)
    component = SqueezeBertClassifier.create(config, *graph)
    with pytest.warns(UserWarning, match="was not trained"):
        component.train(RasaYAMLReader().reads(f'version: "3.1"\n{nlu}'))
    loaded = SqueezeBertClassifier.load(config, *graph)
    (message,) = loaded.process([Message({"text": "hello"})])
    assert message.get("intent") == {"name": None, "confidence": 0.0}
    assert message.get("intent_ranking") == message.get("entities") == []


def test_never_trained_answers_nothing(graph, tiny_options) -> None:
    loaded = SqueezeBertClassifier.load(configured(tiny_options), *graph)
    (message,) = loaded.process([Message({"text": "hello"})])
    assert message.get("intent") == {"name": None, "confidence": 0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 1}, "Did you mean 'epochs'"),
        ({"epochs": "many"}, "expected a whole number"),
        ({"transformer_size": 256}, "about Rasa's own network"),
        ({"model": "./nowhere"}, "no encoder folder './nowhere'"),
    ],
)
def test_bad_options_are_invalid_configurations(change, message, graph, tiny_options) -> None:
    with pytest.raises(InvalidConfigException, match=message):
        SqueezeBertClassifier.create(configured(tiny_options, **change), *graph)


def test_a_gpu_that_is_not_there_is_said_so(graph, tiny_options, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    component = SqueezeBertClassifier.create(configured(tiny_options, device="cuda"), *graph)
    with pytest.raises(InvalidConfigException, match=r"'device' is 'cuda'.* sees no GPU"):
        component.train(RasaYAMLReader().reads(NLU))


def test_a_damaged_model_is_refused(graph, tiny_options) -> None:
    config = configured(tiny_options)
    SqueezeBertClassifier.create(config, *graph).train(RasaYAMLReader().reads(NLU))
    with graph[0].write_to(graph[1]) as folder:
        path = folder / "bundle" / "model.onnx"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(InvalidConfigException, match=r"model\.onnx does not have the SHA-256"):
        SqueezeBertClassifier.load(config, *graph)


def test_the_fingerprint_follows_the_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    before = SqueezeBertClassifier.fingerprint_addon({"model": str(copy)})
    assert before == SqueezeBertClassifier.fingerprint_addon({"model": str(copy)})
    with (copy / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert before != SqueezeBertClassifier.fingerprint_addon({"model": str(copy)})
    assert "not found" in SqueezeBertClassifier.fingerprint_addon({"model": "./nowhere"})


def test_end_to_end_stories_do_not_reach_training() -> None:
    text_only = Message({"text": "said in a story"})
    action = Message({"action_name": "utter_hi"})
    data = TrainingData([Message.build("hello", "greet"), text_only, action])
    assert [example.text for example in to_examples(data)] == ["hello"]


def test_commands_in_stories_are_not_learned() -> None:
    texts = ['/inform{"city": "Paris"}', "/x", "/restart", "10/12{a}"]
    data = TrainingData([Message({"text": text, "intent": "x"}) for text in texts])
    assert [example.text for example in to_examples(data)] == texts[2:]


async def test_the_bot_and_the_bundle_give_the_same_json(archive: Path, tmp_path: Path) -> None:
    """All but text_tokens: the bot's come from its tokenizer, the bundle's from the engine's words."""
    agent = Agent.load(str(archive))
    interpreter = Interpreter.load(archive)
    for text in ("hello", "turn on the lights in the kitchen", "fly from paris to the kitchen", "so what?"):
        bot = await agent.parse_message(text)
        ours = interpreter.parse(text).to_dict()
        bot.pop("text_tokens"), ours.pop("text_tokens")
        assert json.loads(json.dumps(bot)) == json.loads(json.dumps(ours))
    assert interpreter.parse("turn on the lights").entities[0].value == "lamp"


def test_rasa_warns_our_users_of_nothing(tiny_options, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert train(tmp_path, configuration(tiny_options, epochs=1))
    messages = [str(warning.message) for warning in caught]
    assert [message for message in messages if "entit" in message] == []


def test_evaluation_draws_our_confidences() -> None:
    import rasa.nlu.test as evaluation

    announce_confidences(SqueezeBertClassifier)
    assert "SqueezeBertClassifier" in evaluation.EXTRACTORS_WITH_CONFIDENCES


def test_serving_imports_no_torch(archive: Path) -> None:
    script = f"""
import sys
from rasa.core.agent import Agent
agent = Agent.load({str(archive)!r})
import asyncio
answer = asyncio.run(agent.parse_message("hello"))
assert answer["intent"]["name"], answer
heavy = sorted(name for name in ("torch", "transformers", "onnx") if name in sys.modules)
print("LOADED", heavy)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "LOADED []" in result.stdout, result.stdout + result.stderr
