"""The files for phones: the model in ONNX Runtime's format, and the script around it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from golden_set import BUNDLE as GOLDEN_BUNDLE
from golden_set import assert_golden, golden_parses
from web_texts import as_javascript, in_javascript, make_texts
from web_tools import ROOT, node, run

from sqz_nlu import Interpreter
from sqz_nlu.cli import main
from sqz_nlu.errors import BundleError
from sqz_nlu.export.mobile import OPERATORS, ORT_MODEL, export_mobile
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, MANIFEST, read_bundle

TEXTS = make_texts(300)


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mobile") / "model"
    assert main(["export", str(tiny_bundle), str(folder), "--target", "mobile"]) == 0
    return folder


def run_graph(session: onnxruntime.InferenceSession, inputs: dict[str, list[int]] | None) -> dict:
    """The graph's outputs as an app hands them to the script."""
    if inputs is None:
        return {}
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {i.name: np.array([inputs[i.name]], np.int32) for i in session.get_inputs()})
    return {
        name: {"data": value.ravel().tolist(), "dims": value.shape}
        for name, value in zip(names, values, strict=True)
    }


def in_v8(folder: Path, cases: list[dict]) -> list[dict]:
    return json.loads(node("bridge.mjs", stdin=json.dumps({"folder": str(folder), "cases": cases})))


def in_javascriptcore(folder: Path, cases: list[dict]) -> list[dict]:
    request = folder.with_name("request.json")
    request.write_text(json.dumps({"cases": cases}), encoding="utf-8")
    script = Path(__file__).with_name("jsc.js")
    return json.loads(run("jsc", str(folder / "sqz-nlu.js"), str(script), "--", str(folder), str(request)))


NO_JSC = pytest.mark.skipif(shutil.which("jsc") is None, reason="needs WebKit's jsc")


@pytest.mark.parametrize("engine", [in_v8, pytest.param(in_javascriptcore, marks=[pytest.mark.slow, NO_JSC])])
def test_an_app_understands_as_python_does(
    exported: Path, interpreter: Interpreter, engine: Callable[[Path, list[dict]], list[dict]]
) -> None:
    session = onnxruntime.InferenceSession(exported / ORT_MODEL, providers=["CPUExecutionProvider"])
    inputs = [answer["inputs"] for answer in engine(exported, [{"text": text} for text in TEXTS])]
    outputs = [run_graph(session, values) for values in inputs]
    cases = [{"text": text, "outputs": values} for text, values in zip(TEXTS, outputs, strict=True)]
    found = 0
    for text, answer in zip(TEXTS, engine(exported, cases), strict=True):
        right = as_javascript(interpreter.parse(text))
        found += len(right["entities"])
        assert rounded(answer["result"]) == rounded(right), ascii(text)
    assert found > 200


def test_an_app_gives_the_golden_parses(tmp_path: Path) -> None:
    folder = export_mobile(read_bundle(GOLDEN_BUNDLE), tmp_path / "model")
    session = onnxruntime.InferenceSession(folder / ORT_MODEL, providers=["CPUExecutionProvider"])
    expected = [in_javascript(parse) for parse in golden_parses()]
    texts = [parse["text"] for parse in expected]
    encoded = in_v8(folder, [{"text": text} for text in texts])
    outputs = [run_graph(session, answer["inputs"]) for answer in encoded]
    cases = [{"text": text, "outputs": values} for text, values in zip(texts, outputs, strict=True)]
    assert_golden([answer["result"] for answer in in_v8(folder, cases)], expected)


def rounded(answer: dict) -> dict:
    """With confidences to six digits, in which order of summing plays no part."""
    return json.loads(json.dumps(answer), parse_float=lambda digits: round(float(digits), 6))


def test_the_ort_model_gives_what_the_onnx_model_gives(exported: Path, tiny_bundle: Path) -> None:
    sessions = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for path in (exported / ORT_MODEL, tiny_bundle / "model.onnx")
    ]
    feeds = {"input_ids": np.array([[2, 5, 9, 40, 3], [2, 7, 8, 6, 3]], np.int32)}
    for new, old in zip(*(session.run(None, feeds) for session in sessions), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


def test_the_manifest_covers_every_file(exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_text("utf-8"))
    names = {path.name for path in exported.iterdir()}
    assert names == {*manifest["files"], MANIFEST}
    for name, facts in manifest["files"].items():
        content = (exported / name).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def check_operators(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "check_mobile_operators.py", folder, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_operator_is_in_a_full_build(exported: Path, tmp_path: Path) -> None:
    assert "com.microsoft;1;DynamicQuantizeMatMul" in (exported / OPERATORS).read_text("utf-8")
    done = check_operators(exported)
    assert done.returncode == 0, done.stdout
    (tmp_path / "reduced.config").write_text("# few\n!globally_allowed_types;float\nai.onnx;13;Cast,Concat\n")
    done = check_operators(exported, "--config", str(tmp_path / "reduced.config"))
    assert done.returncode == 1
    assert "missing: com.microsoft MultiHeadAttention\n" in done.stdout


def test_an_encoder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="without intents"):
        export_mobile(read_bundle(EMBEDDED_FOLDER), tmp_path / "model")
