"""Writes a folder so that a crash leaves the old one or the new one, never a mixture."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_folder(folder: Path, files: Mapping[str, bytes], signs: Sequence[str] = ()) -> None:
    """Writes the folder beside its place and renames it into it; what was there is replaced.

    A link in its place is replaced, too; what it points at stays as it is.

    Args:
        folder: where.
        files: contents by path inside of the folder; the last one is written last.
        signs: files by which a folder of this kind is known; without any, all of ``files``.

    Raises:
        OSError: the disk refuses, or `previous_folder` is somebody else's; what was there stays.
    """
    folder = _named(folder)
    previous = previous_folder(folder)
    if not replaceable(previous, *(signs or files)):
        raise FileExistsError(f"'{previous}' is in the way and holds something else; move it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        new = work / "new"
        new.mkdir()
        for name, content in files.items():
            _write(new / name, content)
        new.chmod(0o755)
        _swap(new, folder, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def previous_folder(folder: Path) -> Path:
    """Where the old folder is while the new one takes its place, and stays if a crash falls in between."""
    folder = _named(folder)
    return folder.with_name(f".{folder.name}.previous")


def replaceable(folder: Path, *signs: str) -> bool:
    """Whether nothing would be lost: no folder, an empty one, or one with all of the files ``signs``."""
    if not folder.exists():
        return True
    return folder.is_dir() and (has_files(folder, signs) or not any(folder.iterdir()))


def has_files(folder: Path, names: Sequence[str]) -> bool:
    """Whether a folder has all of these files."""
    return all((folder / name).is_file() for name in names)


def _named(folder: Path) -> Path:
    """The same folder under a path that holds after a renaming and ends in its name, as "." does not.

    Links on the way are followed; a link in the place of the folder itself is not.
    """
    if folder.name in ("", ".."):
        return Path(os.path.realpath(folder))
    return Path(os.path.realpath(folder.parent)) / folder.name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(new: Path, folder: Path, work: Path) -> None:
    """Puts the new folder in its place; what goes is moved to ``work``, so it is whole or not there."""
    previous = previous_folder(folder)
    if os.path.lexists(folder):
        _move(previous, work / "older")
        folder.rename(previous)
    try:
        new.rename(folder)
    except OSError:
        _move(previous, folder)
        raise
    with contextlib.suppress(OSError):
        _move(previous, work / "old")


def _move(path: Path, place: Path) -> None:
    if os.path.lexists(path):
        path.rename(place)
