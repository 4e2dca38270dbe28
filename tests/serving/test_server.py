"""A real server process, asked over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from golden_set import BUNDLE as GOLDEN_BUNDLE
from golden_set import CONFIDENCE_IN_BATCHES, assert_golden, golden_messages, golden_parses
from prometheus_client.parser import text_string_to_metric_families
from served import PATIENCE, Load, Served, copy, serving, short_ranking

from sqz_nlu import Interpreter, __version__
from sqz_nlu.runtime.bundle import MODEL

TEXTS = [
    "hello",
    "turn on the light in the kitchen",
    "fly from paris to new york",
    "bedroom on, garden on",
    "Straße nach Köln 🙂 bitte",
    "x" * 3000,
    "",
]
TOKEN = "sesame-öffne"


@pytest.fixture(scope="module")
def served(tiny_bundle):
    with serving(tiny_bundle) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tiny_bundle):
    """A server with a token and low limits."""
    limits = ("--max-body", "500", "--max-length", "50", "--max-batch", "3")
    with serving(tiny_bundle, "--token", TOKEN, "--cors", "https://a.example", *limits) as server:
        yield server


@pytest.mark.parametrize("text", TEXTS)
def test_answers_are_those_of_the_interpreter(served, interpreter, text):
    assert served.parse(text) == json.loads(json.dumps(interpreter.parse(text).to_dict()))


def test_the_golden_parses():
    expected = golden_messages()
    with serving(GOLDEN_BUNDLE) as server:
        assert_golden([server.parse(parse["text"]) for parse in expected], expected)
        expected = golden_parses()[:128]
        batch = server.ask("POST", "/parse/batch", {"texts": [parse["text"] for parse in expected]})[2]
    assert_golden(batch, expected, CONFIDENCE_IN_BATCHES)


def test_messages_are_stripped_as_in_rasa(served, interpreter):
    assert served.parse(" \n hello ") == interpreter.parse("hello").to_dict()


def test_a_lone_surrogate_comes_back_as_it_went(served):
    assert served.parse("hello \ud800 light")["text"] == "hello \ud800 light"


def test_a_batch(served, interpreter):
    status, _, answer = served.ask("POST", "/parse/batch", {"texts": TEXTS})
    assert (status, answer) == (200, [parse.to_dict() for parse in interpreter.parse_batch(TEXTS)])
    assert served.ask("POST", "/parse/batch", {"texts": []})[2] == []


def test_sixteen_clients_get_what_one_gets(served, interpreter):
    texts = [f"{text} {number}" for number in range(20) for text in TEXTS[:5]]
    serial = [interpreter.parse(text).to_dict() for text in texts]
    with ThreadPoolExecutor(16) as clients:
        assert list(clients.map(served.parse, texts)) == serial


def test_what_it_says_about_itself(served, tiny_bundle):
    assert served.ask("GET", "/")[2] == f"Hello from sqz-nlu: {__version__}".encode()
    assert served.ask("GET", "/health")[::2] == (200, {"status": "alive"})
    assert served.ask("GET", "/version")[2]["version"] == __version__
    checksum = Interpreter.load(tiny_bundle).manifest["checksum"]
    assert checksum.startswith(served.ask("GET", "/ready")[2]["model_id"])
    status = served.ask("GET", "/status")[2]
    assert (status["model_file"], status["intents"]) == (tiny_bundle.name, 5)
    assert served.ask("HEAD", "/health")[0] == 200


def _metrics(served: Served) -> dict[tuple[str, ...], float]:
    status, headers, text = served.ask("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_metrics(served):
    before = _metrics(served)
    served.parse("hello")
    served.ask("POST", "/parse/batch", {"texts": ["a", "b"]})
    served.ask("POST", "/model/parse", {"text": 1})
    served.ask("GET", "/nowhere")
    after = _metrics(served)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert grown("sqz_nlu_requests_total", "/model/parse", "200") == 1
    assert grown("sqz_nlu_requests_total", "/model/parse", "400") == 1
    assert grown("sqz_nlu_requests_total", "other", "404") == 1
    assert grown("sqz_nlu_request_seconds_count", "/parse/batch") == 1
    assert grown("sqz_nlu_parse_seconds_count") == 2
    assert grown("sqz_nlu_texts_total") == 3
    assert after["sqz_nlu_requests_in_flight",] == 1  # this one
    model = served.ask("GET", "/ready")[2]["model_id"]
    assert any(key[0] == "sqz_nlu_model_info" and model in key for key in after)
    assert 0 < time.time() - after["sqz_nlu_model_loaded_timestamp_seconds",] < 3600


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "BadRequest"),
        (b"{", 400, "BadRequest"),
        (b"\xff\xfe", 400, "BadRequest"),
        (b"[" * 100_000, 400, "BadRequest"),
        (["hello"], 400, "BadRequest"),
        ({}, 400, "BadRequest"),
        ({"text": None}, 400, "BadRequest"),
        ({"text": 3}, 400, "BadRequest"),
        ({"text": "x" * 10_001}, 413, "TextTooLong"),
        (b" " * (2**20 + 1), 413, "RequestTooLarge"),
    ],
)
def test_bad_requests_get_errors_in_rasas_shape(served, body, status, reason):
    code, _, error = served.ask("POST", "/model/parse", body)
    assert (code, error["reason"], error["code"]) == (status, reason, status)
    assert error.keys() == {"version", "status", "message", "reason", "details", "help", "code"}
    assert (error["status"], bool(error["message"])) == ("failure", True)


@pytest.mark.parametrize("texts", [None, "hello", ["hello", 3], [None]])
def test_bad_batches(served, texts):
    code, _, error = served.ask("POST", "/parse/batch", {"texts": texts})
    assert (code, error["reason"]) == (400, "BadRequest")


def test_unknown_paths_methods_and_emulations(served):
    assert served.ask("GET", "/nowhere")[2]["reason"] == "NotFound"
    status, headers, error = served.ask("GET", "/model/parse")
    assert (status, headers["allow"], error["reason"]) == (405, "POST", "MethodNotAllowed")
    status, _, error = served.ask("POST", "/model/parse?emulation_mode=LUIS", {"text": "hello"})
    assert (status, error["details"]) == (400, {"parameter": "emulation_mode", "in": "query"})


def test_limits_can_be_set(guarded):
    path = "/{}?token=sesame-%C3%B6ffne"

    def refused(verb: str, body: object) -> str:
        status, _, error = guarded.ask("POST", path.format(verb), body)
        assert status == 413
        return error["reason"]

    assert guarded.parse("x" * 50, path.format("model/parse"))["text"] == "x" * 50
    assert refused("model/parse", {"text": "x" * 51}) == "TextTooLong"
    assert refused("model/parse", {"text": "hello", "more": "x" * 500}) == "RequestTooLarge"
    assert refused("parse/batch", {"texts": ["x" * 51]}) == "TextTooLong"
    assert refused("parse/batch", {"texts": ["x"] * 4}) == "BatchTooLarge"


def test_the_token_opens_in_three_ways(guarded):
    ways = [
        ("?token=sesame-%C3%B6ffne", {}, {}),
        ("", {"Authorization": f"Bearer {TOKEN}".encode()}, {}),
        ("", {}, {"token": TOKEN}),
    ]
    for query, headers, more in ways:
        answer = guarded.ask("POST", f"/model/parse{query}", {"text": "hello", **more}, **headers)
        assert answer[0] == 200, answer


@pytest.mark.parametrize("query", ["", "?token=", "?token=sesame", "?token=%ED%A0%80"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/model/parse", {"text": "hello"}),
        ("POST", "/model/parse", b"{"),
        ("POST", "/model/parse", {"text": "hello", "token": 7}),
        ("POST", "/parse/batch", {"texts": ["hello"]}),
        ("GET", "/status", None),
        ("GET", "/metrics", None),
    ],
)
def test_without_the_token_nothing_is_said(guarded, method, path, body, query):
    wrong = {} if query else {"Authorization": "Bearer wrong"}
    status, headers, error = guarded.ask(method, path + query, body, **wrong)
    assert (status, error["reason"], headers["www-authenticate"]) == (401, "NotAuthenticated", "Bearer")


def test_health_and_readiness_need_no_token(guarded):
    assert [guarded.ask("GET", path)[0] for path in ("/", "/health", "/ready", "/version")] == [200] * 4


def test_browsers_of_allowed_origins_may_ask(guarded, served):
    def allowed(server: Served, origin: str, method: str = "POST") -> tuple[int, str | None]:
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        headers["Access-Control-Request-Headers"] = "authorization, content-type"
        status, answered, _ = server.ask("OPTIONS", "/model/parse", **headers)
        return status, answered["access-control-allow-origin"]

    assert allowed(guarded, "https://a.example") == (200, "https://a.example")
    assert allowed(guarded, "https://a.example", "GET") == (200, "https://a.example")
    assert allowed(guarded, "https://a.example", "DELETE")[0] == 400
    assert allowed(guarded, "https://b.example") == (400, None)
    assert allowed(served, "https://a.example") == (405, None)


def test_the_token_is_not_logged(guarded):
    guarded.ask("POST", "/model/parse?token=sesame-%C3%B6ffne", {"text": "a secret"})
    assert "sesame" not in guarded.log
    assert "secret" not in guarded.log


def test_overload_is_refused_and_passes(tiny_bundle):
    batch = {"texts": ["turn on the light in the kitchen " * 20] * 128}
    with serving(tiny_bundle, "--threads", "1", "--queue", "1") as server, ThreadPoolExecutor(16) as clients:
        for _ in range(20):
            answers = list(clients.map(lambda _: server.ask("POST", "/parse/batch", batch), range(16)))
            if {status for status, _, _ in answers} == {200, 503}:
                break
        refused = [headers for status, headers, _ in answers if status == 503]
        assert refused, "never refused"
        assert {headers["retry-after"] for headers in refused} == {"1"}
        assert [server.ask("POST", "/model/parse", {"text": "hello"})[0] for _ in range(5)] == [200] * 5
        assert server.log.count(" overloaded ") == 1


def test_a_new_bundle_takes_over_without_a_lost_request(tiny_bundle, tmp_path):
    text = "turn on the light in the kitchen"
    old = Interpreter.load(tiny_bundle).parse(text).to_dict()
    folder = copy(tiny_bundle, tmp_path / "bundle")
    with serving(folder, "--watch", "0.1") as server:
        load = Load(server, 4, text)
        short_ranking(tiny_bundle, folder)
        server.wait_for_log(" model-loaded ")
        new = Interpreter.load(folder).parse(text).to_dict()
        assert server.parse(text) == new

        damaged = copy(folder, tmp_path / "damaged")
        content = bytearray((damaged / MODEL).read_bytes())
        content[len(content) // 2] ^= 1
        (damaged / MODEL).write_bytes(content)
        folder.rename(tmp_path / "gone")
        damaged.rename(folder)
        server.wait_for_log(" model-refused .*SHA-256")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log(" model-refused ", times=2)
        assert server.parse(text) == new
        load.end()
        assert server.log.count(" model-refused ") == 2  # the same damage is not tried again and again
        assert server.stop() == 0
    assert load.lost == []
    for answers in load.answers:
        switch = answers.index(new)
        assert answers == [old] * switch + [new] * (len(answers) - switch)
        assert 0 < switch < len(answers)


def test_sighup_loads_again(tiny_bundle, tmp_path):
    folder = copy(tiny_bundle, tmp_path / "bundle")
    with serving(folder, "--watch", "0") as server:
        short_ranking(tiny_bundle, folder)
        assert len(server.parse("hello")["intent_ranking"]) > 1
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log(" model-loaded ")
        assert len(server.parse("hello")["intent_ranking"]) == 1


def test_sigterm_drops_nothing_that_was_accepted(tiny_bundle):
    with serving(tiny_bundle) as server:
        load = Load(server, 4, "hello")
        body = b'{"text": "turn on the light"}'
        slow = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        head = f"POST /model/parse HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        slow.sendall(head.encode() + body[:10])
        while not all(load.answers):
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        load.join()  # until new connections are refused
        assert load.lost == []
        slow.sendall(body[10:])
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"turn_on"' in answer
        assert server.join() == 0
        assert server.log.splitlines()[-1].endswith(" stopped")


def test_an_interrupt_ends_it_with_130(tiny_bundle):
    with serving(tiny_bundle) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.join() == 130


def _fails(*arguments: object) -> str:
    command = [sys.executable, "-m", "sqz_nlu.cli", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()[-1]


def test_clear_errors_at_the_start(tiny_bundle, tmp_path: Path):
    assert "holds an encoder without intents" in _fails("embedded", "--port", 0)
    assert "holds neither a bundle nor a model archive" in _fails(tmp_path, "--port", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Cannot listen on port" in _fails(tiny_bundle, "--port", taken.getsockname()[1])
