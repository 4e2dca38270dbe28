"""A threshold for Rasa's FallbackClassifier, from confidences on held-out examples."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

KEPT_SHARE = 0.97
_FEWEST_RIGHT = 50  # one and a half of them are the share that may be lost


@dataclass(frozen=True)
class FallbackThreshold:
    """A threshold and what it would have done to the held-out answers.

    Attributes:
        threshold: answers with a lower confidence are turned away.
        kept: share of the right answers that stay.
        turned_away: share of the wrong answers that go; ``None`` where none was wrong.
        right: number of right answers.
        wrong: number of wrong answers.
    """

    threshold: float
    kept: float
    turned_away: float | None
    right: int
    wrong: int

    def __str__(self) -> str:
        """One line for people."""
        done = (
            f"FallbackClassifier threshold {self.threshold:.2f} would have kept {self.kept:.0%} of the right"
        )
        if self.turned_away is None:
            return f"{done} held-out answers ({self.right} right, none wrong)"
        return (
            f"{done} and turned away {self.turned_away:.0%} of the wrong held-out answers "
            f"({self.right} right, {self.wrong} wrong)"
        )

    def to_dict(self) -> dict[str, float | int | None]:
        """The JSON form."""
        return asdict(self)


def recommend_threshold(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> FallbackThreshold | None:
    """The highest threshold, in hundredths, that keeps 97% of the right answers.

    It is the operating point at a fixed true positive rate by which detectors of wrong or foreign input are
    compared (Liang et al., 2018, https://arxiv.org/abs/1706.02690, at 95%).

    Args:
        confidences: of the top intent, ``[examples]``; of examples that were not trained on.
        correct: whether it was the right one, ``[examples]``.

    Returns:
        ``None`` with fewer than 50 right answers: a few of them would decide.
    """
    right, wrong = confidences[correct], confidences[~correct]
    if len(right) < _FEWEST_RIGHT:
        return None
    lost = int(len(right) * (1.0 - KEPT_SHARE) + 1e-9)
    threshold = math.floor(100.0 * float(np.sort(right)[lost])) / 100.0
    return FallbackThreshold(
        threshold,
        float((right >= threshold).mean()),
        float((wrong < threshold).mean()) if len(wrong) else None,
        len(right),
        len(wrong),
    )
