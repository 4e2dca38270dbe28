from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from rasa.core.agent import Agent
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.nlu.tokenizers.tokenizer import Token
from rasa.nlu.tokenizers.whitespace_tokenizer import WhitespaceTokenizer
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from spacy.lang.de.examples import sentences as german
from spacy.lang.en.examples import sentences as english
from tiny_bot import NLU, train

from sqz_nlu import BlankSpacyTokenizer, Interpreter, SqueezeBertFeaturizer
from sqz_nlu.components.feature_encoder import RECORD
from sqz_nlu.components.featurizer import average_by_token
from sqz_nlu.runtime.results import TokenStates

TEXTS = [
    "turn on the lights!",
    "l'ampoule",
    "\u200d",
    "  Don't   stop ",
    "",
    "\U0001f642 hi",
    "e\u0301te\u0301",
]


@pytest.fixture
def graph(tmp_path: Path):
    (tmp_path / "storage").mkdir()
    storage = LocalModelStorage.create(tmp_path / "storage")
    return storage, Resource("featurizer"), ExecutionContext(GraphSchema({}), node_name="features")


def trained(graph, **options) -> SqueezeBertFeaturizer:
    config = SqueezeBertFeaturizer.get_default_config() | options
    assert SqueezeBertFeaturizer.create(config, *graph).train(TrainingData()) == graph[1]
    return SqueezeBertFeaturizer.load(config, *graph)


def tokenized(text: str, tokenizer=BlankSpacyTokenizer) -> Message:
    (message,) = tokenizer(tokenizer.get_default_config()).process([Message({"text": text})])
    return message


def features(message: Message, attribute: str = "text") -> tuple[np.ndarray, np.ndarray]:
    sequence, sentence = message.get_dense_features(attribute, [])
    return sequence.features, sentence.features


@pytest.mark.parametrize("tokenizer", [BlankSpacyTokenizer, WhitespaceTokenizer])
@pytest.mark.parametrize("text", TEXTS)
def test_one_vector_a_token_and_one_a_text(text: str, tokenizer, graph) -> None:
    message = tokenized(text, tokenizer)
    trained(graph).process([message])
    sequence, sentence = features(message)
    assert sequence.shape == (len(message.get("text_tokens")), 384)
    assert np.isfinite(sequence).all()
    assert np.array_equal(sentence[0], Interpreter.load("embedded").embed([text])[0])


def test_a_token_gets_the_mean_of_the_word_pieces_that_overlap_it() -> None:
    """'unlit lamps', in pieces un-lit lamp-s, under several ways of cutting it."""
    states = np.arange(6, dtype=np.float32)[:, None]
    spans = ((0, 0), (0, 2), (2, 5), (6, 10), (10, 11), (0, 0))
    tokens = [Token("unlit", 0), Token("u", 0), Token("t lamp", 4), Token("s", 10), Token("beyond", 12)]
    averages = average_by_token(TokenStates(states, spans, states[0]), tokens)
    assert averages[:, 0].tolist() == [1.5, 1.0, 2.5, 4.0, 0.0]


def test_attributes_as_the_language_model_featurizer_has_them(graph) -> None:
    component = trained(graph, alias="sqz")
    whole = {"text": "hi", "response": "hello you", "action_text": "bye", "intent": "greet"}
    messages = [Message(dict(whole)), Message({"action_name": "utter"}), Message({"text": ""})]
    data = BlankSpacyTokenizer(BlankSpacyTokenizer.get_default_config()).process_training_data(
        TrainingData(messages)
    )
    component.process_training_data(data)
    assert {(f.attribute, f.type, f.origin) for f in messages[0].features} == {
        (attribute, kind, "sqz")
        for attribute in ("text", "response", "action_text")
        for kind in ("sequence", "sentence")
    }
    assert messages[1].features == messages[2].features == []
    served = Message(dict(whole))
    BlankSpacyTokenizer(BlankSpacyTokenizer.get_default_config()).process([served])
    component.process([served, Message({"action_name": "utter"})])
    assert {f.attribute for f in served.features} == {"text", "action_text"}
    assert np.array_equal(features(served)[0], features(messages[0])[0])


def test_features_depend_on_the_text_alone(graph) -> None:
    texts = ["turn on the light", "a completely different text of other length", "zzz qqq"]
    alone = [tokenized(text) for text in texts]
    for message in alone:
        trained(graph).process([message])
    together = [
        tokenized(text) for text in ["turn off the lamp", *texts]
    ]  # the first is as long as the second
    trained(graph).process_training_data(TrainingData(together))
    for one, other in zip(alone, together[1:], strict=True):
        assert all(map(np.array_equal, features(one), features(other)))


