"""Names of intents as examples: most say in words what their users want, as ``check_balance`` does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import IGNORE, Row
from sqz_nlu.training.examples import Example

_BETWEEN_WORDS = re.compile(r"[\W_]+|(?<=[^\W\d_A-Z])(?=[A-Z])")
_LETTERS = re.compile(r"[^\W\d_]{2}")


def in_words(intent: str) -> str:
    """A name as words: ``faq/opening_hours`` and ``FaqOpeningHours`` as "faq opening hours"."""
    return _BETWEEN_WORDS.sub(" ", intent).strip().lower()


def name_rows(examples: Sequence[Example], labels: LabelSpace, encoder: TextEncoder) -> list[Row]:
    """A row for the name of each intent that has examples.

    Left out are names without two letters side by side, those that say the same in words as another one, and
    those that are an example already, of whichever intent.

    Args:
        examples: annotated utterances.
        labels: has their intents.
        encoder: makes tokens.
    """
    classes = {name: index for index, name in enumerate(labels.intents)}
    words = {name: in_words(name) for name in sorted({e.intent for e in examples if e.intent in classes})}
    meant = Counter(words.values())
    known = {example.text.strip().lower() for example in examples}
    told = {
        name: text
        for name, text in words.items()
        if _LETTERS.search(text) and meant[text] == 1 and text not in known
    }
    rows = []
    for name, encoded in zip(told, encoder.encode_batch(list(told.values())), strict=True):
        if encoded.words:
            nothing = [IGNORE] * len(encoded.ids)
            rows.append(Row(encoded.ids, classes[name], nothing, nothing, nothing))
    return rows
