"""One tiny encoder and one tiny trained bundle for the whole session; no network, no downloads."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest
from tiny import annotated, tiny_config, tiny_tokenizer
from wheels import build_wheel, find_uv

os.environ.setdefault("USE_TF", "0")  # transformers would import TensorFlow beside torch
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")

# A shell starts what runs in the background with interrupts ignored, and processes of tests would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# tests/serving/test_cluster.py runs them in the environment that has Ray.
collect_ignore = ["cluster"] if importlib.util.find_spec("ray") is None else []


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
            "epochs": 60,
            "learning_rate": 5e-3,
            "head_learning_rate": 2e-2,
            "freeze_embeddings": False,
            "drop_rate": 0.0,
            "drop_rate_attention": 0.0,
            "random_seed": 7,
            "max_sequence_length": 48,
        }
    )


@pytest.fixture(scope="session")
def tiny_report(tiny_examples, tiny_options, tmp_path_factory):
    """What training on the tiny examples gave."""
    from sqz_nlu.fit import fit

    folder = tmp_path_factory.mktemp("tiny")
    return fit(tiny_examples, tiny_options, folder / "bundle", checkpoint=folder / "trainable.safetensors")


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_report) -> Path:
    """What training on the tiny examples can be continued from; tests must not change it."""
    return tiny_report.bundle.parent / "trainable.safetensors"


@pytest.fixture(scope="session")
def tiny_bundle(tiny_report) -> Path:
    """A trained bundle; tests must not change it."""
    return tiny_report.bundle


@pytest.fixture(scope="session")
def interpreter(tiny_bundle):
    """The tiny bundle, loaded."""
    from sqz_nlu import Interpreter

    return Interpreter.load(tiny_bundle)


@pytest.fixture(scope="session")
def uv() -> str:
    """An uv that runs."""
    return find_uv() or pytest.skip("no uv on the PATH or in .bootstrap/")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this package."""
    return build_wheel(tmp_path_factory.mktemp("source"))
