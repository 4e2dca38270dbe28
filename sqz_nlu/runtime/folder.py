"""Writes a folder so that a crash leaves the old one or the new one, never a mixture."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the folder beside its place and renames it into it; what was there is replaced.

    Args:
        folder: where.
        files: contents by path inside of the folder; the last one is written last.

    Raises:
        OSError: the disk refuses; what was there stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            _write(partial / name, content)
        partial.chmod(0o755)
        _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def previous_folder(folder: Path) -> Path:
    """Where the old folder is while the new one takes its place, and stays if a crash falls in between."""
    return folder.with_name(folder.name + ".previous")


def replaceable(folder: Path, sign: str) -> bool:
    """Whether nothing would be lost: there is no folder, it is empty, or it has the file ``sign``."""
    if not folder.exists():
        return True
    return folder.is_dir() and ((folder / sign).is_file() or not any(folder.iterdir()))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(partial: Path, folder: Path) -> None:
    previous = previous_folder(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    partial.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)
