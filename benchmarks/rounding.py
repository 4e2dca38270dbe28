"""What rounding to 8 bits costs an encoder, product by product, and the largest activations behind it.

Products of one kind at a time are rounded as in the int8 graph, each text by itself; the cost is the cosine
distance of the pooled embedding to that of the network as it is, mean over texts of the test parts, in
thousandths. The weights are those of the bundle, rounded already. For each layer the largest value that the
output projection gets is listed beside the tenth largest of the block's units (means over texts).

    python benchmarks/rounding.py --data DIR [--model FOLDER] [--name after]

DIR is described in docs/benchmarks.md. Rows of several runs stand side by side in rounding.json, by --name.
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
from common import read_result, write_result
from encoder_figures import DATASETS, cosine, one_by_one

from sqz_nlu.encoder import model
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.model import GroupedLinear, SqueezeBertEncoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.squeeze.probe import TEST, Embed, read_examples, torch_embedder

KINDS = {
    "query": "attention.query",
    "key": "attention.key",
    "value": "attention.value",
    "post_attention": "post_attention.conv1d",
    "intermediate": "intermediate.conv1d",
    "output": ".output.conv1d",
}
TEXTS, SEED = 300, 7


def pick_texts(data: Path) -> list[str]:
    """Some texts of each data set's test part."""
    rng = np.random.default_rng(SEED)
    chosen = []
    for name in DATASETS:
        texts = [text for text, _ in read_examples(data / name / TEST)]
        chosen += [texts[row] for row in rng.permutation(len(texts))[:TEXTS]]
    return chosen


def costs(encoder: SqueezeBertEncoder, embed: Embed, texts: Sequence[str]) -> dict[str, float]:
    """The cost of rounding each kind of product, and of all."""
    products = {n: m for n, m in encoder.named_modules() if isinstance(m, GroupedLinear)}
    exact = embed(texts)
    found = {}
    for kind, part in {**KINDS, "all": ""}.items():
        for name, product in products.items():
            product.rounded = part in name
        found[kind] = round(1000 * (1 - cosine(exact, embed(texts))), 3)
    encoder.set_rounding(False)
    return found


def peaks(encoder: SqueezeBertEncoder, embed: Embed, texts: Sequence[str]) -> list[list[dict[str, float]]]:
    """By layer and block: the largest activation and the tenth largest of the units' largest."""
    found = []
    for layer in encoder.encoder.layers:
        blocks: list[list[np.ndarray]] = [[] for _ in range(layer.output.conv1d.groups)]

        def watch(
            _layer: Any, _inputs: Any, output: torch.Tensor, layer: Any = layer, to: Any = blocks
        ) -> None:
            active = layer.intermediate.activation(layer.intermediate.conv1d(output))
            for block, part in zip(to, active.amax(0).chunk(len(to)), strict=True):
                block.append(np.sort(part.numpy())[::-1][[0, 9]])

        handle = layer.post_attention.register_forward_hook(watch)
        embed(texts)
        handle.remove()
        means = [np.mean(block, 0) for block in blocks]
        found.append([{"largest": round(float(a), 2), "tenth": round(float(b), 2)} for a, b in means])
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--model", default="embedded", help="a bundle, or an encoder (default: embedded)")
    parser.add_argument("--name", default="after", help="of the row in the result (default: after)")
    arguments = parser.parse_args()
    source = find_encoder(arguments.model)
    encoder = load_encoder(source).eval()
    embed = one_by_one(torch_embedder(encoder, load_tokenizer(source), torch.device("cpu")))
    model.round_weight = lambda weight: weight  # type: ignore[assignment]  # it is rounded already
    texts = pick_texts(arguments.data)
    row = {"cost": costs(encoder, embed, texts), "peaks": peaks(encoder, embed, texts[::10])}
    print(json.dumps({arguments.name: row}, indent=1))
    rows = read_result("rounding").get("rows", {})
    print(write_result("rounding", {"texts": len(texts), "rows": {**rows, arguments.name: row}}))


if __name__ == "__main__":
    main()
