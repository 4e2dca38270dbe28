"""What Rasa hands a component: its configuration, and what it stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.exceptions import InvalidConfigException

from sqz_nlu.errors import OptionError

logger = logging.getLogger(__name__)
Options = TypeVar("Options")


def read_options(
    component: type, config: Mapping[str, Any], from_dict: Callable[[Mapping[str, Any]], Options]
) -> Options:
    """The options in a component's configuration, without the keys that Rasa adds.

    Args:
        component: named in errors.
        config: what Rasa hands over; keys of its own begin with two underscores.
        from_dict: reads the options strictly.

    Raises:
        InvalidConfigException: an option is unknown, of the wrong type or out of range.
    """
    try:
        return from_dict({key: value for key, value in config.items() if not key.startswith("__")})
    except OptionError as error:
        raise InvalidConfigException(f"{component.__name__}: {error}") from error


@contextmanager
def stored(storage: ModelStorage, resource: Resource) -> Iterator[Path | None]:
    """The folder of what a component stored; ``None`` where it had nothing to store."""
    with ExitStack() as stack:
        folder = None
        try:
            folder = stack.enter_context(storage.read_from(resource))
        except ValueError:  # how Rasa says so; of what is done with the folder, none is caught
            logger.debug("Nothing was stored for %s.", resource.name)
        yield folder
