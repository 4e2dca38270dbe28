"""What a squeeze run can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqz_nlu.errors import SqueezeError


@dataclass(frozen=True)
class SqueezeOptions:
    """Settings of one distillation run.

    Attributes:
        teacher: folder, ``package/sub/folder`` or hub id of a BERT checkpoint.
        corpus: text files, one sentence a line; ``.xz`` and ``.gz`` are read too. A file named twice
            counts twice.
        out: folder for checkpoints and the finished encoder.
        groups: groups of the query, key, value, intermediate and output projections.
        post_attention_groups: groups of the projection after attention.
        layers: layers of the student; ``None`` keeps the teacher's.
        tokens: training length in tokens, special tokens included.
        batch_tokens: tokens in a batch, padding included.
        max_length: longest sentence in tokens; longer ones are cut.
        learning_rate: AdamW's peak, reached after the warm-up, then cosine to zero.
        warmup: share of the steps that warm up.
        pooled_weight: weight of the cosine distance of mean-pooled embeddings in the loss.
        seed: seed of the order of the text.
        checkpoint_minutes: how often progress is written.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    teacher: str
    corpus: tuple[Path, ...]
    out: Path
    groups: int = 4
    post_attention_groups: int = 1
    layers: int | None = None
    tokens: int = 10_000_000
    batch_tokens: int = 1536
    max_length: int = 48
    learning_rate: float = 1.5e-3
    warmup: float = 0.02
    pooled_weight: float = 2.0
    seed: int = 7
    checkpoint_minutes: float = 5.0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("groups", "post_attention_groups", "tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise SqueezeError(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.max_length < 3 or self.batch_tokens < self.max_length:
            raise SqueezeError(
                f"max_length is {self.max_length} and batch_tokens {self.batch_tokens}; expected "
                "max_length of at least 3 and batch_tokens no smaller than max_length."
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise SqueezeError(f"device is '{self.device}'; expected auto, cpu or cuda.")

    def record(self) -> dict[str, Any]:
        """The settings that shape the result, as JSON values; a resumed run must agree on them."""
        record = asdict(self)
        for name in ("out", "checkpoint_minutes", "device"):
            del record[name]
        record["corpus"] = [path.name for path in self.corpus]
        return record
