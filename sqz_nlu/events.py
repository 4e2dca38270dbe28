"""TensorBoard's event files, written with the tensorboard package alone.

``torch.utils.tensorboard`` and tensorboard's own ``EventFileWriter`` import TensorFlow where it is installed.
The record writer and the message types used here do not.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from sqz_nlu.errors import OptionError

logger = logging.getLogger(__name__)


class EventLog:
    """Scalars over time, in one TensorBoard run for each kind of figure; a context manager.

    Args:
        folder: a new folder for this training is made in it; ``None`` writes nothing.
        option: what the user calls it, for error messages.
        fresh: ``False`` writes into ``folder`` itself and goes on with the runs that are there.

    Raises:
        OptionError: tensorboard is not installed, or the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | Path | None,
        option: str = "tensorboard_log_directory",
        fresh: bool = True,
    ) -> None:
        self.folder: Path | None = None
        self._writers: dict[str, Any] = {}
        if folder is None:
            return
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise OptionError(
                f"{option} is set, but the package tensorboard is not installed. "
                "Install it with `pip install tensorboard`, or remove the option."
            ) from error
        self._event, self._summary, self._record_writer = event_pb2.Event, summary_pb2.Summary, RecordWriter
        try:
            self.folder = Path(folder).expanduser()
            if fresh:
                self.folder = _new_folder(self.folder)
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(
                f"{option} is '{folder}', which cannot be written ({error}). Choose another folder."
            ) from error

    def write(self, run: str, values: Mapping[str, float], step: int) -> None:
        """Writes scalars.

        Args:
            run: name of the TensorBoard run, such as ``train``.
            values: numbers by tag.
            step: position on the horizontal axis.
        """
        if self.folder is None or not values:
            return
        scalars = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        event = self._event(wall_time=time.time(), step=step, summary=self._summary(value=scalars))
        try:
            writer = self._writer(run, self.folder)
            writer.write(event.SerializeToString())
            writer.flush()
        except OSError as error:  # a full disk must not end a training
            logger.warning("TensorBoard's log %s cannot be written on (%s).", self.folder, error)
            self.folder = None

    def _writer(self, run: str, folder: Path) -> Any:
        if run not in self._writers:
            (folder / run).mkdir(exist_ok=True)
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
            writer = self._record_writer((folder / run / name).open("ab"))
            first = self._event(wall_time=time.time(), file_version="brain.Event:2")
            writer.write(first.SerializeToString())
            self._writers[run] = writer
        return self._writers[run]

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()


def _new_folder(parent: Path) -> Path:
    """A folder named after the present second, which two trainings may share."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")
