from __future__ import annotations

import re

import pytest

import sqz_nlu
from sqz_nlu import errors


def test_every_public_name_is_there() -> None:
    assert sorted(sqz_nlu.__all__) == dir(sqz_nlu)
    assert all(getattr(sqz_nlu, name) is not None for name in sqz_nlu.__all__)
    with pytest.raises(AttributeError, match="Interpretr"):
        _ = sqz_nlu.Interpretr


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", sqz_nlu.__version__)


def test_the_drawn_error_tree_is_the_real_one() -> None:
    drawn = re.findall(r"(\w+Error)\b", errors.__doc__)
    real = [
        name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")
    ]
    assert sorted(drawn) == sorted(real)
    assert all(issubclass(getattr(errors, name), errors.SqzNluError) for name in real)
