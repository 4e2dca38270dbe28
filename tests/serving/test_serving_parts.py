"""What no outside client can force: a slow model, none yet, a server that is stopping, half-copied files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from golden_set import BUNDLE as GOLDEN_BUNDLE
from served import copy, short_ranking

from sqz_nlu.cli import build_parser
from sqz_nlu.errors import BundleError, OptionError
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.serving.app import create_app
from sqz_nlu.serving.model import ModelSource, ServedModel
from sqz_nlu.serving.responses import encode_json
from sqz_nlu.serving.settings import ServerSettings
from sqz_nlu.serving.shortcuts import read_shortcut

SHORTCUTS = [
    "/greet",
    "/greet@0.3",
    "/greet@7",
    "/greet@1.2.3",
    "/greet@x",
    "/gr eet ",
    '/inform{"city": "Oslo", "tags": ["a", "b"], "count": 3, "none": null}',
    '/inform@0.4{"city": {"value": "Oslo"}} and more',
    '/inform{"city": "Oslo"',
    "/inform{bad}",
    "/inform[1]",
    "/",
    "/@1.0",
    "/\n",
    "hello /greet",
]


@pytest.mark.parametrize("text", SHORTCUTS)
def test_shortcuts_mean_what_they_mean_in_rasa(text):
    from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader
    from rasa.shared.nlu.training_data.message import Message

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Rasa's, about texts that are odd on purpose
        message = YAMLStoryReader.unpack_regex_message(
            Message({"text": text}), entity_extractor_name="RegexMessageHandler"
        )
    ours = read_shortcut(text.strip())
    assert ours == (message.as_dict(only_output_properties=True) if message.get("intent") else None)


@pytest.mark.parametrize("entities", ['{"a": NaN}', '{"a": 1e999}', "[1]", "{" * 5000 + "}"])
def test_shortcuts_always_make_json(entities):
    encode_json(read_shortcut(f"/greet{entities}"))


async def ask(app, path: str, body: dict | None = None) -> tuple[int, dict]:
    """One request to an ASGI app, without a server."""
    scope = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = dict(sent[0]["headers"])
    return sent[0]["status"], {
        "connection": headers.get(b"connection"),
        "retry-after": headers.get(b"retry-after"),
        **json.loads(sent[1]["body"]),
    }


class SlowModel:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def parse(self, text: str) -> SimpleNamespace:
        self.asked.set()
        assert self.may_answer.wait(60)
        if text == "fail":
            raise RuntimeError("the model broke")
        return SimpleNamespace(to_dict=lambda: {"text": text})


@pytest.fixture
def slow():
    source = ModelSource("nowhere")
    model = SlowModel()
    source.current = ServedModel(model, source.path, "f", 0.0)
    yield source
    model.may_answer.set()


async def test_a_full_queue_refuses_while_the_loop_goes_on(slow):
    app = create_app(slow, ServerSettings(threads=1, queue=2))
    accepted = [asyncio.create_task(ask(app, "/model/parse", {"text": str(n)})) for n in range(3)]
    await asyncio.sleep(0)
    status, error = await ask(app, "/model/parse", {"text": "4"})
    assert (status, error["reason"]) == (503, "Overloaded")
    assert (await ask(app, "/health"))[0] == 200
    slow.current.interpreter.may_answer.set()
    assert [answer["text"] for _, answer in await asyncio.gather(*accepted)] == ["0", "1", "2"]
    assert (await ask(app, "/model/parse", {"text": "5"}))[0] == 200


async def test_a_failing_model_is_an_error_in_rasas_shape(slow, caplog):
    app = create_app(slow, ServerSettings(threads=1))
    slow.current.interpreter.may_answer.set()
    status, error = await ask(app, "/model/parse", {"text": "fail"})
    assert (status, error["reason"]) == (500, "ParsingError")
    assert "the model broke" in caplog.text
    assert "the model broke" not in json.dumps(error, default=str)


async def test_a_request_keeps_the_model_it_began_with(slow):
    app = create_app(slow, ServerSettings(threads=1))
    old = slow.current.interpreter
    begun = asyncio.create_task(ask(app, "/model/parse", {"text": "hello"}))
    await asyncio.to_thread(old.asked.wait, 60)
    slow.current = None
    assert (await ask(app, "/model/parse", {"text": "hello"}))[1]["reason"] == "NotReady"
    old.may_answer.set()
    assert (await begun)[0] == 200


async def test_readiness(slow):
    app = create_app(slow)
    assert (await ask(app, "/ready"))[0] == 200
    app.state.server.stopping = True
    status, error = await ask(app, "/ready")
    assert (status, error["reason"], error["connection"]) == (503, "Stopping", b"close")
    assert error["retry-after"] == b"1"
    app = create_app(ModelSource("nowhere"))
    error = (await ask(app, "/ready"))[1]
    assert (error["reason"], error["retry-after"]) == ("NotReady", b"1")
    assert (await ask(app, "/health"))[0] == 200


async def test_apps_do_not_share_anything(slow):
    first, second = create_app(slow), create_app(slow)
    await ask(first, "/health")
    assert b'path="/health"' in first.state.server.metrics.text()
    assert b'path="/health"' not in second.state.server.metrics.text()


def test_news_are_files_that_changed_and_rest(tiny_bundle, tmp_path):
    folder = copy(tiny_bundle, tmp_path / "bundle")
    source = ModelSource(folder)
    source.load()
    assert [source.has_news(), source.has_news()] == [False, False]
    short_ranking(tiny_bundle, folder)
    assert [source.has_news(), source.has_news()] == [False, True]
    (folder / "model.onnx").write_bytes(b"half a")
    assert source.has_news() is False  # changed again since the last look
    before = source.current
    with pytest.raises(BundleError, match=r"model\.onnx has 6 bytes"):
        source.load()
    assert source.current is before
    assert [source.has_news(), source.has_news()] == [False, False]  # tried, and not again
    shutil.rmtree(folder)
    assert [source.has_news(), source.has_news()] == [False, False]
    copy(tiny_bundle, folder)
    assert [source.has_news(), source.has_news()] == [False, True]


def test_a_model_that_forgot_its_probes_is_refused(tiny_bundle, tmp_path):
    from sqz_nlu.runtime.bundle import describe, read_bundle, write_bundle

    read = read_bundle(tiny_bundle)
    about = describe(read.manifest)
    probe = {"text": "hello", "intent": {"name": "bye", "confidence": 0.9}, "entities": []}
    source = ModelSource(write_bundle(tmp_path / "b", read.contents, {**about, "probes": [probe]}))
    with pytest.raises(BundleError, match="on this machine it answers"):
        source.load()
    assert source.current is None


def test_of_a_folder_of_archives_the_newest_is_served(tiny_bundle, tmp_path):
    import tarfile

    for age, name in enumerate(("new", "old")):
        archive = tmp_path / f"{name}.tar.gz"
        bundle = tiny_bundle if name == "new" else short_ranking(tiny_bundle, tmp_path / "short")
        with tarfile.open(archive, "w:gz") as file:
            file.add(bundle, "components/train_sqz_nlu.SqueezeBertClassifier1/bundle")
        os.utime(archive, (1e9 - age, 1e9 - age))
    shutil.rmtree(tmp_path / "short")
    source = ModelSource(tmp_path)
    assert source.load().path.name == "new.tar.gz"
    os.utime(tmp_path / "old.tar.gz", (1e9 + 1, 1e9 + 1))
    assert [source.has_news(), source.has_news()] == [False, True]
    assert source.load().path.name == "old.tar.gz"


def test_what_only_looks_like_an_archive_is_passed_over(tiny_bundle, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "1.tar.gz", "w:gz") as file:
        file.add(tiny_bundle, "components/train_sqz_nlu.SqueezeBertClassifier1/bundle")
    (tmp_path / "latest.tar.gz").symlink_to("nowhere")
    (tmp_path / "._1.tar.gz").write_bytes(b"macOS's")
    (tmp_path / "folder.tar.gz").mkdir()
    assert ModelSource(tmp_path).load().path.name == "1.tar.gz"


@pytest.mark.parametrize("passing", [MemoryError("full"), OSError(24, "Too many open files")])
def test_a_failure_that_may_pass_is_tried_again(passing, tiny_bundle, monkeypatch):
    source = ModelSource(tiny_bundle)
    with monkeypatch.context() as failing:
        target = "Interpreter.load" if isinstance(passing, MemoryError) else "Path.read_bytes"
        owner, name = target.split(".")
        failing.setattr({"Interpreter": Interpreter, "Path": Path}[owner], name, Mock(side_effect=passing))
        with pytest.raises((MemoryError, BundleError)):
            source.load()
    assert [source.has_news(), source.has_news()] == [False, False]  # not at once
    source._again = 0.0
    assert source.has_news()
    source.load()
    assert not source.has_news()


async def test_a_malformed_host_changes_no_answer(slow):
    app = create_app(slow)

    async def from_nowhere(scope, receive, send):
        await app({**scope, "headers": [(b"host", b"[")]}, receive, send)

    assert (await ask(from_nowhere, "/nope"))[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"queue": 0},
        {"max_body": -1},
        {"watch": float("nan")},
        {"token": ""},
        # What YAML may bring:
        {"threads": "2"},
        {"threads": True},
        {"max_length": None},
        {"queue": 1.5},
        {"watch": "1"},
        {"cors": "https://a.example.com"},
        {"cors": [1]},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(OptionError, match=f"{next(iter(wrong))} is .*(expected|give)"):
        ServerSettings(**wrong)


def test_a_token_of_digits_is_an_error_that_does_not_show_it():
    with pytest.raises(OptionError, match="token is of type int; expected a text") as caught:
        ServerSettings(token=12345)
    assert "12345" not in str(caught.value)
    assert ServerSettings(token="12345", cors=["*"], watch=1).cors == ["*"]


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN_BUNDLE, tmp_path / "bundle")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ModelSource("~/bundle").load().path == tmp_path / "bundle"


def test_a_folder_may_be_called_as_the_encoder_in_the_package(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN_BUNDLE, tmp_path / "embedded")
    monkeypatch.chdir(tmp_path)
    assert build_parser().parse_args(["serve", "./embedded"]).model == "./embedded"
    assert ModelSource("./embedded").load().path == tmp_path / "embedded"
    with pytest.raises(BundleError, match="holds an encoder"):
        ModelSource("embedded").load()


def test_without_the_extra_there_is_a_clear_error(tiny_bundle):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        f"from sqz_nlu.cli import main; sys.exit(main(['serve', {str(tiny_bundle)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'sqz-nlu: `sqz-nlu serve` needs uvicorn. Install it: pip install "sqz-nlu[serve]"\n'
