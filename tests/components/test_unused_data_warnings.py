"""What Rasa's validator says of training data, through real trainings."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from tiny_bot import configuration, train

from sqz_nlu import Interpreter
from sqz_nlu.components.citizenship import announce_extractor
from sqz_nlu.components.classifier import SqueezeBertClassifier

NLU = """
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hello
    - hi
- intent: fly
  examples: |
    - fly from [paris]{"entity": "city", "role": "from"} to [london]{"entity": "city", "role": "to"}
    - fly to [london]{"entity": "city", "role": "to"}
- lookup: city
  examples: |
    - paris
    - oslo
- regex: code
  examples: |
    - \\d{5}
- synonym: lamp
  examples: |
    - light
"""
ROLES = "entities that have roles/groups"
LOOKUPS = "consisting of lookup tables, but your NLU configuration does not include"
REGEXES = "with regexes, but your NLU configuration does not include"
EXTRACTOR = "does not include an entity extractor trained on your training data"
SYNONYMS = "have defined synonyms in your training data"


def warned(folder: Path, config: dict) -> tuple[list[str], Path | None]:
    """The validator's warnings in a training, and the model."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = train(folder, config, NLU)
    everything = [ROLES, LOOKUPS, REGEXES, EXTRACTOR, SYNONYMS]
    messages = [str(warning.message) for warning in caught]
    return [text for text in everything if any(text in message for message in messages)], model


def without_synonyms(config: dict) -> dict:
    config["pipeline"] = [node for node in config["pipeline"] if node["name"] != "EntitySynonymMapper"]
    return config


def test_only_what_is_untrue_of_our_pipeline_is_silent(tiny_options, tmp_path: Path) -> None:
    seen, model = warned(tmp_path, without_synonyms(configuration(tiny_options, epochs=1)))
    assert seen == [SYNONYMS]
    stored = Interpreter.load(model).config.patterns.patterns
    assert [(table.name, table.entries) for table in stored.tables] == [("city", ("oslo", "paris"))]
    assert [(regex.name, regex.pattern) for regex in stored.regexes] == [("code", r"\d{5}")]


def test_what_is_switched_off_is_warned_of(tiny_options, tmp_path: Path) -> None:
    config = configuration(tiny_options, epochs=1, use_lookup_tables=False, use_regexes=False)
    seen, model = warned(tmp_path, config)
    assert seen == [LOOKUPS, REGEXES]
    assert Interpreter.load(model).config.patterns is None


def test_other_pipelines_are_warned_as_before(tmp_path: Path) -> None:
    config = {
        "recipe": "default.v1",
        "assistant_id": "other",
        "language": "en",
        "pipeline": [{"name": "WhitespaceTokenizer"}, {"name": "KeywordIntentClassifier"}],
        "policies": [{"name": "RulePolicy"}],
    }
    assert warned(tmp_path, config)[0] == [ROLES, LOOKUPS, REGEXES, EXTRACTOR, SYNONYMS]


def test_a_changed_table_trains_anew(tiny_options, tmp_path: Path) -> None:
    config = configuration(tiny_options, epochs=1)
    tables = []
    for nlu in (NLU, NLU.replace("oslo", "rome")):
        model = train(tmp_path, config, nlu)
        tables.append(Interpreter.load(model).config.patterns.patterns.tables[0].entries)
    assert tables == [("oslo", "paris"), ("paris", "rome")]


def test_an_invalid_expression_stops_training_and_is_named(tiny_options, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"'\(\[' of the regex feature 'code' is not valid"):
        train(tmp_path, configuration(tiny_options, epochs=1), NLU.replace(r"\d{5}", "(["))


def test_announcing_twice_filters_once() -> None:
    from rasa.graph_components.validators.default_recipe_validator import (
        DefaultV1RecipeValidator as Validator,
    )

    before = Validator._warn_if_some_training_data_is_unused
    announce_extractor(SqueezeBertClassifier)
    assert Validator._warn_if_some_training_data_is_unused is before
