"""BERT to SqueezeBERT: an exact conversion, and a grouped student to distil into.

A SqueezeBERT whose projections all have one group computes what BERT computes, so conversion is a
renaming. The student starts from the teacher's weights, grouped ones from their diagonal blocks.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, SqueezeBertConfig

from sqz_nlu.encoder.load import assign_weights, load_tokenizer, read_weights
from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.encoder.quantize import EMBEDDING_LIMIT, dequantize_rows, quantize_rows
from sqz_nlu.encoder.source import TOKENIZER_FILES, WEIGHT_FILES, EncoderSource, find_encoder
from sqz_nlu.errors import EncoderError, SqueezeError
from sqz_nlu.runtime.archive import model_path
from sqz_nlu.squeeze.options import Groups

_RENAMES = (
    (r"^bert\.", ""),
    (r"encoder\.layer\.", "encoder.layers."),
    (r"attention\.self\.(query|key|value)", r"attention.\1"),
    (r"attention\.output\.dense", "post_attention.conv1d"),
    (r"attention\.output\.LayerNorm", "post_attention.layernorm"),
    (r"intermediate\.dense", "intermediate.conv1d"),
    (r"(layers\.\d+)\.output\.dense", r"\1.output.conv1d"),
    (r"(layers\.\d+)\.output\.LayerNorm", r"\1.output.layernorm"),
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
)


def load_teacher(name: str) -> tuple[SqueezeBertEncoder, Tokenizer]:
    """Loads a BERT checkpoint as the SqueezeBERT with one group that computes the same.

    Args:
        name: a folder, ``package/sub/folder`` inside an installed package, or a hub id.

    Raises:
        SqueezeError: the checkpoint is not BERT-like.
        EncoderError: it cannot be found or read.
    """
    source = find_teacher(name)
    try:
        stored = AutoConfig.from_pretrained(source.folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise SqueezeError(
            f"The config.json of the teacher '{name}' cannot be used ({first_line}). Only checkpoints with "
            "BERT's layers (model_type 'bert') can be converted."
        ) from error
    if stored.model_type != "bert":
        raise SqueezeError(
            f"The teacher '{name}' has model_type '{stored.model_type}'; expected 'bert'. Only "
            "checkpoints with BERT's layers can be converted."
        )
    if getattr(stored, "position_embedding_type", "absolute") != "absolute":
        raise SqueezeError(
            f"The teacher '{name}' has {stored.position_embedding_type} position embeddings; "
            "expected absolute ones."
        )
    encoder = SqueezeBertEncoder(_as_squeezebert(stored))
    assign_weights(encoder, rename_bert(read_weights(source.weights)), str(source.weights))
    return encoder.eval(), load_tokenizer(source)


def _package_folder(name: str) -> Path | None:
    """The folder of ``package/sub/folder`` where that names an installed package."""
    first, _, rest = name.partition("/")
    if model_path(name).is_dir() or not first.isidentifier():
        return None
    spec = importlib.util.find_spec(first)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / rest
    return folder if folder.is_dir() else None


def find_teacher(name: str) -> EncoderSource:
    """The files of a teacher.

    Args:
        name: a folder, ``package/sub/folder`` inside an installed package, or a hub id.

    Raises:
        SqueezeError: it cannot be found, or lacks a file.
    """
    folder = _package_folder(name)
    try:
        return find_encoder(name if folder is None else folder)
    except EncoderError as error:
        raise SqueezeError(
            f"No teacher was found under '{name}'. Expected a folder with config.json, "
            f"{' or '.join(WEIGHT_FILES)} and {' or '.join(TOKENIZER_FILES)}, package/sub/folder of "
            f"an installed package, or a hub id. ({error})"
        ) from error


def _as_squeezebert(config: AutoConfig) -> SqueezeBertConfig:
    shared = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
        "max_position_embeddings type_vocab_size layer_norm_eps pad_token_id"
    ).split()
    fields = {name: getattr(config, name) for name in shared}
    fields |= Groups(attention=1, post_attention=1, feed_forward=1).config_fields()
    return SqueezeBertConfig(embedding_size=config.hidden_size, **fields)


def rename_bert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """BERT's parameters under SqueezeBERT's names and shapes."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        projection = value.dim() == 2 and ".layers." in name
        renamed[name] = value.unsqueeze(-1) if projection else value
    return renamed


def new_student(teacher: SqueezeBertEncoder, groups: Groups, layers: int | None) -> SqueezeBertEncoder:
    """A student of the teacher's width with grouped projections; `copy_teacher` gives it weights.

    The activation is GELU's tanh form, which ONNX Runtime computes fused.

    Raises:
        SqueezeError: more layers than the teacher has.
        EncoderError: the groups do not divide the widths.
    """
    depth = teacher.config.num_hidden_layers
    layers = layers or depth
    if layers > depth:
        raise SqueezeError(f"--layers is {layers}, but the teacher has {depth}. Ask for at most {depth}.")
    config = SqueezeBertConfig.from_dict(
        teacher.config.to_dict()
        | groups.config_fields()
        | {"num_hidden_layers": layers}
        | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        | {"hidden_act": _tanh_form(teacher.config.hidden_act)}
    )
    return SqueezeBertEncoder(config)


def copy_teacher(teacher: SqueezeBertEncoder, student: SqueezeBertEncoder) -> None:
    """Gives the student the teacher's weights, of grouped projections the blocks on the diagonal.

    Embeddings are rounded to the 8 bits in which they ship.
    """
    student.embeddings.load_state_dict(teacher.embeddings.state_dict())
    with torch.no_grad():
        words = student.embeddings.word_embeddings.weight
        rounded = dequantize_rows(*quantize_rows(words.numpy(), EMBEDDING_LIMIT))
        words.copy_(torch.from_numpy(rounded))
    kept = kept_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    for ours, index in zip(student.encoder.layers, kept, strict=True):
        _copy_layer(teacher.encoder.layers[index], ours)


def _tanh_form(activation: str) -> str:
    return "gelu_pytorch_tanh" if activation == "gelu" else activation


def kept_layers(depth: int, layers: int) -> list[int]:
    """The teacher's layers, evenly spread and ending with the last, that a student's layers follow."""
    return [round((index + 1) * depth / layers) - 1 for index in range(layers)]


def _copy_layer(source: torch.nn.Module, target: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            value: Tensor = source.get_parameter(name)
            if value.shape != parameter.shape:
                value = _diagonal_blocks(value, parameter)
            parameter.copy_(value)


def _diagonal_blocks(full: Tensor, grouped: Tensor) -> Tensor:
    """The blocks on the diagonal of ``[out, in, 1]``, laid out as ``[out, in / groups, 1]``."""
    groups = full.shape[1] // grouped.shape[1]
    rows = full.chunk(groups, dim=0)
    return torch.cat([row.chunk(groups, dim=1)[index] for index, row in enumerate(rows)])
