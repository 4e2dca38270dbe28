"""The supervised contrastive loss (Khosla et al., 2020): utterances of one intent near each other."""

from __future__ import annotations

from torch import Tensor

TEMPERATURE = 0.1


def contrastive_loss(vectors: Tensor, classes: Tensor, ignored: int) -> Tensor | None:
    """How far each vector is from those of its class, against all others of the batch.

    Args:
        vectors: of unit length, ``[batch, width]``.
        classes: ``[batch]``.
        ignored: the class of vectors that take no part.

    Returns:
        The mean over the vectors that are not alone in their class; ``None`` if all are.
    """
    known = classes != ignored
    vectors, classes = vectors[known], classes[known]
    same = classes[:, None] == classes[None]
    same.fill_diagonal_(False)
    partners = same.sum(1)
    paired = partners > 0
    if not bool(paired.any()):
        return None
    likeness = (vectors @ vectors.T / TEMPERATURE).fill_diagonal_(float("-inf"))
    chances = likeness.log_softmax(1).masked_fill(~same, 0.0)
    return -(chances.sum(1)[paired] / partners[paired]).mean()
