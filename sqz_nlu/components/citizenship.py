"""Makes Rasa treat a component as it treats DIETClassifier, where Rasa goes by a list of names.

Rasa 3.6 warns users whose pipeline has none of its own trainable extractors, and draws the histogram of
entity confidences only for those. Both are decided by lists in its modules, which this module extends. No
other warning is touched.
"""

from __future__ import annotations

import sys
import warnings

from rasa.graph_components.validators import default_recipe_validator

_EVALUATION = "rasa.nlu.test"
_ROLES_WARNING = "You have defined training data with entities that have roles/groups"
_SELECTOR_WARNING = "You have defined training data with examples for training a response selector"


def announce_extractor(component: type) -> None:
    """Tells Rasa's pipeline validator that ``component`` learns entities, roles and groups.

    Call it when the component's module is imported, which is before any pipeline is validated.
    """
    extractors = default_recipe_validator.TRAINABLE_EXTRACTORS
    if component not in extractors:
        extractors.append(component)
    warnings.filterwarnings("ignore", message=_ROLES_WARNING, category=UserWarning)
    announce_confidences(component)


def announce_selector() -> None:
    """Silences Rasa's complaint that response examples need its own ResponseSelector.

    Call it when the selector's module is imported, which only a pipeline that names the selector does.
    """
    warnings.filterwarnings("ignore", message=_SELECTOR_WARNING, category=UserWarning)


def announce_confidences(component: type) -> None:
    """Tells Rasa's evaluation, where it is in use, that entities of ``component`` have confidences.

    The module is heavy and only ``rasa test`` needs it; it is never imported from here.
    """
    evaluation = sys.modules.get(_EVALUATION)
    if evaluation is not None:
        evaluation.EXTRACTORS_WITH_CONFIDENCES.add(component.__name__)
