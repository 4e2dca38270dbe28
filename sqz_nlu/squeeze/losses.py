"""What distillation minimises, in parts that add up over the processes that share a batch.

The loss of a batch is the mean over the layers of the squared distance between student and teacher states,
divided by the variance of the teacher's, plus the cosine distance of the mean-pooled embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sqz_nlu.encoder.model import mean_pool


@dataclass
class Losses:
    """Losses of one step: per layer ``[layers]`` and of the pooled embedding ``[]``."""

    layers: Tensor
    pooled: Tensor

    def total(self, pooled_weight: float) -> Tensor:
        """What training minimises."""
        return self.layers.mean() + pooled_weight * self.pooled


@dataclass(frozen=True)
class BatchSize:
    """The size of a whole batch, whoever computes which part of it.

    Attributes:
        tokens: real tokens.
        sentences: rows.
    """

    tokens: int
    sentences: int


def moments(states: list[Tensor], attention_mask: Tensor) -> Tensor:
    """Sum and sum of squares of the states of real tokens, float64 ``[layers, 2]``.

    Args:
        states: one ``[batch, tokens, hidden]`` tensor a layer.
        attention_mask: ``[batch, tokens]``.
    """
    real = attention_mask.bool()
    values = [layer[real].double() for layer in states]
    return torch.stack([torch.stack([value.sum(), value.square().sum()]) for value in values])


def variances(moments_of_batch: Tensor, values: int) -> Tensor:
    """The unbiased variance of each layer, float32 ``[layers]``.

    Args:
        moments_of_batch: `moments`, summed over the parts of a batch.
        values: numbers in a layer's states: tokens times width.
    """
    total, squares = moments_of_batch.unbind(1)
    return ((squares - total.square() / values) / (values - 1)).float()


def distillation_losses(
    student: list[Tensor], teacher: list[Tensor], attention_mask: Tensor, variance: Tensor, whole: BatchSize
) -> Losses:
    """This part's share of the losses of a batch; the shares of all parts add up to them.

    Args:
        student: states, one ``[batch, tokens, hidden]`` tensor a layer.
        teacher: those of the teacher's layers that they follow.
        attention_mask: ``[batch, tokens]``.
        variance: of the teacher's states over the whole batch, ``[layers]``.
        whole: the size of the whole batch.
    """
    real = attention_mask.bool()
    values = whole.tokens * teacher[0].shape[-1]
    squares = [
        F.mse_loss(ours[real], theirs[real], reduction="sum")
        for ours, theirs in zip(student, teacher, strict=True)
    ]
    similarity = F.cosine_similarity(
        mean_pool(student[-1], attention_mask), mean_pool(teacher[-1], attention_mask)
    )
    return Losses(torch.stack(squares) / values / variance, (1.0 - similarity).sum() / whole.sentences)
