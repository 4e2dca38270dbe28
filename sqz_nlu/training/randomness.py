"""Randomness that stays private: torch draws weights, order and dropout from one generator a process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def private_randomness(seed: int | None, device: torch.device) -> Iterator[int]:
    """Seeds torch for the block and puts its generators back afterwards.

    A server may train beside other components; what they draw must not depend on us.

    Args:
        seed: ``None`` draws one from the operating system, which changes no generator either.
        device: where the block computes.

    Yields:
        The seed.
    """
    chosen = secrets.randbelow(2**31) if seed is None else seed
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus, device_type="cuda"):
        torch.default_generator.manual_seed(chosen)
        if gpus:
            torch.cuda.manual_seed(chosen)
        yield chosen
