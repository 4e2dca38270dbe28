"""How well an encoder's vocabulary fits the texts it is to learn from.

An encoder does not know the language of its input, and neither does a Rasa component. What can be measured
is how many words of the training texts are whole entries of the vocabulary. A word of another language is cut
into many pieces, or is unknown altogether: an encoder trained on English learns little from those.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tokenizers import Tokenizer

from sqz_nlu.runtime.text import encodable

# Between English texts, which lie above, and those of other languages: see benchmarks/vocabulary.py.
WHOLE_WORDS_OF_ENGLISH = 0.7
UNKNOWN_WORDS = 0.2
_FEWEST_WORDS = 20
_TEXTS = 2000


@dataclass(frozen=True)
class Fit:
    """A vocabulary on some texts; words are those that have a letter.

    Attributes:
        words: how many were looked at.
        whole: share of words that are one entry of the vocabulary.
        unknown: share of words of which the vocabulary has not even the characters.
    """

    words: int
    whole: float
    unknown: float


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> Fit:
    """Looks up the words of a sample of the texts."""
    sample = [encodable(str(text)) for text in texts[:: max(1, len(texts) // _TEXTS)]]
    model = json.loads(tokenizer.to_str())["model"]
    unknown_id = model.get("unk_id", tokenizer.token_to_id(model.get("unk_token") or "[UNK]"))
    words = whole = unknown = 0
    for text, encoding in zip(sample, tokenizer.encode_batch(sample, add_special_tokens=False), strict=True):
        pieces = zip(encoding.word_ids, encoding.offsets, encoding.ids, strict=True)
        for _, group in groupby(pieces, key=lambda piece: piece[0]):
            _, spans, ids = zip(*group, strict=True)
            if any(char.isalpha() for char in text[spans[0][0] : spans[-1][1]]):
                words += 1
                unknown += unknown_id in ids
                whole += len(ids) == 1 and unknown_id not in ids
    return Fit(words, whole / max(1, words), unknown / max(1, words))


def warning(fit: Fit, encoder: str, language: str | None) -> str | None:
    """What to tell a user whose texts an encoder was not made for; ``None`` if all is well.

    Args:
        fit: the encoder's vocabulary on the training texts.
        encoder: its name.
        language: its language, where known; only for English it is known how many whole words to expect.
    """
    if fit.words < _FEWEST_WORDS:
        return None
    foreign = language == "en" and fit.whole < WHOLE_WORDS_OF_ENGLISH
    if not foreign and fit.unknown <= UNKNOWN_WORDS:
        return None
    known = f"knows {fit.whole:.0%} of their words as a whole"
    if fit.unknown:
        known += f" and {fit.unknown:.0%} not at all"
    nature = ", an encoder for English," if language == "en" else ""
    return (
        "The training texts do not look like the language of the encoder: the vocabulary of "
        f"'{encoder}'{nature} {known}. Expect poor answers. If the bot speaks another language, set model to "
        "an encoder of that language (docs/languages.md says where to get one)."
    )
