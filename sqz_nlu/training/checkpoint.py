"""What `rasa train --finetune` continues from: the weights that training changed, in one safetensors file.

Frozen parameters (by default the embeddings, which are most of a small encoder) are not in it; they
come from the encoder again, whose fingerprint is recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sqz_nlu.errors import BundleError, CheckpointError
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.training.network import JointNetwork

_FORMAT = 1
_RECORD = "sqz_nlu"
_SEEN = "seen"
_AGAIN = "Run `rasa train` without --finetune to train anew."
# Beyond these, float16 overflows or has fewer than its 11 significant bits.
_LARGEST_HALF, _SMALLEST_HALF = torch.finfo(torch.float16).max, torch.finfo(torch.float16).smallest_normal


@dataclass(frozen=True)
class Checkpoint:
    """A training that can be continued.

    Attributes:
        encoder: fingerprint of the encoder that training started from.
        classes: what the rows of the heads stand for, by head.
        temperature: the calibration.
        weights: float32, by name in `JointNetwork`.
        seen: digests of the texts trained on; see `digest`.
    """

    encoder: str
    classes: Mapping[str, Sequence[str | None]]
    temperature: float
    weights: Mapping[str, Tensor]
    seen: frozenset[int]

    def check(self, labels: LabelSpace, encoder: str, patterns: Sequence[str] = ()) -> None:
        """Makes sure that training can go on with these labels, this encoder and patterns of these names.

        Raises:
            CheckpointError: a head would have other classes, or the encoder is another one.
        """
        if encoder != self.encoder:
            raise CheckpointError(
                f"The trained model started from the encoder {self.encoder[:12]}; the option 'model' now "
                f"names {encoder[:12]}. Set the encoder it was trained with; the embedded one may be another "
                f"in another version of sqz-nlu. {_AGAIN}"
            )
        for head, now in classes_of(labels, patterns).items():
            before = list(self.classes.get(head, ()))
            if before != now:
                raise CheckpointError(
                    f"The {head} of the training data are not those of the trained model "
                    f"({_difference(before, now)}). {_AGAIN}"
                )

    def restore(self, network: JointNetwork) -> None:
        """Puts the weights into a network whose encoder has just been loaded.

        Raises:
            CheckpointError: the network has no such parameter, or of another shape.
        """
        parameters = dict(network.named_parameters())
        for name, value in self.weights.items():
            if name not in parameters or parameters[name].shape != value.shape:
                wanted = list(parameters[name].shape) if name in parameters else "none of that name"
                raise CheckpointError(
                    f"The trained model has '{name}' of shape {list(value.shape)}; the network to be "
                    f"trained has {wanted}. The options differ. {_AGAIN}"
                )
        network.load_state_dict(self.weights, strict=False)

    def save(self, path: Path) -> None:
        """Writes the file; a crash leaves the old one or the new one.

        Raises:
            BundleError: the disk refuses.
        """
        record: dict[str, Any] = {
            "format": _FORMAT,
            "encoder": self.encoder,
            "classes": self.classes,
            "temperature": self.temperature,
        }
        tensors = {name: _compact(value) for name, value in self.weights.items()}
        tensors[_SEEN] = torch.tensor(sorted(self.seen), dtype=torch.int64)
        partial = path.with_name(path.name + ".partial")
        try:
            save_file(tensors, partial, metadata={_RECORD: json.dumps(record, ensure_ascii=True)})
            os.replace(partial, path)
        except Exception as error:  # safetensors has an exception of its own beside OSError
            partial.unlink(missing_ok=True)
            raise BundleError(
                f"The trainable weights {path} could not be written ({error}). Check the free space and "
                "the permissions, or set persist_trainable_weights: false."
            ) from error

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Reads a file that `save` wrote.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        if not path.is_file():
            raise CheckpointError(
                "The trained model holds no weights to continue from: it was trained with "
                "persist_trainable_weights: false or by an older version. "
                f"Set it to true. {_AGAIN}"
            )
        try:
            tensors = dict(load_file(path))
            record = json.loads(_metadata(path)[_RECORD])
            seen = frozenset(tensors.pop(_SEEN).tolist())
            known, fields = record["format"], (record["encoder"], record["classes"], record["temperature"])
        except Exception as error:  # likewise
            raise CheckpointError(
                f"The trainable weights of the trained model cannot be read ({error}). {_AGAIN}"
            ) from error
        if known != _FORMAT:
            raise CheckpointError(
                f"The trainable weights of the trained model have format {known}; this version of "
                f"sqz-nlu reads {_FORMAT}. {_AGAIN}"
            )
        return cls(*fields, {name: value.float() for name, value in tensors.items()}, seen)


def _difference(before: Sequence[str | None], now: Sequence[str | None]) -> str:
    """How two lists of names differ; a name can be in them more than once."""
    had, has = Counter(map(str, before)), Counter(map(str, now))
    if had == has:
        return "they are in another order"
    added, gone = sorted((has - had).elements()), sorted((had - has).elements())
    return f"new: {', '.join(added) or 'none'}; missing: {', '.join(gone) or 'none'}"


def _metadata(path: Path) -> dict[str, str]:
    """The texts in the head of a safetensors file: its length in eight bytes, then JSON."""
    with path.open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    metadata: dict[str, str] = head["__metadata__"]
    return metadata


def trained_weights(network: JointNetwork, before: Checkpoint | None) -> dict[str, Tensor]:
    """What differs from the encoder: what training may change, and what an earlier one has changed."""
    earlier = before.weights if before else {}
    return {
        name: value.detach()
        for name, value in network.named_parameters()
        if value.requires_grad or name in earlier
    }


def classes_of(labels: LabelSpace, patterns: Sequence[str] = ()) -> dict[str, list[str | None]]:
    """What the rows of the heads stand for."""
    return {
        "intents": list(labels.intents),
        "entity tags": list(labels.tags),
        "entity roles": list(labels.role_classes),
        "entity groups": list(labels.group_classes),
        "lookup tables and regex features": list(patterns),
    }


def digest(text: str) -> int:
    """A 64-bit number that stands for a text."""
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)


def digests(texts: Iterable[str]) -> frozenset[int]:
    """The numbers of texts."""
    return frozenset(map(digest, texts))


def _compact(value: Tensor) -> Tensor:
    """A matrix in float16 where its largest weight keeps 11 bits; vectors are small and stay float32."""
    value = value.cpu().contiguous()
    largest = float(value.abs().max()) if value.numel() else 0.0
    safe = largest == 0.0 or _SMALLEST_HALF <= largest <= _LARGEST_HALF
    return value.half() if value.dim() > 1 and safe else value
