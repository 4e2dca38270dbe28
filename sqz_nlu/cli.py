"""The command line: ``sqz-nlu VERB``. Results on standard output, progress and errors on standard error.

Exit codes: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqz_nlu._version import __version__
from sqz_nlu.errors import BundleError, SqzNluError

_MODEL_HELP = "bundle folder, model archive (.tar.gz) of rasa train, or 'embedded'"
_PROBE_TOLERANCE = 0.05

_SQUEEZE_EXAMPLE = """example:
  sqz-nlu squeeze --teacher sentence-transformers/all-MiniLM-L6-v2 \\
      --corpus dialogue.txt.xz questions.txt --out my-encoder
then, in config.yml:
  - name: sqz_nlu.SqueezeBertClassifier
    model: my-encoder
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(prog="sqz-nlu", description="Rasa NLU on an int8 SqueezeBERT.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_parse(verbs)
    _add_info(verbs)
    _add_verify(verbs)
    _add_export(verbs)
    _add_squeeze(verbs)
    return parser


Verbs = Any  # argparse keeps the type of its sub-parsers private


def _add_parse(verbs: Verbs) -> None:
    verb = verbs.add_parser("parse", help="understand a text, or each line of standard input")
    verb.add_argument("model", help=_MODEL_HELP)
    verb.add_argument("text", nargs="?", help="left out: one JSON line for each line of standard input")
    verb.set_defaults(run=_parse)


def _parse(arguments: argparse.Namespace) -> int:
    from sqz_nlu.runtime.interpreter import Interpreter

    interpreter = Interpreter.load(arguments.model)
    texts = [arguments.text] if arguments.text is not None else _lines()
    for text in texts:
        print(json.dumps(interpreter.parse(text).to_dict(), ensure_ascii=False), flush=True)
    return 0


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def _add_info(verbs: Verbs) -> None:
    verb = verbs.add_parser("info", help="what a model knows and what it was made from")
    verb.add_argument("model", help=_MODEL_HELP)
    verb.add_argument("--json", action="store_true", help="manifest and configuration as JSON")
    verb.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    from sqz_nlu.runtime.bundle import CARD

    bundle = _open(arguments.model)
    if arguments.json:
        about = {"manifest": bundle.manifest, "config": bundle.config}
        print(json.dumps(about, indent=1, ensure_ascii=False))
    else:
        print(bundle.contents[CARD].decode("utf-8"), end="")
    return 0


def _add_verify(verbs: Verbs) -> None:
    verb = verbs.add_parser("verify", help="check every byte of a model, and its answers on this machine")
    verb.add_argument("model", help=_MODEL_HELP)
    verb.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from sqz_nlu.runtime.interpreter import Interpreter

    bundle = _open(arguments.model)
    interpreter = Interpreter(bundle)
    for probe in bundle.manifest["probes"]:
        answer = interpreter.parse(probe["text"]).to_dict()
        if not _same(probe, answer):
            raise BundleError(
                f"'{arguments.model}' is intact, but on this machine it answers "
                f"{json.dumps(answer)} where {json.dumps(probe)} was recorded when it was made."
            )
    count = len(bundle.manifest["probes"])
    print(f"intact: {len(bundle.contents)} files, {count} probe(s) answered as recorded")
    return 0


def _same(recorded: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether two parses agree but for values that synonyms change and small differences of CPUs."""

    def spans(parse: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(e["start"], e["end"], e["entity"], e.get("role")) for e in parse["entities"]]

    difference = abs(recorded["intent"]["confidence"] - answer["intent"]["confidence"])
    same_intent = recorded["intent"]["name"] == answer["intent"]["name"]
    return same_intent and difference <= _PROBE_TOLERANCE and spans(recorded) == spans(answer)


def _add_export(verbs: Verbs) -> None:
    verb = verbs.add_parser("export", help="get the bundle out of a Rasa model archive")
    verb.add_argument("model", help=_MODEL_HELP)
    verb.add_argument("folder", type=Path, help="where the bundle is written")
    verb.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from sqz_nlu.runtime.archive import export_bundle

    print(export_bundle(_path(arguments.model), arguments.folder))
    return 0


def _path(model: str) -> str | Path:
    from sqz_nlu.runtime.bundle import EMBEDDED, EMBEDDED_FOLDER

    return EMBEDDED_FOLDER if model == EMBEDDED else model


def _open(model: str) -> Any:
    from sqz_nlu.runtime.archive import open_model

    return open_model(_path(model))


def _add_squeeze(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "squeeze",
        help="turn a BERT checkpoint into a SqueezeBERT by distillation",
        epilog=_SQUEEZE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--teacher", required=True, help="folder, package/sub/folder or hub id of a BERT")
    verb.add_argument("--corpus", required=True, nargs="+", type=Path, help="text, a sentence a line")
    verb.add_argument("--out", required=True, type=Path, help="folder for checkpoints and the result")
    verb.add_argument("--groups", type=int, default=4)
    verb.add_argument("--post-attention-groups", type=int, default=1)
    verb.add_argument("--layers", type=int, help="default: as many as the teacher")
    verb.add_argument("--tokens", type=int, default=10_000_000, help="training length")
    verb.add_argument("--batch-tokens", type=int, default=1536)
    verb.add_argument("--max-length", type=int, default=48, help="longest sentence in tokens")
    verb.add_argument("--learning-rate", type=float, default=1.5e-3)
    verb.add_argument("--seed", type=int, default=7)
    verb.add_argument("--checkpoint-minutes", type=float, default=5.0)
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    verb.add_argument("--bundle", type=Path, help="also write the result as an int8 bundle, here")
    verb.set_defaults(run=_squeeze)


def _squeeze(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("USE_TF", "0")  # transformers would import TensorFlow beside torch
    from sqz_nlu.encoder.source import find_encoder
    from sqz_nlu.export.encoder import export_encoder
    from sqz_nlu.squeeze.distil import squeeze
    from sqz_nlu.squeeze.options import SqueezeOptions

    fields = dict(vars(arguments), corpus=tuple(arguments.corpus))
    for name in ("verb", "run", "bundle"):
        del fields[name]
    folder = squeeze(SqueezeOptions(**fields))
    if arguments.bundle is not None:
        export_encoder(find_encoder(folder), arguments.bundle, folder.name)
    print(folder)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SqzNluError as error:
        print(f"sqz-nlu: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say
        return 1
    except KeyboardInterrupt:
        print("sqz-nlu: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
