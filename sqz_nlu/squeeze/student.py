"""A student that was squeezed before, to go on with: its teacher cut and numbered to fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sqz_nlu.encoder.centring import move_offset, norms_of_inputs, uses_of_input
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.model import Layer, SqueezeBertEncoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.ordering import Batch, Int, Order, identity_order
from sqz_nlu.squeeze.vocabulary import keep_pieces

_WANTED = "Give --student what was squeezed from this teacher."


@dataclass(frozen=True)
class Continued:
    """A student, and its teacher with the same word pieces.

    Attributes:
        student: as it was left.
        teacher: its channels are still numbered as in the checkpoint.
        tokenizer: of both.
        order: the numbering that makes the teacher's channels the student's.
    """

    student: SqueezeBertEncoder
    teacher: SqueezeBertEncoder
    tokenizer: Tokenizer
    order: Order


def continue_student(name: str, teacher: SqueezeBertEncoder, tokenizer: Tokenizer) -> Continued:
    """Loads a student and fits its teacher to it.

    Args:
        name: a folder, ``embedded`` or a hub id.
        teacher: the converted teacher with all its word pieces.
        tokenizer: the teacher's.

    Raises:
        SqueezeError: the student was not squeezed from this teacher.
        EncoderError: it cannot be found or read.
    """
    source = find_encoder(name)
    student = load_encoder(source)
    student.set_dropout(0.0, 0.0)
    ours, theirs = student.config, teacher.config
    if ours.hidden_size != theirs.hidden_size or ours.num_hidden_layers > theirs.num_hidden_layers:
        seen, expected = (f"{c.num_hidden_layers} layers of {c.hidden_size} channels" for c in (ours, theirs))
        raise SqueezeError(f"The student '{name}' has {seen}, the teacher {expected}. {_WANTED}")
    pieces = load_tokenizer(source).get_vocab()
    known = tokenizer.get_vocab()
    if unknown := sorted(pieces.keys() - known.keys()):
        raise SqueezeError(
            f"The student '{name}' has {len(unknown)} word pieces that the teacher lacks, such as "
            f"'{unknown[0]}'. {_WANTED}"
        )
    if pieces != known:
        kept = np.array(sorted(known[piece] for piece in pieces), np.int64)
        teacher, tokenizer = keep_pieces(teacher, tokenizer, kept)
    channels = match_channels(student, teacher)
    if channels is None or tokenizer.get_vocab() != pieces:
        raise SqueezeError(
            f"The position embeddings or the numbers of the word pieces of the student '{name}' are not its "
            f"teacher's. {_WANTED}"
        )
    identity = identity_order(ours)
    return Continued(student, teacher, tokenizer, Order(channels, identity.heads, identity.units, 1.0))


def match_channels(student: SqueezeBertEncoder, teacher: SqueezeBertEncoder) -> Int | None:
    """The teacher's number of each of the student's channels, ``[hidden]``.

    Squeezing renumbers channels, but leaves the embeddings of positions as they are. Where these are not
    found among the teacher's, the student is another teacher's, and the result is ``None``.
    """

    def columns(model: SqueezeBertEncoder) -> Tensor:
        embeddings = model.embeddings
        table = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        centred = (table - table.mean(0)).detach().double()
        scaled: Tensor = centred / centred.norm(dim=0).clamp(min=1e-12)
        return scaled

    first, second = columns(student), columns(teacher)
    if first.shape != second.shape:
        return None
    similarity, order = (first.T @ second).max(1)
    if len(order.unique()) < len(order) or float(similarity.min()) < 0.99:
        return None
    found: Int = order.cpu().numpy()
    return found


@torch.no_grad()
def restore_offsets(
    student: SqueezeBertEncoder, teacher: SqueezeBertEncoder, kept: Sequence[int], batches: Sequence[Batch]
) -> None:
    """Gives a student that was centred the offsets of its teacher's stream again; see `encoder.centring`.

    Bundles are centred. Their states between layers would be far from the teacher's, though they compute much
    the same. Another student, whose embeddings are normalised as its teacher's, stays as it is.

    Args:
        student: changed in place; it computes what it did.
        teacher: numbered as the student.
        kept: the teacher's layers that the student's follow.
        batches: token ids and masks, ``[batch, tokens]`` each.
    """
    norms, teacher_norm = norms_of_inputs(student), teacher.embeddings.LayerNorm
    if torch.allclose(norms[0].bias, teacher_norm.bias, atol=1e-5):
        return
    sums = [torch.zeros_like(norm.bias, dtype=torch.float64) for norm in norms]
    tokens = 0
    for ids, mask in batches:
        real = mask.bool()
        ours, theirs = student.hidden_states(ids, mask), teacher.hidden_states(ids, mask)
        followed = [theirs[0], *(theirs[layer + 1] for layer in kept[:-1])]
        for total, first, second in zip(sums, ours[:-1], followed, strict=True):
            total += (first - second)[real].double().sum(0)
        tokens += int(real.sum())
    for module, norm, total in zip(student.encoder.layers, norms, sums, strict=True):
        move_offset((total / tokens).to(norm.bias), norm, *uses_of_input(cast(Layer, module)))
