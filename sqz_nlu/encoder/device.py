"""Where training computes."""

from __future__ import annotations

import torch

from sqz_nlu.errors import OptionError


def choose_device(name: str) -> torch.device:
    """The torch device that an option means.

    Args:
        name: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        OptionError: ``cuda`` was asked for and torch sees no GPU.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise OptionError(
            f"The option 'device' is 'cuda', but torch {torch.__version__} ({build}) sees no GPU. Use "
            "device: auto or cpu, or install the driver and a torch built for it."
        )
    if name == "auto":
        name = "cuda" if gpu else "cpu"
    return torch.device(name)