def test_words_beyond_the_longest_text_are_zero_and_said_so(graph, caplog) -> None:
    component = trained(graph, max_sequence_length=5)
    message = tokenized("one two three four five six")
    component.process_training_data(TrainingData([message]))
    sequence, _ = features(message)
    assert [bool(row.any()) for row in sequence] == [True] * 3 + [False] * 3
    assert "1 texts have more than 5 word pieces" in caplog.text


def test_the_encoders_own_limit_is_named_where_it_is_lower(graph, caplog) -> None:
    component = trained(graph, max_sequence_length=100_000)
    component.process_training_data(TrainingData([tokenized("a " * 600)]))
    assert "1 texts have more than 512 word pieces" in caplog.text
    assert "The encoder takes no more" in caplog.text
    assert "Raise" not in caplog.text


def test_a_last_word_without_word_pieces_is_no_cut(graph, caplog) -> None:
    message = tokenized("hello \u200d")
    trained(graph).process_training_data(TrainingData([message]))
    assert [bool(row.any()) for row in features(message)[0]] == [True, False]
    assert "word pieces" not in caplog.text


def test_another_language_than_the_encoders_is_said_so(graph, caplog) -> None:
    component = SqueezeBertFeaturizer.create(SqueezeBertFeaturizer.get_default_config(), *graph)
    component.train(TrainingData([Message.build(text, "order") for text in english]))
    assert "do not look like" not in caplog.text
    component.train(TrainingData([Message.build(text, "order") for text in german]))
    assert "SqueezeBertFeaturizer: The training texts do not look like" in caplog.text


def test_the_embedded_encoder_is_not_copied_and_others_are(graph, tiny_bundle: Path, tiny_encoder) -> None:
    storage, resource, _ = graph
    for model, width in {"embedded": 384, str(tiny_bundle): 32, str(tiny_encoder): 32}.items():
        component = trained(graph, model=model)
        message = tokenized("turn on the light")
        component.process([message])
        assert features(message)[0].shape == (4, width)
        with storage.read_from(resource) as folder:
            assert (folder / "bundle").is_dir() == (model != "embedded")


def test_the_encoder_of_a_trained_archive_makes_features(archive: Path, graph) -> None:
    message = tokenized("turn on the light")
    trained(graph, model=str(archive)).process([message])
    expected = Interpreter.load(archive).embed(["turn on the light"])
    assert np.array_equal(features(message)[1], expected)


def test_it_trains_again_from_a_loaded_model(graph, tiny_bundle: Path) -> None:
    """As `rasa train --finetune` does."""
    loaded = trained(graph, model=str(tiny_bundle))
    loaded.train(TrainingData())
    again = SqueezeBertFeaturizer.load(loaded._config, *graph)
    messages = [tokenized("turn on the light") for _ in range(2)]
    loaded.process(messages[:1])
    again.process(messages[1:])
    assert all(map(np.array_equal, features(messages[0]), features(messages[1])))


def test_two_components_share_one_encoder(graph) -> None:
    first, second = trained(graph), trained(graph)
    assert first._interpreter is second._interpreter
    assert trained(graph, max_sequence_length=9)._interpreter is not first._interpreter


def test_another_embedded_encoder_and_a_damaged_bundle_are_refused(graph, tiny_bundle: Path) -> None:
    storage, resource, _ = graph
    config = SqueezeBertFeaturizer.get_default_config()
    with pytest.raises(InvalidConfigException, match="rasa train"):
        SqueezeBertFeaturizer.load(config, *graph)
    trained(graph)
    with storage.write_to(resource) as folder:
        record = json.loads((folder / RECORD).read_text())
        (folder / RECORD).write_text(json.dumps(record | {"fingerprint": "0" * 64, "sqz_nlu": "0.0.9"}))
    with pytest.raises(InvalidConfigException, match=r"of sqz-nlu 0\.0\.9; here is .*Install"):
        SqueezeBertFeaturizer.load(config, *graph)
    trained(graph, model=str(tiny_bundle))
    with storage.write_to(resource) as folder:
        (folder / "bundle" / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidConfigException, match=r"tokenizer\.json has 2 bytes"):
        SqueezeBertFeaturizer.load(config, *graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 3}, "Did you mean 'max_sequence_length'"),
        ({"max_sequence_length": 2}, "at least 3"),
        ({"alias": 7}, "a text or nothing"),
        ({"model": "./nowhere"}, "no encoder folder './nowhere'"),
        ({"model": "~nobody-here/m"}, "no encoder folder '~nobody-here/m'"),
    ],
)
def test_bad_options_are_invalid_configurations(options: dict, message: str, graph) -> None:
    config = SqueezeBertFeaturizer.get_default_config() | options
    with pytest.raises(InvalidConfigException, match=message):
        SqueezeBertFeaturizer.create(config, *graph)


