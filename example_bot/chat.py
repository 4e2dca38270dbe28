"""Talk to the example bot.

In a terminal this is `rasa shell`. Otherwise each line of standard input is one message and the
whole input one conversation; what was said is printed as `you: ...` and `bot: ...`. Everything that
Rasa and TensorFlow have to say about themselves goes to `example_bot/chat.log`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).resolve().parent
LOG = HERE / "chat.log"
QUIET = {
    "RASA_TELEMETRY_ENABLED": "false",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class ChatError(Exception):
    """The conversation cannot begin or go on; the message is one line for the user."""


def main() -> int:
    """Answers until the input ends; returns the exit code."""
    parser = argparse.ArgumentParser(description="Talk to the example bot.")
    parser.add_argument(
        "--model", type=Path, default=HERE / "models", help="a trained model, or a folder: its newest"
    )
    terminal = sys.stderr
    try:
        model = newest_model(parser.parse_args().model)
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        if sys.stdin.isatty():
            become_shell(model)
        conversation, terminal = divert_output()
        converse(model, conversation)
    except ChatError as error:
        print(f"chat: error: {error}", file=terminal, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return 0


def newest_model(place: Path) -> Path:
    """The model at `place`, or the newest model in the folder `place`."""
    models = place.glob("*.tar.gz") if place.is_dir() else [place] if place.is_file() else []
    newest = max(models, key=lambda model: model.stat().st_mtime, default=None)
    if newest is None:
        raise ChatError(f"there is no trained model at {place}; run 'make train-bot'")
    return newest


def become_shell(model: Path) -> None:
    """Replaces this process by `rasa shell`, which has a prompt, colours and buttons."""
    print("Loading the bot ...", flush=True)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, sys.stderr.fileno())
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "rasa", "shell", "--quiet", "--model", str(model), "--port", str(port)]
    os.execv(sys.executable, command)


def divert_output() -> tuple[TextIO, TextIO]:
    """Sends what is written from now on, by C libraries too, to the log.

    Returns:
        What still leads to the standard output and to the standard error of before.
    """
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    kept = [os.dup(stream.fileno()) for stream in (sys.stdout, sys.stderr)]
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    output, errors = (os.fdopen(number, "w", encoding="utf-8", errors="replace") for number in kept)
    return output, errors


def converse(model: Path, conversation: TextIO) -> None:
    """Loads `model` and answers each line of standard input."""
    try:
        agent = load_agent(model)
    except Exception as error:
        logging.exception("loading failed")
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ChatError(f"cannot load {model}: {reason}; run 'make train-bot', or see {LOG}") from error
    loop = asyncio.new_event_loop()
    for message in messages():
        print(f"you: {message}", file=conversation, flush=True)
        try:
            answers = loop.run_until_complete(agent.handle_text(message, sender_id="chat"))
        except Exception as error:
            logging.exception("no answer to %r", message)
            raise ChatError(f"no answer to {message!r}: {type(error).__name__}; see {LOG}") from error
        for answer in answers or []:
            for line in wording(answer):
                print(f"bot: {line}", file=conversation, flush=True)


def load_agent(model: Path) -> Any:
    """Rasa's agent for `model`, without an action server."""
    # TensorFlow Lite imports jax where it is installed: a second that this bot never needs.
    sys.modules.setdefault("jax", None)  # type: ignore[arg-type]
    warnings.simplefilter("ignore")
    from rasa.core.agent import Agent
    from rasa.utils.log_utils import configure_structlog

    configure_structlog(logging.INFO)
    return Agent.load(str(model))


def messages() -> Iterator[str]:
    """The lines of standard input that say something, up to its end or `/stop`."""
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    for line in iter(sys.stdin.readline, ""):
        message = line.strip()
        if message == "/stop":
            return
        if message:
            yield message


def wording(answer: dict[str, Any]) -> Iterator[str]:
    """One answer of the bot as lines of text."""
    if answer.get("text"):
        yield from answer["text"].splitlines()
    for button in answer.get("buttons") or []:
        yield f"  [{button.get('title', '')}] {button.get('payload', '')}"
    for kind in ("image", "attachment", "custom"):
        if answer.get(kind):
            yield f"({kind}: {answer[kind]})"


if __name__ == "__main__":
    sys.exit(main())
