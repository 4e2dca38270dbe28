"""Channels are put into an order by what real tokens have in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sqz_nlu.encoder.load import load_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.squeeze.ordering import _measure


def test_neither_padding_nor_rows_that_fill_up_count(tiny_encoder: Path) -> None:
    teacher = load_encoder(find_encoder(tiny_encoder))
    ids = torch.tensor([[2, 7, 9, 3], [2, 5, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    ((_, variances),) = _measure(teacher, [0], [(ids, mask)])
    with torch.no_grad():
        tokens = teacher.hidden_states(ids, mask)[0][mask.bool()].double().numpy()
    np.testing.assert_allclose(variances["attention.query"], tokens.var(0), rtol=1e-4)
