from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from rasa.core.agent import Agent
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader
from rasa.shared.nlu.training_data.message import Message
from selector_bot import NLU, RESPONSES, TEXTS, train

from sqz_nlu import SqueezeBertResponseSelector

NAME = "sqz_nlu.SqueezeBertResponseSelector"
INTENTS = [{"name": "KeywordIntentClassifier"}]
OURS = [
    {"name": NAME, "retrieval_intent": "faq", "epochs": 2},
    {"name": NAME, "retrieval_intent": "chitchat"},
]
RASAS = [
    {"name": "WhitespaceTokenizer"},
    {"name": "CountVectorsFeaturizer"},
    {"name": "ResponseSelector", "retrieval_intent": "faq", "epochs": 1},
    {"name": "ResponseSelector", "retrieval_intent": "chitchat", "epochs": 1},
]


@pytest.fixture(scope="module")
def bots(tmp_path_factory) -> dict[str, Path]:
    """The archives of the bot with our selectors and with Rasa's."""
    pipelines = {"ours": [*INTENTS, *OURS], "rasas": [*INTENTS, *RASAS]}
    folder = tmp_path_factory.mktemp("selectors")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        archives = {name: train(folder / name, pipeline) for name, pipeline in pipelines.items()}
    complaints = [str(warning.message) for warning in caught]
    assert not [text for text in complaints if "response selector" in text or "SqueezeBert" in text]
    return archives


@pytest.fixture
def graph(tmp_path: Path):
    (tmp_path / "storage").mkdir()
    storage = LocalModelStorage.create(tmp_path / "storage")
    return storage, Resource("selector"), ExecutionContext(GraphSchema({}))


def trained(graph, nlu: str = NLU + RESPONSES, **options) -> SqueezeBertResponseSelector:
    """A selector that was trained, persisted and loaded."""
    config = SqueezeBertResponseSelector.get_default_config() | options
    SqueezeBertResponseSelector.create(config, *graph).train(RasaYAMLReader().reads(nlu))
    return SqueezeBertResponseSelector.load(config, *graph)


def answer(component: SqueezeBertResponseSelector, text: str) -> dict[str, Any]:
    (message,) = component.process([Message({"text": text})])
    return message.as_dict(only_output_properties=True)["response_selector"]


def shape(value: Any) -> Any:
    """Keys and types, all the way down."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


async def test_the_output_has_the_structure_of_rasas(bots: dict[str, Path]) -> None:
    agents = {name: Agent.load(str(archive)) for name, archive in bots.items()}
    for text, key in TEXTS.items():
        parses = {
            name: (await agent.parse_message(text))["response_selector"] for name, agent in agents.items()
        }
        intent = key.split("/")[0]
        assert parses["ours"][intent]["response"]["intent_response_key"] == key
        assert sorted(parses["ours"]["all_retrieval_intents"]) == sorted(
            parses["rasas"]["all_retrieval_intents"]
        )
        # The responses themselves differ with the key that is selected.
        for parse in parses.values():
            for name in ("faq", "chitchat"):
                assert all(variant["text"] for variant in parse[name]["response"].pop("responses"))
        assert shape(parses["ours"]) == shape(parses["rasas"])


async def test_the_bot_answers(bots: dict[str, Path]) -> None:
    agent = Agent.load(str(bots["ours"]))
    for number, (text, reply) in enumerate(
        (
            ("what is your name", "I am a bot."),
            ("how is the weather", "I never go out."),
            ("when are you open", "We are open from nine to five."),
            ("what is the price", "It costs ten euros."),
        )
    ):
        assert [m["text"] for m in await agent.handle_text(text, sender_id=str(number)) if "text" in m] == [
            reply
        ]


async def test_rasa_reports_the_selection(bots: dict[str, Path], tmp_path: Path) -> None:
    from rasa.nlu.test import run_evaluation

    (tmp_path / "nlu.yml").write_text(NLU)
    agent = Agent.load(str(bots["ours"]))
    await run_evaluation(
        str(tmp_path / "nlu.yml"), agent.processor, output_directory=str(tmp_path), disable_plotting=True
    )
    report = json.loads((tmp_path / "response_selection_report.json").read_text())
    assert report["accuracy"] == 1.0
    assert report["faq/ask_price"]["support"] == 3


async def test_a_new_process_gives_the_same_parse_without_torch(bots: dict[str, Path]) -> None:
    script = f"""
