"""Symmetric 8-bit integers for weights, one scale a row.

Projections use 7 of the 8 bits. CPUs without VNNI add products of unsigned activations and
signed weights in pairs with 16-bit saturation: ``255 * 127 + 255 * 127`` overflows and is cut off without
a word, ``2 * 255 * 63 = 32130`` does not. Embeddings are only looked up and use all 8 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PROJECTION_LIMIT = 63
EMBEDDING_LIMIT = 127


def quantize_rows(
    weight: npt.NDArray[np.float32], limit: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Rounds each row to integers in ``[-limit, limit]``; its largest magnitude becomes ``limit``.

    Quantizing what `dequantize_rows` returned gives the same integers.

    Args:
        weight: ``[rows, columns]``.
        limit: the largest integer.

    Returns:
        Integers ``[rows, columns]`` and scales ``[rows]``.
    """
    largest = np.abs(weight).max(axis=1, initial=0.0)
    scale = (np.maximum(largest, 1e-12) / limit).astype(np.float32)
    integers = np.clip(np.rint(weight / scale[:, None]), -limit, limit).astype(np.int8)
    return integers, scale


def dequantize_rows(
    integers: npt.NDArray[np.int8], scale: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The matrix that integers ``[rows, columns]`` and scales ``[rows]`` stand for."""
    matrix: npt.NDArray[np.float32] = integers.astype(np.float32) * scale[:, None]
    return matrix
