"""The scores of the side-by-side benchmark, by hand and against scikit-learn and seqeval."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from nlu.scoring import accuracy, auroc, seqeval_span_f1, span_score
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from sqz_nlu.training.calibration import expected_calibration_error

ROOM, DEVICE = (0, 7, "room"), (8, 14, "device")


def test_accuracy_is_the_share_that_is_right() -> None:
    assert accuracy([True, False, True, True]) == 0.75


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ([{ROOM, DEVICE}], [{ROOM, DEVICE}], (1, 1, 1)),
        ([{ROOM, DEVICE}], [{ROOM}], (1, 1 / 2, 2 / 3)),
        ([{ROOM}, set()], [{ROOM}, {DEVICE}], (1 / 2, 1, 2 / 3)),
        ([{ROOM}], [{(0, 6, "room")}], (0, 0, 0)),  # another end
        ([{ROOM}], [{(1, 7, "room")}], (0, 0, 0)),  # another start
        ([{ROOM}], [{(0, 7, "device")}], (0, 0, 0)),  # another type
        ([{ROOM}, {ROOM}], [set(), set()], (0, 0, 0)),
        ([set()], [set()], (0, 0, 0)),
    ],
)
def test_spans_count_only_if_start_end_and_type_are_right(gold, found, expected) -> None:
    score = span_score(gold, found)
    assert (score.precision, score.recall, score.f1) == pytest.approx(expected)


def test_the_average_is_over_spans_not_over_texts() -> None:
    many = {(start, start + 1, "x") for start in range(9)}
    assert span_score([many, {ROOM}], [many, set()]).recall == 0.9


def random_spans(random: np.random.Generator, length: int) -> set[tuple[int, int, str]]:
    """Spans that do not overlap; some touch."""
    cuts = sorted(random.choice(length + 1, size=6, replace=False).tolist())
    pieces = list(itertools.pairwise(cuts))
    return {(*piece, str(random.choice(["a", "b-c"]))) for piece in pieces if random.random() < 0.6}


def test_span_f1_is_seqevals() -> None:
    random = np.random.default_rng(7)
    texts = ["x" * 12] * 80
    gold = [random_spans(random, 12) for _ in texts]
    found = [spans if random.random() < 0.4 else random_spans(random, 12) for spans in gold]
    ours = span_score(gold, found).f1
    assert 0.3 < ours < 0.9
    assert seqeval_span_f1(texts, gold, found) == pytest.approx(ours, abs=1e-12)


def test_seqeval_is_not_asked_about_overlapping_spans() -> None:
    assert seqeval_span_f1(["kitchen lights"], [{ROOM, (4, 9, "room")}], [{ROOM}]) is None


def test_calibration_error_by_hand() -> None:
    # bin (0.9, 1]: confidence 0.95 twice, half right; bin (0.5, 0.6]: 0.6 once, right
    assert expected_calibration_error([0.95, 0.95, 0.6], [True, False, True]) == pytest.approx(
        (0.9 + 0.4) / 3
    )


def test_calibration_errors_edges() -> None:
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([0.0], [False]) == 0
    assert expected_calibration_error([0.0], [True]) == 1
    # 0.5 closes its bin: it is averaged with 0.45, not with 0.55
    assert expected_calibration_error([0.45, 0.5, 0.55], [True, False, False]) == pytest.approx(
        (0.05 + 0.55) / 3
    )


def test_calibration_error_is_that_of_sklearns_curve() -> None:
    random = np.random.default_rng(7)
    confidence = random.uniform(0.001, 0.999, 2000)
    right = random.random(2000) < confidence**2
    accuracies, means = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    counts = np.histogram(confidence, bins=10, range=(0, 1))[0]
    expected = np.sum(np.abs(accuracies - means) * counts[counts > 0]) / 2000
    assert expected_calibration_error(confidence, right) == pytest.approx(expected)
    assert expected > 0.05


def test_auroc_by_hand() -> None:
    assert auroc([0.9, 0.8], [0.1, 0.2]) == 1
    assert auroc([0.1, 0.2], [0.9, 0.8]) == 0
    assert auroc([0.5], [0.5]) == 0.5
    assert auroc([0.9, 0.3], [0.5, 0.3]) == (1 + 1 + 0 + 0.5) / 4


def test_auroc_is_sklearns() -> None:
    random = np.random.default_rng(7)
    inside = np.round(random.beta(4, 2, 300), 2)  # rounded: ties
    outside = np.round(random.beta(2, 3, 100), 2)
    truth = np.r_[np.ones(300), np.zeros(100)]
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(truth, np.r_[inside, outside]))
