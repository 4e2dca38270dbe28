"""Our response selector against Rasa's: accuracy, training time, time of one message.

The retrieval intents of real bots are split 80/20 inside each response key, once for each seed; both are
trained by Rasa on the same examples and asked the same held-out questions. Rasa's ResponseSelector has the
featurizers and epochs of Rasa's default pipeline. Data sets of intents join with --few-shot, every intent as
a response key.

    python benchmarks/response_selector.py --data DIR [--few-shot DIR] [--seeds 5] [--parses 200]

DIR of --data has a folder for each bot with data/nlu.yml and domain.yml.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasa_default
import yaml
from common import read_jsonl, write_result

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
os.environ["RASA_MAX_CACHE_SIZE"] = "0"
warnings.simplefilter("ignore")

BOTS = ("carbon-bot", "rasa-example-responseselectorbot")
FEW_SHOT = ("clinc150", "banking77")
TEST_SHARE = 5  # one example in so many is held out
PIPELINES = {
    "rasa": [*rasa_default.FEATURIZERS, rasa_default.response_selector()],
    "ours": [{"name": "WhitespaceTokenizer"}, {"name": "sqz_nlu.SqueezeBertResponseSelector"}],
}
Pairs = list[tuple[str, str]]  # text, response key


@dataclass
class Task:
    """Questions to learn from and to be asked, by seed."""

    name: str
    splits: list[tuple[Pairs, Pairs]]
    figures: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: {name: defaultdict(list) for name in PIPELINES}
    )


def bot_task(folder: Path, seeds: int) -> Task:
    """The retrieval intents of a bot."""
    if not (folder / "data" / "nlu.yml").is_file():
        sys.exit(f"There is no {folder / 'data' / 'nlu.yml'}. Give --data a folder with {', '.join(BOTS)}.")
    from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader

    by_key: dict[str, list[str]] = defaultdict(list)
    for message in RasaYAMLReader().read(str(folder / "data" / "nlu.yml")).response_examples:
        by_key[message.get("intent_response_key")].append(message.get("text"))
    return Task(folder.name, [split(by_key, seed) for seed in range(seeds)])


def split(by_key: dict[str, list[str]], seed: int) -> tuple[Pairs, Pairs]:
    """Holds a fifth of each key's examples out, at least one; a single example is trained on."""
    train, test = [], []
    shuffle = random.Random(seed)
    for key, texts in by_key.items():
        texts = shuffle.sample(texts, len(texts))
        held_out = max(1, round(len(texts) / TEST_SHARE)) if len(texts) > 1 else 0
        test += [(text, key) for text in texts[:held_out]]
        train += [(text, key) for text in texts[held_out:]]
    return train, test


def few_shot_task(folder: Path) -> Task:
    """Ten examples of each intent of a data set."""

    def pairs(part: str) -> Pairs:
        rows = read_jsonl(folder / f"{part}.jsonl")
        return [(row["text"], f"faq/{row['intent'].replace('/', '-')}") for row in rows]

    return Task(f"{folder.name}, 10 examples a key", [(pairs("train_10shot"), pairs("test"))])


