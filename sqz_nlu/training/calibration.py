"""Temperature scaling (Guo et al., 2017, https://arxiv.org/abs/1706.04599): confidences that mean what
they say, from one number fitted on held-out examples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sqz_nlu.runtime.ranking import log_softmax
from sqz_nlu.training.options import TrainingOptions

_CANDIDATES = np.exp(np.linspace(np.log(0.25), np.log(8.0), 121))
_PRIOR_EXAMPLES = 10.0


def fit_temperature(
    logits: npt.NDArray[np.float32], intents: npt.NDArray[np.int64], prior: float = 1.0
) -> float:
    """The temperature of least negative log-likelihood, drawn towards ``prior`` when there are few examples.

    Args:
        logits: ``[examples, intents]`` of examples that were not trained on.
        intents: their classes, ``[examples]``.
        prior: 1, or what an earlier training was calibrated with.

    Returns:
        A number between 0.25 and 8; ``prior`` when there are no examples.
    """
    if not len(intents) or logits.shape[1] < 2:
        return prior
    rows = np.arange(len(intents))
    costs = [
        -log_softmax(logits / temperature)[rows, intents].sum()
        + _PRIOR_EXAMPLES * np.log(temperature / prior) ** 2
        for temperature in _CANDIDATES
    ]
    return float(_CANDIDATES[int(np.argmin(costs))])


def top_confidences(
    logits: npt.NDArray[np.float32], temperature: float, options: TrainingOptions
) -> npt.NDArray[np.float64]:
    """The confidence that the top intent is reported with.

    Args:
        logits: ``[examples, intents]``.
        temperature: divides the logits.
        options: how confidences are reported.

    Returns:
        Confidences ``[examples]``.
    """
    falling = -np.sort(-np.exp(log_softmax(logits.astype(np.float64) / temperature)), axis=1)
    if options.renormalize_confidences and options.ranking_length:
        falling /= falling[:, : options.ranking_length].sum(axis=1, keepdims=True)
    top: npt.NDArray[np.float64] = falling[:, 0]
    return top


def expected_calibration_error(confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 10) -> float:
    """The mean gap between confidence and accuracy over equally wide bins, weighted by their size.

    Bins are open below and closed above (Guo et al., 2017, equation 3).

    Args:
        confidences: of the predicted class, ``[examples]``.
        correct: whether the prediction was right, ``[examples]``.
        bins: number of bins over ``[0, 1]``.

    Returns:
        A share between 0 and 1; 0 without examples.
    """
    confidence, hit = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(confidence):
        return 0.0
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places, confidence, bins) - np.bincount(places, hit, bins)
    return float(np.abs(gaps).sum() / len(confidence))
