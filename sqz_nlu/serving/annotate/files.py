"""Where shards and parts lie: a folder of this machine, or anything that pyarrow reaches by URL."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from sqz_nlu.errors import AnnotateError

_BUFFER = 2**20
_PARTIAL = ".partial"


class Place(Protocol):
    """A folder, or a single file, with paths relative to it."""

    def sizes(self) -> dict[str, int]:
        """The files in it with their sizes in bytes, in order; none where there is nothing.

        Names that begin with a dot or an underscore are not data, nor are folders of such names.
        """

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading; it can seek."""

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Writes a file that appears when the block ends, complete, or not at all."""

    def sweep(self, folder: str) -> None:
        """Deletes what runs that were killed had begun to write in a folder below."""


def locate(path: str) -> Place:
    """The place of a path or URL (``s3://``, ``gs://``, ``abfs://``, ``hdfs://``, ``file://``).

    Raises:
        AnnotateError: a URL of an unknown kind, or without pyarrow.
    """
    if "://" not in path:
        return _LocalPlace(Path(path))
    fs = import_pyarrow("fs", f"'{path}'")
    try:
        filesystem, root = fs.FileSystem.from_uri(path)
    except (ValueError, OSError) as error:
        raise AnnotateError(
            f"'{path}' cannot be opened ({error}). Expected a path, or an s3:// or gs:// URL."
        ) from error
    return _ArrowPlace(filesystem, root.rstrip("/"))


def import_pyarrow(module: str, wanted_for: str) -> Any:
    """Imports a module of pyarrow.

    Raises:
        AnnotateError: pyarrow is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ImportError:
        raise AnnotateError(
            f"{wanted_for} needs pyarrow, which is not installed. Run `pip install 'sqz-nlu[parquet]'`."
        ) from None


class _LocalPlace:
    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> dict[str, int]:
        if self._root.is_file():
            return {self._root.name: self._root.stat().st_size}
        files = sorted(path for path in self._root.rglob("*") if path.is_file())
        sizes = {path.relative_to(self._root).as_posix(): path.stat().st_size for path in files}
        return {name: size for name, size in sizes.items() if _is_data(name)}

    def open(self, name: str) -> BinaryIO:
        return (self._root if self._root.is_file() else self._root / name).open("rb", _BUFFER)

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._root / _partial(name)
        try:
            with partial.open("xb", _BUFFER) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def sweep(self, folder: str) -> None:
        for path in (self._root / folder).glob(f".*{_PARTIAL}"):
            path.unlink(missing_ok=True)


class _ArrowPlace:
    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = filesystem
        self._root = root
        fs = import_pyarrow("fs", root)
        self._kinds, self._selector = fs.FileType, fs.FileSelector

    @cached_property
    def _is_file(self) -> bool:
        return bool(self._fs.get_file_info(self._root).type == self._kinds.File)

    def _list(self, folder: str) -> list[Any]:
        chosen = self._selector(folder, recursive=True, allow_not_found=True)
        return sorted(
            (info for info in self._fs.get_file_info(chosen) if info.type == self._kinds.File),
            key=lambda info: info.path,
        )

    def sizes(self) -> dict[str, int]:
        if self._is_file:
            return {self._root.rpartition("/")[2]: self._fs.get_file_info(self._root).size}
        sizes = {info.path[len(self._root) + 1 :]: info.size for info in self._list(self._root)}
        return {name: size for name, size in sizes.items() if _is_data(name)}

    def open(self, name: str) -> BinaryIO:
        path = self._root if self._is_file else f"{self._root}/{name}"
        return cast(BinaryIO, io.BufferedReader(self._fs.open_input_file(path), _BUFFER))

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        path, partial = f"{self._root}/{name}", f"{self._root}/{_partial(name)}"
        self._fs.create_dir(path.rpartition("/")[0], recursive=True)
        try:
            with self._fs.open_output_stream(partial) as file:
                yield file
            self._fs.move(partial, path)
        except BaseException:
            with suppress(OSError):
                self._fs.delete_file(partial)
            raise

    def sweep(self, folder: str) -> None:
        for info in self._list(f"{self._root}/{folder}".rstrip("/")):
            if info.base_name.startswith(".") and info.base_name.endswith(_PARTIAL):
                self._fs.delete_file(info.path)


def _partial(name: str) -> str:
    """A name beside a file's that no other writer uses."""
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}.{base}.{uuid.uuid4().hex}{_PARTIAL}"


def _is_data(name: str) -> bool:
    return not any(part.startswith((".", "_")) for part in name.split("/"))
