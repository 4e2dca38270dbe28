from __future__ import annotations

import re
from pathlib import Path

import pytest
import spacy
from rasa.nlu.classifiers.diet_classifier import DIETClassifier

from sqz_nlu.cli import main
from sqz_nlu.errors import DataError
from sqz_nlu.migration import migrate
from sqz_nlu.training.options import TrainingOptions, is_diet_option

CONFIG = """# our bot
recipe: default.v1
language: de  # and a little English
pipeline:
- name: SpacyNLP
  model: de_core_news_md
- name: SpacyTokenizer
- name: RegexFeaturizer
- name: LexicalSyntacticFeaturizer
- name: rasa.nlu.classifiers.diet_classifier.DIETClassifier
  epochs: 100
  random_seed: 1
  constrain_similarities: true
  split_entities_by_comma:
    address: false
- name: ResponseSelector
  retrieval_intent: faq
  epochs: 50
- name: EntitySynonymMapper
- name: FallbackClassifier
  threshold: 0.7
policies:
- name: MappingPolicy
"""

DIET = {"name": "DIETClassifier"}
WORDS = {"name": "WhitespaceTokenizer"}


def pipeline(*components: dict, **settings: bool) -> list[dict]:
    return migrate({"pipeline": list(components)}, **settings).pipeline


def test_a_file_is_migrated_and_keeps_its_comments(tmp_path: Path, capsys) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    assert main(["migrate", str(tmp_path / "config.yml")]) == 0
    new, notes = capsys.readouterr()
    assert new == CONFIG[: CONFIG.index("- name: SpacyNLP")] + (
        "- name: sqz_nlu.BlankSpacyTokenizer\n  lang: de\n"
        "- name: sqz_nlu.SqueezeBertClassifier\n  random_seed: 1\n"
        "  split_entities_by_comma:\n    address: false\n"
        "- name: sqz_nlu.SqueezeBertResponseSelector\n  retrieval_intent: faq\n"
        "- name: EntitySynonymMapper\n- name: FallbackClassifier\n  threshold: 0.7\n"
        "policies:\n- name: MappingPolicy\n"
    )
    for word in ("constrain_similarities", "epochs", "threshold of 0.7", "SpacyNLP", "MappingPolicy", "'de'"):
        assert word in notes
    assert (tmp_path / "config.yml").read_text() == CONFIG


def test_two_classifiers_become_one() -> None:
    found = pipeline(WORDS, {"name": "SklearnIntentClassifier"}, {"name": "CRFEntityExtractor"})
    assert found == [WORDS, {"name": "sqz_nlu.SqueezeBertClassifier"}]


@pytest.mark.parametrize(
    ("component", "option"),
    [("LogisticRegressionClassifier", "entity_recognition"), ("CRFEntityExtractor", "intent_classification")],
)
def test_what_the_pipeline_did_not_do_stays_off(component: str, option: str) -> None:
    assert pipeline(WORDS, {"name": component})[1] == {"name": "sqz_nlu.SqueezeBertClassifier", option: False}


def test_what_diet_was_told_not_to_learn_stays_off_unless_another_learned_it() -> None:
    crf = {"name": "CRFEntityExtractor"}
    only_intents = {**DIET, "entity_recognition": False}
    assert pipeline(WORDS, only_intents)[1] == {
        "name": "sqz_nlu.SqueezeBertClassifier",
        "entity_recognition": False,
    }
    for components in ([only_intents, crf], [crf, only_intents]):
        assert pipeline(WORDS, *components)[1] == {"name": "sqz_nlu.SqueezeBertClassifier"}
    assert pipeline(WORDS, {**DIET, "intent_classification": True})[1] == {
        "name": "sqz_nlu.SqueezeBertClassifier"
    }


def test_featurizers_stay_for_components_that_may_read_them() -> None:
    custom, counts = {"name": "our.addons.Sentiment"}, {"name": "CountVectorsFeaturizer"}
    assert pipeline(WORDS, counts, DIET, custom) == [
        WORDS,
        counts,
        {"name": "sqz_nlu.SqueezeBertClassifier"},
        custom,
    ]


