"""The model that is served now, and its replacement by a newer one."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import model_path
from sqz_nlu.runtime.bundle import FILES, MANIFEST
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.probes import check_probes

FileState = tuple[str, int, int, int]  # path, inode, time of change in ns, size
FilesState = tuple[FileState, ...]
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class ServedModel:
    """A model that has answered its probes.

    Attributes:
        interpreter: it.
        path: the bundle folder or archive it came from.
        fingerprint: tells models apart: the start of the checksum over all its bytes.
        loaded: when, in seconds since the epoch.
    """

    interpreter: Interpreter
    path: Path
    fingerprint: str
    loaded: float


class ModelSource:
    """Where models come from, and the one of them that is served.

    Requests take `current` once and keep it; `load` puts a new model in its place in one step.

    Args:
        path: a bundle folder, a model archive, or a folder of archives, of which the newest counts
            (as with ``rasa run --model``). ``~`` is the home folder.
    """

    def __init__(self, path: str | Path) -> None:
        # Absolute, as `Path("./embedded")` would else be the name of the encoder in the package.
        self.path = model_path(path).absolute()
        self.current: ServedModel | None = None
        self._loading = threading.Lock()
        self._tried: FilesState = ()
        self._seen: FilesState = ()
        self._pause = self._again = 0.0  # after a failure that may pass

    def load(self) -> ServedModel:
        """Loads what lies at the path now, asks its probes, and serves it from then on.

        Raises:
            BundleError: there is no model, or it is damaged or answers wrongly; `current` stays.
        """
        with self._loading:
            tried = self._state()
            try:
                self.current = self._load(self._newest())
            except Exception as error:
                if isinstance(error, BundleError) and not isinstance(error.__cause__, OSError):
                    self._tried = tried
                else:  # of memory, descriptors, a disk: the files may be well the next time
                    self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)
                    self._again = time.monotonic() + self._pause
                raise
            self._tried, self._pause = tried, 0.0
            return self.current

    def _load(self, path: Path) -> ServedModel:
        interpreter = Interpreter.load(path)
        interpreter.parse("hello")  # refuses an encoder alone, and opens the session
        check_probes(interpreter)
        fingerprint = str(interpreter.manifest["checksum"])[:16]
        return ServedModel(interpreter, path, fingerprint, time.time())

    def has_news(self) -> bool:
        """Whether the files differ from those `load` last served or found no model in, and rested since the
        last look.
        """
        state = self._state()
        rests = state == self._seen
        self._seen = state
        return bool(state) and rests and state != self._tried and time.monotonic() >= self._again

    def _state(self) -> FilesState:
        """What the file system says about the files `load` would read; empty where there are none."""
        try:
            path = self._newest()
            files = [path / name for name in (MANIFEST, *FILES)] if path.is_dir() else [path]
            return tuple(_file_state(file) for file in files)
        except (BundleError, OSError):
            return ()

    def _newest(self) -> Path:
        if not self.path.is_dir() or (self.path / MANIFEST).exists():
            return self.path
        found = (path for path in self.path.glob("*.tar.gz") if not path.name.startswith("."))
        if archives := [path for path in found if path.is_file()]:
            return max(archives, key=os.path.getmtime)
        raise BundleError(
            f"'{self.path}' holds neither a bundle nor a model archive. Expected {MANIFEST} or "
            "the .tar.gz files that `rasa train` writes."
        )


def _file_state(file: Path) -> FileState:
    status = file.stat()
    return str(file), status.st_ino, status.st_mtime_ns, status.st_size
