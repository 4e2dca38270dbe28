"""The joint network: an encoder, an intent head on the pooled text, and heads on every word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqz_nlu.encoder.model import SqueezeBertEncoder, mean_pool
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.training.contrast import contrastive_loss
from sqz_nlu.training.dataset import IGNORE, Batch
from sqz_nlu.training.multi_intents import IntentParts
from sqz_nlu.training.patterns import PatternHead, matching
from sqz_nlu.training.regression import fit_classes
from sqz_nlu.training.tagging import tagging_loss, word_loss

_INTENT_SCALE = 16.0
_ROLE_WEIGHT = 0.5


@dataclass(frozen=True)
class Output:
    """What the network says.

    Attributes:
        pooled: mean of the token states, scaled to unit length, ``[batch, hidden]``.
        intents: logits, ``[batch, intents]``.
        words: logits of tags, roles and groups side by side, ``[batch, tokens, classes]``.
    """

    pooled: Tensor
    intents: Tensor
    words: Tensor


@dataclass(frozen=True)
class Sentences:
    """What the intent head sees of rows that have an intent.

    Attributes:
        vectors: means of token states, of unit length, ``[rows, hidden]``.
        intents: what is right, ``[rows]``.
        patterns: which lookup tables and regular expressions match, ``[rows, patterns]``.
    """

    vectors: Tensor
    intents: Tensor
    patterns: Tensor

    @classmethod
    def together(cls, several: Iterable[Sentences]) -> Sentences:
        """One after the other."""
        columns = zip(*((s.vectors, s.intents, s.patterns) for s in several), strict=True)
        return cls(*map(torch.cat, columns))


class _Head(nn.Linear):
    """A linear layer that starts at zero; it may have no outputs."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class JointNetwork(nn.Module):
    """Encoder and heads.

    Args:
        encoder: fine-tuned together with the heads.
        labels: sizes of the heads.
        drop_rate: dropout of what the heads see.
        drop_rate_attention: dropout of attention weights.
        parts: what intents are made of, where some are made of several.
        patterns: the number of lookup tables and regular expressions.
    """

    def __init__(
        self,
        encoder: SqueezeBertEncoder,
        labels: LabelSpace,
        drop_rate: float,
        drop_rate_attention: float,
        parts: IntentParts | None = None,
        patterns: int = 0,
    ) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.sizes = [len(labels.tags), len(labels.role_classes), len(labels.group_classes)]
        self.intents = len(labels.intents)
        self.entities, self.bilou = len(labels.entities), labels.bilou
        self.joined_intents = parts.joined if parts else {}
        classes = parts.count if parts else self.intents
        self.intent_head = _Head(width, classes)
        self.word_head = _Head(width, sum(self.sizes))
        self.dropout = nn.Dropout(drop_rate)
        self.parts = parts.module() if parts else None
        self.patterns = PatternHead(patterns, labels, classes) if patterns else None
        encoder.set_dropout(0.0, drop_rate_attention)

    def forward(self, ids: Tensor, mask: Tensor, patterns: Tensor | None = None) -> Output:
        """Runs on token ids and mask ``[batch, tokens]``, and the features of patterns."""
        return self.heads(self.encoder(ids, mask), mask, patterns)

    def heads(
        self, states: Tensor, mask: Tensor, patterns: Tensor | None = None, swapped: Tensor | None = None
    ) -> Output:
        """What the heads make of token states ``[batch, tokens, hidden]``.

        Args:
            states: of the encoder.
            mask: ``[batch, tokens]``.
            patterns: features, ``[batch, tokens, features]``.
            swapped: texts with other words than they had, ``[batch]``: of intents they teach only what
                patterns say.
        """
        pooled = _unit_mean(states, mask)
        intents = _INTENT_SCALE * self.intent_head(self.dropout(pooled))
        if self.patterns is not None and patterns is not None:
            if swapped is not None:
                intents = torch.where(swapped[:, None], intents.detach(), intents)
            intents = intents + self.patterns(patterns)[1]
        if self.parts is not None:
            intents = self.parts(intents)
        return Output(pooled, intents, self.words(states, patterns))

    def words(self, states: Tensor, patterns: Tensor | None = None) -> Tensor:
        """Logits of words from token states ``[batch, tokens, hidden]``: see `Output`."""
        words: Tensor = self.word_head(self.dropout(states))
        if self.patterns is None or patterns is None:
            return words
        tags = self.patterns(patterns)[0]
        return words + F.pad(tags, (0, words.shape[-1] - tags.shape[-1]))

    def losses(
        self, output: Output, batch: Batch, label_smoothing: float, contrast: float = 0.0
    ) -> dict[str, Tensor]:
        """The loss of each head that has something to learn from the batch.

        Args:
            output: what the network said.
            batch: what is right.
            label_smoothing: share of the intent target spread over all intents.
            contrast: weight of the supervised contrastive loss of the sentence vectors.
        """
        losses: dict[str, Tensor] = {}
        if output.intents.shape[1] and contrast:
            classes = batch.intents.masked_fill(batch.swapped, IGNORE)
            loss = contrastive_loss(output.pooled, classes, IGNORE)
            if loss is not None:
                losses["contrast"] = contrast * loss
        if output.intents.shape[1] and bool((batch.intents != IGNORE).any()):
            losses["intent"] = F.cross_entropy(
                output.intents, batch.intents, ignore_index=IGNORE, label_smoothing=label_smoothing
            )
        return {**losses, **self.word_losses(output.words, batch)}

    def word_losses(self, words: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Of those, the losses of the heads on words."""
        losses: dict[str, Tensor] = {}
        tags, roles, groups = words.split(self.sizes, dim=-1)
        if self.sizes[0] and bool((batch.tags != IGNORE).any()):
            if self.bilou:
                losses["entity"] = tagging_loss(tags, batch.tags, self.entities)
            else:
                losses["entity"] = word_loss(tags, batch.tags)
        for name, logits, classes in (("role", roles, batch.roles), ("group", groups, batch.groups)):
            if logits.shape[-1] and bool((classes != IGNORE).any()):
                losses[name] = _ROLE_WEIGHT * word_loss(logits, classes)
        return losses

    @torch.no_grad()
    def sentences(self, states: Tensor, batch: Batch) -> Sentences:
        """What the intent head sees of the rows that have an intent, from the states of a batch's tokens.

        Those with swapped words are left out.
        """
        known = (batch.intents != IGNORE) & ~batch.swapped
        pooled = _unit_mean(states, batch.mask)[known]
        return Sentences(pooled, batch.intents[known], matching(batch.patterns[known]))

    @torch.no_grad()
    def fit_intents(self, sentences: Sentences) -> None:
        """Sets the intent head to logistic regression on sentence vectors.

        Before training that leaves gradient descent to refine only what the encoder knows already. What
        patterns add to the head's logits stays as it is.
        """
        head = self.intent_head
        if not len(sentences.intents) or head.out_features < 2:
            return

        def logits(of_head: Tensor, rows: slice) -> Tensor:
            if self.patterns is not None:
                of_head = of_head + self.patterns.of_intents(sentences.patterns[rows])
            return of_head if self.parts is None else self.parts(of_head)

        weight, bias = fit_classes(sentences.vectors, sentences.intents, head.out_features, logits)
        head.weight.copy_(weight / _INTENT_SCALE)
        head.bias.copy_(bias / _INTENT_SCALE)

    def intent_weights(self) -> tuple[Tensor, Tensor]:
        """The intent head with its scale folded in: weight ``[intents, hidden]`` and bias."""
        weight, bias = _INTENT_SCALE * self.intent_head.weight, _INTENT_SCALE * self.intent_head.bias
        if self.parts is None:
            return weight, bias
        return self.parts.members @ weight, self.parts.members @ bias + self.parts.offsets

    def pattern_weights(self) -> tuple[Tensor, Tensor]:
        """What patterns add to tags ``[features, tags]`` and intents ``[patterns, intents]``.

        Raises:
            ValueError: the network has no patterns.
        """
        if self.patterns is None:
            raise ValueError("The network was made without patterns.")
        tags, intents = self.patterns.weights()
        return tags, intents if self.parts is None else intents @ self.parts.members.T


def _unit_mean(states: Tensor, mask: Tensor) -> Tensor:
    return F.normalize(mean_pool(states, mask), dim=-1)
