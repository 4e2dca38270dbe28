"""Rasa bots whose NLU is this server: ``nlu: url:`` in endpoints.yml."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from served import PATIENCE, serving

TOKEN = "sesame"
DOMAIN = """
version: "3.1"
intents: [greet, bye, fly, turn_on, turn_off]
entities: [city, device, room]
responses:
  utter_greet: [{text: "Hello!"}]
  utter_bye: [{text: "Bye!"}]
"""
RULES = """
version: "3.1"
rules:
- rule: greet
  steps: [{intent: greet}, {action: utter_greet}]
- rule: bye
  steps: [{intent: bye}, {action: utter_bye}]
"""
CONFIG = """
recipe: default.v1
assistant_id: without-nlu
language: en
pipeline: []
policies: [{name: RulePolicy}]
"""


@pytest.fixture(scope="module")
def served(tiny_bundle):
    with serving(tiny_bundle, "--token", TOKEN) as server:
        yield server


async def test_rasas_own_client_understands_through_it(served, interpreter):
    from rasa.core.channels import UserMessage
    from rasa.core.http_interpreter import RasaNLUHttpInterpreter
    from rasa.utils.endpoints import EndpointConfig

    client = RasaNLUHttpInterpreter(EndpointConfig(f"http://127.0.0.1:{served.port}", token=TOKEN))
    stranger = RasaNLUHttpInterpreter(EndpointConfig(f"http://127.0.0.1:{served.port}/", token="wrong"))
    try:
        for text in ("hello", "fly from paris to london", "turn on the light in the kitchen", ""):
            assert await client.parse(UserMessage(text)) == interpreter.parse(text).to_dict()
        button = await client.parse(UserMessage('/fly{"city": "Oslo"}'))
        assert (button["intent"]["name"], button["entities"][0]["value"]) == ("fly", "Oslo")
        assert (await stranger.parse(UserMessage("hello")))["intent"]["name"] == ""
    finally:
        await client.session.close()
        await stranger.session.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _say(port: int, text: str) -> list[str]:
    body = json.dumps({"sender": "test", "message": text}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/webhooks/rest/webhook", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return [message["text"] for message in json.load(response)]


def _wait_for_rasa(bot: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 5 * PATIENCE
    while True:
        assert bot.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return


def test_a_bot_without_nlu_answers_through_it(served, tmp_path: Path):
    from rasa.model_training import train_core

    for name, text in (("domain.yml", DOMAIN), ("rules.yml", RULES), ("config.yml", CONFIG)):
        (tmp_path / name).write_text(text)
    model = train_core(
        str(tmp_path / "domain.yml"), str(tmp_path / "config.yml"), str(tmp_path / "rules.yml"), str(tmp_path)
    )
    endpoints = tmp_path / "endpoints.yml"
    endpoints.write_text(f"nlu:\n  url: http://127.0.0.1:{served.port}\n  token: {TOKEN}\n")
    port, log = _free_port(), tmp_path / "rasa.log"
    run = ["run", "--enable-api", "--model", model, "--endpoints", endpoints, "-i", "127.0.0.1", "-p", port]
    with log.open("wb") as output:
        bot = subprocess.Popen(
            [sys.executable, "-m", "rasa", *map(str, run)],
            stdout=output,
            stderr=output,
            cwd=tmp_path,
            env={**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    try:
        _wait_for_rasa(bot, port, log)
        assert _say(port, "hello") == ["Hello!"]
        assert _say(port, "bye") == ["Bye!"]
        assert _say(port, "/greet") == ["Hello!"]
    finally:
        bot.send_signal(signal.SIGTERM)
        try:
            bot.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            bot.kill()
            bot.wait()
