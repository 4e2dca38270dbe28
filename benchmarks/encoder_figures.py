"""What an encoder costs and what it knows: the figures of `encoders.py` and of the embedded encoder's card.

Every text of the data sets is embedded once for each embedder and looked up from then on. The int8 graph gets
one text at a time, as in use: activations of a batch would share their scale.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.probe import PARTS, TEST, Embed, Task, probe, read_examples
from sqz_nlu.squeeze.student import match_channels

DATASETS = ("banking77", "clinc150", "hwu64")
SHIPPED = ("model.onnx", "tokenizer.json")


class Corpus:
    """The texts of the data sets, and the embeddings of them that embedders gave.

    Args:
        data: the folder of data sets.
        shots: keys of ``sqz_nlu.squeeze.probe.PARTS``.
        cache: folder for embeddings that are the same in every run; ``None`` keeps none.
    """

    def __init__(self, data: Path, shots: Sequence[str], cache: Path | None = None) -> None:
        self.cache = cache
        self.tasks = [
            Task(name, part, data / name / PARTS[part], data / name / TEST)
            for name in DATASETS
            for part in shots
        ]
        try:
            tests = {text for task in self.tasks for text, _ in read_examples(task.test)}
            trains = {text for task in self.tasks for text, _ in read_examples(task.train)}
        except SqueezeError as error:
            sys.exit(f"{error} Give --data a folder with the data sets named in docs/benchmarks.md.")
        self.texts = [*sorted(tests), *sorted(trains - tests)]
        self.held_out = len(tests)
        self.rows = {text: row for row, text in enumerate(self.texts)}

    def vectors(self, embed: Embed, name: str | None = None) -> np.ndarray:
        """Embeddings ``[texts, hidden]``; kept under ``name``, if there is one."""
        if name is None or self.cache is None:
            return embed(self.texts)
        digest = hashlib.sha256("\n".join([name, *self.texts]).encode()).hexdigest()[:16]
        path = self.cache / f"vectors-{digest}.npy"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            np.save(path, embed(self.texts))
        return np.load(path)

    def probe(self, vectors: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What `sqz_nlu.squeeze.probe.probe` returns for embeddings ``[texts, hidden]`` by name."""
        return probe({name: self._lookup(matrix) for name, matrix in vectors.items()}, self.tasks)

    def _lookup(self, matrix: np.ndarray) -> Embed:
        return lambda texts: matrix[[self.rows[text] for text in texts]]


def one_by_one(embed: Embed) -> Embed:
    """Embeds each text alone, so that no text changes another's rounding."""
    return lambda texts: np.concatenate([embed([text]) for text in texts])


def bag_of_words(teacher: SqueezeBertEncoder, tokenizer: Tokenizer) -> Embed:
    """The mean of a teacher's word embeddings over a text's pieces: what needs no encoder at all."""
    table = teacher.embeddings.word_embeddings.weight.detach().numpy()

    def embed(texts: Sequence[str]) -> np.ndarray:
        pieces = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        return np.stack([table[ids].mean(0) for ids in pieces])

    return embed


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """The mean cosine between embeddings ``[texts, hidden]`` of the same texts."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean((first * second).sum(1) / lengths))


def recorded_order(folder: Path) -> list[int]:
    """The teacher's number of each channel of a squeezed encoder, from its ``squeeze.json``."""
    record = json.loads((folder / "squeeze.json").read_text("utf-8"))
    if "order" not in record:
        raise SystemExit(f"{folder} is of an older make, without the order of channels. Delete it.")
    channels: list[int] = record["order"]["channels"]
    return channels


def channel_order(encoder: SqueezeBertEncoder, teacher: SqueezeBertEncoder) -> np.ndarray:
    """The teacher's number of each channel of a student without a record: the embedded encoder."""
    order = match_channels(encoder, teacher)
    if order is None:
        raise SystemExit("The position table is not the teacher's: its channels cannot be told apart.")
    return order


def means(cells: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean accuracy over the data sets by embedder and number of examples."""
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for part in dict.fromkeys(cell["shots"] for cell in cells):
        of_part = [cell for cell in cells if cell["shots"] == part]
        for name in names:
            found[name][part] = round(float(np.mean([cell[name] for cell in of_part])), 2)
    return found


def cost(encoder: SqueezeBertEncoder, bundle: Path) -> dict[str, Any]:
    """Parameters, multiply-adds of the int8 products for a token, and megabytes of what ships.

    Args:
        encoder: the network.
        bundle: the folder of its int8 bundle.
    """
    parameters = dict(encoder.named_parameters())
    products = [p.numel() for name, p in parameters.items() if ".layers." in name and p.dim() == 3]
    sizes = {name: round((bundle / name).stat().st_size / 1e6, 2) for name in SHIPPED}
    return {
        "parameters": sum(p.numel() for p in parameters.values()),
        "layer_parameters": sum(p.numel() for name, p in parameters.items() if ".layers." in name),
        "int8_multiply_adds_per_token": sum(products),
        "vocabulary": encoder.config.vocab_size,
        "megabytes": {
            **sizes,
            "both": round(sum((bundle / name).stat().st_size for name in SHIPPED) / 1e6, 2),
        },
    }
