"""``sqz-nlu migrate``: a pipeline of Rasa's components becomes one of ours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sqz_nlu.cli.common import Verbs
from sqz_nlu.errors import DataError

_EXAMPLE = """example:
  sqz-nlu migrate config.yml > new-config.yml
Standard output is the new configuration; standard error says what was replaced and what has no counterpart.
Comments inside of the pipeline are lost, all others stay.
"""


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "migrate",
        help="turn the pipeline of a config.yml into one with SqueezeBertClassifier",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("config", type=Path, help="a Rasa config.yml; it is not changed")
    verb.add_argument(
        "--end-to-end",
        action="store_true",
        help="the stories hold messages of users: add SqueezeBertFeaturizer for TEDPolicy",
    )
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.migration import migrate

    yaml, config = _read(arguments.config)
    migration = migrate(config, arguments.end_to_end)
    config["pipeline"] = migration.pipeline
    yaml.dump(config, sys.stdout)
    for note in migration.notes:
        print(f"- {note}", file=sys.stderr)
    return 0


def _read(path: Path) -> tuple[Any, Any]:
    """The YAML reader, which keeps comments and order, and what it read."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        raise DataError(
            "migrate reads YAML with the package ruamel.yaml, which Rasa brings. Run it where Rasa is "
            "installed, or: pip install ruamel.yaml"
        ) from error
    yaml = YAML()
    yaml.indent(mapping=2, sequence=2, offset=0)
    try:
        config = yaml.load(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Give a Rasa config.yml.") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise DataError(f"{path} holds {type(config).__name__}; expected the mapping of a config.yml.")
    return yaml, config
