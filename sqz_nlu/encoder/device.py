"""Where training computes, and with which numbers."""

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


_INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def fast_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are faster there than those of float32.

    CPUs without instructions for them (AVX512-BF16, AMX) are several times slower at them.
    """
    if device.type == "cpu":
        known = (getattr(torch.cpu, name, None) for name in _INSTRUCTIONS)  # newer torch has more
        return any(supported() for supported in known if supported)
    return bool(torch.cuda.is_bf16_supported())
