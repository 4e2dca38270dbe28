"""The time of one message: our bundle and our pipeline in Rasa against Rasa's default DIET pipeline.

All three are trained here on the example bot's data (DIET for one epoch: its speed does not depend on
what it has learned) and measured in one process, one message at a time, in turns of 50 messages
(A B C A B C ...), each after 10 that are not counted.

    python benchmarks/parse_latency.py [--rounds 8] [--model ARCHIVE of our pipeline]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasa_default
import yaml
from common import write_result

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
warnings.simplefilter("ignore")

DATA = Path(__file__).parent.parent / "data" / "train"
TEXTS = (
    "could you please turn on the lights in the kitchen",
    "play some relaxing jazz music in the living room please",
    "set a timer for twenty five minutes for the pasta",
    "add two bottles of oat milk to the shopping list",
    "what is the weather going to be in oslo tomorrow",
)
MESSAGES, WARM_UP = 50, 10  # in a turn

DIET = [
    *rasa_default.FEATURIZERS,
    rasa_default.diet(epochs=1),
    {"name": "EntitySynonymMapper"},
    *rasa_default.FALLBACK,
]
OURS = [
    {"name": "sqz_nlu.BlankSpacyTokenizer"},
    {"name": "sqz_nlu.SqueezeBertClassifier", "epochs": 2},
    {"name": "EntitySynonymMapper"},
    {"name": "FallbackClassifier", "threshold": 0.4},
]


def train(folder: Path, pipeline: rasa_default.Steps) -> Path:
    """Trains a pipeline with Rasa and returns the archive."""
    from rasa.model_training import train_nlu

    folder.mkdir()
    config = {"recipe": "default.v1", "language": "en", "assistant_id": folder.name, "pipeline": pipeline}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return Path(train_nlu(str(folder / "config.yml"), str(DATA), str(folder / "models")))


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each")
    parser.add_argument("--model", type=Path, help="archive of our pipeline; trained here if left out")
    arguments = parser.parse_args()
    from rasa.core.agent import Agent

    from sqz_nlu import Interpreter

    rasa_default.silence_structlog()
    assert all(len(text.split()) == 10 for text in TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        ours = arguments.model or train(Path(folder) / "ours", OURS)
        diet = train(Path(folder) / "diet", DIET)
        agents = {"diet": Agent.load(str(diet)), "ours_in_rasa": Agent.load(str(ours))}
        interpreter = Interpreter.load(ours)
    loop = asyncio.new_event_loop()
    calls: dict[str, Callable[[str], object]] = {
        "interpreter": interpreter.parse,
        **{
            name: (lambda text, agent=agent: loop.run_until_complete(agent.parse_message(text)))
            for name, agent in agents.items()
        },
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            for turn in range(WARM_UP + MESSAGES):
                text = TEXTS[turn % len(TEXTS)]
                elapsed = milliseconds(lambda call=call, text=text: call(text))
                if turn >= WARM_UP:
                    times[name].append(elapsed)
    figures = {
        name: {"median_ms": round(float(np.median(t)), 3), "p95_ms": round(float(np.percentile(t, 95)), 3)}
        for name, t in times.items()
    }
    result = {
        "turns": arguments.rounds,
        "messages_a_turn": MESSAGES,
        "texts": TEXTS,
        "threads": {"onnxruntime": 1, "tensorflow": "its default"},
        "figures": figures,
        "diet_over_interpreter": round(figures["diet"]["median_ms"] / figures["interpreter"]["median_ms"], 2),
        "diet_over_ours_in_rasa": round(
            figures["diet"]["median_ms"] / figures["ours_in_rasa"]["median_ms"], 2
        ),
    }
    for name, figure in figures.items():
        print(f"{name:14} median {figure['median_ms']:7.3f} ms   p95 {figure['p95_ms']:7.3f} ms")
    print(f"DIET pipeline / Interpreter.parse: {result['diet_over_interpreter']}")
    print(f"DIET pipeline / our pipeline in Rasa: {result['diet_over_ours_in_rasa']}")
    print(write_result("parse-latency", result))


if __name__ == "__main__":
    main()
