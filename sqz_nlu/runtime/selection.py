"""Selects a response by comparing a text's sentence vector with those of the examples.

The head is kernel ridge regression: every anchor (the vector of a training example) speaks for and against
response keys with a weight of its own, the louder the nearer it is to the text. `sqz_nlu.training.selection`
finds the weights.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.errors import BundleError

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SelectionHead:
    """Sentence vectors to logits of response keys.

    Attributes:
        keys: response keys such as ``faq/ask_price``, sorted.
        anchors: unit-length vectors, ``[anchors, hidden]``.
        weights: what each anchor says about each key, ``[anchors, keys]``.
        width: of the kernel ``exp((cosine - 1) / width)``.
        temperature: divides the scores; fitted on scores of examples that were left out.
    """

    keys: tuple[str, ...]
    anchors: Vectors
    weights: Vectors
    width: float
    temperature: float

    def logits(self, vectors: Vectors) -> Vectors:
        """Calibrated logits ``[texts, keys]`` of sentence vectors ``[texts, hidden]``."""
        near = kernel(unit_length(vectors), self.anchors, self.width)
        logits: Vectors = near @ self.weights / self.temperature
        return logits

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; anchors in 16 bits, which changes no score before the third decimal."""
        return {
            "keys": list(self.keys),
            "anchors": _to_text(self.anchors, "<f2"),
            "weights": _to_text(self.weights, "<f4"),
            "width": self.width,
            "temperature": self.temperature,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SelectionHead:
        """Reads the JSON form.

        Raises:
            BundleError: a field is missing or does not fit the others.
        """
        try:
            anchors, weights = _to_array(data["anchors"], "<f2"), _to_array(data["weights"], "<f4")
            head = cls(tuple(data["keys"]), anchors, weights, data["width"], data["temperature"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"The head of a response selector cannot be used: {error!r}.") from error
        if weights.shape != (len(anchors), len(head.keys)):
            raise BundleError(
                f"The head of a response selector has weights of shape {weights.shape}; expected "
                f"{len(anchors)} anchors and {len(head.keys)} keys. Train again."
            )
        return head


def kernel(vectors: npt.NDArray[Any], anchors: npt.NDArray[Any], width: float) -> npt.NDArray[Any]:
    """``exp((cosine - 1) / width)`` of unit-length vectors, ``[vectors, anchors]``: 1 for equal ones."""
    near: npt.NDArray[Any] = np.exp((vectors @ anchors.T - 1.0) / width)
    return near


def unit_length(vectors: Vectors) -> Vectors:
    """The vectors divided by their lengths."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def _to_text(array: Vectors, kind: str) -> dict[str, Any]:
    content = base64.b64encode(np.ascontiguousarray(array, kind).tobytes())
    return {"shape": list(array.shape), "base64": content.decode("ascii")}


def _to_array(data: Mapping[str, Any], kind: str) -> Vectors:
    content = base64.b64decode(data["base64"], validate=True)
    return np.frombuffer(content, kind).astype(np.float32).reshape(data["shape"])
