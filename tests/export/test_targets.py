"""What an export may replace, what it samples, and what a card says; nothing is trained here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from golden_set import BUNDLE, GOLDEN

from sqz_nlu.errors import ExportError
from sqz_nlu.export.card import model_card
from sqz_nlu.export.mobile import ORT_MODEL, SCRIPT, export_mobile
from sqz_nlu.export.model import _spread
from sqz_nlu.export.onnxruntime_web import FILES
from sqz_nlu.export.parity import compare
from sqz_nlu.export.web import export_web
from sqz_nlu.runtime.bundle import CONFIG, TOKENIZER, Bundle, read_bundle
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.results import NO_INTENT, ParseResult


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(BUNDLE)


@pytest.fixture
def to_web(tmp_path: Path) -> Callable[[Bundle, Path], Path]:
    """The web target with files that stand for ONNX Runtime's."""
    (tmp_path / "ort").mkdir()
    for name in FILES:
        (tmp_path / "ort" / name).write_bytes(b"wasm")
    return lambda bundle, folder: export_web(bundle, folder, tmp_path / "ort")


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_with_a_bundle_is_no_page(bundle: Bundle, to_web: Any, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "golden")
    (tmp_path / "golden" / "index.html").write_text("my own page")
    before = files_in(tmp_path / "golden")
    with pytest.raises(ExportError, match=r"did not write it \(it has no sqz-nlu/bridge\.js\)"):
        to_web(bundle, tmp_path / "golden")
    assert files_in(tmp_path / "golden") == before


def test_a_page_and_files_for_a_phone_are_replaced(bundle: Bundle, to_web: Any, tmp_path: Path) -> None:
    for export in (to_web, export_mobile):
        folder = tmp_path / export.__name__
        before = set(files_in(export(bundle, folder)))
        (folder / "old.js").touch()
        assert set(files_in(export(bundle, folder))) == before


def test_an_app_with_the_files_in_it_is_not_replaced(bundle: Bundle, tmp_path: Path) -> None:
    export_mobile(bundle, tmp_path / "model")
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in (ORT_MODEL, SCRIPT, TOKENIZER, CONFIG):  # what the guides for Android and iOS put there
        shutil.copy(tmp_path / "model" / name, assets)
    (assets / "logo.svg").write_text("<svg/>")
    before = files_in(assets)
    with pytest.raises(ExportError, match="did not write it"):
        export_mobile(bundle, assets)
    assert files_in(assets) == before


@pytest.mark.parametrize("count", [0, 1, 400, 401, 799, 800, 12_345])
def test_a_sample_is_spread_over_all_examples(count: int) -> None:
    sample = _spread(range(count), 400)
    assert len(sample) == min(count, 400)
    steps = {later - earlier for earlier, later in pairwise(sample)}
    assert not steps or max(steps) - min(steps) <= 1
    if count:
        assert sample[0] == 0
        assert sample[-1] >= count - 1 - -(-count // 400)


FACTS = {"encoder": {"name": "tiny", "fingerprint": "0" * 64}, "precision": "int8"}


def test_the_card_of_an_encoder_says_what_it_can_do() -> None:
    card = model_card(FACTS, LabelSpace(), 1000, None)
    assert '.embed(["some text"])' in card
    assert "parse" not in card
    assert "intent and entity model" not in card
    assert '.parse("some text")' in model_card(FACTS, LabelSpace(intents=("a", "b")), 1000, None)


def test_without_intents_nothing_is_said_about_their_agreement() -> None:
    def parsing(labels: LabelSpace) -> Any:
        return SimpleNamespace(labels=labels, parse=lambda text: ParseResult(text, NO_INTENT, (), (), ()))

    gold = [("to oslo", None, frozenset({(3, 7, "city")}))]
    only_entities, both = LabelSpace(entities=("city",)), LabelSpace(("a", "b"), ("city",))
    parity = compare(parsing(only_entities), parsing(only_entities), gold)
    assert parity.intent_agreement is None
    assert parity.failures() == []
    assert str(parity) == "int8 against float on 1 training texts: entity spans agree with F1 100.0%"
    card = model_card({**FACTS, "parity": parity.to_dict()}, only_entities, 1000, None)
    assert f"- {parity}\n" in card
    assert "same top intent on 100.0%, entity" in str(compare(parsing(both), parsing(both), gold))
