"""Training options, named and meant as those of Rasa's DIETClassifier where it has them."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqz_nlu.errors import OptionError, did_you_mean

_ALIASES = {"BILOU_flag": "bilou_flag"}

_DIET_ONLY = frozenset(
    "batch_strategy concat_dimension connection_density constrain_similarities dense_dimension "
    "drop_small_last_batch embedding_dimension featurizers hidden_layers_sizes "
    "key_relative_attention loss_type max_relative_position maximum_negative_similarity "
    "maximum_positive_similarity model_confidence negative_margin_scale number_of_attention_heads "
    "number_of_negative_examples number_of_transformer_layers regularization_constant run_eagerly "
    "scale_loss share_hidden_layers similarity_type transformer_size unidirectional_encoder "
    "use_dense_input_dropout use_key_relative_attention use_masked_language_model "
    "use_maximum_negative_similarity use_sparse_input_dropout use_value_relative_attention".split()
)


# Without a number of the user's.
MOST_EPOCHS = 16
FEWEST_EPOCHS = 8
MOST_EPOCHS_WITH_ENTITIES = 32
_LARGEST_SEED = 2**32 - 1


def _range(default: Any, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class TrainingOptions:
    """What a user can say about training and answering.

    Attributes:
        model: the encoder: ``embedded``, a hub id, or a folder with an encoder or a bundle.
        offline: never contact the hub.
        epochs: passes over the examples. Left unset, there are fewer for more examples, down to 8, and up to
            32 where few have to teach entities.
        batch_size: examples a step.
        learning_rate: AdamW's peak for the encoder's last layer. Left unset it is 0.0004, or less where
            intents have few examples.
        head_learning_rate: AdamW's peak for the heads.
        layer_learning_rate_decay: factor from one encoder layer to the one below.
        warmup: share of the steps over which the rates rise; after it they fall to zero as a cosine.
        weight_decay: AdamW's.
        drop_rate: dropout of what the heads see.
        drop_rate_attention: dropout of the encoder's attention weights.
        label_smoothing: share of the intent target spread over all intents.
        contrastive_weight: weight of the loss that draws the sentence vectors of an intent together, and away
            from those of others; 0 leaves it out.
        freeze_embeddings: whether word and position embeddings keep their values.
        frozen_layers: encoder layers, from the bottom, that keep their values. Left unset it is half of
            them where there are intents only, with many examples, and ``freeze_embeddings`` is true, else
            none.
        max_sequence_length: longest text in tokens; what is beyond is not seen.
        random_seed: of order and dropout; without one, one is drawn.
        intent_classification: whether to learn intents.
        entity_recognition: whether to learn entities.
        bilou_flag: tag words with BILOU prefixes.
        use_intent_names: whether the intent head is fitted to an intent's name, in words, like to an example.
            It helps where intents have few.
        use_lookup_tables: whether lookup tables of the NLU data help to find entities and intents.
        use_regexes: likewise for regex features.
        case_sensitive: whether case matters to both.
        use_word_boundaries: whether an entry of a lookup table must begin and end where words do.
        intent_split_symbol: what stands between the parts of intents such as ``a+b``; parts are then learned
            together, so that a pair never seen can win. Without one, ``a+b`` is an intent of its own.
        split_entities_by_comma: whether a comma ends an entity, for all types or by type.
        ranking_length: intents reported; 0 for all.
        renormalize_confidences: let the reported confidences sum to one.
        evaluate_on_number_of_examples: examples kept out of training to evaluate on.
        evaluate_every_number_of_epochs: how often; -1 only at the end.
        checkpoint_model: whether the weights of the best evaluation are kept instead of the last. Needs
            ``evaluate_on_number_of_examples``.
        early_stopping_patience: evaluations without improvement after which training stops and the
            best weights are kept; 0 never stops. Needs ``evaluate_on_number_of_examples``.
        tensorboard_log_directory: where to write losses, scores and learning rates for TensorBoard.
        tensorboard_log_level: ``epoch`` or ``batch``: how often.
        persist_trainable_weights: whether the model keeps what ``rasa train --finetune`` continues from.
        quantization: ``auto`` writes an int8 graph where it agrees with the float one and a float graph
            otherwise; ``int8`` fails otherwise; ``none`` always writes float.
        device: for training: ``auto``, ``cpu`` or ``cuda``.
        precision: of the encoder's products while it trains: ``float32``, ``bfloat16`` (weights stay in
            float32), or ``auto``, bfloat16 on CPUs that have instructions for it.
        intra_op_num_threads: threads for one parse.
    """

    model: str = "embedded"
    offline: bool = False
    epochs: int | None = _range(None, 1)
    batch_size: int = _range(32, 1)
    learning_rate: float | None = _range(None, 0.0)
    head_learning_rate: float = _range(4e-3, 0.0)
    layer_learning_rate_decay: float = _range(0.9, 0.0, 1.0)
    warmup: float = _range(0.1, 0.0, 1.0)
    weight_decay: float = _range(0.01, 0.0)
    drop_rate: float = _range(0.1, 0.0, 0.95)
    drop_rate_attention: float = _range(0.1, 0.0, 0.95)
    label_smoothing: float = _range(0.05, 0.0, 0.5)
    contrastive_weight: float = _range(1.0, 0.0)
    freeze_embeddings: bool = True
    frozen_layers: int | None = _range(None, 0)
    max_sequence_length: int = _range(256, 3)
    random_seed: int | None = _range(None, 0, _LARGEST_SEED)
    intent_classification: bool = True
    entity_recognition: bool = True
    bilou_flag: bool = True
    use_intent_names: bool = True
    use_lookup_tables: bool = True
    use_regexes: bool = True
    case_sensitive: bool = False
    use_word_boundaries: bool = True
    intent_split_symbol: str | None = None
    split_entities_by_comma: bool | dict[str, bool] = True
    ranking_length: int = _range(10, 0)
    renormalize_confidences: bool = False
    evaluate_on_number_of_examples: int = _range(0, 0)
    evaluate_every_number_of_epochs: int = _range(1, -1)
    checkpoint_model: bool = False
    early_stopping_patience: int = _range(0, 0)
    tensorboard_log_directory: str | None = None
    tensorboard_log_level: Literal["epoch", "batch"] = "epoch"
    persist_trainable_weights: bool = True
    quantization: Literal["auto", "int8", "none"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    intra_op_num_threads: int = _range(1, 1)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every option as a configuration names it, with its default.

        ``epochs`` is the number for small data: Rasa's ``--epoch-fraction`` needs a number to multiply.
        """
        names = {value: key for key, value in _ALIASES.items()}
        defaults = {names.get(f.name, f.name): f.default for f in dataclasses.fields(cls)}
        return defaults | {"epochs": MOST_EPOCHS}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> TrainingOptions:
        """Checks a configuration strictly.

        Raises:
            OptionError: an option is unknown, of the wrong type or out of range.
        """
        options = cls(**checked_values(cls, config, cls.defaults()))
        options._check_together()
        return options

    def _check_together(self) -> None:
        if not (self.intent_classification or self.entity_recognition):
            raise OptionError(
                "intent_classification and entity_recognition are both false: there is nothing to "
                "learn. Set at least one to true."
            )
        if self.evaluate_every_number_of_epochs == 0:
            raise OptionError(
                "evaluate_every_number_of_epochs is 0; expected 1 or more, or -1 for only at the end."
            )
        if self.early_stopping_patience and not self.evaluate_on_number_of_examples:
            raise OptionError(
                f"early_stopping_patience is {self.early_stopping_patience}, but no examples are held "
                "out. Set evaluate_on_number_of_examples as well."
            )


