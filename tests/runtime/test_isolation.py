"""A bundle is read far from Rasa's Python, in environments that hold the runtime's three packages only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden_set import BUNDLE, assert_golden, golden_parses
from wheels import ROOT, run

from sqz_nlu import Interpreter

PACKAGES = ("numpy", "onnxruntime", "tokenizers")
TEXTS = ["turn on the lights in the kitchen", "Straße nach Köln, bitte!", "🙂 hello", "", "x" * 2000]
SCRIPT = """
import json, sys
from sqz_nlu import Interpreter

interpreter = Interpreter.load(sys.argv[1])
parses = [interpreter.parse(text).to_dict() for text in json.load(open(sys.argv[2]))]
print(json.dumps({
    "parses": parses,
    "file": sys.modules["sqz_nlu"].__file__,
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""
FOREIGN = {"torch", "transformers", "rasa", "tensorflow", "onnx", "spacy", "safetensors", "yaml", "tqdm"}


@pytest.fixture(scope="session", params=["3.10", "newer"])
def bare_python(
    request: pytest.FixtureRequest, uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A Python whose environment holds the runtime's packages and the wheel only."""
    home = tmp_path_factory.mktemp("bare")
    python = sys.executable if request.param == "3.10" else _newer_python(uv)
    run(uv, "venv", "--quiet", "--no-project", "--python", python, home / "venv")
    bare = home / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = (uv, "pip", "install", "--quiet", "--python", bare)
    # On 3.10 the versions of this environment, on a newer Python the newest.
    versions = [_pinned(name) for name in PACKAGES] if request.param == "3.10" else PACKAGES
    try:
        run(*install, *versions)
    except AssertionError as error:
        if "Failed to fetch" in str(error) or "error sending request" in str(error):
            pytest.skip(f"cannot download the runtime's packages: {error}")
        raise
    run(*install, "--no-deps", wheel)
    return bare


def _pinned(package: str) -> str:
    from importlib.metadata import version

    return f"{package}=={version(package)}"


def _newer_python(uv: str) -> str | Path:
    """The newest released Python above 3.10 on this machine; pyenv's are not all on the PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(13, 10, -1):
        for python in sorted(pyenv.glob(f"3.{minor}.*/bin/python3")):
            return python
        command = [uv, "python", "find", "--system", "--no-project", "--no-python-downloads", f"3.{minor}"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.strip()
    pytest.skip("no Python from 3.11 to 3.13 is installed")


def test_a_bundle_is_read_by_the_runtime_alone(bare_python: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    here = Interpreter.load(tiny_bundle)
    expected = json.loads(json.dumps([here.parse(text).to_dict() for text in TEXTS]))

    _assert_alike(_parses_of(bare_python, tiny_bundle, TEXTS, tmp_path), expected)


def test_the_runtime_alone_gives_the_golden_parses(bare_python: Path, tmp_path: Path) -> None:
    expected = golden_parses()
    texts = [parse["text"] for parse in expected]
    assert_golden(_parses_of(bare_python, BUNDLE, texts, tmp_path), expected)


def _parses_of(bare_python: Path, bundle: Path, texts: list[str], folder: Path) -> list[dict]:
    """The parses of another Python; it must see neither this checkout (-I) nor more than the wheel."""
    (folder / "texts.json").write_text(json.dumps(texts), "ascii")
    out = run(bare_python, "-I", "-c", SCRIPT, bundle, folder / "texts.json", cwd=folder)
    there = json.loads(out.splitlines()[-1])
    assert ROOT not in Path(there["file"]).parents
    assert FOREIGN.isdisjoint(there["loaded"])
    return there["parses"]


def _assert_alike(seen: object, expected: object) -> None:
    """Equal but for the last digits of numbers: other versions of the engine round otherwise."""
    assert type(seen) is type(expected)
    if isinstance(expected, dict):
        assert list(seen) == list(expected)
        for key, value in expected.items():
            _assert_alike(seen[key], value)
    elif isinstance(expected, list):
        assert len(seen) == len(expected)
        for one, other in zip(seen, expected, strict=True):
            _assert_alike(one, other)
    elif isinstance(expected, float):
        assert seen == pytest.approx(expected, abs=1e-4)
    else:
        assert seen == expected
