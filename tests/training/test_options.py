from __future__ import annotations

import pytest

from sqz_nlu.errors import OptionError
from sqz_nlu.training.options import TrainingOptions


def test_defaults_are_a_valid_configuration_in_diets_names() -> None:
    defaults = TrainingOptions.defaults()
    assert TrainingOptions.from_dict(defaults) == TrainingOptions(epochs=16)
    assert TrainingOptions.from_dict({}).epochs is None
    for name in ("epochs", "BILOU_flag", "random_seed", "ranking_length", "split_entities_by_comma"):
        assert name in defaults
    assert "bilou_flag" not in defaults


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epoch": 3}, "Unknown option 'epoch'. Did you mean 'epochs'"),
        ({"bilou_flag": True}, "Did you mean 'BILOU_flag'"),
        ({"transformer_size": 256}, "about Rasa's own network"),
        ({"epochs": "three"}, r"'epochs' is 'three' \(str\); expected a whole number"),
        ({"epochs": True}, "expected a whole number"),
        ({"epochs": 0}, "'epochs' is 0; expected at least 1"),
        ({"drop_rate": 2}, "between 0.0 and 0.95"),
        ({"random_seed": -1}, "between 0 and 4294967295"),
        ({"random_seed": 2**70}, "between 0 and 4294967295"),
        ({"weight_decay": float("inf")}, "'weight_decay' is inf; expected a finite number"),
        ({"learning_rate": float("nan")}, "expected a finite number"),
        ({"quantization": "int4"}, "one of auto, int8, none"),
        ({"split_entities_by_comma": {"city": 1}}, "mapping from a text to true or false"),
        ({"model": None}, "expected a text"),
        ({"intent_classification": False, "entity_recognition": False}, "nothing to learn"),
        ({"evaluate_every_number_of_epochs": 0}, "expected 1 or more, or -1"),
        ({"early_stopping_patience": 2}, "evaluate_on_number_of_examples"),
    ],
)
def test_bad_options_name_what_was_seen_and_what_is_expected(config: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainingOptions.from_dict(config)


def test_good_options() -> None:
    options = TrainingOptions.from_dict(
        {"BILOU_flag": False, "learning_rate": 1, "split_entities_by_comma": {"city": False}}
    )
    assert (options.bilou_flag, options.learning_rate) == (False, 1.0)
    assert options.split_entities_by_comma == {"city": False}
