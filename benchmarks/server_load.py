"""Open-loop load on the real HTTP server, on loopback: messages a second at p95 <= 100 ms, and recovery.

Messages arrive as a Poisson process, whether earlier ones were answered or not, on connections that are
kept open. A latency counts from the moment the message was due to the end of its answer. The rate grows by
half until p95 passes 100 ms or a message is refused, then the border is halved in. Afterwards: half of the
best rate, twice the best rate, and half again; recovered is when p95 of every half second stays below
100 ms and nothing is refused.

The generator shares the processors with the server; `late_p95_ms` says how late it was itself.

    python benchmarks/server_load.py [--model MODEL] [--seconds 10] [--threads N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import TEXTS, write_result

MODEL = Path(__file__).parent.parent / "example_bot" / "models" / "example-bot.tar.gz"
REST_SECONDS = 3.0  # the server closes connections that rest for five
LIMIT_MS = 100.0
FIRST_RATE, GROWTH, HALVINGS = 50.0, 1.5, 3
OVERLOAD_SECONDS, WINDOW_SECONDS, TIMEOUT_SECONDS = 10.0, 0.5, 30.0


@dataclass
class Answers:
    """The messages of one rate: when each was due, how late it left, how long it took, its status."""

    rate: float
    due: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Counts and percentiles; latencies are of answered messages."""
        took = [ms for ms, status in zip(self.took_ms, self.status, strict=True) if status == 200]
        p50, p95, p99 = np.percentile(took, (50, 95, 99)).round(2) if took else (None,) * 3
        return {
            "rate": round(self.rate, 1),
            "messages": len(self.status),
            "answered": len(took),
            "refused": self.status.count(503),
            "failed": len(self.status) - len(took) - self.status.count(503),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "late_p95_ms": round(float(np.percentile(self.late_ms, 95)), 2),
        }

    def sustained(self) -> bool:
        """Whether all were answered, 95 of 100 within the limit."""
        figures = self.summary()
        return figures["answered"] == figures["messages"] and figures["p95_ms"] <= LIMIT_MS

    def recovery_seconds(self) -> float:
        """When the last bad window ended, from the beginning; 0 if there was none."""
        windows: dict[int, list[float]] = {}
        for due, took, status in zip(self.due, self.took_ms, self.status, strict=True):
            windows.setdefault(int(due / WINDOW_SECONDS), []).append(took if status == 200 else np.inf)
        bad = [
            window for window, took in windows.items() if np.percentile(took, 95, method="higher") > LIMIT_MS
        ]
        return (max(bad) + 1) * WINDOW_SECONDS if bad else 0.0


class Clients:
    """Kept-open connections to the server, as many as there are unanswered messages."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, text: str) -> int:
        """Sends a message and returns the status of the answer; 0 if there was none."""
        body = json.dumps({"text": text}).encode()
        head = f"POST /model/parse HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            reader, writer = self._rested() or await self._connect()
            writer.write(head.encode() + body)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_SECONDS)
            found = re.search(rb"content-length: (\d+)", answer)
            await reader.readexactly(int(found[1]) if found else 0)
        except (OSError, EOFError, asyncio.TimeoutError):
            return 0
        self._idle.append((time.perf_counter(), reader, writer))
        return int(answer[9:12])

    def close(self) -> None:
        """Closes the idle connections."""
        for _, _, writer in self._idle:
            writer.close()
        self._idle.clear()

    def _rested(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The idle connection that rested least, if any is young enough."""
        if self._idle and time.perf_counter() - self._idle[-1][0] < REST_SECONDS:
            return self._idle.pop()[1:]
        self.close()
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


async def load(clients: Clients, rate: float, seconds: float, seed: int) -> Answers:
    """Sends messages for some seconds and waits for all answers."""
    chance = random.Random(seed)
    answers = Answers(rate)
    started = time.perf_counter()

    async def send(due: float, text: str) -> None:
        late = time.perf_counter() - started - due
        status = await clients.ask(text)
        answers.due.append(due)
        answers.late_ms.append(1000 * late)
        answers.took_ms.append(1000 * (time.perf_counter() - started - due))
        answers.status.append(status)

    tasks = []
    due = chance.expovariate(rate)
    while due < seconds:
        await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
        tasks.append(asyncio.create_task(send(due, chance.choice(TEXTS))))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    return answers


