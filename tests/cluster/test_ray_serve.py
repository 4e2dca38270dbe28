"""`serve run` with the committed configuration answers as the interpreter does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import yaml
from golden_set import CONFIDENCE_IN_BATCHES, assert_golden, golden_messages

from sqz_nlu import Interpreter
from sqz_nlu.errors import OptionError
from sqz_nlu.serving.metrics import ServerMetrics
from sqz_nlu.serving.model import ModelSource, ServedModel
from sqz_nlu.serving.ray_serve import BatchingPool, build
from sqz_nlu.serving.responses import RequestError
from sqz_nlu.serving.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(cluster, tiny_bundle, tmp_path_factory):
    """The address of a server that `serve run` has started from deploy/serve.yaml."""
    config = yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text("utf-8"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    # The nodes are processes of this machine: two proxies would share the port, and one that leaves resets
    # connections that the kernel gave to it.
    config["proxy_location"] = "HeadOnly"
    config["applications"][0]["args"]["model"] = str(tiny_bundle)
    folder = tmp_path_factory.mktemp("serve")
    (folder / "serve.yaml").write_text(yaml.safe_dump(config), "utf-8")
    cluster.add_node(num_cpus=1)
    command = [Path(sys.executable).with_name("serve"), "run", folder / "serve.yaml"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(part) for part in [*command, "--address", cluster.address]],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address, process, folder / "log")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _wait_until_ready(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 180
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            if httpx.get(f"{address}/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


def test_requests_one_by_one_get_the_golden_parses(server):
    expected = golden_messages()
    answers = [httpx.post(f"{server}/model/parse", content=body(parse["text"])) for parse in expected]
    assert {answer.status_code for answer in answers} == {200}
    assert_golden([answer.json() for answer in answers], expected, CONFIDENCE_IN_BATCHES)
    assert httpx.post(f"{server}/model/parse", json={}).status_code == 400


def body(text: str) -> str:
    """JSON in ASCII: what is half of a surrogate pair arrives as it is."""
    return json.dumps({"text": text})


def metric(server: str, name: str) -> float:
    lines = httpx.get(f"{server}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def test_requests_at_once_are_parsed_together_and_each_gets_its_own_answer(server, tiny_bundle):
    rooms, cities = ("kitchen", "bedroom", "garden"), ("paris", "london")
    texts = [f"turn {switch} the light in the {room}" for switch in ("on", "off") for room in rooms]
    texts += [f"fly from {city} to {other}" for city in cities for other in cities]
    texts *= 20
    parsed, runs = metric(server, "sqz_nlu_texts_total"), metric(server, "sqz_nlu_parse_seconds_count")
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post(f"{server}/model/parse", json={"text": text}) for text in texts)
        )
    expected = [parse.to_dict() for parse in Interpreter.load(tiny_bundle).parse_batch(texts)]
    assert_golden([answer.json() for answer in answers], expected, CONFIDENCE_IN_BATCHES)
    assert metric(server, "sqz_nlu_texts_total") - parsed == len(texts)
    assert metric(server, "sqz_nlu_parse_seconds_count") - runs < len(texts) / 2


class Model:
    """Fails for batches with one of its texts, and for that text."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def parse(self, text: str) -> SimpleNamespace:
        if text == "bad":
            raise RuntimeError("out of luck")
        return SimpleNamespace(to_dict=lambda: {"text": text})

    def parse_batch(self, texts: list[str]) -> list[SimpleNamespace]:
        self.batches.append(texts)
        return [self.parse(text) for text in texts]


@pytest.fixture
def pool(monkeypatch):
    """A pool with batches of three, and what Ray was asked for; Ray's own batches need a replica."""
    asked = {}

    def batch(**options):
        asked.update(options)

        def together(function):
            waiting = []

            async def put(text):
                answer = asyncio.get_running_loop().create_future()
                waiting.append((text, answer))
                if len(waiting) == options["max_batch_size"]:
                    texts, answers = zip(*waiting, strict=True)
                    for one, value in zip(answers, await function(list(texts)), strict=True):
                        one.set_result(value)
                return await answer

            return put

        return together

    monkeypatch.setattr("sqz_nlu.serving.ray_serve.serve.batch", batch)
    source = ModelSource("nowhere")
    source.current = ServedModel(Model(), source.path, "f", 0.0)
    settings = ServerSettings(threads=2, queue=1)
    pool = BatchingPool(source, settings, ServerMetrics(source), max_batch_size=3, batch_wait_seconds=0.0)
    yield pool, asked, source.current.interpreter
    pool.close()


async def test_a_text_that_fails_is_an_error_for_its_client_alone(pool):
    pool, asked, model = pool
    assert asked["max_concurrent_batches"] == 2
    answers = await asyncio.gather(*map(pool.parse, ("hello", "bad", "bye")), return_exceptions=True)
    assert model.batches == [["hello", "bad", "bye"]]
    assert [json.loads(answers[index])["text"] for index in (0, 2)] == ["hello", "bye"]
    assert answers[1].body["reason"] == "ParsingError"
    assert json.loads(await pool.parse("/greet"))["intent"]["name"] == "greet"


async def test_texts_that_wait_for_a_batch_are_counted(pool):
    pool, _, _ = pool
    waiting = [asyncio.create_task(pool.parse(str(number))) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RequestError, match="2 texts are waiting"):
        await pool.parse_batch(["a", "b"])
    assert json.loads(await pool.parse("2")) == {"text": "2"}
    assert [json.loads(answer)["text"] for answer in await asyncio.gather(*waiting)] == ["0", "1"]


def test_wrong_arguments_are_clear_errors():
    with pytest.raises(OptionError, match="Did you mean 'max_batch_size'"):
        build({"model": "x", "max_batchsize": 4})
    with pytest.raises(OptionError, match="No model given"):
        build({})
    with pytest.raises(OptionError, match="threads is 0"):
        build({"model": "x", "threads": 0})
    with pytest.raises(OptionError, match=r"cors is 'https://a\.example'; expected a list"):
        build({"model": "x", "cors": "https://a.example"})