def test_what_spacy_makes_of_texts_stays_for_components_that_may_read_it() -> None:
    custom, spacy = {"name": "our.addons.Sentiment"}, [{"name": "SpacyNLP"}, {"name": "SpacyTokenizer"}]
    components = [*spacy, {"name": "SpacyFeaturizer"}]
    found = migrate({"pipeline": [*components, DIET, custom]})
    assert found.pipeline == [*components, {"name": "sqz_nlu.SqueezeBertClassifier"}, custom]
    assert any("SpacyNLP, SpacyTokenizer, SpacyFeaturizer stay" in note for note in found.notes)
    assert [c["name"] for c in pipeline(*components, DIET)] == [
        "sqz_nlu.BlankSpacyTokenizer",
        "sqz_nlu.SqueezeBertClassifier",
    ]


@pytest.mark.parametrize("loader", ["MitieNLP", "HFTransformersNLP"])
def test_loaders_of_models_go_with_what_used_them(loader: str) -> None:
    features = {"name": "LanguageModelFeaturizer"}
    found = migrate({"pipeline": [{"name": loader}, {"name": "LanguageModelTokenizer"}, features, DIET]})
    assert [component["name"] for component in found.pipeline] == [
        "sqz_nlu.BlankSpacyTokenizer",
        "sqz_nlu.SqueezeBertClassifier",
    ]
    assert any(note.startswith(f"{loader} is left out") for note in found.notes)


@pytest.mark.parametrize(("language", "rules"), [("en_GB", "en"), ("pt-BR", "pt"), ("de", "de")])
def test_rules_are_those_of_the_language_wherever_it_is_spoken(language: str, rules: str) -> None:
    spacy.blank(rules)
    found = migrate({"language": language, "pipeline": [{"name": "SpacyTokenizer"}, DIET]})
    assert found.pipeline[0] == {"name": "sqz_nlu.BlankSpacyTokenizer", "lang": rules}
    assert any("knows English only" in note for note in found.notes) == (rules != "en")


def test_stories_with_messages_get_a_featurizer() -> None:
    names = [component["name"] for component in pipeline(WORDS, DIET, end_to_end=True)]
    assert names[1:] == ["sqz_nlu.SqueezeBertFeaturizer", "sqz_nlu.SqueezeBertClassifier"]


def test_a_migrated_pipeline_stays_as_it_is() -> None:
    once = pipeline(WORDS, DIET | {"random_seed": 3}, {"name": "ResponseSelector"}, end_to_end=True)
    assert pipeline(*once, end_to_end=True) == once
    by_module = [WORDS, {"name": "sqz_nlu.components.classifier.SqueezeBertClassifier"}]
    assert pipeline(*by_module) == by_module


def test_every_option_of_diet_is_known() -> None:
    options = DIETClassifier.get_default_config()
    unknown = [o for o in options if o not in TrainingOptions.defaults() and not is_diet_option(o)]
    assert unknown == []


def test_the_page_explains_every_option_of_diet() -> None:
    page = (Path(__file__).parents[1] / "docs" / "migration.md").read_text()
    explained = set(re.findall(r"`(\w+)`", page))
    assert set(DIETClassifier.get_default_config()) - explained == set()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"language": "en"}, "no pipeline"),
        ({"pipeline": "keyword"}, "the pipeline 'keyword'"),
        ({"pipeline": [{"epochs": 3}]}, "expected a mapping with a name"),
    ],
)
def test_no_pipeline_is_a_clear_error(config: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        migrate(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "not valid YAML"), ("- a", "expected the mapping"), (None, "cannot be read")],
)
def test_no_configuration_is_one_clear_line(content, message, tmp_path: Path, capsys) -> None:
    path = tmp_path / "config.yml"
    if content is not None:
        path.write_text(content)
    assert main(["migrate", str(path)]) == 1
    assert message in capsys.readouterr().err
