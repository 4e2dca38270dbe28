"""Parts that measure whole programs: one message, loading, memory, training; beside DIET and transformers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bot_models
import numpy as np
import rasa_default
from common import TEXTS
from measure import Call, in_turns, ratio

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
SETS = ("banking77", "clinc150", "hwu64")
REPEATS = 5
TURN = {"counted": 25, "uncounted": 5}  # a call of DIET leaves little of ours in the caches

_RUNTIME = """
import json, sys, time
start = time.perf_counter()
from sqz_nlu import Interpreter
imported = time.perf_counter()
interpreter = Interpreter.load(sys.argv[1])
loaded = time.perf_counter()
text = "turn on the lights in the kitchen"
interpreter.embed([text]) if sys.argv[1] == "embedded" else interpreter.parse(text)
"""
_RASA = """
import asyncio, json, logging, structlog, sys, time, warnings
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
start = time.perf_counter()
from rasa.core.agent import Agent
imported = time.perf_counter()
agent = Agent.load(sys.argv[1])
loaded = time.perf_counter()
asyncio.run(agent.parse_message("turn on the lights in the kitchen"))
"""
_REPORT = """
lines = open("/proc/self/status").read().splitlines()
resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
times = {"import_s": imported - start, "load_s": loaded - imported}
print(json.dumps({**times, "resident_mib": resident / 1024}))
"""


def messages(seconds: float) -> dict[str, Any]:
    """One message of ten words: the graph alone, text to JSON, our pipeline in Rasa, Rasa's default one."""
    from rasa.core.agent import Agent

    from sqz_nlu import Interpreter

    rasa_default.silence_structlog()
    texts, paths = TEXTS, bot_models.archives()
    interpreter = Interpreter.load(paths["ours"])
    ids = {text: np.array([interpreter._text.encode(text).ids], np.int32) for text in texts}
    agents = {name: Agent.load(str(path)) for name, path in paths.items()}
    loop = asyncio.new_event_loop()

    def over_texts(use: Any) -> Call:
        turn = iter(range(10**9))
        return lambda: use(texts[next(turn) % len(texts)])

    calls: dict[str, Call] = {
        "graph": over_texts(lambda text: interpreter._session.run(interpreter._outputs, ids[text])),
        "text_to_json": over_texts(lambda text: json.dumps(interpreter.parse(text).to_dict())),
        "ours_in_rasa": over_texts(lambda t: loop.run_until_complete(agents["ours"].parse_message(t))),
        "diet_in_rasa": over_texts(lambda t: loop.run_until_complete(agents["diet"].parse_message(t))),
    }
    figures = in_turns(calls, seconds, **TURN)
    ratios = {
        "parse_over_graph": ratio(figures, "text_to_json", "graph"),
        "ours_over_diet_in_rasa": ratio(figures, "diet_in_rasa", "ours_in_rasa"),
        "parse_over_diet": ratio(figures, "diet_in_rasa", "text_to_json"),
    }
    tokens = sorted({array.shape[1] for array in ids.values()})
    threads = {"onnxruntime": 1, "tensorflow": "its default"}
    return {"threads": threads, "turn": TURN, "tokens": tokens, "figures": figures, "ratios": ratios}


def processes(_seconds: float) -> dict[str, Any]:
    """Import, load and resident memory, each in fresh processes in turns; medians of five."""
    paths = bot_models.archives()
    programs = {
        "runtime_embedded": (_RUNTIME, "embedded"),
        "runtime_model": (_RUNTIME, str(paths["ours"])),
        "ours_in_rasa": (_RASA, str(paths["ours"])),
        "diet_in_rasa": (_RASA, str(paths["diet"])),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for _ in range(REPEATS):
        for name, (program, model) in programs.items():
            runs[name].append(_child([sys.executable, "-c", program + _REPORT, model]))
    figures = {
        name: {key: round(float(np.median([run[key] for run in each])), 3) for key in each[0]}
        for name, each in runs.items()
    }
    ours, diet = figures["runtime_model"], figures["diet_in_rasa"]
    from_start = {name: each["import_s"] + each["load_s"] for name, each in figures.items()}
    ratios = {
        "load_over_diet": round(from_start["diet_in_rasa"] / from_start["runtime_model"], 1),
        "load_over_diet_without_imports": round(diet["load_s"] / ours["load_s"], 1),
        "rasa_memory_saved_mib": round(diet["resident_mib"] - figures["ours_in_rasa"]["resident_mib"], 1),
    }
    return {"repeats": REPEATS, "figures": figures, "ratios": ratios}


def training(data: Path) -> dict[str, Any]:
    """A pass over full sets with our encoder and with transformers' in its place, in fresh processes.

    One ratio is of our training as it is by default and transformers' encoder as it comes, the other of both
    with the same precision and all layers trained; see `train_once`.
    """
    kinds = ("ours", "transformers_float32", "ours_all_layers", "transformers")
    figures: dict[str, Any] = {}
    for name in SETS:
        for kind in kinds:
            command = [sys.executable, str(Path(__file__).parent / "train_once.py"), str(data / name), kind]
            figures[f"{name}_{kind}"] = _child(command)
    ratios: dict[str, float] = {}
    for name in SETS:
        ours, theirs, ours_alike, theirs_alike = (figures[f"{name}_{kind}"]["seconds"] for kind in kinds)
        ratios |= {name: round(theirs / ours, 2), f"{name}_alike": round(theirs_alike / ours_alike, 2)}
    return {"epochs": 1, "figures": figures, "ratios": ratios}


def _child(command: list[str]) -> dict[str, float]:
    """The last line that a fresh process writes, as JSON."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"A measured process failed: {' '.join(command[:2])} ...\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
