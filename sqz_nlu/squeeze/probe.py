"""How much an encoder knows before any fine-tuning: frozen, mean-pooled, with logistic regression.

Every text is embedded once; a logistic regression (C = 30) on the unit-length embeddings of the training part
is scored on the test part.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.model import SqueezeBertEncoder, mean_pool
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import SqueezeError
from sqz_nlu.export.encoder import export_encoder
from sqz_nlu.runtime.interpreter import Interpreter

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]

PARTS = {"5": "train_5shot.jsonl", "10": "train_10shot.jsonl", "full": "train.jsonl"}
TEST = "test.jsonl"
_LONGEST = 256
_BATCH = 64


@dataclass(frozen=True)
class Task:
    """One training part and one test part of a data set.

    Attributes:
        data: name of the data set.
        shots: a key of `PARTS`.
        train: file of the training part.
        test: file of the test part.
    """

    data: str
    shots: str
    train: Path
    test: Path


def read_tasks(folder: Path) -> list[Task]:
    """The tasks in a folder, every file checked.

    Args:
        folder: a data set, or a folder of data sets. A data set has ``test.jsonl`` and, for training,
            ``train_5shot.jsonl`` and ``train_10shot.jsonl``, or else ``train.jsonl``; a line is a JSON object
            with ``text`` and ``intent``.

    Raises:
        SqueezeError: there is no data set, a line is of another kind, or scikit-learn is not installed.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SqueezeError(
            "--eval needs the package scikit-learn, which is not installed. Install it with "
            "`pip install scikit-learn`, or leave --eval out."
        ) from error
    tasks: list[Task] = []
    for inner in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        few = [shots for shots in ("5", "10") if (inner / PARTS[shots]).is_file()]
        for shots in few or ["full"]:
            if (inner / TEST).is_file() and (inner / PARTS[shots]).is_file():
                name = inner.resolve().name
                tasks.append(Task(name, shots, inner / PARTS[shots], inner / TEST))
    if not tasks:
        raise SqueezeError(
            f"--eval {folder} has no data set: expected {TEST} and one of {', '.join(PARTS.values())}, there "
            "or in sub-folders."
        )
    for path in sorted({file for task in tasks for file in (task.train, task.test)}):
        intents = {intent for _, intent in read_examples(path)}
        if path.name != TEST and len(intents) < 2:
            raise SqueezeError(f"{path} has {len(intents)} intents; logistic regression needs two or more.")
    return tasks


def read_examples(path: Path) -> list[tuple[str, str]]:
    """Texts with their intents, one JSON object a line.

    Raises:
        SqueezeError: the file cannot be read, or a line is something else.
    """
    examples = []
    number = 0
    try:
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):  # noqa: B007
            if line.strip():
                example = json.loads(line)
                examples.append((str(example["text"]), str(example["intent"])))
    except OSError as error:
        raise SqueezeError(f"The data for the probe cannot be read: {error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SqueezeError(
            f"Line {number} of {path} is no example ({error!r}). Expected a JSON object with text and intent."
        ) from error
    return examples


def torch_embedder(encoder: SqueezeBertEncoder, tokenizer: Tokenizer, device: torch.device) -> Embed:
    """Embeds with a network in float32.

    Args:
        encoder: the network, on ``device``.
        tokenizer: its tokenizer.
        device: where it computes.
    """
    cutting = Tokenizer.from_str(tokenizer.to_str())
    cutting.enable_truncation(min(_LONGEST, encoder.config.max_position_embeddings))
    cutting.no_padding()

    def embed(texts: Sequence[str]) -> Vectors:
        encoded = [encoding.ids for encoding in cutting.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), encoder.config.hidden_size), np.float32)
        order = np.argsort([len(ids) for ids in encoded], kind="stable")
        with torch.no_grad():
            for rows in np.array_split(order, max(1, len(order) // _BATCH)):
                width = max(len(encoded[row]) for row in rows)
                ids = torch.tensor([encoded[row] + [0] * (width - len(encoded[row])) for row in rows])
                mask = torch.tensor([[1] * len(encoded[r]) + [0] * (width - len(encoded[r])) for r in rows])
                ids, mask = ids.to(device), mask.to(device)
                vectors[rows] = mean_pool(encoder(ids, mask), mask).cpu().numpy()
        return vectors

    return embed


def accuracy(embed: Embed, task: Task) -> float:
    """Percent of test texts whose intent logistic regression finds."""
    from sklearn.linear_model import LogisticRegression

    def features(examples: list[tuple[str, str]]) -> Vectors:
        vectors = embed([text for text, _ in examples])
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    train, test = read_examples(task.train), read_examples(task.test)
    model = LogisticRegression(C=30.0, max_iter=1000)
    model.fit(features(train), [intent for _, intent in train])
    return 100.0 * float(model.score(features(test), [intent for _, intent in test]))


def probe(
    embedders: Mapping[str, Embed], tasks: Sequence[Task], say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Scores embedders on all tasks.

    Args:
        embedders: by name.
        tasks: what `read_tasks` gave.
        say: called with a line for each task.

    Returns:
        ``cells`` with data, shots and a percentage for each embedder, and ``mean_<name>`` over them.
    """
    cells: list[dict[str, Any]] = []
    for task in tasks:
        scores = {name: round(accuracy(embed, task), 2) for name, embed in embedders.items()}
        cells.append({"data": task.data, "shots": task.shots, **scores})
        if say:
            shown = "  ".join(f"{name} {score:.1f}" for name, score in scores.items())
            say(f"{task.data} {task.shots}: {shown}")
    means = {f"mean_{name}": round(float(np.mean([cell[name] for cell in cells])), 2) for name in embedders}
    return {"cells": cells, **means}


def probe_encoder(
    folder: Path, teacher: Embed, tasks: Sequence[Task], say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Scores a finished encoder as int8 graph and in float32, beside its teacher.

    Args:
        folder: the encoder, in the format of ``transformers``.
        teacher: embeds with the teacher.
        tasks: what `read_tasks` gave.
        say: called with a line for each task.

    Returns:
        What `probe` returns for ``int8``, ``float`` and ``teacher``, and ``share_of_teacher``.
    """
    source = find_encoder(folder)
    plain = torch_embedder(load_encoder(source), load_tokenizer(source), torch.device("cpu"))
    with tempfile.TemporaryDirectory() as place:
        export_encoder(source, Path(place) / "bundle", folder.name)
        int8 = Interpreter.load(Path(place) / "bundle").embed
        result = probe({"int8": int8, "float": plain, "teacher": teacher}, tasks, say)
    return result | {"share_of_teacher": share(result, "int8")}


def share(result: Mapping[str, Any], name: str) -> float:
    """The mean of an embedder, as a share of the teacher's."""
    return float(round(result[f"mean_{name}"] / max(result["mean_teacher"], 1e-9), 4))
