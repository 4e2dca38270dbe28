"""A real ``sqz-nlu serve`` process, and a client that notices every lost request."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sqz_nlu.runtime.bundle import CONFIG, FILES, canonical_json, describe, read_bundle, write_bundle

PATIENCE = 60.0


class Served:
    """A server process that listens on a free port of the loopback."""

    def __init__(self, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "sqz_nlu.cli", "serve", str(model), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait_for_log(r"listening .*port=(\d+)")[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def wait_for_log(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Waits until the log has the pattern so many times."""
        end = time.monotonic() + PATIENCE
        while len(found := list(re.finditer(pattern, self.log))) < times:
            assert time.monotonic() < end, f"no {times} x {pattern} in the log:\n{self.log}"
            assert self.process.poll() is None or self._reader.is_alive(), self.log
            time.sleep(0.02)
        return found[-1]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: object = None, **headers: str):
        """One request on a connection of its own: status, headers, body."""
        connection = self.connect()
        with contextlib.closing(connection):
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, {name.replace("_", "-"): v for name, v in headers.items()})
            response = connection.getresponse()
            content = response.read()
        if content and response.headers.get("content-type") == "application/json":
            content = json.loads(content)
        return response.status, response.headers, content

    def parse(self, text: str, path: str = "/model/parse"):
        status, _, answer = self.ask("POST", path, {"text": text})
        assert status == 200, answer
        return answer

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.join()

    def join(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        assert self.process.stdout.read() == ""
        return code


@contextlib.contextmanager
def serving(model: Path, *options: str) -> Iterator[Served]:
    """A server that is ready, and gone afterwards."""
    served = Served(model, *options)
    try:
        served.wait_for_log(" ready ")
        yield served
    finally:
        served.process.kill()
        served.process.wait()


class Load:
    """Clients that ask without a pause on connections they keep open, as Rasa's client does.

    Attributes:
        answers: what each client got, in order.
        lost: requests that were sent and not answered with 200.
    """

    def __init__(self, served: Served, clients: int, text: str) -> None:
        self.answers: list[list[dict]] = [[] for _ in range(clients)]
        self.lost: list[str] = []
        self._served, self._body = served, json.dumps({"text": text}).encode()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(one,)) for one in self.answers]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Waits for the clients; each stops by itself when the server takes no more connections."""
        self._enough.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _client(self, answers: list[dict]) -> None:
        connection = self._served.connect()
        while not self._enough.is_set():
            if connection.sock is None or select.select([connection.sock], [], [], 0)[0]:
                connection.close()  # the server closed it between two requests
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return
            try:
                connection.request("POST", "/model/parse", self._body)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                return
            if response.status == 200:
                answers.append(json.loads(content))
            else:
                self.lost.append(f"{response.status} {content!r}")
        connection.close()


def short_ranking(bundle: Path, folder: Path) -> Path:
    """A copy that can be told apart: it ranks one intent only."""
    read = read_bundle(bundle)
    decoding = {**read.config["decoding"], "ranking_length": 1}
    contents = {**read.contents, CONFIG: canonical_json({**read.config, "decoding": decoding})}
    return write_bundle(folder, contents, describe(read.manifest))


def copy(bundle: Path, folder: Path) -> Path:
    """A faithful copy; replaces what was there in one step."""
    read = read_bundle(bundle)
    return write_bundle(folder, {name: read.contents[name] for name in FILES}, describe(read.manifest))
