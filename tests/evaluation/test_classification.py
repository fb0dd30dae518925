"""The papers' measures against a count by hand and scikit-learn; intervals that hold them."""

import numpy as np
import pytest
from sklearn import metrics

from cxr.evaluation.classification import MEASURES, by_fold, confusion, measures_by_class, overall, with_intervals

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 90)
CHANCES = RNG.dirichlet([1, 1, 1], 90) * 0.6 + np.eye(3)[TRUTH] * 0.4
NAMES = ("normal", "pneumonia", "covid")


def test_paper_000_table_6_by_hand():
    """Its tenth fold: 39 of 41 found, 50 of 52 left alone: sensitivity .951, specificity .962, accuracy .957."""
    truth = np.array([1] * 41 + [0] * 52)
    found = np.array([1] * 39 + [0] * 2 + [0] * 50 + [1] * 2)
    values = overall(truth, np.eye(2)[found], ("normal", "covid"))
    assert values["sensitivity"] == pytest.approx(0.9512, abs=1e-4)
    assert values["specificity"] == pytest.approx(0.9615, abs=1e-4)
    assert values["accuracy"] == pytest.approx(89 / 93)


def test_measures_are_scikit_learns():
    found, table = CHANCES.argmax(1), measures_by_class(TRUTH, CHANCES, NAMES)
    assert list(table.columns) == list(MEASURES)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(TRUTH, found)
    assert np.allclose(table["precision"], precision) and np.allclose(table["PPV"], precision)
    assert np.allclose(table["sensitivity"], recall) and np.allclose(table["F1"], f1)
    for number, name in enumerate(NAMES):
        true, said = number == TRUTH, found == number
        assert table.loc[name, "specificity"] == pytest.approx(metrics.recall_score(~true, ~said))
        assert table.loc[name, "NPV"] == pytest.approx(metrics.precision_score(~true, ~said))
        assert table.loc[name, "AUC"] == pytest.approx(metrics.roc_auc_score(true, CHANCES[:, number]))
    assert overall(TRUTH, CHANCES, NAMES)["F1"] == pytest.approx(metrics.f1_score(TRUTH, found, average="macro"))


def test_a_class_that_is_never_found_counts_as_nothing_found():
    chances = np.tile([0.9, 0.1, 0.0], (6, 1))
    table = measures_by_class(np.array([0, 0, 1, 1, 2, 2]), chances, NAMES)
    assert np.isnan(table.loc["covid", "precision"])
    assert overall(np.array([0, 0, 1, 1, 2, 2]), chances, NAMES)["precision"] == pytest.approx(2 / 6 / 3)


def test_folds_and_their_mean():
    folds = np.arange(90) % 3
    table = by_fold(TRUTH, CHANCES, folds, NAMES)
    assert list(table.index) == ["fold 0", "fold 1", "fold 2", "mean"]
    assert table.loc["mean", "accuracy"] == pytest.approx(table["accuracy"].iloc[:3].mean())
    assert table.loc["mean", "pictures"] == 90


def test_confusion_keeps_classes_that_nobody_has():
    counts = confusion(np.array([0, 0]), np.array([0, 2]), NAMES)
    assert counts.to_numpy().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_intervals_hold_the_figure_and_shrink_with_patients():
    patients, folds = np.arange(90) // 2, np.arange(90) // 2 % 2
    found = with_intervals(TRUTH, CHANCES, patients, folds, 200)
    assert found["accuracy"].value == pytest.approx((CHANCES.argmax(1) == TRUTH).mean())
    assert found["F1"].value == pytest.approx(metrics.f1_score(TRUTH, CHANCES.argmax(1), average="macro"), abs=1e-6)
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high
    again = with_intervals(*(np.tile(x, 4) for x in (TRUTH,)), np.tile(CHANCES, (4, 1)), np.arange(360) // 2,
                           np.tile(folds, 4), 200)  # fmt: skip
    assert again["accuracy"].high - again["accuracy"].low < found["accuracy"].high - found["accuracy"].low


def test_intervals_are_those_of_a_plain_bootstrap():
    """Patients of one picture, one fold: 2000 draws by hand give the same ends."""
    right = (CHANCES.argmax(1) == TRUTH).astype(float)
    drawn = RNG.integers(0, 90, (2000, 90))
    low, high = np.percentile(right[drawn].mean(1), [2.5, 97.5])
    found = with_intervals(TRUTH, CHANCES, np.arange(90), np.zeros(90, int), 2000)["accuracy"]
    assert found.low == pytest.approx(low, abs=0.015) and found.high == pytest.approx(high, abs=0.015)
