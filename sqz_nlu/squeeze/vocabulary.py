"""A smaller vocabulary for a teacher: special tokens, single characters, and the pieces a corpus uses most.

What is kept stays exactly as it was: the same rows of the embeddings in the same order, under new numbers.
WordPiece takes the longest piece that matches, so a text whose pieces are all kept is cut as before and
has the same states; other words fall apart into smaller pieces, down to single characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.errors import SqueezeError

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_UNUSED = re.compile(r"\[unused\d+\]")


def choose_pieces(
    tokenizer: Tokenizer, counts: npt.NDArray[np.int64], size: int, always: frozenset[int] = frozenset()
) -> npt.NDArray[np.int64]:
    """The ids of the pieces that stay.

    Args:
        tokenizer: a WordPiece tokenizer.
        counts: how often each id occurs in the corpus, ``int64 [ids]``.
        size: how many pieces stay, if the vocabulary has so many.
        always: ids that stay whatever they are.

    Returns:
        Ids in ascending order, ``int64 [kept]``.

    Raises:
        SqueezeError: the tokenizer is not WordPiece, or special tokens and characters alone are more than
            ``size``.
    """
    state = json.loads(tokenizer.to_str())
    pieces = _all_pieces(state)
    prefix = state["model"]["continuing_subword_prefix"]
    special = {token["content"] for token in state["added_tokens"]} | {*_SPECIAL, state["model"]["unk_token"]}
    needed = {
        index for piece, index in pieces.items() if piece in special or len(piece.removeprefix(prefix)) == 1
    } | always
    if size < len(needed):
        raise SqueezeError(
            f"--vocab-size is {size}, but special tokens and single characters alone are {len(needed)} word "
            f"pieces. Ask for at least {len(needed)}, better several thousand."
        )
    unused = {index for piece, index in pieces.items() if _UNUSED.fullmatch(piece)}
    used = {index: int(counts[index]) if index < len(counts) else 0 for index in pieces.values()}
    rest = sorted(set(pieces.values()) - needed, key=lambda index: (-used[index], index in unused, index))
    return np.array(sorted([*needed, *rest[: size - len(needed)]]), np.int64)


def prune(
    teacher: SqueezeBertEncoder, tokenizer: Tokenizer, counts: npt.NDArray[np.int64], size: int
) -> tuple[SqueezeBertEncoder, Tokenizer]:
    """The same model with ``size`` word pieces; both arguments stay as they are.

    Args:
        teacher: a converted teacher.
        tokenizer: its tokenizer.
        counts: how often each id occurs in the corpus, ``int64 [ids]``.
        size: word pieces to keep; a larger number than there are keeps all.

    Raises:
        SqueezeError: the tokenizer is not WordPiece, its ids have no embeddings, or ``size`` is too small.
    """
    padding = teacher.config.pad_token_id
    always = frozenset() if padding is None else frozenset({int(padding)})
    return keep_pieces(teacher, tokenizer, choose_pieces(tokenizer, counts, size, always))


def keep_pieces(
    teacher: SqueezeBertEncoder, tokenizer: Tokenizer, kept: npt.NDArray[np.int64]
) -> tuple[SqueezeBertEncoder, Tokenizer]:
    """The same model with some of its word pieces; both arguments stay as they are.

    Args:
        teacher: a converted teacher.
        tokenizer: its tokenizer, WordPiece.
        kept: the ids that stay, in ascending order.

    Raises:
        SqueezeError: there are ids without embeddings.
    """
    padding = teacher.config.pad_token_id
    words = teacher.embeddings.word_embeddings.weight
    if kept[-1] >= len(words):
        raise SqueezeError(
            f"The teacher's tokenizer has the id {kept[-1]}, but its embeddings have {len(words)} rows. "
            "Use the tokenizer that belongs to the checkpoint."
        )
    numbers = {int(old): new for new, old in enumerate(kept)}
    fields = {"vocab_size": len(kept), "pad_token_id": None if padding is None else numbers[int(padding)]}
    with torch.random.fork_rng([]):  # the drawn weights are replaced at once
        pruned = SqueezeBertEncoder(SqueezeBertConfig.from_dict(teacher.config.to_dict() | fields))
    state = teacher.state_dict()
    state["embeddings.word_embeddings.weight"] = words.detach()[torch.from_numpy(kept)]
    pruned.load_state_dict(state)
    return pruned.eval(), Tokenizer.from_str(json.dumps(_renumbered(tokenizer, numbers)))


def _all_pieces(state: Mapping[str, Any]) -> dict[str, int]:
    kind = state["model"].get("type")
    if kind != "WordPiece":
        raise SqueezeError(
            f"--vocab-size needs a WordPiece tokenizer; the teacher's is {kind}. Leave the option out."
        )
    added = {token["content"]: int(token["id"]) for token in state["added_tokens"]}
    return {**{piece: int(index) for piece, index in state["model"]["vocab"].items()}, **added}


def _renumbered(tokenizer: Tokenizer, numbers: Mapping[int, int]) -> dict[str, Any]:
    """``tokenizer.json`` with new numbers for the ids that stay."""
    state: dict[str, Any] = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    state["model"]["vocab"] = {
        piece: numbers[index]
        for piece, index in sorted(vocabulary.items(), key=lambda item: item[1])
        if index in numbers
    }
    state["added_tokens"] = [{**token, "id": numbers[token["id"]]} for token in state["added_tokens"]]
    if state.get("padding"):
        state["padding"]["pad_id"] = numbers[state["padding"]["pad_id"]]
    for processor in _processors(state.get("post_processor")):
        for end in ("sep", "cls"):
            if end in processor:
                processor[end][1] = numbers[processor[end][1]]
        for token in (processor.get("special_tokens") or {}).values():
            token["ids"] = [numbers[index] for index in token["ids"]]
    return state


def _processors(post_processor: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """A post-processor, or those of a sequence."""
    if post_processor is None:
        return
    yield post_processor
    for inner in post_processor.get("processors") or []:
        yield from _processors(inner)
