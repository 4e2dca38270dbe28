"""``sqz-nlu serve``: answer Rasa's ``/model/parse`` over HTTP."""

from __future__ import annotations

import argparse
import os

from sqz_nlu.cli.common import Verbs, extra

_EXAMPLE = """example:
  sqz-nlu serve models --port 5005
  curl localhost:5005/model/parse -d '{"text": "hello"}'

The token can also come from the environment variable SQZ_NLU_TOKEN, where other users do not see it.
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "serve",
        help="answer over HTTP as Rasa's NLU server does",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = "bundle folder, model archive (.tar.gz), or a folder of archives: the newest"
    verb.add_argument("model", help=model)
    verb.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    verb.add_argument("--port", type=int, default=5005, help="0: any free one (default: %(default)s)")
    verb.add_argument("--token", default=os.environ.get("SQZ_NLU_TOKEN"), help="ask every request for it")
    verb.add_argument("--cors", nargs="+", default=(), metavar="ORIGIN", help="browsers' origins, or '*'")
    verb.add_argument("--threads", type=int, help="texts understood at a time (default: one a processor)")
    verb.add_argument("--queue", type=int, help="texts that may wait; more get 503 (default: 256)")
    verb.add_argument("--max-body", type=int, metavar="BYTES", help="largest request body (default: 1 MiB)")
    verb.add_argument("--max-length", type=int, metavar="CHARACTERS", help="longest text (default: 10000)")
    verb.add_argument("--max-batch", type=int, metavar="TEXTS", help="largest batch (default: 128)")
    verb.add_argument(
        "--watch", type=float, metavar="SECONDS", help="look for a new model; 0: never (default: 1)"
    )
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    with extra("serve"):
        from sqz_nlu.serving.logs import log_to_standard_error
        from sqz_nlu.serving.model import ModelSource
        from sqz_nlu.serving.server import serve
        from sqz_nlu.serving.settings import ServerSettings
    given = {
        name: getattr(arguments, name)
        for name in ("threads", "queue", "max_body", "max_length", "max_batch", "watch")
        if getattr(arguments, name) is not None
    }
    settings = ServerSettings(token=arguments.token, cors=tuple(arguments.cors), **given)
    log_to_standard_error()
    serve(ModelSource(arguments.model), settings, arguments.host, arguments.port)
    return 0