async def find_best_rate(port: int, seconds: float) -> tuple[float, list[Answers]]:
    """The highest rate that was sustained, and all that were tried."""
    tried: list[Answers] = []

    async def sustained(rate: float) -> bool:
        clients = Clients(port)
        tried.append(await load(clients, rate, seconds, seed=len(tried)))
        clients.close()
        print(f"  {tried[-1].summary()}", file=sys.stderr)
        await asyncio.sleep(1)
        return tried[-1].sustained()

    best, rate = 0.0, FIRST_RATE
    while await sustained(rate):
        best, rate = rate, rate * GROWTH
    for _ in range(HALVINGS):
        middle = (best + rate) / 2
        best, rate = (middle, rate) if await sustained(middle) else (best, middle)
    return best, tried


async def overload(port: int, best: float) -> dict[str, Answers]:
    """Half the best rate, twice the best rate, and half again without a pause."""
    clients = Clients(port)
    phases = {}
    for seed, (name, rate) in enumerate((("before", best / 2), ("overload", best * 2), ("after", best / 2))):
        phases[name] = await load_without_waiting(clients, rate, seed)
    return {name: await phase for name, phase in phases.items()}


async def load_without_waiting(clients: Clients, rate: float, seed: int) -> asyncio.Task[Answers]:
    """Sends messages for `OVERLOAD_SECONDS`; the answers may come later."""
    task = asyncio.create_task(load(clients, rate, OVERLOAD_SECONDS, 1000 + seed))
    await asyncio.sleep(OVERLOAD_SECONDS)
    return task


def start_server(model: Path, options: list[str]) -> tuple[subprocess.Popen[str], int]:
    """A server process on a free port, ready."""
    command = [sys.executable, "-m", "sqz_nlu.cli", "serve", str(model), "--port", "0", *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    port = 0
    for line in server.stderr:
        print(line, end="", file=sys.stderr)
        if " listening " in line:
            port = int(line.split("port=")[1])
        if " ready " in line:
            return server, port
    sys.exit("The server did not start. Train the bot first: make train-bot")


def server_megabytes(port: int) -> float:
    """Resident memory of the server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        found = re.search(r"^process_resident_memory_bytes (\S+)", response.read().decode(), re.M)
    return round(float(found[1]) / 2**20, 1) if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate")
    parser.add_argument("--threads", type=int, help="threads of the server; its default if left out")
    arguments = parser.parse_args()
    options = ["--threads", str(arguments.threads)] if arguments.threads else []
    server, port = start_server(arguments.model, options)
    try:
        asyncio.run(load(Clients(port), FIRST_RATE, 2.0, seed=99))  # warm-up
        best, tried = asyncio.run(find_best_rate(port, arguments.seconds))
        if not best:
            sys.exit(f"Not even {FIRST_RATE:g} messages a second at p95 <= {LIMIT_MS:g} ms.")
        phases = asyncio.run(overload(port, best))
        memory = server_megabytes(port)
    finally:
        server.terminate()
        server.wait(60)
    rates = sorted((answers.summary() for answers in tried), key=lambda figures: figures["rate"])
    result = {
        "server_options": options,
        "texts": TEXTS,
        "seconds_a_rate": arguments.seconds,
        "rates": rates,
        "messages_per_second_at_p95_100_ms": round(best, 1),
        "overload": {name: answers.summary() for name, answers in phases.items()},
        "recovery_seconds": phases["after"].recovery_seconds(),
        "server_resident_mb": memory,
    }
    columns = ("rate", "answered", "refused", "p50_ms", "p95_ms", "p99_ms")
    print("| messages/s | answered | refused | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|---|")
    for figures in [*rates, *(phase.summary() for phase in phases.values())]:
        print("| " + " | ".join(str(figures[column]) for column in columns) + " |")
    print(f"\nSustained at p95 <= {LIMIT_MS:g} ms: {best:.0f} messages/s.")
    print(f"Recovered {result['recovery_seconds']:g} s after {OVERLOAD_SECONDS:g} s of twice that.")
    print(write_result("server-load", result))


if __name__ == "__main__":
    main()
