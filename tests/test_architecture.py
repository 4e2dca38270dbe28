"""The rooms of the house: who may import whom, what stays light, and how large a file may get."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "sqz_nlu"

# Room -> rooms it may import from. Everything may import from errors and _version.
ARROWS: dict[str, set[str]] = {
    "components": {"fit", "export", "training", "encoder", "runtime"},
    "cli": {"serving", "export", "migration", "squeeze", "encoder", "runtime"},
    "migration": {"training"},
    "serving": {"runtime"},
    "spacy_pipe": {"runtime"},
    "fit": {"export", "training", "encoder", "events", "runtime"},
    "export": {"encoder", "runtime"},
    "training": {"encoder", "events", "runtime"},
    "squeeze": {"export", "encoder", "events", "runtime"},
    "encoder": {"runtime"},
    "events": set(),
    "runtime": set(),
    "errors": set(),
    "_version": set(),
}
SHARED = {"errors", "_version"}
# The package itself only names the homes of its public names.
ARROWS["__init__"] = set(ARROWS)
ARROWS["__main__"] = {"cli"}

# Package -> rooms that may import it; `fit` only inside of functions.
HEAVY: dict[str, set[str]] = {
    "rasa": {"components"},
    "tensorflow": set(),
    "torch": {"encoder", "training", "squeeze", "export"},
}
LAZY_TORCH = {"fit"}
# Rooms that may import nothing else than the standard library and these.
LIGHT: dict[str, set[str]] = {
    "runtime": {"numpy", "onnxruntime", "tokenizers"},
    "spacy_pipe": {"spacy", "srsly"},
    "events": {"tensorboard"},
    "errors": set(),
    "_version": set(),
    "__init__": set(),
}
# Rooms whose import must not load torch, not even through other rooms.
WITHOUT_TORCH = {"cli", "components", "migration", "runtime", "serving", "spacy_pipe"}

MOST_LINES = 400
MOST_LINES_OF_INIT = 60


@dataclass(frozen=True)
class Import:
    """One imported module; `eager` when it is imported as soon as the importing file is."""

    target: str
    line: int
    eager: bool


class House:
    """The modules of a package with what they import."""

    def __init__(self, package: Path) -> None:
        self.name = package.name
        self.files = {self._module(package, file): file for file in sorted(package.rglob("*.py"))}
        self.imports = {module: list(self._imports(module)) for module in self.files}

    def _module(self, package: Path, file: Path) -> str:
        parts = file.relative_to(package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def room(self, module: str) -> str:
        """The first name below the package."""
        return [*module.split("."), "__init__"][1]

    def _imports(self, module: str) -> Iterator[Import]:
        tree = ast.parse(self.files[module].read_text(encoding="utf-8"))
        for node, eager in _walk(tree, True):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno, eager)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    yield Import(inner if inner in self.files else base, node.lineno, eager)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        parts = module.split(".")
        is_package = self.files[module].name == "__init__.py"
        kept = parts[: len(parts) - node.level + is_package]
        return ".".join(kept + ([node.module] if node.module else []))

    def is_inner(self, target: str) -> bool:
        """Whether `target` names a module of this package."""
        return target.split(".")[0] == self.name

    def loaded_by(self, module: str) -> set[str]:
        """All modules that importing `module` loads, with the packages around them."""
        loaded: set[str] = set()
        waiting = [module]
        while waiting:
            current = waiting.pop()
            if current in loaded:
                continue
            loaded.add(current)
            if "." in current:
                waiting.append(current.rpartition(".")[0])
            waiting += [found.target for found in self.imports.get(current, []) if found.eager]
        return loaded


def _walk(node: ast.AST, eager: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, eager
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from ((inner, False) for part in child.body for inner in [part, *ast.walk(part)])
            yield from (pair for part in child.orelse for pair in [(part, eager), *_walk(part, eager)])
        else:
            yield from _walk(child, eager and not deferred)


def wrong_arrows(house: House) -> Iterator[str]:
    """Imports between rooms that the table does not draw, and rooms that are not in the table."""
    for module, imports in house.imports.items():
        room = house.room(module)
        if room not in ARROWS:
            yield f"{module}: the room '{room}' is not in the table"
            continue
        for found in imports:
            if not house.is_inner(found.target):
                continue
            other = house.room(found.target)
            if other != room and other not in ARROWS[room] | SHARED:
                yield f"{module}:{found.line}: '{room}' may not import '{found.target}'"


def wrong_packages(house: House) -> Iterator[str]:
    """Imports of other packages from rooms that may not know them."""
    for module, imports in house.imports.items():
        room = house.room(module)
        for found in imports:
            package = found.target.split(".")[0]
            if house.is_inner(package) or package in sys.stdlib_module_names:
                continue
            lazily = package == "torch" and room in LAZY_TORCH and not found.eager
            heavy = package in HEAVY and room not in HEAVY[package] and not lazily
            if heavy or (room in LIGHT and package not in LIGHT[room]):
                yield f"{module}:{found.line}: '{room}' may not import '{package}'"


def torch_where_it_is_not_wanted(house: House) -> Iterator[str]:
    """Modules of the light rooms whose import loads torch or transformers through others."""
    for module in house.files:
        if house.room(module) in WITHOUT_TORCH:
            for target in sorted(house.loaded_by(module)):
                if target.split(".")[0] in {"torch", "transformers"}:
                    yield f"importing {module} loads {target}"


def circles(house: House) -> Iterator[str]:
    """Files that import each other in a circle when they are imported."""
    eager = {
        module: {found.target for found in imports if found.eager and found.target in house.files} - {module}
        for module, imports in house.imports.items()
    }
    try:
        graphlib.TopologicalSorter(eager).prepare()
    except graphlib.CycleError as error:
        yield " <- ".join(error.args[1])


def large_files(house: House) -> Iterator[str]:
    """Files above the limits."""
    for module, file in house.files.items():
        lines = len(file.read_text(encoding="utf-8").splitlines())
        limit = MOST_LINES_OF_INIT if module == house.name else MOST_LINES
        if lines > limit:
            yield f"{module}: {lines} lines, at most {limit} are allowed"


RULES = [wrong_arrows, wrong_packages, torch_where_it_is_not_wanted, circles, large_files]


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule):
    assert list(rule(House(PACKAGE))) == []


def test_the_table_has_no_circle():
    graphlib.TopologicalSorter({room: others - {room} for room, others in ARROWS.items()}).prepare()


def _loaded(statement: str, *packages: str) -> list[str]:
    """Which of `packages` a fresh Python has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {packages!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def test_importing_the_package_loads_nothing():
    assert _loaded("import sqz_nlu", "numpy", "torch", "onnxruntime", "tokenizers", "rasa") == []


def test_importing_the_runtime_loads_no_training_library():
    heavy = ("torch", "transformers", "rasa", "tensorflow", "onnx", "spacy")
    assert _loaded("import sqz_nlu.runtime.interpreter", *heavy) == []


def test_importing_the_command_line_loads_no_training_library():
    assert _loaded("import sqz_nlu.cli", "torch", "transformers", "rasa", "tensorflow", "spacy") == []


def _house(tmp_path: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        file = tmp_path / "sqz_nlu" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return House(tmp_path / "sqz_nlu")


SOUND = {
    "__init__.py": "from sqz_nlu._version import __version__\n",
    "_version.py": "__version__ = '1'\n",
    "errors.py": "import difflib\n",
    "runtime/__init__.py": "",
    "runtime/session.py": "import numpy as np\nfrom sqz_nlu.errors import E\nfrom . import text\n",
    "runtime/text.py": "from tokenizers import Tokenizer\n",
    "encoder/__init__.py": "",
    "encoder/model.py": "import torch\n",
    "fit.py": "def fit():\n    import torch\n    from sqz_nlu.encoder import model\n",
    "components/__init__.py": "",
    "components/glue.py": "import rasa.engine\nfrom ..fit import fit\n",
}


def test_a_sound_house_passes(tmp_path):
    house = _house(tmp_path, SOUND)
    assert [complaint for rule in RULES for complaint in rule(house)] == []


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (wrong_arrows, "runtime/bad.py", "from sqz_nlu.encoder.model import Encoder"),
        (wrong_arrows, "runtime/bad.py", "from ..encoder import model"),
        (wrong_arrows, "encoder/bad.py", "def f():\n    from sqz_nlu import fit"),
        (wrong_arrows, "encoder/bad.py", "import sqz_nlu.components.glue"),
        (wrong_arrows, "encoder/bad.py", "from sqz_nlu import Interpreter"),
        (wrong_arrows, "cellar/bad.py", "import os"),
        (wrong_packages, "runtime/bad.py", "import yaml"),
        (wrong_packages, "runtime/bad.py", "def f():\n    import onnx"),
        (wrong_packages, "runtime/bad.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        (wrong_packages, "encoder/bad.py", "from rasa.nlu import x"),
        (wrong_packages, "components/bad.py", "def f():\n    import torch"),
        (wrong_packages, "fit.py", "import torch"),
        (wrong_packages, "__init__.py", "import numpy"),
        (torch_where_it_is_not_wanted, "components/bad.py", "from sqz_nlu.encoder import model"),
        (torch_where_it_is_not_wanted, "encoder/__init__.py", "import torch\n"),
        (circles, "runtime/text.py", "from sqz_nlu.runtime.session import S"),
        (circles, "runtime/text.py", "class A:\n    from . import session"),
        (large_files, "runtime/bad.py", "x = 1\n" * 401),
        (large_files, "__init__.py", "x = 1\n" * 61),
    ],
)
def test_a_broken_rule_is_seen(tmp_path, rule, name, text):
    extra = {"components/hash.py": "from sqz_nlu.encoder import source\n", "encoder/source.py": ""}
    assert list(rule(_house(tmp_path, SOUND | extra))) == []
    assert list(rule(_house(tmp_path, {name: text})))


def test_type_only_imports_make_no_circle(tmp_path):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sqz_nlu.runtime.session import S\n"
    assert list(circles(_house(tmp_path, SOUND | {"runtime/text.py": text}))) == []
