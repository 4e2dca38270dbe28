"""A trained model on its way into a bundle."""

from __future__ import annotations

import logging
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import onnx
import onnxruntime
from transformers import SqueezeBertConfig

from sqz_nlu._version import __version__
from sqz_nlu.errors import ParityError
from sqz_nlu.export.card import model_card
from sqz_nlu.export.graph import Arithmetic, Array, FloatArithmetic, Int8Arithmetic
from sqz_nlu.export.lowering import HeadWeights, lower
from sqz_nlu.export.parity import Gold, Parity, compare
from sqz_nlu.runtime.bundle import CARD, CONFIG, MODEL, TOKENIZER, Bundle, canonical_json, write_bundle
from sqz_nlu.runtime.interpreter import DecodingConfig, Interpreter
from sqz_nlu.runtime.probes import same_answer

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

_PARITY_TEXTS = 400
_TRIED = 24  # for probes
_PROBES = 8
_TIMED_PARSES = 40
_ENCODER_FIELDS = (
    "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
    "max_position_embeddings type_vocab_size layer_norm_eps pad_token_id embedding_size q_groups "
    "k_groups v_groups post_attention_groups intermediate_groups output_groups"
).split()


@dataclass(frozen=True)
class TrainedModel:
    """Everything inference needs, still in float32.

    Attributes:
        config: the encoder's geometry.
        parameters: the encoder's parameters under their names in ``transformers``.
        tokenizer: the text of ``tokenizer.json``.
        decoding: how outputs are read.
        intent_head: ``None`` without intents.
        word_head: ``None`` without entities.
    """

    config: SqueezeBertConfig
    parameters: Mapping[str, Array]
    tokenizer: str
    decoding: DecodingConfig
    intent_head: HeadWeights | None = None
    word_head: HeadWeights | None = None

    def lower(self, arithmetic: Arithmetic) -> bytes:
        """The serialized graph."""
        model: onnx.ModelProto = lower(
            self.config, self.parameters, arithmetic, self.intent_head, self.word_head
        )
        content: bytes = model.SerializeToString()
        return content

    def config_file(self) -> dict[str, Any]:
        """The content of the bundle's ``config.json``."""
        encoder = {name: getattr(self.config, name) for name in _ENCODER_FIELDS}
        return {
            "encoder": {"model_type": "squeezebert", **encoder},
            "decoding": self.decoding.to_dict(),
        }


def export(
    model: TrainedModel,
    gold: Sequence[Gold],
    about: Mapping[str, Any],
    folder: Path,
    quantization: str = "auto",
) -> Parity | None:
    """Lowers a model, holds int8 against float and writes the bundle.

    Args:
        model: the trained model.
        gold: annotated texts for the comparison, the probes and the timing; a sample is used.
        about: goes into the manifest and the card: language, encoder, data, held-out figures.
        folder: where the bundle is written; replaced if it exists.
        quantization: ``auto``, ``int8`` or ``none``; see `TrainingOptions.quantization`.

    Returns:
        The comparison; ``None`` where there was nothing to compare.

    Raises:
        ParityError: int8 was demanded and does not agree with float.
        BundleError: the bundle cannot be written.
    """
    sample = _spread(gold, _PARITY_TEXTS)
    precision, parity = "int8", None
    if quantization == "none":
        precision, chosen = "float32", model.lower(FloatArithmetic())
    else:
        chosen = model.lower(Int8Arithmetic())
    interpreter = other = _interpreter(model, chosen)
    if quantization != "none" and sample and (model.intent_head or model.word_head):
        reference = model.lower(FloatArithmetic())
        other = _interpreter(model, reference)
        parity = compare(other, interpreter, sample)
        if failures := parity.failures():
            _refuse(failures, quantization)
            precision, chosen = "float32", reference
            interpreter, other = other, interpreter
    facts = {
        **about,
        "precision": precision,
        "hidden_size": model.config.hidden_size,
        "parity": parity.to_dict() if parity else None,
        "producer": {
            "sqz_nlu": __version__,
            "onnx": version("onnx"),
            "onnxruntime": onnxruntime.__version__,
        },
        "probes": _probes(interpreter, other, [text for text, _, _ in sample]),
    }
    latency = _latency(interpreter, [text for text, _, _ in sample])
    files = {
        CONFIG: canonical_json(model.config_file()),
        TOKENIZER: model.tokenizer.encode(),
        MODEL: chosen,
        CARD: model_card(facts, model.decoding.labels, len(chosen), latency).encode(),
    }
    write_bundle(folder, files, facts)
    return parity


def _refuse(failures: list[str], quantization: str) -> None:
    reasons = "; ".join(failures)
    if quantization == "int8":
        raise ParityError(
            f"The int8 graph does not answer as the float graph does: {reasons}. Set quantization: "
            "auto to keep the float graph, or train longer."
        )
    logger.warning(
        "int8 was refused because it does not answer as float does (%s). The bundle keeps the float "
        "graph: the same answers, larger and slower.",
        reasons,
    )


def _interpreter(model: TrainedModel, graph: bytes) -> Interpreter:
    manifest = {"hidden_size": model.config.hidden_size}
    contents = {TOKENIZER: model.tokenizer.encode(), MODEL: graph}
    return Interpreter(Bundle(Path("(not written yet)"), manifest, model.config_file(), contents))


def _probes(interpreter: Interpreter, other: Interpreter, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Texts with the answers that a faithful copy of the bundle gives on any machine.

    Processors differ less than precisions do: what int8 and float answer alike is not near a border.
    """
    if not (interpreter.labels.intents or interpreter.labels.entities):
        return []
    pairs = (
        (interpreter.parse(text).to_dict(), other.parse(text).to_dict()) for text in _spread(texts, _TRIED)
    )
    return _spread([answer for answer, others in pairs if same_answer(others, answer)], _PROBES)


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """So many of the items, evenly spread: training data come intent by intent."""
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _latency(interpreter: Interpreter, texts: Sequence[str]) -> str | None:
    """Median time of a parse on this machine, in words."""
    if not texts or not (interpreter.labels.intents or interpreter.labels.entities):
        return None
    times = []
    for turn in range(_TIMED_PARSES):
        started = time.perf_counter()
        interpreter.parse(texts[turn % len(texts)])
        times.append(time.perf_counter() - started)
    median = 1000 * statistics.median(times)
    return f"{median:.2f} ms a text (median of {_TIMED_PARSES}, one thread, {platform.machine()})"
