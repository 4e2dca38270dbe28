"""Reads and writes encoders in the folder format of ``transformers``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertTokenizerFast, SqueezeBertConfig

from sqz_nlu.encoder.graph_weights import read_graph_weights
from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.encoder.source import TOKENIZER_OPTIONS, EncoderSource
from sqz_nlu.errors import EncoderError
from sqz_nlu.runtime.bundle import MODEL, read_bundle


def load_encoder(source: EncoderSource) -> SqueezeBertEncoder:
    """Builds the encoder of ``source`` with its weights, in evaluation mode.

    Raises:
        EncoderError: the configuration or the weights cannot be used.
        BundleError: they are a bundle's, and it is damaged.
    """
    bundle = read_bundle(source.folder) if source.weights.name == MODEL else None
    config = SqueezeBertConfig.from_dict(source.read_config())
    with torch.random.fork_rng([]):  # drawn weights are replaced at once; what others draw must not change
        encoder = SqueezeBertEncoder(config)
    if bundle:
        arrays = read_graph_weights(bundle.model, config, source.weights)
        state = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    else:
        state = read_weights(source.weights)
    assign_weights(encoder, state, str(source.weights))
    return encoder.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads ``.safetensors`` or ``.bin`` weights; nothing but tensors is unpickled.

    Raises:
        EncoderError: the file is damaged or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise EncoderError(
            f"The weights {path} cannot be read ({type(error).__name__}: {error}). "
            "The file is damaged or holds more than tensors; fetch it again."
        ) from error
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def assign_weights(encoder: SqueezeBertEncoder, state: Mapping[str, Tensor], where: str) -> None:
    """Copies weights into ``encoder``, accepting the prefixes and extra heads of hub checkpoints.

    Raises:
        EncoderError: a parameter is missing or has another shape.
    """
    plain = {_plain_name(name): value for name, value in state.items()}
    for name, parameter in encoder.state_dict().items():
        if name not in plain:
            raise EncoderError(
                f"{where} has no parameter '{name}'. Expected the weights of a SqueezeBERT model "
                "with the geometry of its config.json."
            )
        if plain[name].shape != parameter.shape:
            raise EncoderError(
                f"The parameter '{name}' in {where} has shape {list(plain[name].shape)}; its "
                f"config.json makes that {list(parameter.shape)}. Use the matching config.json."
            )
    encoder.load_state_dict({name: plain[name].float() for name in encoder.state_dict()})


def _plain_name(name: str) -> str:
    return name.removeprefix("transformer.").removeprefix("squeezebert.")


def load_tokenizer(source: EncoderSource) -> Tokenizer:
    """The encoder's tokenizer, with neither truncation nor padding switched on.

    Raises:
        EncoderError: the tokenizer file cannot be read.
    """
    try:
        if source.tokenizer.name == "vocab.txt":
            options = _tokenizer_options(source.folder)
            fast = BertTokenizerFast(vocab_file=str(source.tokenizer), **options)
            tokenizer = Tokenizer.from_str(fast.backend_tokenizer.to_str())
        else:
            tokenizer = Tokenizer.from_file(str(source.tokenizer))
    except Exception as error:
        raise EncoderError(
            f"The tokenizer {source.tokenizer} cannot be read ({error}). Fetch it again."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _tokenizer_options(folder: Path) -> dict[str, Any]:
    path = folder / TOKENIZER_OPTIONS
    stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    known = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
    return {key: stored[key] for key in known if key in stored}


def save_encoder(encoder: SqueezeBertEncoder, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes a folder that `load_encoder` and ``transformers`` can read; created if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    config = encoder.config.to_dict() | {"architectures": ["SqueezeBertModel"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def numpy_parameters(encoder: SqueezeBertEncoder) -> dict[str, npt.NDArray[np.float32]]:
    """The encoder's parameters as float32 arrays under their names in ``transformers``."""
    return {name: value.detach().cpu().numpy() for name, value in encoder.state_dict().items()}
