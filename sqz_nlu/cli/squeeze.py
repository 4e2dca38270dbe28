"""``sqz-nlu squeeze``: make an encoder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sqz_nlu.cli.common import Verbs, examples, extra

_EXAMPLES = """
sqz-nlu squeeze --teacher sentence-transformers/all-MiniLM-L6-v2 \\
    --corpus dialogue.txt.xz questions.txt --layers 6 --out my-encoder
# the same on two processes; each takes a GPU where there are some:
torchrun --nproc_per_node 2 -m sqz_nlu.cli squeeze --teacher ... --corpus ... --out my-encoder
# then, in config.yml:
#   - name: sqz_nlu.SqueezeBertClassifier
#     model: my-encoder
"""
_TOKENS = "training length (default 10 million); 0: only the first weights, fitted without training"


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "squeeze",
        help="turn a BERT checkpoint into a SqueezeBERT by distillation",
        **examples(_EXAMPLES),
    )
    verb.add_argument("--teacher", required=True, help="folder, package/sub/folder or hub id of a BERT")
    verb.add_argument("--corpus", required=True, nargs="+", type=Path, help="text, a sentence a line")
    verb.add_argument("--out", required=True, type=Path, help="folder for checkpoints and the result")
    verb.add_argument(
        "--student",
        metavar="ENCODER",
        help="go on with an encoder that was squeezed from this teacher: a folder, or 'embedded'",
    )
    verb.add_argument(
        "--groups", type=int, help="of query, key, value and the feed-forward block (default 4)"
    )
    verb.add_argument("--attention-groups", type=int, help="of query, key and value, if not --groups")
    verb.add_argument("--feed-forward-groups", type=int, help="of the feed-forward block, if not --groups")
    verb.add_argument("--post-attention-groups", type=int, help="after attention (default 1)")
    verb.add_argument("--layers", type=int, help="default: as many as the teacher")
    verb.add_argument(
        "--vocab-size", type=int, metavar="N", help="keep the N word pieces the text uses most (default all)"
    )
    verb.add_argument("--tokens", type=int, default=10_000_000, help=_TOKENS)
    verb.add_argument("--batch-tokens", type=int, default=1536, help="tokens a step (default 1536)")
    verb.add_argument("--max-length", type=int, default=48, help="longest sentence in tokens (default 48)")
    verb.add_argument("--learning-rate", type=float, default=1.5e-3, help="AdamW's peak (default 0.0015)")
    verb.add_argument(
        "--pooled-weight", type=float, default=2.0, help="of the sentence vector in the loss (default 2)"
    )
    verb.add_argument(
        "--quantization-aware",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="of the steps, the last ones, in which products round as the int8 graph does (default 0.25)",
    )
    verb.add_argument("--seed", type=int, default=7, help="of order and initial values (default 7)")
    verb.add_argument("--checkpoint-minutes", type=float, default=5.0, help="between checkpoints (default 5)")
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default auto")
    verb.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of products; auto is bfloat16, but float32 for the student on a CPU",
    )
    verb.add_argument("--tensorboard", type=Path, metavar="DIR", help="write TensorBoard's event files there")
    verb.add_argument(
        "--eval",
        type=Path,
        metavar="DIR",
        help="at the end, score the frozen encoder on data sets: test.jsonl with train_5shot.jsonl, "
        "train_10shot.jsonl or train.jsonl, there or in sub-folders",
    )
    verb.add_argument("--bundle", type=Path, help="also write the result as an int8 bundle, here")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    os.environ.setdefault("USE_TF", "0")  # transformers would import TensorFlow beside torch
    with extra("squeeze"):
        from sqz_nlu.squeeze.options import SqueezeOptions
        from sqz_nlu.squeeze.run import squeeze

    fields = dict(vars(arguments), corpus=tuple(arguments.corpus))
    for name in ("verb", "run"):
        del fields[name]
    folder = squeeze(SqueezeOptions(**fields))
    if folder is not None:
        print(folder)
    return 0
