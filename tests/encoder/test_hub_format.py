"""Encoders in exactly the files of the hub's squeezebert/squeezebert-uncased, in a tiny size."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_config, tiny_tokenizer
from transformers import SqueezeBertForMaskedLM

from sqz_nlu import Interpreter
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import EncoderError
from sqz_nlu.fit import fit
from sqz_nlu.training.options import TrainingOptions

NAME = "squeezebert/squeezebert-uncased"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoint():
    """The official checkpoint's architecture: masked-LM heads, erf GELU, more embeddings than word pieces."""
    torch.manual_seed(3)
    pieces = tiny_tokenizer().get_vocab_size()
    config = tiny_config(vocab_size=pieces + 6, hidden_act="gelu", architectures=["SqueezeBertForMaskedLM"])
    return SqueezeBertForMaskedLM(config).eval()


@pytest.fixture(params=["bin", "bin without prefix", "half", "safetensors"])
def weights(request: pytest.FixtureRequest) -> str:
    return request.param


def write(folder: Path, checkpoint, weights: str = "bin", tokenizer_json: bool = False) -> Path:
    folder.mkdir(parents=True)
    state = {name: value.clone() for name, value in checkpoint.state_dict().items()}
    state["transformer.embeddings.position_ids"] = torch.arange(64)[None]  # written by old transformers
    if weights == "safetensors":
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    elif weights == "bin without prefix":
        torch.save(checkpoint.transformer.state_dict(), folder / "pytorch_model.bin")
    else:
        half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        torch.save(half if weights == "half" else state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(checkpoint.config.to_json_string())
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 512}')
    vocabulary = sorted(tiny_tokenizer().get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in vocabulary), "utf-8")
    if tokenizer_json:
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("tokenizer_json", [False, True])
def test_the_states_are_those_of_transformers(checkpoint, weights, tokenizer_json, tmp_path: Path) -> None:
    source = find_encoder(write(tmp_path / "hub", checkpoint, weights, tokenizer_json))
    ids = load_tokenizer(source).encode("Turn ON the lights!").ids
    assert ids == tiny_tokenizer().encode("turn on the lights!").ids
    batch = torch.tensor([ids])
    with torch.no_grad():
        expected = checkpoint.transformer(batch).last_hidden_state
        states = load_encoder(source)(batch, torch.ones_like(batch))
    assert torch.allclose(states, expected, atol=1e-2 if weights == "half" else 1e-5)


def test_the_int8_states_are_close_to_those_of_transformers(checkpoint, tmp_path: Path) -> None:
    from sqz_nlu.export.encoder import export_encoder

    export_encoder(find_encoder(write(tmp_path / "hub", checkpoint)), tmp_path / "bundle", NAME)
    ours = Interpreter.load(tmp_path / "bundle").token_states(["turn on the lights"])[0]
    ids = torch.tensor([tiny_tokenizer().encode("turn on the lights").ids])
    with torch.no_grad():
        expected = checkpoint.transformer(ids).last_hidden_state[0].numpy()
    assert ours.states.shape == expected.shape
    assert abs(ours.states - expected).max() < 0.1 * abs(expected).max()


def test_it_fine_tunes(checkpoint, tiny_examples, tmp_path: Path) -> None:
    options = {"model": str(write(tmp_path / "hub", checkpoint)), "epochs": 2, "device": "cpu"}
    report = fit(tiny_examples, TrainingOptions.from_dict(options), tmp_path / "bundle")
    assert Interpreter.load(report.bundle).parse("hello").intent.name in report.labels.intents


def fill_cache(home: Path, folder: Path) -> Path:
    """The layout that huggingface_hub keeps below HF_HOME."""
    repository = home / "hub" / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    return snapshot


def find_offline(home: Path, offline_option: bool = False) -> subprocess.CompletedProcess[str]:
    code = f"""if True:
        from sqz_nlu.encoder.source import find_encoder
        from sqz_nlu.errors import EncoderError
        try:
            print(find_encoder({NAME!r}, {offline_option}).weights)
        except EncoderError as error:
            print("EncoderError", error)"""
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done


def test_a_filled_cache_serves_offline(checkpoint, tmp_path: Path) -> None:
    snapshot = fill_cache(tmp_path / "home", write(tmp_path / "hub", checkpoint))
    assert find_offline(tmp_path / "home").stdout.strip() == str(snapshot / "pytorch_model.bin")


@pytest.mark.parametrize("offline_option", [False, True])
def test_an_empty_cache_offline_is_one_clear_line(offline_option: bool, tmp_path: Path) -> None:
    (line,) = find_offline(tmp_path, offline_option).stdout.splitlines()
    assert line.startswith(f"EncoderError The encoder '{NAME}' is ")
    assert "local hub cache" in line
    assert "model: embedded" in line


def test_a_cache_with_some_of_the_files_is_completed(checkpoint, tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub

    whole = write(tmp_path / "whole", checkpoint)
    part = Path(shutil.copytree(whole, tmp_path / "part"))
    (part / "pytorch_model.bin").unlink()

    def download(name: str, local_files_only: bool = False, **_) -> str:
        return str(part if local_files_only else whole)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_encoder(NAME).folder == whole
    with pytest.raises(EncoderError, match="offline"):
        find_encoder(NAME, offline=True)


def test_the_language_of_the_card_is_known(checkpoint, tmp_path: Path) -> None:
    folder = write(tmp_path / "hub", checkpoint)
    assert find_encoder(folder).language() is None
    for stated, language in [("en", "en"), ("[de]", "de"), ("[de, fr]", None)]:
        (folder / "README.md").write_text(f"---\nlanguage: {stated}\nlicense: bsd\n---\n# Card\n")
        assert find_encoder(folder).language() == language
    (folder / "README.md").write_text("# A card without a header\n")
    assert find_encoder(folder).language() is None
    assert find_encoder("embedded").language() == "en"


def test_names_and_shapes_are_those_of_the_official_checkpoint(checkpoint) -> None:
    state = checkpoint.state_dict()
    layer = "transformer.encoder.layers.1"
    assert state[f"{layer}.attention.query.weight"].shape == (32, 32 // 4, 1)
    assert state[f"{layer}.post_attention.conv1d.weight"].shape == (32, 32, 1)
    assert state[f"{layer}.output.conv1d.weight"].shape == (32, 64 // 4, 1)
    assert {"transformer.pooler.dense.weight", "cls.predictions.bias"} <= set(state)
