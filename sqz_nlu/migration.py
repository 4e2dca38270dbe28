"""Turns the pipeline of a Rasa ``config.yml`` into one around SqueezeBertClassifier, and says what changed.

Tokenizers, extractors by rule (Duckling, regular expressions, spaCy's models), the synonym mapper and the
fallback classifier stay. Trainable classifiers and extractors become one SqueezeBertClassifier, response
selectors become SqueezeBertResponseSelector, and featurizers go unless something that stays needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqz_nlu.errors import DataError
from sqz_nlu.training.options import TrainingOptions, is_diet_option

_TOKENIZER = "sqz_nlu.BlankSpacyTokenizer"
_CLASSIFIER = "sqz_nlu.SqueezeBertClassifier"
_SELECTOR = "sqz_nlu.SqueezeBertResponseSelector"
_FEATURIZER = "sqz_nlu.SqueezeBertFeaturizer"

_INTENT_CLASSIFIERS = {"DIETClassifier", "SklearnIntentClassifier", "LogisticRegressionClassifier"}
_INTENT_CLASSIFIERS |= {"MitieIntentClassifier", "EmbeddingIntentClassifier"}
_EXTRACTORS = {"DIETClassifier", "CRFEntityExtractor", "MitieEntityExtractor"}
_REPLACED = _INTENT_CLASSIFIERS | _EXTRACTORS
_GONE_TOKENIZERS = {"SpacyTokenizer", "ConveRTTokenizer", "LanguageModelTokenizer", "MitieTokenizer"}
_GONE_POLICIES = {"KerasPolicy", "EmbeddingPolicy", "FormPolicy", "MappingPolicy", "FallbackPolicy"}
_GONE_POLICIES |= {"TwoStageFallbackPolicy", "SklearnPolicy"}
_TEMPLATES = ("supervised_embeddings", "pretrained_embeddings_spacy", "pretrained_embeddings_convert")
# What may stay beside the classifier and reads no features; anything else that stays keeps its featurizers.
_READS_NO_FEATURES = {"EntitySynonymMapper", "FallbackClassifier", "DucklingEntityExtractor"}
_READS_NO_FEATURES |= {"RegexEntityExtractor", "SpacyEntityExtractor", "KeywordIntentClassifier"}
_READS_NO_FEATURES |= {"SqueezeBertClassifier", "SqueezeBertResponseSelector"}
_LOADERS = {"SpacyNLP", "MitieNLP"}  # of models that others use
_NO_LONGER = {"HFTransformersNLP"}  # Rasa 3 has none
# Options that both have, with values that do not carry over from one network to the other.
_OF_THE_NETWORK = frozenset("epochs batch_size learning_rate drop_rate drop_rate_attention".split())
# Options of DIET that say what it learns, and who else may learn it.
_LEARNS = {"intent_classification": _INTENT_CLASSIFIERS, "entity_recognition": _EXTRACTORS}
_OF_SELECTORS = (
    "retrieval_intent use_text_as_label ranking_length random_seed renormalize_confidences".split()
)


@dataclass
class Migration:
    """A migrated configuration.

    Attributes:
        pipeline: the new pipeline, one mapping a component.
        notes: what was replaced, left out or needs a look, one sentence each.
    """

    pipeline: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def migrate(config: Mapping[str, Any], end_to_end: bool = False) -> Migration:
    """Migrates a Rasa configuration.

    Args:
        config: the parsed ``config.yml``.
        end_to_end: whether the stories hold messages of users, which TEDPolicy reads through features.

    Raises:
        DataError: there is no pipeline, or it is not a list of components.
    """
    components = list(_components(config.get("pipeline"), config))
    result = Migration()
    language = re.split("[-_]", str(config.get("language") or "en"))[0].lower()
    names = [_bare(component) for component in components]
    readers = [name for name in names if _reads_features(name)]
    for component, name in zip(components, names, strict=True):
        if name in _NO_LONGER:
            result.notes.append(f"{name} is left out: Rasa 3 has none.")
        elif name in _LOADERS and not (readers or _needed(name, names)):
            result.notes.append(f"{name} is left out: nothing needs its model any more.")
        elif name in _GONE_TOKENIZERS and not (name == "SpacyTokenizer" and readers):
            _tokenizer(result, name, language)
        elif name in _REPLACED:
            _classifier(result, component, name, components)
        elif name == "ResponseSelector":
            _selector(result, component)
        elif _is_featurizer(name) and not readers:
            continue
        else:
            _kept(result, component, name)
    _features(result, names, readers)
    _complete(result, language, end_to_end)
    if language != "en":
        result.notes.append(
            f"The language is '{config['language']}', but the encoder in the package knows English only: "
            f"give {_CLASSIFIER} a model of yours (docs/languages.md)."
        )
    _policies(result, config.get("policies"))
    return result


def _components(pipeline: Any, config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(pipeline, str) and pipeline in _TEMPLATES:
        yield from ({"name": name} for name in ("WhitespaceTokenizer", "DIETClassifier"))
        yield {"name": "EntitySynonymMapper"}
        return
    if not isinstance(pipeline, Sequence) or isinstance(pipeline, str) or not pipeline:
        raise DataError(
            f"The configuration has {'no pipeline' if not pipeline else f'the pipeline {pipeline!r}'}; "
            f"expected a list of components under 'pipeline'. Its keys are: {', '.join(map(str, config))}."
        )
    for entry in pipeline:
        component = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(component, Mapping) or not isinstance(component.get("name"), str):
            raise DataError(f"The pipeline holds {entry!r}; expected a mapping with a name.")
        yield dict(component)


def _bare(component: Mapping[str, Any]) -> str:
    return str(component["name"]).rpartition(".")[2]


def _needed(loader: str, names: Sequence[str]) -> bool:
    return loader == "SpacyNLP" and "SpacyEntityExtractor" in names


def _tokenizer(result: Migration, name: str, language: str) -> None:
    result.pipeline.append({"name": _TOKENIZER, "lang": language})
    result.notes.append(f"{name} becomes {_TOKENIZER}: words by spaCy's rules, without a model.")


def _classifier(
    result: Migration, component: Mapping[str, Any], name: str, components: Sequence[Mapping[str, Any]]
) -> None:
    ours = next((entry for entry in result.pipeline if _bare(entry) == "SqueezeBertClassifier"), None)
    if ours is None:
        ours = {"name": _CLASSIFIER, **{task: False for task in _LEARNS if not _learned(task, components)}}
        result.pipeline.append(ours)
        result.notes.append(f"{name} becomes {_CLASSIFIER}.")
    else:
        result.notes.append(f"{name} is left out: {_CLASSIFIER} does its work too.")
    _options(result, component, name, ours)


def _learned(task: str, components: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of the replaced components learns this; DIET can be told not to."""
    return any(
        _bare(component) in _LEARNS[task] and component.get(task, True) is not False
        for component in components
    )


