"""What a squeeze run can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqz_nlu.errors import SqueezeError

_SHAPE = (
    "groups",
    "attention_groups",
    "feed_forward_groups",
    "post_attention_groups",
    "layers",
    "vocab_size",
)
_COUNTS = (*_SHAPE, "batch_tokens")


@dataclass(frozen=True)
class Groups:
    """How many groups the projections of a student have; 1 is a plain matrix product.

    Attributes:
        attention: of query, key and value.
        post_attention: of the projection after attention.
        feed_forward: of the widening and the narrowing projection.
    """

    attention: int
    post_attention: int
    feed_forward: int

    def config_fields(self) -> dict[str, int]:
        """The fields of ``transformers.SqueezeBertConfig``."""
        fields = {f"{name}_groups": self.attention for name in ("q", "k", "v")}
        fields |= {f"{name}_groups": self.feed_forward for name in ("intermediate", "output")}
        return fields | {"post_attention_groups": self.post_attention}


@dataclass(frozen=True)
class SqueezeOptions:
    """Settings of one distillation run.

    Attributes:
        teacher: folder, ``package/sub/folder`` or hub id of a BERT checkpoint.
        corpus: text files, one sentence a line; ``.xz`` and ``.gz`` are read too. A file named twice
            counts twice.
        out: folder for checkpoints and the finished encoder.
        student: folder, ``embedded`` or hub id of an encoder squeezed from the teacher before, to go on
            with; ``None`` makes a new one, of the shape that the following say.
        groups: groups of the query, key, value, intermediate and output projections; 4 without it.
        attention_groups: other groups for query, key and value.
        feed_forward_groups: other groups for intermediate and output.
        post_attention_groups: groups of the projection after attention; 1 without it.
        layers: layers of the student; ``None`` keeps the teacher's.
        vocab_size: word pieces to keep, those that the corpus uses most; ``None`` keeps all.
        tokens: training length in tokens, special tokens included; 0 leaves the first weights as they are.
        batch_tokens: tokens in a batch, padding included.
        max_length: longest sentence in tokens; longer ones are cut.
        learning_rate: AdamW's peak, reached after the warm-up, then cosine to zero.
        warmup: share of the steps that warm up.
        quantization_aware: share of the steps, the last ones, in which products round as the int8 graph does.
        pooled_weight: weight of the cosine distance of mean-pooled embeddings in the loss.
        seed: seed of the order of the text.
        checkpoint_minutes: how often progress is written.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``float32`` or ``bfloat16`` (mixed) for the products of teacher and student; ``auto`` is
            bfloat16, but float32 for the student on a CPU.
        tensorboard: folder for TensorBoard's event files.
        eval: folder with data sets for the frozen probe, see `sqz_nlu.squeeze.probe.read_tasks`.
        bundle: folder for the result as an int8 bundle.
    """

    teacher: str
    corpus: tuple[Path, ...]
    out: Path
    student: str | None = None
    groups: int | None = None
    attention_groups: int | None = None
    feed_forward_groups: int | None = None
    post_attention_groups: int | None = None
    layers: int | None = None
    vocab_size: int | None = None
    tokens: int = 10_000_000
    batch_tokens: int = 1536
    max_length: int = 48
    learning_rate: float = 1.5e-3
    warmup: float = 0.02
    quantization_aware: float = 0.25
    pooled_weight: float = 2.0
    seed: int = 7
    checkpoint_minutes: float = 5.0
    device: str = "auto"
    precision: str = "auto"
    tensorboard: Path | None = None
    eval: Path | None = None
    bundle: Path | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SqueezeError(f"{name} is {value}; expected 1 or more.")
        shape = [name for name in _SHAPE if getattr(self, name) is not None]
        if self.student is not None and shape:
            raise SqueezeError(
                f"--{shape[0].replace('_', '-')} is set, but the encoder of --student has its shape already. "
                "Leave one of the two out."
            )
        if self.tokens < 0:
            raise SqueezeError(f"tokens is {self.tokens}; expected 0 or more.")
        if not 0 <= self.quantization_aware <= 1:
            raise SqueezeError(
                f"quantization_aware is {self.quantization_aware}; expected a share of the steps from 0 to 1."
            )
        if not self.pooled_weight >= 0:
            raise SqueezeError(f"pooled_weight is {self.pooled_weight}; expected 0 or more.")
        if self.max_length < 3 or self.batch_tokens < self.max_length:
            raise SqueezeError(
                f"max_length is {self.max_length} and batch_tokens {self.batch_tokens}; expected "
                "max_length of at least 3 and batch_tokens no smaller than max_length."
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise SqueezeError(f"device is '{self.device}'; expected auto, cpu or cuda.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise SqueezeError(f"precision is '{self.precision}'; expected auto, float32 or bfloat16.")
        if not 0 < self.learning_rate < 1:
            raise SqueezeError(f"learning_rate is {self.learning_rate}; expected a number between 0 and 1.")

    def group_counts(self) -> Groups:
        """The groups of each projection of a new student."""
        groups = self.groups or 4
        return Groups(
            self.attention_groups or groups,
            self.post_attention_groups or 1,
            self.feed_forward_groups or groups,
        )

    def record(self) -> dict[str, Any]:
        """The settings that shape the result, as JSON values; a resumed run must agree on them."""
        record = asdict(self)
        for name in ("out", "checkpoint_minutes", "device", "tensorboard", "eval", "bundle"):
            del record[name]
        for name in ("student", *_SHAPE):
            if record[name] is None:
                del record[name]
        record["corpus"] = [path.name for path in self.corpus]
        return record
