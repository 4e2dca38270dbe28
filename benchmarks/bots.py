"""Moves other people's bots to this package's pipeline by `sqz-nlu migrate`, trains, tests and talks to them.

python benchmarks/bots.py --data BOTS [--bot NAME ...] [--work DIR]

BOTS is a folder of Rasa bots, a folder each, with config.yml, domain.yml and data/. For each: `rasa data
migrate` where its files are in Rasa 2's format, `rasa data validate`, `rasa data split nlu`, `rasa train` on
the larger part, `rasa test nlu` on the smaller, then one utterance of each intent is said to the trained
bot. All output stays in the work folder; the result is benchmarks/results/bots.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import rasa_default
import yaml
from common import read_result, write_result

from sqz_nlu.migration import migrate

QUIET = {"RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "default"}
TED_EPOCHS = 5  # the policies are not what is tried here
REPLACED_POLICIES = [{"name": "MemoizationPolicy"}, {"name": "RulePolicy"}]


class Bot:
    """A bot in a work folder of its own."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.name, self.folder = source.name, folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        for old in folder.rglob("*.md"):
            old.unlink()  # Rasa 1's format; the YAML beside it says the same

    def run(self, log: str, *command: str) -> tuple[int, str]:
        """Runs a command in the folder; its output goes to ``log`` and is returned."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=os.environ | QUIET | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.folder / log).write_text(done.stdout)
        return done.returncode, done.stdout

    def rasa(self, verb: str, *arguments: str) -> tuple[int, str]:
        """Runs a command of Rasa's."""
        return self.run(f"{verb.replace(' ', '-')}.log", "-m", "rasa", *verb.split(), *arguments)

    def stories(self) -> list[Path]:
        """The files with stories and rules."""
        files = sorted((self.folder / "data").rglob("*.yml"))
        return [path for path in files if {"stories", "rules"} & set(yaml.safe_load(path.read_text()) or ())]

    def migrate(self) -> list[str]:
        """Moves config and domain to this package and to Rasa 3; returns the notes."""
        end_to_end = any(re.search(r"^\s*- user:", path.read_text(), re.M) for path in self.stories())
        config = yaml.safe_load((self.folder / "config.yml").read_text())
        migration = migrate(config, end_to_end)
        config["pipeline"] = migration.pipeline
        config |= {"recipe": "default.v1", "assistant_id": self.name}
        if any("Rasa 3 has no" in note for note in migration.notes):
            config["policies"] = REPLACED_POLICIES
        for policy in config["policies"]:
            if policy["name"] == "TEDPolicy":
                policy["epochs"] = TED_EPOCHS
        config["pipeline"] = [c for c in config["pipeline"] if c["name"] not in OUTSIDE]
        (self.folder / "config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
        domain = self.folder / "domain.yml"
        if yaml.safe_load(domain.read_text()).get("version", "2.0") < "3":
            self.rasa("data migrate", "--domain", "domain.yml", "--out", "domain3.yml")
            if (self.folder / "domain3.yml").is_file():
                (self.folder / "domain3.yml").replace(domain)
        return migration.notes


# They need a server or a model that is not part of Rasa.
OUTSIDE = {"DucklingEntityExtractor", "SpacyNLP", "SpacyEntityExtractor"}


def warnings_in(log: str) -> list[str]:
    """The warnings of this package in a log, each once; Rasa's, about the bot's own data, stay in the log."""
    found = re.findall(r"(?:UserWarning|WARNING\s+\S+)\s*[:-]\s*(.+)", log)
    return [line.strip() for line in dict.fromkeys(found) if "SqueezeBert" in line or "sqz_nlu" in line]


def scores(folder: Path) -> dict[str, Any]:
    """Intents, entities and responses as `rasa test nlu` saw them."""
    result: dict[str, Any] = {}
    for report in sorted(folder.glob("*_report.json")):
        content = json.loads(report.read_text())
        name = report.stem.removesuffix("_report")
        if name in ("intent", "response_selection"):
            result[f"{name}_accuracy"] = round(content["accuracy"], 4)
        elif content.get("micro avg"):  # of entities; their accuracy counts words that are none
            result[f"{name}_f1"] = round(content["micro avg"]["f1-score"], 4)
    return result


def talk(model: Path, texts: list[str]) -> dict[str, int]:
    """Says each text to a fresh conversation. Answers of custom actions need a server and do not count."""
    from rasa.core.agent import Agent

    rasa_default.silence_structlog()
    agent = Agent.load(str(model))

    async def say() -> dict[str, int]:
        understood = answered = 0
        for number, text in enumerate(texts):
            understood += (await agent.parse_message(text))["intent"]["name"] is not None
            answered += bool(await agent.handle_text(text, sender_id=f"talk-{number}"))
        return {"said": len(texts), "understood": understood, "answered": answered}

    return asyncio.run(say())


def utterances(nlu: Path) -> list[str]:
    """The first example of each intent, without annotation."""
    texts = []
    for entry in yaml.safe_load(nlu.read_text())["nlu"]:
        if "intent" in entry:
            first = re.search(r"^\s*-\s+(.+)$", entry["examples"], re.M)
            if first:
                texts.append(re.sub(r"\[([^\]]+)\](\([^)]*\)|\{[^}]*\})", r"\1", first[1]))
    return texts


def try_bot(source: Path, work: Path) -> dict[str, Any]:
    """All steps for one bot."""
    bot = Bot(source, work / source.name)
    result: dict[str, Any] = {"notes": bot.migrate()}
    result["validate"] = bot.rasa("data validate")[0]
    bot.rasa("data split nlu", "--random-seed", "7")
    test = bot.folder / "train_test_split" / "test_data.yml"
    trained = bot.folder / "train_test_split" / "training_data.yml"
    responses = bot.folder / "train_test_split" / "nlg_training_data.yml"
    data = [str(path) for path in (trained, responses, *bot.stories()) if path.is_file()]
    code, log = bot.rasa("train", "--data", *data, "--fixed-model-name", "bot")
    result |= {"train": code, "warnings": warnings_in(log)}
    model = bot.folder / "models" / "bot.tar.gz"
    if code or not model.is_file():
        return result
    result["test"] = bot.rasa("test nlu", "--nlu", str(test), "--model", str(model))[0]
    result |= scores(bot.folder / "results")
    result["talk"] = talk(model, utterances(test))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of bots")
    parser.add_argument("--bot", action="append", help="only these; the results of others stay")
    parser.add_argument("--work", type=Path, help="where logs and models stay; default: a temporary folder")
    arguments = parser.parse_args()
    sources = [path.parent for path in sorted(arguments.data.glob("*/config.yml"))]
    if not sources:
        sys.exit(f"There is no bot in {arguments.data}; expected folders with a config.yml.")
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        results = read_result("bots").get("bots", {}) if arguments.bot else {}
        for source in sources:
            if not arguments.bot or source.name in arguments.bot:
                results[source.name] = try_bot(source, work)
                shown = {k: v for k, v in results[source.name].items() if k != "notes"}
                print(source.name, json.dumps(shown), flush=True)
    print(write_result("bots", {"bots": results}))


if __name__ == "__main__":
    main()