import asyncio, json, sys
from rasa.core.agent import Agent
agent = Agent.load({str(bots["ours"])!r})
print("PARSE", json.dumps(asyncio.run(agent.parse_message("how much is it"))))
print("LOADED", sorted({{"torch", "transformers", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("PARSE ")]
    agent = Agent.load(str(bots["ours"]))
    assert json.loads(line.removeprefix("PARSE ")) == await agent.parse_message("how much is it")


def test_one_selector_for_all_retrieval_intents(graph) -> None:
    component = trained(graph)
    for text, key in TEXTS.items():
        found = answer(component, text)
        assert found["default"]["response"]["intent_response_key"] == key
        assert found["default"]["response"]["utter_action"] == f"utter_{key}"
        assert len(found["default"]["ranking"]) == 4
    json.dumps(found, allow_nan=False)


def test_what_earlier_selectors_found_is_kept(graph) -> None:
    earlier = {"all_retrieval_intents": ["faq"], "faq": {"response": {}, "ranking": []}}
    message = Message({"text": "who are you", "response_selector": earlier})
    trained(graph, retrieval_intent="chitchat").process([message])
    assert message.get("response_selector")["faq"] == earlier["faq"]
    assert message.get("response_selector")["all_retrieval_intents"] == ["chitchat", "faq"]
    assert set(earlier) == {"all_retrieval_intents", "faq"}


@pytest.mark.parametrize("text", ["", "  ", "/faq", "\u202e" * 3, "word " * 400], ids=len)
def test_any_text_is_answered(text: str, graph) -> None:
    json.dumps(answer(trained(graph, retrieval_intent="faq"), text), allow_nan=False)


@pytest.mark.parametrize(
    ("nlu", "options"),
    [
        ('version: "3.1"\nnlu: []', {}),
        (NLU, {"retrieval_intent": "greet"}),
        (NLU, {"retrieval_intent": "none"}),
    ],
)
def test_nothing_to_learn_is_a_warning_and_no_selection(nlu: str, options, graph) -> None:
    with pytest.warns(UserWarning, match="SqueezeBertResponseSelector was not trained"):
        component = trained(graph, nlu, **options)
    found = answer(component, "what is the price")[options.get("retrieval_intent", "default")]
    assert found["response"]["intent_response_key"] is None
    assert found["response"]["confidence"] == 0.0
    assert found["ranking"] == []


def test_a_key_without_responses_is_warned_of_and_answers_with_its_name(graph) -> None:
    with pytest.warns(UserWarning, match="there are no responses for chitchat/ask_name"):
        component = trained(graph, NLU)
    found = answer(component, "who are you")["default"]["response"]
    assert found["responses"] == [{"text": "chitchat/ask_name"}]


def test_fine_tuning_learns_the_new_examples(graph) -> None:
    before = trained(graph, retrieval_intent="faq")
    more = NLU.replace("- is it expensive", "- is it expensive\n    - got a tariff sheet for shoes")
    before.train(RasaYAMLReader().reads(more + RESPONSES))
    config = SqueezeBertResponseSelector.get_default_config() | {"retrieval_intent": "faq"}
    after = SqueezeBertResponseSelector.load(config, *graph)
    text = "got a tariff sheet for shoes"
    first, second = (answer(component, text)["faq"]["response"] for component in (before, after))
    assert second["intent_response_key"] == "faq/ask_price"
    assert second["confidence"] > first["confidence"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retrieval_intnt": "faq"}, "Did you mean 'retrieval_intent'"),
        ({"hidden_layers_sizes": {}}, "about Rasa's own network"),
        ({"model": "./nowhere"}, "'nowhere' is missing"),
    ],
)
def test_bad_options_are_invalid_configurations(change, message, graph) -> None:
    config = SqueezeBertResponseSelector.get_default_config() | change
    with pytest.raises(InvalidConfigException, match=message):
        SqueezeBertResponseSelector.create(config, *graph)


def test_a_damaged_model_is_refused(graph) -> None:
    trained(graph)
    with graph[0].write_to(graph[1]) as folder:
        content = bytearray((folder / "selection.json").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "selection.json").write_bytes(content)
    with pytest.raises(InvalidConfigException, match=r"selection\.json is damaged.*rasa train"):
        SqueezeBertResponseSelector.load(SqueezeBertResponseSelector.get_default_config(), *graph)


def test_epochs_are_an_option_and_the_fingerprint_follows_the_encoder() -> None:
    assert "epochs" in SqueezeBertResponseSelector.get_default_config()  # or --epoch-fraction is ignored
    assert SqueezeBertResponseSelector.required_components() == []
    embedded = SqueezeBertResponseSelector.fingerprint_addon({})
    assert embedded == SqueezeBertResponseSelector.fingerprint_addon({"model": "embedded"})
    assert "not found" in SqueezeBertResponseSelector.fingerprint_addon({"model": "./nowhere"})
