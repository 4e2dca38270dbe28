"""From what Rasa hands a component as its configuration to the options of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rasa.shared.exceptions import InvalidConfigException

from sqz_nlu.errors import OptionError

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
