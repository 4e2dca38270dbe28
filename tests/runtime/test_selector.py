from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from golden_set import BUNDLE

from sqz_nlu.errors import BundleError, IncompatibleBundleError
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, canonical_json, checksum, read_bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.selector import (
    NO_SELECTION,
    SELECTION,
    Selector,
    SelectorConfig,
    write_selector,
)
from sqz_nlu.training.selection import fit_selection

EXAMPLES = {
    "how much does it cost": "faq/price",
    "what is the price": "faq/price",
    "when are you open": "faq/hours",
    "what are your opening hours": "faq/hours",
    "do you deliver to my house": "faq/delivery",
    "can you bring it to me": "faq/delivery",
}
RESPONSES = {
    "faq/price": [{"text": "Ten euros."}],
    "faq/hours": [{"text": "Nine to five.", "custom": {1: "x", "from": date(2026, 1, 2)}}],
}


def write(folder: Path, model: Path = EMBEDDED_FOLDER, **changes) -> Path:
    """A selector of six examples."""
    encoder = read_bundle(model)
    head = fit_selection(Interpreter(encoder).embed(list(EXAMPLES)), list(EXAMPLES.values()))
    config = SelectorConfig(
        **{"retrieval_intent": None, "retrieval_intents": ["faq"], "responses": RESPONSES} | changes
    )
    folder.mkdir(exist_ok=True)
    write_selector(folder, encoder, "embedded" if model == EMBEDDED_FOLDER else str(model), head, config)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("selector"))


def test_it_selects_and_ranks(folder: Path) -> None:
    selection = Selector.load(folder).select("tell me your prices")
    assert selection.key.name == "faq/price"
    assert selection.responses == [{"text": "Ten euros."}]
    confidences = [key.confidence for key in selection.ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1.0)
    assert selection.ranking[0] == selection.key
    assert json.loads(json.dumps(selection.to_dict()))["response"]["utter_action"] == "utter_faq/price"


def test_a_key_without_response_answers_with_its_name(folder: Path) -> None:
    selection = Selector.load(folder).select("can you deliver it")
    assert selection.responses == [{"text": "faq/delivery"}]


def test_text_without_words_selects_nothing(folder: Path) -> None:
    selector = Selector.load(folder)
    for text in ("", " \n", "\u200b", "\ud800 \u202e", "\x00"):
        assert selector.select(text) is NO_SELECTION
    assert selector.select("\u200bprice").key.name in selector.keys
    with pytest.raises(TypeError, match="NoneType"):
        selector.select(None)


def test_rankings_are_cut_and_renormalized(tmp_path: Path) -> None:
    write(tmp_path / "a", ranking_length=2, renormalize_confidences=True)
    ranking = Selector.load(tmp_path / "a").select("something else").ranking
    assert len(ranking) == 2
    assert sum(key.confidence for key in ranking) == pytest.approx(1.0)


def test_selectors_share_the_encoder_and_a_text_is_encoded_once(folder: Path, monkeypatch) -> None:
    first, second = Selector.load(folder), Selector.load(folder)
    assert first._encoder is second._encoder
    assert Selector.load(folder, threads=2)._encoder is not first._encoder
    calls = []
    embed = Interpreter.embed
    monkeypatch.setattr(Interpreter, "embed", lambda self, texts: calls.append(texts) or embed(self, texts))
    assert first.select("what does it cost") == second.select("what does it cost")
    second.select("when do you open")
    assert calls == [["what does it cost"], ["when do you open"]]


def test_threads_get_the_answers_of_a_serial_run(folder: Path) -> None:
    selector = Selector.load(folder)
    texts = [text + mark for text in EXAMPLES for mark in "?!."] * 4
    serial = [selector.select(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(selector.select, texts)) == serial


def test_another_encoder_is_stored_with_it(tiny_encoder: Path, tmp_path: Path) -> None:
    from sqz_nlu.encoder.source import find_encoder
    from sqz_nlu.export.encoder import export_encoder

    export_encoder(find_encoder(tiny_encoder), tmp_path / "bundle", "tiny")
    write(tmp_path / "tiny", tmp_path / "bundle")
    assert (tmp_path / "tiny" / "encoder" / "model.onnx").is_file()
    assert Selector.load(tmp_path / "tiny").select("what is the price").key.name == "faq/price"
    (tmp_path / "tiny" / "encoder" / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Selector.load(tmp_path / "tiny")


def test_the_encoder_of_an_earlier_selector_goes(tmp_path: Path) -> None:
    write(tmp_path, BUNDLE)
    assert (tmp_path / "encoder" / "model.onnx").is_file()
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [SELECTION]
    assert Selector.load(tmp_path).select("what is the price").key.name == "faq/price"


def test_every_flipped_byte_is_seen(folder: Path, tmp_path: Path) -> None:
    content = (folder / SELECTION).read_bytes()
    for place in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / SELECTION).write_bytes(damaged)
        with pytest.raises(BundleError, match=r"selection\.json"):
            Selector.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"format_version": 1}'])
def test_what_is_no_selector_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / SELECTION).write_bytes(content)
    with pytest.raises(BundleError, match=r"selection\.json is damaged"):
        Selector.load(tmp_path)
    (tmp_path / SELECTION).unlink()
    with pytest.raises(BundleError, match=r"selection\.json cannot be read"):
        Selector.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format_version": 2}, IncompatibleBundleError, "format version 2"),
        ({"encoder": {"name": "embedded", "fingerprint": "0" * 64}}, BundleError, "trained with the encoder"),
        ({"encoder": []}, BundleError, "cannot be used"),
        ({"config": {"colour": "red"}}, BundleError, "colour"),
    ],
)
def test_another_format_or_encoder_is_refused(change, error, message, folder: Path, tmp_path: Path) -> None:
    data = json.loads((folder / SELECTION).read_text("utf-8")) | change
    (tmp_path / SELECTION).write_bytes(canonical_json({**data, "checksum": checksum(data)}))
    with pytest.raises(error, match=message):
        Selector.load(tmp_path)


def test_a_new_process_answers_the_same_without_torch(folder: Path) -> None:
    script = f"""
import json, sys
from sqz_nlu.runtime.selector import Selector
print(json.dumps(Selector.load({str(folder)!r}).select("what does it cost").to_dict()))
assert not {{"torch", "transformers", "rasa"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == Selector.load(folder).select("what does it cost").to_dict()