def test_the_fingerprint_follows_the_encoder(tiny_encoder: Path, tiny_bundle: Path, archive: Path) -> None:
    models = ["embedded", str(tiny_encoder), str(tiny_bundle), str(archive), "./nowhere"]
    seen = [SqueezeBertFeaturizer.fingerprint_addon({"model": model}) for model in models]
    assert len(set(seen)) == len(models)
    assert seen[-1].endswith("not found")


SMALL = {
    "epochs": 1,
    "run_eagerly": True,
    "embedding_dimension": 4,
    "random_seed": 1,
}
ONE_LAYER = {
    **SMALL,
    "transformer_size": 16,
    "number_of_transformer_layers": 1,
    "number_of_attention_heads": 1,
}


def pipeline(*components: dict) -> dict:
    first = [{"name": "sqz_nlu.BlankSpacyTokenizer"}, {"name": "sqz_nlu.SqueezeBertFeaturizer"}]
    return {
        "recipe": "default.v1",
        "assistant_id": "tiny",
        "language": "en",
        "pipeline": [*first, *components],
        "policies": [{"name": "RulePolicy"}],
    }


async def test_rasa_trains_a_classifier_on_the_features(tmp_path: Path) -> None:
    model = train(tmp_path, pipeline({"name": "LogisticRegressionClassifier"}))
    agent = Agent.load(str(model))
    for text, intent in [("hello there", "greet"), ("turn on the lamp", "turn_on"), ("", None)]:
        parsed = await agent.parse_message(text)
        assert intent in (None, parsed["intent"]["name"])
    code = f"""if True:
        import asyncio, json, sys
        from rasa.core.agent import Agent
        parsed = asyncio.run(Agent.load({str(model)!r}).parse_message("hello there"))
        print(json.dumps([parsed["intent"], "torch" in sys.modules]))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    intent, torch_loaded = json.loads(done.stdout.splitlines()[-1])
    assert intent == (await agent.parse_message("hello there"))["intent"]
    assert not torch_loaded


DOMAIN = """
version: "3.1"
intents: [greet, bye, turn_on, fly, faq]
entities: [device, room, {city: {roles: [from, to]}}]
responses:
  utter_greet: [{text: "hello, what can I do?"}]
  utter_suggest: [{text: "how about paris?"}]
  utter_done: [{text: "it is done"}]
  utter_faq/hours: [{text: "we are open from nine to five"}]
  utter_faq/place: [{text: "you find us at the market"}]
actions: [utter_faq]
"""
FAQ = """
- intent: faq/hours
  examples: |
    - when are you open
    - your opening hours
- intent: faq/place
  examples: |
    - where are you
    - your address please
"""
STORIES = """
version: "3.1"
stories:
- story: in intents
  steps:
  - intent: greet
  - action: utter_greet
  - intent: faq
  - action: utter_faq
- story: in words
  steps:
  - intent: fly
  - action: utter_suggest
  - user: "I was there yesterday"
  - action: utter_suggest
  - user: "a week by the sea would be nice"
  - bot: "a fine choice"
  - action: utter_done
"""


@pytest.mark.slow
async def test_rasas_own_learners_and_end_to_end_stories(tmp_path: Path) -> None:
    from rasa.model_training import train as train_all

    sizes = ("text", "action_text", "label_action_text", "dialogue")
    config = pipeline(
        {"name": "LogisticRegressionClassifier"},
        {"name": "DIETClassifier", **ONE_LAYER},
        {"name": "ResponseSelector", **ONE_LAYER, "hidden_layers_sizes": {"text": [16], "label": [16]}},
    )
    policy = {name: dict.fromkeys(sizes, value) for name, value in list(ONE_LAYER.items())[4:6]}
    config["policies"] = [{"name": "TEDPolicy", **SMALL, **policy}]
    files = {"domain.yml": DOMAIN, "data/nlu.yml": NLU + FAQ, "data/stories.yml": STORIES}
    for name, content in (files | {"config.yml": yaml.safe_dump(config, sort_keys=False)}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    result = train_all(*(str(tmp_path / name) for name in ("domain.yml", "config.yml", "data", "models")))
    assert result.code == 0
    agent = Agent.load(result.model)
    for text in ("hello", "when are you open", "", "\u200d", "/greet", "a " * 400):
        parsed = await agent.parse_message(text)
        assert parsed["intent"]["name"] in {"greet", "bye", "turn_on", "fly", "faq"}
        ranking = parsed["response_selector"]["default"]["ranking"] if "response_selector" in parsed else []
        assert {r["intent_response_key"] for r in ranking} <= {"faq/hours", "faq/place"}
    for text in ("hello", "I was there yesterday", ""):
        assert isinstance(await agent.handle_text(text), list)
