"""Text to token ids and words. Training and inference both come through here."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Encoding, Tokenizer, normalizers

from sqz_nlu.runtime.results import Span

_ACCENTS = normalizers.BertNormalizer(
    clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
)


@dataclass(frozen=True)
class EncodedText:
    """A text as the network sees it.

    Attributes:
        ids: token ids with the special tokens, at most the limit.
        spans: where each of these tokens lies in the original text; special tokens are nowhere, (0, 0).
        words: where each word lies in the original text, in code points.
        first_tokens: index in ``ids`` of the first token of each word.
    """

    ids: list[int]
    spans: list[Span]
    words: tuple[Span, ...]
    first_tokens: list[int]


class TextEncoder:
    """Cuts text into words and word pieces with the tokenizer's own rules.

    Words are what the tokenizer's pre-tokenizer makes of the text (BERT's: split at white space,
    around every punctuation mark and CJK character), so no other library is needed to find them.

    Args:
        tokenizer: configured once here and never again: changing it while other threads encode fails.
        max_tokens: longer texts are cut; words that fall off are neither tagged nor reported.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer

    def encode(self, text: str) -> EncodedText:
        """Encodes one text."""
        return _read(self._tokenizer.encode(encodable(text)), text)

    def encode_batch(self, texts: Sequence[str]) -> list[EncodedText]:
        """Encodes texts."""
        encodings = self._tokenizer.encode_batch([encodable(text) for text in texts])
        return [_read(encoding, text) for encoding, text in zip(encodings, texts, strict=True)]


def encodable(text: str) -> str:
    """Replaces lone surrogates, which no UTF-8 library takes, one for one (offsets keep)."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _read(encoding: Encoding, text: str) -> EncodedText:
    words: list[Span] = []
    first_tokens: list[int] = []
    previous = None
    spaced = False
    spans = encoding.offsets
    for index, word in enumerate(encoding.word_ids):
        if word is None:
            continue
        start, end = spans[index]
        if word == previous:
            words[-1] = (words[-1][0], end)
        else:
            words.append((start, end))
            first_tokens.append(index)
            previous = word
            spaced = spaced or text[start : start + 1].isspace()
    if spaced:
        words, first_tokens = _without_space(text, words, first_tokens)
    if not text.isascii():
        limits = zip(words, [*(start for start, _ in words[1:]), len(text)], strict=False)
        words = [(start, _with_marks(text, end, limit)) for (start, end), limit in limits]
    return EncodedText(encoding.ids, spans, tuple(words), first_tokens)


def _without_space(
    text: str, words: Sequence[Span], first_tokens: Sequence[int]
) -> tuple[list[Span], list[int]]:
    """Takes the space off words that begin with it, as SentencePiece's do."""
    cut: list[Span] = []
    kept: list[int] = []
    for (start, end), token in zip(words, first_tokens, strict=True):
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end:
            cut.append((start, end))
            kept.append(token)
    return cut, kept


def _with_marks(text: str, end: int, limit: int) -> int:
    """The end of a word with the marks after it, which BERT's normalizer drops; at most ``limit``."""
    while end < limit and _is_mark(text[end]):
        end += 1
    return end


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    """Whether a normalizer drops a character as an accent: BERT's, by its own table, or another one.

    That table is Unicode's category Mn, vowel signs of many scripts among them, of the library's Unicode
    version. The browser's runtime has it, too (``unicode.js``).
    """
    return unicodedata.combining(character) != 0 or not _ACCENTS.normalize_str(encodable(character))
