"""Makes Rasa treat a component as it treats DIETClassifier, where Rasa goes by a list of names.

Rasa 3.6 warns users whose pipeline has none of its own trainable extractors, and draws the histogram of
entity confidences only for those. Both are decided by lists in its modules, which this module extends.

It also warns that roles, groups, lookup tables and regex features are not used unless DIETClassifier,
CRFEntityExtractor, RegexFeaturizer or RegexEntityExtractor is there, and that responses are not without
ResponseSelector. These classes are named in the midst of one method, so the warnings are filtered while that
method runs, and only for a pipeline with a component that does use what they speak of. No other is touched.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from rasa.graph_components.validators import default_recipe_validator

_EVALUATION = "rasa.nlu.test"
_VALIDATION = "_warn_if_some_training_data_is_unused"
_SUBJECT = "You have defined training data "
# What Rasa says, and the option without which it is true.
_UNTRUE_OF_EXTRACTORS: dict[str, str | None] = {
    "with entities that have roles/groups": "entity_recognition",
    "with regexes, but your NLU configuration does not include": "use_regexes",
    "consisting of lookup tables, but your NLU configuration does not include": "use_lookup_tables",
}
_UNTRUE_OF_SELECTORS: dict[str, str | None] = {"with examples for training a response selector": None}


def announce_extractor(component: type) -> None:
    """Tells Rasa's pipeline validator what ``component`` learns from.

    Call it when the component's module is imported, which is before any pipeline is validated.
    """
    extractors = default_recipe_validator.TRAINABLE_EXTRACTORS
    if component not in extractors:
        extractors.append(component)
    _filter_untrue_warnings(component, _UNTRUE_OF_EXTRACTORS)
    announce_confidences(component)


def announce_selector(component: type) -> None:
    """Tells Rasa's pipeline validator that ``component`` learns from the examples of retrieval intents."""
    _filter_untrue_warnings(component, _UNTRUE_OF_SELECTORS)


def _filter_untrue_warnings(component: type, untrue: Mapping[str, str | None]) -> None:
    validator = default_recipe_validator.DefaultV1RecipeValidator
    warn = getattr(validator, _VALIDATION)
    if component in getattr(warn, "filtered_for", ()):
        return

    @functools.wraps(warn)
    def filtered(self: Any, training_data: Any) -> None:
        nodes = [node for node in self._graph_schema.nodes.values() if node.uses is component]
        with warnings.catch_warnings():
            for message, option in untrue.items():
                if any(option is None or node.config.get(option, True) for node in nodes):
                    warnings.filterwarnings("ignore", _SUBJECT + message, UserWarning)
            warn(self, training_data)

    filtered.filtered_for = (*getattr(warn, "filtered_for", ()), component)  # type: ignore[attr-defined]
    setattr(validator, _VALIDATION, filtered)


def announce_confidences(component: type) -> None:
    """Tells Rasa's evaluation, where it is in use, that entities of ``component`` have confidences.

    The module is heavy and only ``rasa test`` needs it; it is never imported from here.
    """
    evaluation = sys.modules.get(_EVALUATION)
    if evaluation is not None:
        evaluation.EXTRACTORS_WITH_CONFIDENCES.add(component.__name__)