def _options(result: Migration, component: Mapping[str, Any], name: str, ours: dict[str, Any]) -> None:
    dropped: dict[str, list[str]] = {}
    for option, value in component.items():
        if option == "name" or (name == "DIETClassifier" and option in _LEARNS):
            continue
        if name != "DIETClassifier":
            dropped.setdefault("of another component", []).append(option)
        elif option in _OF_THE_NETWORK:
            dropped.setdefault(f"they suit DIET's network; {_CLASSIFIER} has defaults", []).append(option)
        elif option in TrainingOptions.defaults():
            ours[option] = value
        elif is_diet_option(option):
            dropped.setdefault("no counterpart", []).append(option)
        else:
            dropped.setdefault("no options of DIETClassifier", []).append(option)
    for why, options in dropped.items():
        result.notes.append(f"{name}: left out {', '.join(options)} ({why}).")


def _selector(result: Migration, component: Mapping[str, Any]) -> None:
    kept = {option: component[option] for option in _OF_SELECTORS if option in component}
    result.pipeline.append({"name": _SELECTOR, **kept})
    result.notes.append(f"ResponseSelector becomes {_SELECTOR}.")
    left = [option for option in component if option not in {"name", *kept}]
    if left:
        result.notes.append(f"ResponseSelector: left out {', '.join(left)}; they suit Rasa's network.")


