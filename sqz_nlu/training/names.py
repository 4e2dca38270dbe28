"""Names of intents as texts: most say in words what users want, as ``check_balance`` does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_BETWEEN_WORDS = re.compile(r"[\W_]+|(?<=[^\W\d_A-Z])(?=[A-Z])")
_LETTERS = re.compile(r"[^\W\d_]{2}")


def in_words(intent: str) -> str:
    """A name as words: ``faq/opening_hours`` and ``FaqOpeningHours`` as "faq opening hours"."""
    return _BETWEEN_WORDS.sub(" ", intent).strip().lower()


def telling_names(names: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """Names that say something of their own, sorted, and what they say, in words.

    Left out are names without two letters side by side, those that say the same as another one, and those
    that are a text already.

    Args:
        names: such as intents'.
        texts: of the examples, of whichever name.
    """
    words = {name: in_words(name) for name in sorted(set(names))}
    meant = Counter(words.values())
    known = {text.strip().lower() for text in texts}
    return {
        name: said
        for name, said in words.items()
        if _LETTERS.search(said) and meant[said] == 1 and said not in known
    }
