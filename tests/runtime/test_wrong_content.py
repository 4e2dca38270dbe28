"""Models whose checksums are right and whose content is not, and damaged archives: all are BundleErrors."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_set import BUNDLE
from tokenizers import Tokenizer, models, pre_tokenizers

from sqz_nlu import Interpreter
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import open_model
from sqz_nlu.runtime.bundle import (
    CONFIG,
    FILES,
    MANIFEST,
    TOKENIZER,
    Bundle,
    build_manifest,
    canonical_json,
    checksum,
    describe,
    read_bundle,
    verify_files,
)
from sqz_nlu.runtime.probes import check_probes
from sqz_nlu.runtime.results import NO_INTENT


@pytest.fixture(scope="module")
def golden() -> Bundle:
    return read_bundle(BUNDLE)


@pytest.fixture(scope="module")
def interpreter(golden: Bundle) -> Interpreter:
    return Interpreter(golden)


def with_config(golden: Bundle, config: Any) -> Interpreter:
    contents = {**golden.contents, CONFIG: config if isinstance(config, bytes) else canonical_json(config)}
    manifest = build_manifest(contents, describe(golden.manifest))
    return Interpreter(verify_files(Path("b"), {**contents, MANIFEST: manifest}))


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b"7", b"[" * 100_000, b"{}", b'{"decoding": []}', b'{"decoding": null}']
)
def test_a_configuration_of_another_shape(content: bytes, golden: Bundle) -> None:
    with pytest.raises(BundleError):
        with_config(golden, content)


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": "many"},
        {"temperature": None},
        {"synonyms": ["paris"]},
        {"split_by_comma": True},
        {"labels": []},
        {"patterns": [1]},
    ],
)
def test_a_field_of_another_kind_is_named(change: dict[str, Any], golden: Bundle) -> None:
    decoding = {**golden.config["decoding"], **change}
    with pytest.raises(BundleError, match=r"config\.json of the bundle cannot be used"):
        with_config(golden, {**golden.config, "decoding": decoding})


@pytest.mark.parametrize("encoder", [[], "small", {"num_hidden_layers": "two"}])
def test_an_encoder_of_another_kind(encoder: Any, golden: Bundle) -> None:
    with pytest.raises(BundleError, match="number of its layers"):
        with_config(golden, {**golden.config, "encoder": encoder})


def _without_size(files: dict[str, Any]) -> Any:
    del files[CONFIG]["size"]
    return files


@pytest.mark.parametrize(
    "change",
    [_without_size, lambda files: files | {CONFIG: None}, lambda files: list(FILES), lambda files: 7],
)
def test_a_manifest_of_another_shape(change: Callable[[dict[str, Any]], Any], golden: Bundle) -> None:
    manifest = copy.deepcopy(dict(golden.manifest))
    manifest["files"] = change(manifest["files"])
    manifest["checksum"] = checksum(manifest)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        verify_files(Path("b"), {**golden.contents, MANIFEST: canonical_json(manifest)})


def archive(path: Path, golden: Bundle, kind: str = "gz", synonyms: bytes | None = None) -> Path:
    """A model archive as `rasa train` writes it."""
    files = {f"components/train_SqueezeBertClassifier3/bundle/{n}": c for n, c in golden.contents.items()}
    manifest = build_manifest(golden.contents, describe(golden.manifest))
    files[f"components/train_SqueezeBertClassifier3/bundle/{MANIFEST}"] = manifest
    if synonyms is not None:
        files["components/train_EntitySynonymMapper4/synonyms.json"] = synonyms
    with tarfile.open(path, f"w:{kind}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_no_damage_of_an_archive_is_a_traceback(kind: str, golden: Bundle, tmp_path: Path) -> None:
    path = archive(tmp_path / "model", golden, kind)
    assert open_model(path).contents == golden.contents
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:  # some bytes, such as the time in the header, say nothing about the files
            assert open_model(path).contents == golden.contents
        except BundleError as error:
            assert str(path) in str(error)  # noqa: PT017
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="model archive"):
        open_model(path)


@pytest.mark.parametrize("synonyms", [b"7", b"null", b'["paris"]', b'{"paris": 7}', b"{", b"[" * 100_000])
def test_synonyms_of_another_shape(synonyms: bytes, golden: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"synonyms|model archive"):
        open_model(archive(tmp_path / "model", golden, synonyms=synonyms))


def test_synonyms_of_an_archive_are_used(golden: Bundle, tmp_path: Path) -> None:
    bundle = open_model(archive(tmp_path / "model", golden, synonyms=b'{"rome": "Roma"}'))
    assert bundle.config["decoding"]["synonyms"] == {"rome": "Roma"}


def probed(interpreter: Interpreter, *probes: Any) -> Interpreter:
    changed = copy.copy(interpreter)
    changed.manifest = {**interpreter.manifest, "probes": list(probes)}
    return changed


def test_a_bundle_without_probes_has_none(interpreter: Interpreter) -> None:
    changed = copy.copy(interpreter)
    changed.manifest = {key: value for key, value in interpreter.manifest.items() if key != "probes"}
    assert check_probes(changed) == 0


def test_another_group_is_another_answer(interpreter: Interpreter) -> None:
    texts = (json.loads(line)["text"] for line in (BUNDLE.parent / "parses.jsonl").open())
    parses = (interpreter.parse(text).to_dict() for text in texts)
    probe = next(parse for parse in parses if any("group" in entity for entity in parse["entities"]))
    assert check_probes(probed(interpreter, probe)) == 1
    entities = [entity | {"group": "9"} for entity in probe["entities"]]
    with pytest.raises(BundleError, match="install another version of onnxruntime"):
        check_probes(probed(interpreter, probe | {"entities": entities}))


@pytest.mark.parametrize("probe", [{}, None, {"text": 7}, {"text": "hi"}, {"text": "hi", "intent": []}])
def test_probes_that_cannot_be_read(probe: Any, interpreter: Interpreter) -> None:
    with pytest.raises(BundleError, match=r"probes of .* cannot be read"):
        check_probes(probed(interpreter, probe))


def test_a_batch_decides_for_each_text_whether_it_has_words(golden: Bundle) -> None:
    """A lone space is a token of SentencePiece's, but no word."""
    vocabulary = [("<unk>", 0.0), ("\u2581hi", -1.0), ("\u2581", -3.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    contents = {**golden.contents, TOKENIZER: tokenizer.to_str().encode()}
    interpreter = Interpreter(replace(golden, contents=contents))
    assert [len(interpreter._text.encode(text).ids) for text in (" ", "hi")] == [1, 1]
    blank, greeting, other = interpreter.parse_batch([" ", "hi", "hi"])
    assert blank == interpreter.parse(" ")
    assert (blank.text, blank.intent, blank.intent_ranking) == (" ", NO_INTENT, ())
    assert greeting == other
    assert greeting.words == ((0, 2),)
    assert greeting.intent.name == interpreter.parse("hi").intent.name is not None
