"""The exceptions this package raises on purpose.

    SqzNluError
    ├── OptionError          an option is unknown, of the wrong type or out of range
    ├── DataError            training data that cannot be learned from
    ├── PatternError         a lookup table or regular expression that cannot be used
    ├── EncoderError         an encoder that cannot be found, read or used
    ├── CheckpointError      trained weights that training cannot go on from
    ├── BundleError          a bundle that is missing, damaged or not allowed
    │   └── IncompatibleBundleError   written in a format this version does not read
    ├── ParityError          int8 and float graphs disagree where int8 was demanded
    ├── SqueezeError         a distillation run that cannot start or go on
    ├── ExportError          an export that lacks what it needs or has something in its way
    └── AnnotateError        an annotation run that cannot start or go on

Every message says what was seen, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SqzNluError(Exception):
    """Base class of all errors raised on purpose by this package."""


class OptionError(SqzNluError):
    """An option is unknown, has the wrong type or a value out of its range."""


class DataError(SqzNluError):
    """The training data cannot be learned from."""


class PatternError(SqzNluError):
    """A lookup table cannot be read, or a regular expression is not valid."""


class EncoderError(SqzNluError):
    """An encoder cannot be found, read or used."""


class CheckpointError(SqzNluError):
    """Trained weights are missing, damaged or do not fit what is to be trained."""


class BundleError(SqzNluError):
    """A bundle is missing, damaged or contains what is not allowed in one."""


class IncompatibleBundleError(BundleError):
    """A bundle was written in a format version that this package does not read."""


class ParityError(SqzNluError):
    """The int8 graph does not agree with the float graph closely enough."""


class ExportError(SqzNluError):
    """An export lacks what it needs, or something is in its way."""


class SqueezeError(SqzNluError):
    """A distillation run cannot start or go on."""


class AnnotateError(SqzNluError):
    """An annotation run cannot start or go on."""


def did_you_mean(seen: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the closest known name, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(seen.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""
