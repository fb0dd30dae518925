import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxr.evaluation.auc import expected_error, pair_auc, patient_weights, spread, widen


def test_pairs_are_those_of_one_fold():
    scores, positive = np.array([0.9, 0.5, 0.5, 0.1, 0.2, 0.8]), np.array([1, 0, 1, 0, 1, 0], bool)
    # first fold: .9 beats .5 and .1, .5 ties with .5 and beats .1: 3.5 of 4; second: .2 against .8: 0 of 1
    assert pair_auc(scores, positive, np.array([0, 0, 0, 0, 1, 1])) == pytest.approx(3.5 / 5)
    assert np.isnan(pair_auc(scores, positive, np.array([0, 1, 2, 3, 4, 5])))


def test_one_fold_is_the_usual_area():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 9, 200) / 9, rng.random(200) < 0.3
    assert pair_auc(scores, positive, np.zeros(200)) == pytest.approx(roc_auc_score(positive, scores))


def test_weights_are_copies():
    rng = np.random.default_rng(1)
    scores, positive, folds = rng.integers(0, 5, 40) / 5, rng.random(40) < 0.5, rng.integers(0, 2, 40)
    weights = rng.integers(0, 4, (3, 40))
    copied = [pair_auc(*(np.repeat(part, row) for part in (scores, positive, folds))) for row in weights]
    np.testing.assert_allclose(pair_auc(scores, positive, folds, weights), copied)


def test_patients_are_drawn_whole_and_within_their_fold():
    patients, folds = np.array(["a", "a", "b", "c", "d"]), np.array([0, 0, 0, 1, 1])
    weights = patient_weights(patients, folds, 50)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all() and (weights[:, 3] + weights[:, 4] == 2).all()
    with pytest.raises(ValueError, match="a patient is in two folds"):
        patient_weights(patients, np.array([0, 1, 0, 1, 1]), 5)


def test_spread_leaves_out_resamples_without_the_class():
    low, high, error = spread(np.array([np.nan, 0.5, 0.5, 0.9]))
    assert (low, high) == (0.5, pytest.approx(0.9 - 0.05 * 0.4)) and error == pytest.approx(np.std([0.5, 0.5, 0.9]))
    assert np.isnan(spread(np.array([np.nan]))).all()


def test_a_perfect_order_of_a_few_has_an_error():
    # without any effect Hanley and McNeil's error is that of the rank sum test, sqrt((p + n + 1) / (12 p n))
    assert expected_error(0.5, 8, 12) == pytest.approx(np.sqrt(21 / (12 * 8 * 12)), rel=0.03)
    assert 0 < expected_error(1.0, 50, 50) < expected_error(1.0, 5, 5)
    low, high = widen(1.0, 1.0, 1.0, 0.05)
    assert low == pytest.approx(1 - 1.96 * 0.05) and high == 1.0
    assert widen(0.3, 0.9, 0.6, 0.05) == (0.3, 0.9)
