"""Fits the head that selects responses: kernel ridge regression, solved in one step.

The encoder stays as it is, so training is linear algebra: no torch, no epochs, no chance. The same solution
tells what each example would have got had it been left out (Allen, 1974: PRESS), which calibrates it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sqz_nlu.errors import DataError
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.selection import SelectionHead, Vectors, kernel, unit_length
from sqz_nlu.runtime.selector import UTTER
from sqz_nlu.training.calibration import fit_temperature
from sqz_nlu.training.examples import Example
from sqz_nlu.training.names import telling_names
from sqz_nlu.training.selector_options import SelectorOptions

Floats = npt.NDArray[np.float64]

_WIDTH = 0.5  # accuracy is flat from 0.3 to 0.7
_RIDGE = 0.2  # and from 0.1 to 0.5
_MOST_ANCHORS = 2000
_JITTER = 1e-6
# Scores lie around [0, 1]; times ten they are sensible logits where there is little to calibrate on.
_SCALE = 10.0


def fit_selection(vectors: Vectors, keys: Sequence[str], names: int = 0) -> SelectionHead:
    """Fits the head to the examples.

    Args:
        vectors: the sentence vector of each example, ``[examples, hidden]``.
        keys: its response key.
        names: how many of the last are no examples but names of keys; nothing is calibrated on them.
    """
    distinct, classes = np.unique(np.array(keys, dtype=object), return_inverse=True)
    examples = unit_length(vectors).astype(np.float64)
    anchors = examples[_anchors(classes)]
    targets = np.eye(len(distinct))[classes]
    weights, left_out = _solve(kernel(examples, anchors, _WIDTH), kernel(anchors, anchors, _WIDTH), targets)
    # A key's only example says nothing about itself when it is left out.
    told = np.bincount(classes)[classes] > 1
    told[len(classes) - names :] = False
    temperature = fit_temperature((_SCALE * left_out[told]).astype(np.float32), classes[told])
    return SelectionHead(
        tuple(distinct.tolist()),
        anchors.astype(np.float32),
        weights.astype(np.float32),
        _WIDTH,
        temperature / _SCALE,
    )


def train_selection(
    examples: Sequence[Example],
    responses: Mapping[str, Sequence[Mapping[str, Any]]],
    options: SelectorOptions,
    encoder: Bundle,
) -> SelectionHead:
    """Learns to select responses.

    Args:
        examples: utterances with their response key as intent.
        responses: the variants of each key's response.
        options: of the selector.
        encoder: gives the sentence vectors.

    Raises:
        DataError: no example has text and a key.
    """
    usable = [example for example in examples if example.text.strip()]
    pairs = [(example.text, example.intent) for example in usable if example.intent]
    if not pairs:
        wanted = f" of '{options.retrieval_intent}'" if options.retrieval_intent else ""
        raise DataError(
            f"There are no examples{wanted} with a response key. Add intents such as "
            f"'{options.retrieval_intent or 'faq'}/ask_price' to the NLU data, and responses such as "
            f"'{UTTER}{options.retrieval_intent or 'faq'}/ask_price' to the domain."
        )
    if options.use_text_as_label:
        keys = dict.fromkeys(key for _, key in pairs)
        answers = [(variant.get("text"), key) for key in keys for variant in responses.get(key, ())]
        pairs += [(str(text), key) for text, key in answers if text]
    named = _named(pairs) if options.use_intent_names else []
    texts, labels = zip(*pairs, *named, strict=True)
    vectors = Interpreter(encoder, options.intra_op_num_threads).embed(texts)
    return fit_selection(vectors, labels, len(named))


def _named(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the names of keys say, without that of the retrieval intent, with the keys."""
    short: dict[str, list[str]] = defaultdict(list)
    for key in dict.fromkeys(key for _, key in pairs):
        short[key.rpartition("/")[2]].append(key)
    told = telling_names(short, [text for text, _ in pairs])
    return [(said, short[name][0]) for name, said in told.items() if len(short[name]) == 1]


def _anchors(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The examples that become anchors: all, or an even share of each key where there are very many."""
    count = len(classes)
    if count <= _MOST_ANCHORS:
        return np.arange(count)
    by_key = np.argsort(classes, kind="stable")
    return np.sort(by_key[np.linspace(0, count - 1, _MOST_ANCHORS).astype(np.int64)])


def _solve(near: Floats, among: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Ridge regression in the space the anchors span.

    Args:
        near: kernel of examples and anchors, ``[examples, anchors]``.
        among: kernel of the anchors, ``[anchors, anchors]``.
        targets: ``[examples, keys]``.

    Returns:
        Weights ``[anchors, keys]``, and for each example the scores it would have got had it been left
        out, ``[examples, keys]``.
    """
    size = len(among)
    root = np.linalg.cholesky(among + _JITTER * np.eye(size))
    features = np.linalg.solve(root, near.T).T
    inverse = np.linalg.inv(features.T @ features + _RIDGE * np.eye(size))
    solution = inverse @ (features.T @ targets)
    influence = np.einsum("ij,ij->i", features @ inverse, features)[:, None]
    left_out = (features @ solution - influence * targets) / (1.0 - influence)
    return np.linalg.solve(root.T, solution), left_out
