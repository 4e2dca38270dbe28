"""One tiny encoder and one tiny trained bundle for the whole session; no network, no downloads."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest

os.environ.setdefault("USE_TF", "0")  # transformers would import TensorFlow beside torch
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")

WORDS = (
    "turn on off the light lights in kitchen bedroom garden from to move music fly hello hi bye paris london"
).split()


def tiny_tokenizer():
    """BERT's tokenization over a vocabulary of letters and a few words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase + string.digits] + WORDS
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def tiny_config(**changes):
    """Two layers of width 32 in 4 groups."""
    from transformers import SqueezeBertConfig

    fields = {
        "vocab_size": tiny_tokenizer().get_vocab_size(),
        "hidden_size": 32,
        "embedding_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return SqueezeBertConfig(**fields | changes)


def annotated(marked: str, intent: str | None):
    """An example from text with entities marked as ``<text|entity|role|group>``."""
    from sqz_nlu.training.examples import EntitySpan, Example

    text, spans = "", []
    for part in marked.split("<"):
        if ">" not in part:
            text += part
            continue
        inside, rest = part.split(">")
        value, entity, role, group = [*inside.split("|"), "", ""][:4]
        spans.append(EntitySpan(len(text), len(text) + len(value), entity, role or None, group or None))
        text += value + rest
    return Example(text, intent, tuple(spans))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """A folder in the format of transformers with a random tiny SqueezeBERT."""
    import torch

    from sqz_nlu.encoder.load import save_encoder
    from sqz_nlu.encoder.model import SqueezeBertEncoder

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-encoder")
    encoder = SqueezeBertEncoder(tiny_config())
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if value.dim() > 1:
                value.mul_(4.0)
            elif "bias" in name:
                value.normal_(std=0.1)
    save_encoder(encoder, tiny_tokenizer(), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_examples():
    """Forty examples with intents, entities, roles and groups."""
    rooms, cities = ("kitchen", "bedroom", "garden"), ("paris", "london", "new york")
    marked = [("hello", "greet"), ("hi", "greet"), ("hi hello", "greet"), ("bye", "bye"), ("bye bye", "bye")]
    for room in rooms:
        marked += [
            (f"turn on the <light|device> in the <{room}|room>", "turn_on"),
            (f"<{room}|room> <lights|device> on", "turn_on"),
            (f"turn off the <light|device> in the <{room}|room>", "turn_off"),
            (f"<{room}|room> <lights|device> off", "turn_off"),
        ]
        marked += [(f"<{room}|room||1> on, <{other}|room||2> on", "turn_on") for other in rooms]
    for city in cities:
        for other in cities:
            marked.append((f"fly from <{city}|city|from> to <{other}|city|to>", "fly"))
    return [annotated(text, intent) for text, intent in marked]


@pytest.fixture(scope="session")
def tiny_options(tiny_encoder):
    """Options that let the tiny encoder learn the tiny examples in seconds."""
    from sqz_nlu.training.options import TrainingOptions

    return TrainingOptions.from_dict(
        {
            "model": str(tiny_encoder),
            "epochs": 30,
            "learning_rate": 5e-3,
            "head_learning_rate": 2e-2,
            "freeze_embeddings": False,
            "drop_rate": 0.0,
            "random_seed": 7,
            "max_sequence_length": 48,
        }
    )


@pytest.fixture(scope="session")
def tiny_report(tiny_examples, tiny_options, tmp_path_factory):
    """What training on the tiny examples gave."""
    from sqz_nlu.fit import fit

    return fit(tiny_examples, tiny_options, tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_report) -> Path:
    """A trained bundle; tests must not change it."""
    return tiny_report.bundle


@pytest.fixture(scope="session")
def interpreter(tiny_bundle):
    """The tiny bundle, loaded."""
    from sqz_nlu import Interpreter

    return Interpreter.load(tiny_bundle)
