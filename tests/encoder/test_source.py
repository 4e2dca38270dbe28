from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from tiny import tiny_config, tiny_tokenizer

from sqz_nlu.encoder.device import fast_bfloat16
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters, read_weights
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import BundleError, EncoderError
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER


@pytest.fixture
def folder(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def test_a_folder_in_the_hubs_format_loads_from_bin_and_vocabulary(folder: Path) -> None:
    """As squeezebert/squeezebert-uncased: .bin weights under a prefix, with heads, and vocab.txt."""
    expected = load_encoder(find_encoder(folder))
    state = {f"transformer.{name}": value for name, value in expected.state_dict().items()}
    state |= {"transformer.pooler.dense.weight": torch.zeros(32, 32), "cls.bias": torch.zeros(3)}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    vocabulary = sorted(tiny_tokenizer().get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in vocabulary), "utf-8")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    source = find_encoder(folder)
    loaded = load_encoder(source)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    text = "Turn ON the caf\u00e9 light"
    assert load_tokenizer(source).encode(text).ids == tiny_tokenizer().encode(text).ids


def test_a_damaged_bundle_is_not_trained_from(tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(EMBEDDED_FOLDER, tmp_path / "bundle"))
    content = bytearray((damaged / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256"):
        load_encoder(find_encoder(damaged))


def test_the_options_of_a_vocabulary_are_in_the_fingerprint(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    options = folder / "tokenizer_config.json"
    options.write_text(json.dumps({"do_lower_case": True}))
    before = find_encoder(folder).fingerprint()
    options.write_text(json.dumps({"do_lower_case": False}))
    assert find_encoder(folder).fingerprint() != before


def test_a_torch_that_cannot_tell_has_no_fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert fast_bfloat16(torch.device("cpu")) is False
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert fast_bfloat16(torch.device("cpu")) is True


def test_safetensors_are_preferred(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not needed")
    assert find_encoder(folder).weights.name == "model.safetensors"


class Canary:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_but_tensors_is_unpickled(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Canary(canary), file)
    with pytest.raises(EncoderError, match="cannot be read"):
        read_weights(folder / "pytorch_model.bin")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EncoderError, match=name.replace(".", r"\.")):
        find_encoder(folder)


def test_another_model_type_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(EncoderError, match=r"'bert'.*squeeze"):
        find_encoder(folder).read_config()
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="not valid JSON"):
        find_encoder(folder).read_config()


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "nothing", "~nobody-here/model"])
def test_a_missing_folder_is_said_so(name: str) -> None:
    with pytest.raises(EncoderError, match=f"no encoder folder '{name}'"):
        find_encoder(name)


def test_an_archive_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "bot.tar.gz").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"is a file; .* `sqz-nlu export models/bot.tar.gz FOLDER`"):
        find_encoder("models/bot.tar.gz")


def test_an_unreachable_hub_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    calls = []

    def unreachable(name: str, local_files_only: bool = False, **_):
        calls.append(local_files_only)
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(EncoderError, match=r"no route to host.*model: embedded"):
        find_encoder("squeezebert/squeezebert-uncased")
    assert calls == [True, False]
    with pytest.raises(EncoderError, match="offline"):
        find_encoder("squeezebert/squeezebert-uncased", offline=True)
    assert calls == [True, False, True]


def test_a_cached_hub_encoder_needs_no_network(monkeypatch: pytest.MonkeyPatch, tiny_encoder: Path) -> None:
    import huggingface_hub

    def cached(name: str, local_files_only: bool = False, **_) -> str:
        assert local_files_only
        return str(tiny_encoder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    assert find_encoder("someone/tiny").folder == tiny_encoder


def test_the_fingerprint_follows_every_file(folder: Path) -> None:
    seen = {find_encoder(folder).fingerprint()}
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        with (folder / name).open("ab") as file:
            file.write(b"\n")
        seen.add(find_encoder(folder).fingerprint())
    assert len(seen) == 4


def test_weights_read_back_from_a_graph_are_those_it_was_made_from(tmp_path: Path) -> None:
    """Reading a graph and lowering again must give the same integers: nothing is lost twice."""
    from sqz_nlu.encoder.centring import centred
    from sqz_nlu.encoder.load import save_encoder
    from sqz_nlu.encoder.model import SqueezeBertEncoder
    from sqz_nlu.export.encoder import export_encoder
    from sqz_nlu.export.graph import Int8Arithmetic
    from sqz_nlu.export.lowering import lower

    for index, groups in enumerate((1, 4)):
        config = tiny_config(k_groups=groups)  # fused and separate query, key and value
        encoder, folder = SqueezeBertEncoder(config), tmp_path / f"int8{index}"
        save_encoder(encoder, tiny_tokenizer(), tmp_path / f"float{index}")
        export_encoder(find_encoder(tmp_path / f"float{index}"), folder, "tiny")
        read = numpy_parameters(load_encoder(find_encoder(folder)))
        again = lower(config, read, Int8Arithmetic()).SerializeToString()
        assert (folder / "model.onnx").read_bytes() == again
        for name, value in numpy_parameters(centred(encoder, tiny_tokenizer())).items():
            if "position" not in name and "token_type" not in name:  # one is folded into the other
                assert abs(value - read[name]).max() <= abs(value).max() / 63, name