def _is_featurizer(name: str) -> bool:
    return name.endswith("Featurizer") and name != "SqueezeBertFeaturizer"


def _reads_features(name: str) -> bool:
    gone = _GONE_TOKENIZERS | _REPLACED | _READS_NO_FEATURES | _LOADERS | _NO_LONGER | {"ResponseSelector"}
    return not (name in gone or name.endswith(("Tokenizer", "Featurizer")))


def _features(result: Migration, names: Sequence[str], readers: Sequence[str]) -> None:
    featurizers = [name for name in names if _is_featurizer(name)]
    if readers:
        staying = [name for name in names if name in {*_LOADERS, "SpacyTokenizer", *featurizers}]
        if staying:
            listed = ", ".join(dict.fromkeys(staying))
            result.notes.append(f"{listed} stay, in case {', '.join(readers)} reads what they make of texts.")
        return
    if not featurizers:
        return
    listed = ", ".join(dict.fromkeys(featurizers))
    result.notes.append(f"Left out: {listed}. {_CLASSIFIER} reads the text itself.")
    if "RegexFeaturizer" in featurizers:
        result.notes.append("Lookup tables and regular expressions of the NLU data are used without it.")


def _kept(result: Migration, component: dict[str, Any], name: str) -> None:
    result.pipeline.append(component)
    if name == "FallbackClassifier":
        threshold = component.get("threshold", 0.3)
        result.notes.append(
            f"FallbackClassifier keeps its threshold of {threshold}, but confidences are calibrated now: "
            "look at the threshold that training recommends in its log."
        )
    elif name == "WhitespaceTokenizer" and component.get("intent_tokenization_flag"):
        result.notes.append(
            "WhitespaceTokenizer's intent_tokenization_flag has no effect on our classifier: for intents "
            'such as greet+order set its intent_split_symbol: "+".'
        )


def _complete(result: Migration, language: str, end_to_end: bool) -> None:
    if not any(_bare(component).endswith("Tokenizer") for component in result.pipeline):
        result.pipeline.insert(0, {"name": _TOKENIZER, "lang": language})
        result.notes.append(f"{_TOKENIZER} is added: the pipeline had no tokenizer.")
    present = {_bare(component) for component in result.pipeline}
    if "SqueezeBertClassifier" not in present:
        after = 1 + next(i for i, c in enumerate(result.pipeline) if _bare(c).endswith("Tokenizer"))
        result.pipeline.insert(after, {"name": _CLASSIFIER})
        result.notes.append(f"{_CLASSIFIER} is added: the pipeline had no trainable classifier.")
    if end_to_end and "SqueezeBertFeaturizer" not in present:
        after = 1 + next(i for i, c in enumerate(result.pipeline) if _bare(c).endswith("Tokenizer"))
        result.pipeline.insert(after, {"name": _FEATURIZER})
        result.notes.append(f"{_FEATURIZER} is added: policies read the users' messages in stories by it.")


def _policies(result: Migration, policies: Any) -> None:
    gone = [
        _bare(policy)
        for policy in policies or ()
        if isinstance(policy, Mapping) and "name" in policy and _bare(policy) in _GONE_POLICIES
    ]
    if gone:
        result.notes.append(
            f"The policies stay as they are, but Rasa 3 has no {', '.join(gone)}: see Rasa's migration "
            "guide; RulePolicy does their work."
        )