def is_diet_option(name: str) -> bool:
    """Whether DIETClassifier has an option of this name that has no counterpart here."""
    return name in _DIET_ONLY


def checked_values(options: type[Any], config: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for a dataclass of options that a configuration means.

    Args:
        options: the dataclass.
        config: what the user wrote.
        known: the options as a configuration names them, with their defaults.

    Raises:
        OptionError: an option is unknown, of the wrong type or out of range.
    """
    hints = typing.get_type_hints(options)
    fields = {f.name: f for f in dataclasses.fields(options)}
    values: dict[str, Any] = {}
    for key, value in config.items():
        if key not in known:
            raise OptionError(_unknown(key, known))
        name = _ALIASES.get(key, key)
        if type(value) is int and (hints[name] is float or float in typing.get_args(hints[name])):
            value = float(value)
        _check_type(key, value, hints[name])
        _check_range(key, value, fields[name].metadata)
        values[name] = value
    return values


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    if is_diet_option(key):
        return f"The option '{key}' is about Rasa's own network and has no counterpart here. Remove it."
    return f"Unknown option '{key}'.{did_you_mean(key, known)} Known options: {', '.join(sorted(known))}."


def _check_type(key: str, value: Any, hint: Any) -> None:
    if not _fits(value, hint):
        raise OptionError(
            f"The option '{key}' is {value!r} ({type(value).__name__}); expected {_describe(hint)}."
        )


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin is types.UnionType:
        return any(_fits(value, argument) for argument in arguments)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    return type(value) is hint


def _describe(hint: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    names[type(None)] = "nothing"
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is types.UnionType:
        return " or ".join(_describe(argument) for argument in typing.get_args(hint))
    if typing.get_origin(hint) is dict:
        key, value = map(_describe, typing.get_args(hint))
        return f"a mapping from {key} to {value}"
    return names[hint]


def _check_range(key: str, value: Any, limits: Mapping[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"The option '{key}' is {value}; expected a finite number.")
    low, high = limits.get("low"), limits.get("high")
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise OptionError(f"The option '{key}' is {value}; expected {allowed}.")
