"""A real `rasa run` with two workers: parsing, training beside it, and a new model while it runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from tiny_bot import NLU, configuration, train

from sqz_nlu import Interpreter

pytestmark = pytest.mark.slow

TEXTS = ["hello", "bye", "turn on the light in the garden", "fly from paris to london", "kitchen lights on"]
# Rasa allows several workers only with a lock store that is not its own in-memory one.
LOCKS = """
from rasa.core.lock_store import InMemoryLockStore


class Locks(InMemoryLockStore):
    def __init__(self, endpoint_config=None):
        super().__init__()
"""


class Server:
    """A `rasa run --enable-api` process."""

    def __init__(self, folder: Path, model: Path, workers: int) -> None:
        (folder / "locks.py").write_text(LOCKS)
        (folder / "endpoints.yml").write_text("lock_store:\n  type: locks.Locks\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = os.pathsep.join([str(folder), *filter(None, sys.path)])
        command = ["run", "--enable-api", "--model", str(model), "--port", str(self.port)]
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rasa", *command, "--endpoints", str(folder / "endpoints.yml")],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": path, "SANIC_WORKERS": str(workers)},
                stdout=log,
                stderr=log,
            )
        self._wait(folder / "server.log")

    def _wait(self, log: Path) -> None:
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                self.parse("hello")
            except OSError:
                time.sleep(0.5)
            else:
                return
        raise AssertionError(log.read_text()[-3000:])

    def request(self, path: str, body: bytes, kind: str, method: str = "POST") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": kind}, method=method
        )
        with urllib.request.urlopen(request, timeout=300) as response:
            return response.read()

    def parse(self, text: str) -> dict:
        body = json.dumps({"text": text}).encode()
        return json.loads(self.request("/model/parse", body, "application/json"))


@pytest.fixture
def project(tiny_options, tmp_path: Path) -> tuple[Path, dict]:
    config = configuration(tiny_options)
    model = train(tmp_path / "first", config)
    assert model is not None
    return model, config


def answers(parse, texts: list[str]) -> list[tuple]:
    found = [parse(text) for text in texts]
    return [
        (p["intent"]["name"], [(e["start"], e["end"], e["entity"]) for e in p["entities"]]) for p in found
    ]


@pytest.fixture
def serve(tmp_path: Path):
    servers = []

    def start(model: Path, workers: int) -> Server:
        folder = tmp_path / "server"
        folder.mkdir()
        servers.append(Server(folder, model, workers))
        return servers[-1]

    yield start
    for server in servers:
        server.process.terminate()
        server.process.wait(30)


def test_two_workers_answer_right_beside_training(project, serve) -> None:
    model, config = project
    interpreter = Interpreter.load(model)
    expected = answers(lambda text: interpreter.parse(text).to_dict(), TEXTS)
    server = serve(model, 2)
    payload = yaml.safe_dump(config, sort_keys=False) + NLU.replace("- bye bye", "- bye bye bye")
    with ThreadPoolExecutor(9) as pool:
        training = pool.submit(server.request, "/model/train", payload.encode(), "application/x-yaml")
        rounds = 0
        while not training.done() or rounds < 5:
            parallel = [pool.submit(answers, server.parse, TEXTS) for _ in range(8)]
            assert all(turn.result() == expected for turn in parallel)
            rounds += 1
    assert training.result()[:2] == b"\x1f\x8b"  # a gzip archive


def test_a_new_model_takes_over_while_the_server_runs(project, serve, tmp_path: Path) -> None:
    model, config = project
    other = NLU.replace("intent: greet", "intent: welcome")
    second = train(tmp_path / "second", config, other)
    assert second is not None
    server = serve(model, 1)
    assert server.parse("hello")["intent"]["name"] == "greet"
    with ThreadPoolExecutor(4) as pool:
        parsing = [pool.submit(server.parse, "hello") for _ in range(200)]
        body = json.dumps({"model_file": str(second)}).encode()
        server.request("/model", body, "application/json", "PUT")
        assert {future.result()["intent"]["name"] for future in parsing} <= {"greet", "welcome"}
    assert server.parse("hello")["intent"]["name"] == "welcome"
