"""The loss of the words' tags: of whole taggings, as the decoder chooses among them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sqz_nlu.training.dataset import IGNORE

_IMPOSSIBLE = -1e4


def tagging_loss(logits: Tensor, tags: Tensor, entities: int) -> Tensor:
    """How unlikely the annotated taggings are among all valid ones, for each word.

    A conditional random field (Lafferty et al., 2001) whose transitions are BILOU's grammar: what is allowed
    weighs nothing, what is not is out of the question. So nothing is learned for taggings that the decoder,
    `decode_bilou`, never chooses, and its recursion does here, too: a score for "outside" and one for "inside
    x" of each type.

    Args:
        logits: ``[batch, tokens, 1 + 4 * entities]`` in the order of ``LabelSpace.tags``.
        tags: the annotated classes, ``[batch, tokens]``, valid BILOU; ``IGNORE`` where no word begins. There
            is at least one word.
        entities: number of entity types.

    Returns:
        The negative log-likelihood, a scalar.
    """
    words = tags != IGNORE
    counts = words.sum(1)
    order = torch.argsort((~words).byte(), dim=1, stable=True)[:, : int(counts.max())]
    logits = logits.gather(1, order[..., None].expand(-1, -1, logits.shape[-1]))  # words only, to the left
    tags = tags.gather(1, order)
    words = tags != IGNORE
    annotated = logits.gather(2, tags.clamp(min=0)[..., None])[..., 0]
    out, begin, inner, last, unit = logits.split([1, *[entities] * 4], dim=-1)
    stay = torch.logsumexp(torch.cat([out, unit], dim=-1), dim=-1)
    outside = logits.new_zeros(len(logits))
    inside = logits.new_full((len(logits), entities), _IMPOSSIBLE)
    for place in range(logits.shape[1]):
        closed = torch.logsumexp(inside + last[:, place], dim=-1)
        after = torch.logaddexp(outside + stay[:, place], closed)
        within = torch.logaddexp(outside[:, None] + begin[:, place], inside + inner[:, place])
        here = words[:, place]
        outside = torch.where(here, after, outside)
        inside = torch.where(here[:, None], within, inside)
    return (outside - (annotated * words).sum(1)).sum() / counts.sum()


def word_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the words, one by one.

    Args:
        logits: ``[batch, tokens, classes]``.
        classes: ``[batch, tokens]``; ``IGNORE`` where there is nothing to learn.
    """
    return F.cross_entropy(logits.flatten(0, 1), classes.flatten(), ignore_index=IGNORE)
