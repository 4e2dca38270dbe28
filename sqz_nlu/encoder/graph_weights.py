"""Reads an encoder's weights back from the graph of a bundle.

The encoder that ships in the package is stored once, as a bundle; training starts from the weights in
its graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from transformers import SqueezeBertConfig

from sqz_nlu.encoder.layout import Array, layer_layout
from sqz_nlu.encoder.quantize import dequantize_rows
from sqz_nlu.errors import EncoderError

_WORDS = "embeddings.word_embeddings"
_POSITIONS = "embeddings.position_embeddings.weight"
_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"


def read_graph_weights(model: bytes, config: SqueezeBertConfig, where: Path) -> dict[str, Array]:
    """The encoder's parameters under their names in ``transformers``.

    Args:
        model: the bytes of a bundle's ``model.onnx``.
        config: the encoder's geometry.
        where: named in errors.

    Raises:
        EncoderError: the graph was not written by this package's lowering.
    """
    graph = onnx.load_model_from_string(model).graph
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    try:
        return _collect(initializers, config)
    except KeyError as error:
        raise EncoderError(
            f"{where} has no tensor {error}: it is not the graph of a sqz-nlu bundle with the "
            "geometry of its config.json."
        ) from error


def _collect(tensors: Mapping[str, Array], config: SqueezeBertConfig) -> dict[str, Array]:
    parameters: dict[str, Array] = {
        f"{_WORDS}.weight": _matrix(tensors, _WORDS),
        _POSITIONS: tensors[_POSITIONS],  # the token type is folded into it
        _TOKEN_TYPES: np.zeros((config.type_vocab_size, config.hidden_size), np.float32),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config.num_hidden_layers):
        prefix = f"encoder.layers.{layer}"
        norms += [f"{prefix}.post_attention.layernorm", f"{prefix}.output.layernorm"]
        parameters |= _empty_projections(config, prefix)
        for product in layer_layout(config, layer).products():
            weight = _matrix(tensors, product.name, transposed=True)
            product.scatter(weight, tensors[f"{product.name}.bias"], parameters)
    for norm in norms:
        parameters |= {f"{norm}.{kind}": tensors[f"{norm}.{kind}"] for kind in ("weight", "bias")}
    return parameters


def _matrix(tensors: Mapping[str, npt.NDArray[Any]], name: str, transposed: bool = False) -> Array:
    """A matrix ``[rows, columns]``, from integers and scales or from floats."""
    stored = tensors[f"{name}.weight"].T if transposed else tensors[f"{name}.weight"]
    if stored.dtype != np.int8:
        return stored
    return dequantize_rows(stored, tensors[f"{name}.scale"].reshape(-1))


def _empty_projections(config: SqueezeBertConfig, prefix: str) -> dict[str, Array]:
    width, wide = config.hidden_size, config.intermediate_size
    shapes = {
        "attention.query": (width, width // config.q_groups),
        "attention.key": (width, width // config.k_groups),
        "attention.value": (width, width // config.v_groups),
        "post_attention.conv1d": (width, width // config.post_attention_groups),
        "intermediate.conv1d": (wide, width // config.intermediate_groups),
        "output.conv1d": (width, wide // config.output_groups),
    }
    empty: dict[str, Array] = {}
    for name, (rows, columns) in shapes.items():
        empty[f"{prefix}.{name}.weight"] = np.zeros((rows, columns, 1), np.float32)
        empty[f"{prefix}.{name}.bias"] = np.zeros(rows, np.float32)
    return empty
