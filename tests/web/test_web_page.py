"""A whole model in Node and in Chromium against Python, on a thousand texts."""

from __future__ import annotations

import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from golden_set import BUNDLE as GOLDEN_BUNDLE
from golden_set import assert_golden, golden_parses
from web_texts import as_javascript, in_javascript, make_texts
from web_tools import NODE_MODULES, ROOT, node, require_chromium, require_node, run

from sqz_nlu import Interpreter, __version__
from sqz_nlu.cli import main
from sqz_nlu.errors import BundleError, ExportError
from sqz_nlu.export import onnxruntime_web
from sqz_nlu.export.onnxruntime_web import FILES, VERSION
from sqz_nlu.export.target import WEB
from sqz_nlu.export.web import export_web
from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER, read_bundle

TEXTS = make_texts()
TYPED = "fly from paris to new york"
MOST_DIFFERENCE = 0.02


@pytest.fixture(scope="module")
def answers(interpreter: Interpreter) -> list[dict]:
    """What Python makes of the texts."""
    found = [as_javascript(interpreter.parse(text)) for text in TEXTS]
    assert sum(bool(answer["entities"]) for answer in found) > 500
    return found


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_node()
    folder = tmp_path_factory.mktemp("web") / "page"
    runtime = ["--onnxruntime-web", str(NODE_MODULES / onnxruntime_web.PACKAGE)]
    assert main(["export", str(tiny_bundle), str(folder), "--target", "web", *runtime]) == 0
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder behind Python's own web server."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def address(exported: Path) -> Iterator[str]:
    with served(exported) as address:
        yield address


def same(answer: dict, right: dict) -> None:
    """The same but for confidences, which may differ a little, and the order of unlikely intents."""
    text = ascii(right["text"])
    assert _but_confidences(answer) == _but_confidences(right), text
    assert _confidences(answer) == pytest.approx(_confidences(right), abs=MOST_DIFFERENCE), text
    assert len(answer["intent_ranking"]) == len(right["intent_ranking"])


def _but_confidences(answer: dict) -> list:
    entities = [
        {key: value for key, value in entity.items() if not key.startswith("confidence")}
        for entity in answer["entities"]
    ]
    return [answer["text"], answer["intent"]["name"], entities, answer["text_tokens"]]


def _confidences(answer: dict) -> list[float]:
    return [answer["intent"]["confidence"], *(e["confidence_entity"] for e in answer["entities"])]


def test_node_understands_as_python_does(tiny_bundle: Path, answers: list[dict]) -> None:
    found = json.loads(node("node_parse.mjs", stdin=json.dumps({"bundle": str(tiny_bundle), "texts": TEXTS})))
    for answer, right in zip(found, answers, strict=True):
        same(answer, right)


def test_chromium_understands_as_python_does(
    address: str, answers: list[dict], interpreter: Interpreter
) -> None:
    require_chromium()
    request = {"url": address, "texts": TEXTS, "typed": TYPED}
    found = json.loads(node("browser_parse.mjs", stdin=json.dumps(request)))
    for answer, right in zip(found["results"], answers, strict=True):
        same(answer, right)
    right = interpreter.parse(TYPED)
    shown = found["shown"]
    assert shown.pop("milliseconds") > 0
    values = [TYPED[entity.start : entity.end] for entity in right.entities]
    assert values == ["paris", "new york"]
    assert shown == {"intent": right.intent.name, "marks": values, "cards": values}
    assert [found["cleared"], found["outside"], found["errors"]] == ["", [], []]
    assert found["failed"] == ["This text failed", "out of luck"]
    assert found["after"] == ["Ready, in this tab", "None in this text."]


def test_node_and_chromium_give_the_golden_parses(exported: Path, tmp_path: Path) -> None:
    require_chromium()
    expected = [in_javascript(parse) for parse in golden_parses()]
    texts = [parse["text"] for parse in expected]
    request = {"bundle": str(GOLDEN_BUNDLE), "texts": texts}
    assert_golden(json.loads(node("node_parse.mjs", stdin=json.dumps(request))), expected)
    page = export_web(read_bundle(GOLDEN_BUNDLE), tmp_path / "page", exported / "ort")
    with served(page) as address:
        request = {"url": address, "texts": texts, "typed": "turn on the light"}
        found = json.loads(node("browser_parse.mjs", stdin=json.dumps(request)))
    assert_golden(found["results"], expected)


def test_where_the_webassembly_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = {name: name.encode() for name in FILES}
    package = tmp_path / "node_modules" / onnxruntime_web.PACKAGE
    (package / "dist").mkdir(parents=True)
    for name, content in contents.items():
        (package / "dist" / name).write_bytes(content)
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(package, "package")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    for given in (None, package, package / "dist", tmp_path, tmp_path / "package.tgz"):
        assert onnxruntime_web.runtime_files(given) == contents
    (tmp_path / "no.tgz").write_bytes(b"no")
    for given in (tmp_path / "no.tgz", tmp_path / "deeper"):
        with pytest.raises(ExportError, match="npm pack"):
            onnxruntime_web.runtime_files(given)


def test_without_npm_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["export", str(tiny_bundle), str(tmp_path / "page"), "--target", "web"]) == 1
    assert f"npm install onnxruntime-web@{VERSION}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_page_is_not_replaced(exported: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    runtime = exported / "ort"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(ExportError, match="did not write it"):
        export_web(read_bundle(tiny_bundle), tmp_path / "photos", runtime)
    again = export_web(read_bundle(tiny_bundle), tmp_path / "page", runtime)
    (again / "old.js").write_bytes(b"")
    export_web(read_bundle(tiny_bundle), again, runtime)
    names = [sorted(path.relative_to(page) for path in page.rglob("*")) for page in (again, exported)]
    assert names[0] == names[1]


def test_an_encoder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="without intents"):
        export_web(read_bundle(EMBEDDED_FOLDER), tmp_path / "page")


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "tokenizer.json", "model.onnx"])
def test_node_sees_a_changed_byte(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(AssertionError, match=f"BundleError: {name}"):
        node("node_parse.mjs", stdin=json.dumps({"bundle": str(copy), "texts": []}))


def test_the_javascript_has_the_types_it_says() -> None:
    """TypeScript checks the modules, the declarations and a user's program."""
    run("node", str(NODE_MODULES / "typescript" / "bin" / "tsc"), "-p", "tests/web/tsconfig.json")


def test_versions_agree() -> None:
    pages = json.loads((WEB / "package.json").read_text("utf-8"))
    tested = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    assert pages["version"] == __version__
    assert tested[onnxruntime_web.PACKAGE] == VERSION


def test_the_lock_file_names_no_host() -> None:
    assert '"resolved": "http' not in (ROOT / "package-lock.json").read_text("utf-8")
