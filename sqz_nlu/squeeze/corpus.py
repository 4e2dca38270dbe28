"""Reads text, tokenizes it once and cuts it into batches whose order a seed decides."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sqz_nlu.errors import SqueezeError

_POOL_BATCHES = 64
_TOKENIZE_AT_ONCE = 20_000


@dataclass(frozen=True)
class TokenizedCorpus:
    """Sentences as token ids, laid end to end.

    Attributes:
        ids: ``int32 [tokens]``.
        starts: ``int64 [sentences + 1]``; sentence ``i`` is ``ids[starts[i]:starts[i + 1]]``.
        lines: number of lines read from each file name.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    lines: dict[str, int]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each sentence, ``int64 [sentences]``."""
        return np.diff(self.starts)

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Token ids and attention mask of some sentences, each ``int64 [batch, tokens]``."""
        lengths = self.lengths[rows]
        width = int(lengths.max())
        ids = np.zeros((len(rows), width), np.int64)
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        for place, row in enumerate(rows):
            ids[place, : lengths[place]] = self.ids[self.starts[row] : self.starts[row + 1]]
        return ids, mask


def read_lines(path: Path) -> Iterator[str]:
    """The non-empty lines of a text file, plain or compressed with xz or gzip.

    Raises:
        SqueezeError: the file is missing or is not UTF-8 text.
    """
    openers = {".xz": lzma.open, ".gz": gzip.open}
    opener = openers.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8") as file:  # type: ignore[operator]
            for line in file:
                if line := line.strip():
                    yield line
    except FileNotFoundError:
        raise SqueezeError(f"There is no corpus file '{path}'. Give existing text files.") from None
    except (OSError, UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise SqueezeError(
            f"The corpus file '{path}' cannot be read ({error}). Expected UTF-8 text, one "
            "sentence a line, plain or as .xz or .gz."
        ) from error


def tokenize(files: Sequence[Path], tokenizer: Tokenizer, max_length: int) -> TokenizedCorpus:
    """Tokenizes all lines of all files.

    Raises:
        SqueezeError: there is not a single line of text.
    """
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()
    ids: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    counts: dict[str, int] = {}

    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)  # tokenizers 0.20 and newer

    def flush(lines: list[str]) -> None:
        for encoding in encode(lines):
            ids.append(np.asarray(encoding.ids, np.int32))
            lengths.append(len(encoding.ids))

    for path in files:
        pending: list[str] = []
        for line in read_lines(path):
            counts[path.name] = counts.get(path.name, 0) + 1
            pending.append(line)
            if len(pending) == _TOKENIZE_AT_ONCE:
                flush(pending)
                pending = []
        flush(pending)
    if not lengths:
        raise SqueezeError("The corpus has no text. Give at least one file with a sentence a line.")
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenizedCorpus(np.concatenate(ids), starts, counts)


def plan_batches(
    lengths: npt.NDArray[np.int64], tokens: int, batch_tokens: int, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Batches of sentence numbers of about equal length, in an order that ``seed`` decides.

    Args:
        lengths: tokens of each sentence, ``int64 [sentences]``.
        tokens: the plan ends when its sentences have this many tokens; sentences repeat, in a new
            order, when there are too few.
        batch_tokens: most tokens in a batch, padding included.
        seed: decides the order.

    Returns:
        One ``int64 [batch]`` array of sentence numbers for each step.
    """
    rng = np.random.default_rng(seed)
    planned = 0
    batches: list[npt.NDArray[np.int64]] = []
    pool_size = max(1, _POOL_BATCHES * batch_tokens // max(1, int(lengths.mean())))
    while planned < tokens:
        order = rng.permutation(len(lengths))
        for first in range(0, len(order), pool_size):
            pool = order[first : first + pool_size]
            cut = _cut_by_tokens(pool[np.argsort(lengths[pool], kind="stable")], lengths, batch_tokens)
            for index in rng.permutation(len(cut)):
                batches.append(cut[index])
                planned += int(lengths[cut[index]].sum())
                if planned >= tokens:
                    return batches
    return batches


def _cut_by_tokens(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], batch_tokens: int
) -> list[npt.NDArray[np.int64]]:
    """Cuts rows sorted by length so that rows times the longest stays within ``batch_tokens``."""
    batches, first = [], 0
    for end in range(1, len(rows) + 1):
        full = end == len(rows) or (end + 1 - first) * lengths[rows[end]] > batch_tokens
        if full:
            batches.append(rows[first:end])
            first = end
    return batches
