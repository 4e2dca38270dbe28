"""What the benchmarks share: reading examples, and writing results with what they were measured on."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What decides how fast 8-bit products are, as the kernel names it.
_INSTRUCTIONS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
RESULTS = Path(__file__).parent / "results"
# The messages that are timed, of ten words each.
TEXTS = (
    "could you please turn on the lights in the kitchen",
    "play some relaxing jazz music in the living room please",
    "set a timer for twenty five minutes for the pasta",
    "add two bottles of oat milk to the shopping list",
    "what is the weather going to be in oslo tomorrow",
)
assert all(len(text.split()) == 10 for text in TEXTS)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Examples, one JSON object a line: text, intent, entities."""
    if not path.is_file():
        sys.exit(f"There is no {path}. Give --data a folder with the data sets named in docs/benchmarks.md.")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def machine() -> dict[str, Any]:
    """The processor and the versions that matter."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        processor = f"{len(names)} x {names[0]}" if names else processor
        flags = set(cpuinfo.read_text().split())
        processor = ", ".join([processor, *(name for name in _INSTRUCTIONS if name in flags)])
    packages = ("sqz-nlu", "onnxruntime", "tokenizers", "numpy", "torch", "rasa", "scikit-learn")
    return {
        "processor": processor,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Writes ``benchmarks/results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n", "utf-8")
    return path


def read_result(name: str) -> dict[str, Any]:
    """What ``benchmarks/results/<name>.json`` has, nothing where there is none yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def put_between_marks(text: str, name: str, content: str) -> str:
    """A page whose part from ``<!-- name -->`` to the next ``<!-- end -->`` is ``content``, if it has one."""
    begin, end = f"<!-- {name} -->", "<!-- end -->"
    marked = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    return marked.sub(lambda _: f"{begin}\n{content}\n{end}", text)
