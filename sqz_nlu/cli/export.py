"""``sqz-nlu export``: get a bundle out of a model archive, or make a page or a phone's files of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from sqz_nlu.cli.common import MODEL_HELP, Verbs, examples, open_bundle

_EXAMPLES = """
sqz-nlu export models/20240101-120000.tar.gz my-model
sqz-nlu parse my-model "turn on the kitchen light"
sqz-nlu export my-model my-page --target web
sqz-nlu export my-model my-phone --target mobile
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "export", help="write a model as a bundle, a web page or files for a phone", **examples(_EXAMPLES)
    )
    verb.add_argument("model", help=MODEL_HELP)
    verb.add_argument("folder", type=Path, help="where the result is written")
    verb.add_argument(
        "--target",
        choices=("bundle", "web", "mobile"),
        default="bundle",
        help="bundle (default); web: a page that needs no server; mobile: an .ort model for Android and iOS",
    )
    verb.add_argument(
        "--onnxruntime-web",
        type=Path,
        metavar="PATH",
        help="for web: folder or .tgz of the npm package onnxruntime-web, which is else found or fetched",
    )
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    if arguments.target == "web":
        from sqz_nlu.export.web import export_web

        bundle = open_bundle(arguments.model)
        written = export_web(bundle, arguments.folder, arguments.onnxruntime_web)
    elif arguments.target == "mobile":
        from sqz_nlu.export.mobile import export_mobile

        written = export_mobile(open_bundle(arguments.model), arguments.folder)
    else:
        from sqz_nlu.runtime.archive import export_bundle

        written = export_bundle(arguments.model, arguments.folder)
    print(written)
    return 0
