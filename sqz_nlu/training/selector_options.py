"""Options of the response selector, named as those of Rasa's ResponseSelector."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqz_nlu.errors import OptionError
from sqz_nlu.runtime.bundle import EMBEDDED
from sqz_nlu.training.options import TrainingOptions, checked_values


@dataclass(frozen=True)
class SelectorOptions:
    """What a user can say about selecting responses.

    Attributes:
        model: the encoder: ``embedded``, a bundle folder or a model archive of ``rasa train``.
        retrieval_intent: the one retrieval intent to select responses for; without one, all of them.
        use_text_as_label: whether the texts of the responses are learned from, too, as examples of their key.
        use_intent_names: whether the names of response keys, in words, are learned from, too, as examples.
        ranking_length: responses reported; 0 for all.
        renormalize_confidences: let the reported confidences sum to one.
        epochs: accepted, as Rasa's ``--epoch-fraction`` asks for it; the head is solved in one step.
        random_seed: accepted; there is no chance in training.
        intra_op_num_threads: threads for one text.
    """

    model: str = EMBEDDED
    retrieval_intent: str | None = None
    use_text_as_label: bool = False
    use_intent_names: bool = True
    ranking_length: int = field(default=10, metadata={"low": 0})
    renormalize_confidences: bool = False
    epochs: int = field(default=1, metadata={"low": 1})
    random_seed: int | None = None
    intra_op_num_threads: int = field(default=1, metadata={"low": 1})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every option with its default."""
        return dataclasses.asdict(cls())

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> SelectorOptions:
        """Checks a configuration strictly.

        Raises:
            OptionError: an option is unknown, of the wrong type or out of range.
        """
        known = cls.defaults()
        for key in config:
            if key not in known and key in TrainingOptions.defaults():
                raise OptionError(
                    f"The option '{key}' is about the training of a network; the selector's head is solved "
                    "in one step and has no counterpart. Remove it."
                )
        return cls(**checked_values(cls, config, known))