def train(folder: Path, pipeline: rasa_default.Steps, pairs: Pairs, seed: int) -> tuple[Path, float]:
    """Trains with Rasa; returns the archive and the seconds it took."""
    from rasa.model_training import train_nlu

    steps = [*pipeline[:-1], {**pipeline[-1], "random_seed": seed}]
    by_key: dict[str, list[str]] = defaultdict(list)
    for text, key in pairs:
        by_key[key].append(text)
    nlu = [{"intent": key, "examples": "".join(f"- {text}\n" for text in by_key[key])} for key in by_key]
    data = {"version": "3.1", "nlu": nlu, "responses": {f"utter_{key}": [{"text": key}] for key in by_key}}
    config = {"recipe": "default.v1", "assistant_id": "bench", "language": "en", "pipeline": steps}
    folder.mkdir(parents=True)
    (folder / "nlu.yml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    (folder / "config.yml").write_text(yaml.safe_dump(config), "utf-8")
    started = time.perf_counter()
    archive = train_nlu(str(folder / "config.yml"), str(folder / "nlu.yml"), str(folder / "models"))
    return Path(archive), time.perf_counter() - started


class Bot:
    """A trained bot that is asked one text at a time."""

    def __init__(self, archive: Path) -> None:
        from rasa.core.agent import Agent

        self._agent = Agent.load(str(archive))
        self._loop = asyncio.new_event_loop()

    def ask(self, text: str) -> tuple[str, float]:
        """The selected key and the milliseconds it took."""
        started = time.perf_counter()
        parse = self._loop.run_until_complete(self._agent.parse_message(text))
        elapsed = 1000 * (time.perf_counter() - started)
        return parse["response_selector"]["default"]["response"]["intent_response_key"], elapsed


def measure(task: Task, folder: Path, parses: int) -> None:
    """Fills the task's figures; the order of the two changes from seed to seed."""
    for seed, (learned, asked) in enumerate(task.splits):
        bots = {}
        for name in sorted(PIPELINES, reverse=bool(seed % 2)):
            archive, seconds = train(folder / f"{name}-{seed}", PIPELINES[name], learned, seed)
            bots[name] = Bot(archive)
            right = sum(bots[name].ask(text)[0] == key for text, key in asked)
            task.figures[name]["accuracy"].append(100 * right / len(asked))
            task.figures[name]["train_s"].append(seconds)
            print(
                f"{task.name} seed {seed} {name}: {right} of {len(asked)}, {seconds:.1f} s", file=sys.stderr
            )
        for turn in range(parses):
            for name, bot in bots.items():
                task.figures[name]["parse_ms"].append(bot.ask(asked[turn % len(asked)][0])[1])


def summary(task: Task) -> dict[str, Any]:
    """The figures of one task, as the result file has them."""
    learned, asked = task.splits[0]
    rows = {
        name: {
            "accuracy": round(statistics.mean(figures["accuracy"]), 2),
            "accuracy_by_seed": [round(value, 2) for value in figures["accuracy"]],
            "train_s": round(statistics.median(figures["train_s"]), 2),
            "parse_ms": round(statistics.median(figures["parse_ms"]), 3),
        }
        for name, figures in task.figures.items()
    }
    keys = len({key for _, key in learned})
    return {"data": task.name, "keys": keys, "examples": len(learned), "asked": len(asked), **rows}


def table(rows: list[dict[str, Any]]) -> str:
    """The summaries as Markdown."""
    names = {"rasa": "Rasa's ResponseSelector", "ours": "SqueezeBertResponseSelector"}
    lines = ["| data | selector | accuracy | training | one message |", "|---|---|---:|---:|---:|"]
    for row in rows:
        for name, title in names.items():
            f = row[name]
            cells = f"{f['accuracy']:.1f}% | {f['train_s']:.1f} s | {f['parse_ms']:.2f} ms"
            lines.append(
                f"| {row['data']}: {row['keys']} keys, {row['examples']} examples | {title} | {cells} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the bots")
    parser.add_argument("--bots", nargs="+", default=BOTS, help="folders in it")
    parser.add_argument("--few-shot", type=Path, help="folder with data sets of intents")
    parser.add_argument("--seeds", type=int, default=5, help="splits of each bot")
    parser.add_argument("--parses", type=int, default=200, help="timed messages for each training")
    parser.add_argument("--name", default="response-selector", help="name of the result file")
    arguments = parser.parse_args()
    tasks = [bot_task(arguments.data / name, arguments.seeds) for name in arguments.bots]
    if arguments.few_shot:
        tasks += [few_shot_task(arguments.few_shot / name) for name in FEW_SHOT]
    rasa_default.silence_structlog()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RASA_CACHE_DIRECTORY"] = f"{folder}/cache"
        for name, pipeline in PIPELINES.items():  # the first training of a process loads TensorFlow
            Bot(train(Path(folder) / "warm-up" / name, pipeline, tasks[-1].splits[0][0][:8], 0)[0])
        for task in tasks:
            measure(task, Path(folder) / task.name.split(",")[0], arguments.parses)
    rows = [summary(task) for task in tasks]
    print(table(rows))
    print(write_result(arguments.name, {"seeds": arguments.seeds, "pipelines": PIPELINES, "tasks": rows}))


if __name__ == "__main__":
    main()
