from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_set import BUNDLE
from onnx import TensorProto, helper

from sqz_nlu import Interpreter
from sqz_nlu.errors import BundleError, IncompatibleBundleError
from sqz_nlu.runtime import bundle as bundles
from sqz_nlu.runtime import folder as folders
from sqz_nlu.runtime.bundle import (
    FILES,
    MANIFEST,
    MODEL,
    build_manifest,
    describe,
    read_bundle,
    write_bundle,
)
from sqz_nlu.runtime.graph_outputs import _field

ALL = (MANIFEST, *FILES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


def refuses(folder: Path, name: str) -> None:
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        Interpreter.load(folder)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_or_cut_file_is_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for damaged in (b"", content[: len(content) // 2], content + b" "):
        (copy / name).write_bytes(damaged)
        refuses(copy, name)
    (copy / name).unlink()
    refuses(copy, name)


@pytest.mark.parametrize("name", ALL)
def test_a_flipped_bit_is_never_loaded_silently(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    rng = np.random.default_rng(7)
    for place in rng.integers(0, len(content), 100):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        (copy / name).write_bytes(flipped)
        refuses(copy, name)


@pytest.mark.parametrize("name", ALL)
def test_a_file_of_another_bundle_is_refused(copy: Path, name: str, tmp_path: Path) -> None:
    other = read_bundle(copy)
    changed = {**other.contents, "README.md": b"another card", "config.json": b"{}", "tokenizer.json": b"{}"}
    changed[MODEL] = other.model + _metadata()
    write_bundle(tmp_path / "other", changed, {})
    shutil.copy(tmp_path / "other" / name, copy / name)
    with pytest.raises(BundleError):
        Interpreter.load(copy)


def _metadata() -> bytes:
    """A field that makes an ONNX file another one without changing its graph."""
    model = onnx.ModelProto()
    model.metadata_props.add(key="other", value="bundle")
    return model.SerializeToString()


def test_a_link_is_refused(copy: Path) -> None:
    (copy / MODEL).rename(copy / "elsewhere.onnx")
    (copy / MODEL).symlink_to(copy / "elsewhere.onnx")
    refuses(copy, MODEL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_refused_and_not_waited_for(copy: Path) -> None:
    (copy / MODEL).unlink()
    os.mkfifo(copy / MODEL)
    refuses(copy, "regular file")


def test_missing_folder_and_file_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        Interpreter.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(BundleError, match="model archive"):
        Interpreter.load(tmp_path / "text")


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_checkpoint_is_not_called_a_damaged_bundle(copy: Path, tmp_path: Path, weights: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes(b"")
    with pytest.raises(BundleError, match="holds the weights of a checkpoint and no bundle"):
        read_bundle(folder)
    (copy / MANIFEST).unlink()
    (copy / weights).write_bytes(b"")
    with pytest.raises(BundleError, match=f"has no {MANIFEST}"):
        read_bundle(copy)


def test_another_format_version_is_said_so(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["format_version"] = 2
    manifest["checksum"] = bundles.checksum(manifest)
    (copy / MANIFEST).write_bytes(bundles.canonical_json(manifest))
    with pytest.raises(IncompatibleBundleError, match="format version 2"):
        read_bundle(copy)


def _model(node: onnx.NodeProto, initializers: list[onnx.TensorProto], domain: str = "") -> bytes:
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    graph = helper.make_graph([node], "g", info, info, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, 1)]).SerializeToString()


def test_foreign_operators_and_external_data_are_refused() -> None:
    contents = dict(read_bundle(BUNDLE).contents)
    plain = helper.make_node("Identity", ["x"], ["y"])
    external = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    external.ClearField("float_data")
    external.data_location = TensorProto.EXTERNAL
    external.external_data.add(key="location", value="../secret")
    inner = helper.make_graph([plain], "inner", [], [])
    listed, sparse, sparse_list = (helper.make_node("Identity", ["x"], ["y"]) for _ in range(3))
    listed.attribute.add(name="several").tensors.append(external)
    sparse.attribute.add(name="sparse").sparse_tensor.values.CopyFrom(external)
    sparse_list.attribute.add(name="sparse").sparse_tensors.add().values.CopyFrom(external)
    aliased = _field(7 + 2**29, b"")  # readers that cut field numbers at 29 bits see a graph
    cases = {
        "domain 'evil'": _model(helper.make_node("Run", ["x"], ["y"], domain="evil"), []),
        "domain 'bad'": _model(plain, [], domain="bad"),
        "outside itself": _model(plain, [external]),
        "graph inside an operator": _model(helper.make_node("If", ["x"], ["y"], then_branch=inner), []),
        "to data outside": _model(listed, []),
        "has a sparse tensor": _model(sparse, []),
        "a sparse tensor inside": _model(sparse_list, []),
        "field number": contents[MODEL] + aliased,
        "not a readable ONNX file": b"\xff\xff\xff",
        "0 graphs": b"",
    }
    for message, model in cases.items():
        with pytest.raises(BundleError, match=message):
            build_manifest(contents | {MODEL: model}, {})


def test_writing_replaces_a_bundle_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    content = read_bundle(copy)
    changed = {**content.contents, "README.md": b"# new"}
    write_bundle(copy, changed, describe(content.manifest))
    assert read_bundle(copy).contents["README.md"] == b"# new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(BundleError, match="is not a bundle"):
        write_bundle(tmp_path / "photos", changed, {})
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_full_disk_leaves_the_old_bundle(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_bundle(copy)

    def full(path: Path, content: bytes) -> None:
        if path.name == MODEL:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(folders, "_write", full)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(copy, {**before.contents, "README.md": b"# new"}, {})
    assert read_bundle(copy).contents == before.contents
    assert sorted(path.name for path in copy.parent.iterdir()) == ["bundle"]


def _write_for_ever(folder: Path) -> None:
    content = read_bundle(folder)
    turn = 0
    while True:
        turn += 1
        write_bundle(folder, {**content.contents, "README.md": str(turn).encode()}, {})


def test_killed_while_writing_there_is_always_a_whole_bundle(copy: Path) -> None:
    context = multiprocessing.get_context("fork")
    rng = np.random.default_rng(3)
    for _ in range(50):
        process = context.Process(target=_write_for_ever, args=(copy,))
        process.start()
        time.sleep(float(rng.uniform(0.005, 0.04)))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        read_bundle(copy)
