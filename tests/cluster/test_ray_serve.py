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

import httpx
import pytest
import yaml
from golden_set import CONFIDENCE_IN_BATCHES, assert_golden, golden_messages

from sqz_nlu import Interpreter
from sqz_nlu.errors import OptionError
from sqz_nlu.serving.ray_serve import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(cluster, tiny_bundle, tmp_path_factory):
    """The address of a server that `serve run` has started from deploy/serve.yaml."""
    config = yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text("utf-8"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config["http_options"] = {"host": "127.0.0.1", "port": port}
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


def test_wrong_arguments_are_clear_errors():
    with pytest.raises(OptionError, match="Did you mean 'max_batch_size'"):
        build({"model": "x", "max_batchsize": 4})
    with pytest.raises(OptionError, match="No model given"):
        build({})
    with pytest.raises(OptionError, match="threads is 0"):
        build({"model": "x", "threads": 0})
