"""The processes of one run: a single one, or those that ``torchrun`` starts.

Every process goes through the same batches and computes its share of each; sums over the processes are what
a single one would have computed, up to rounding. The first process alone writes and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from sqz_nlu.encoder.device import choose_device
from sqz_nlu.errors import SqueezeError, SqzNluError

_LOST = (
    "The other processes of this run have gone ({error}). Run the same command again: it goes on from the "
    "last checkpoint."
)


class Team:
    """One process among those of a run.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
        device: where this process computes.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: str | torch.device = "cpu") -> None:
        self.rank, self.size, self.device = rank, size, torch.device(device)

    @classmethod
    def join(cls, device: str) -> Team:
        """The team that ``torchrun`` says this process belongs to; without it a team of one.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``; on GPUs each process of a machine takes one.

        Raises:
            OptionError: there is no GPU.
            SqueezeError: there are fewer GPUs than processes, or the processes cannot meet.
        """
        chosen = choose_device(device)
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(device=chosen)
        rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
        if chosen.type == "cuda":
            if local >= torch.cuda.device_count():
                raise SqueezeError(
                    f"torchrun started at least {local + 1} processes on a machine with "
                    f"{torch.cuda.device_count()} GPUs. Use --nproc_per_node {torch.cuda.device_count()}, or "
                    "--device cpu."
                )
            chosen = torch.device("cuda", local)
            torch.cuda.set_device(chosen)
        try:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            raise SqueezeError(
                f"The {size} processes could not meet ({error}). Start them with torchrun."
            ) from error
        return cls(rank, size, chosen)

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def add(self, tensor: Tensor) -> Tensor:
        """Replaces a tensor by its sum over all processes, in place, and returns it.

        Raises:
            SqueezeError: another process has ended.
        """
        if self.size > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise self._lost(error) from error
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says yes."""
        return flag if self.size == 1 else bool(self.add(torch.tensor(int(flag))).item())

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that all processes pass, or none: the first one raises what went wrong anywhere.

        Raises:
            SqzNluError: in the first process.
            SystemExit: in the others, which have nothing to add.
        """
        failure: SqzNluError | None = None
        try:
            yield
        except SqzNluError as error:
            failure = error
        if self.size > 1:
            failures: list[SqzNluError | None] = [None] * self.size
            try:
                distributed.all_gather_object(failures, failure)
            except RuntimeError as error:
                raise self._lost(error) from error
            failure = failure or next(filter(None, failures), None)
        if failure is not None:
            raise failure if self.first else SystemExit(1)

    def leave(self) -> None:
        """Ends the connection; the process goes on alone."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def _lost(self, error: RuntimeError) -> BaseException:
        first_line = str(error).strip().partition("\n")[0]
        return SqueezeError(_LOST.format(error=first_line)) if self.first else SystemExit(1)
