"""Where a run reads from, and which state of the code and the packages it measures."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nlu.cells import FILES, Cell
from nlu.data import BOT_PART, Material, read_bot, read_data_set
from nlu.pipelines import PIPELINES

PROTOCOL = 1  # another number makes every recorded cell stale
ROOT = Path(__file__).resolve().parents[2]
# What takes part in training and parsing; a changed page or server does not make a cell stale.
ROOMS = ("components", "encoder", "export", "runtime", "training", "errors.py", "fit.py")


@dataclass(frozen=True)
class Sources:
    """Folders and checkpoints that were given on the command line."""

    data: str
    bots: str | None
    encoder: str
    teacher: str

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Sources:
        """From an order's JSON."""
        return Sources(**content)

    def to_dict(self) -> dict[str, Any]:
        """For an order's JSON."""
        return asdict(self)

    def material(self, dataset: str, part: str) -> Material:
        """What a cell learns from and is asked."""
        if part == BOT_PART:
            assert self.bots is not None
            return read_bot(Path(self.bots) / dataset)
        return read_data_set(Path(self.data) / dataset, FILES[part])

    def outside_bytes(self, what: str | None) -> int:
        """The weights and tokenizer that a pipeline needs beside its archive."""
        from sqz_nlu.encoder.source import find_encoder

        if what is None:
            return 0
        folder = _checkpoint_folder(self.teacher) if what == "teacher" else self.encoder
        source = find_encoder(folder)
        return source.weights.stat().st_size + source.tokenizer.stat().st_size


def _checkpoint_folder(name: str) -> str:
    from sqz_nlu.squeeze.convert import _package_folder

    return str(_package_folder(name) or name)


class States:
    """What a result must agree with to count as measured: the key of each cell."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @functools.cache  # noqa: B019 - one object a run
    def place(self, dataset: str, part: str) -> tuple[str, int]:
        """Digest and number of training examples of a place."""
        material = self._sources.material(dataset, part)
        return material.digest(), len(material.train)

    def key(self, cell: Cell) -> dict[str, Any]:
        """Everything that makes a result stale when it changes. Names of folders stay out."""
        pipeline = PIPELINES[cell.pipeline]
        key: dict[str, Any] = {
            "protocol": PROTOCOL,
            "pipeline": pipeline.steps(
                cell.seed, _label(self._sources.encoder), _label(self._sources.teacher)
            ),
            "data": self.place(cell.dataset, cell.part)[0],
            "packages": {name: _version(name) for name in pipeline.packages},
        }
        if pipeline.ours:
            key["source"] = source_digest()
            key["encoder"] = _encoder_digest(self._sources.encoder)
        return key


def _version(package: str) -> str | None:
    """TensorFlow goes by other names on some machines; then the machine's folder tells them apart."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _label(name: str) -> str:
    return Path(name).name if Path(name).is_dir() else name


@functools.cache
def _encoder_digest(name: str) -> str:
    from sqz_nlu.encoder.source import find_encoder

    return find_encoder(name).fingerprint()[:16]


@functools.cache
def source_digest() -> str:
    """The first digits of a SHA-256 over the modules that train and parse."""
    digest = hashlib.sha256()
    for room in ROOMS:
        place = ROOT / "sqz_nlu" / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def commit() -> str | None:
    """The commit that is checked out, with ``-dirty`` if files differ from it; ``None`` outside of git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
