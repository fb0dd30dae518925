"""Ratios of means with intervals by patient."""

import numpy as np
import pytest

from cxr.evaluation.means import ratio_interval


def test_a_ratio_of_means_is_over_the_pictures_that_have_both():
    values, others = np.array([0.6, 0.2, np.nan, 9.0]), np.array([0.3, 0.1, 5.0, np.nan])
    found = ratio_interval(values, others, np.array(["a", "b", "c", "d"]), 50)
    assert found.value == pytest.approx((0.6 + 0.2) / (0.3 + 0.1))
    assert (found.low, found.high) == pytest.approx((2, 2)), "twice as much in each picture: no spread"


def test_pictures_of_one_patient_are_drawn_together():
    values, others = np.tile([0.1, 0.5], 20), np.full(40, 0.2)
    alone = ratio_interval(values, others, np.arange(40), 300)
    pairs = ratio_interval(values, others, np.arange(40) // 2, 300)
    assert alone.value == pytest.approx(1.5) and alone.low < 1.4 < 1.6 < alone.high
    assert (pairs.low, pairs.high) == pytest.approx((1.5, 1.5)), "each patient has one of both"


def test_without_anything_to_compare_with_there_is_no_ratio():
    assert np.isnan(ratio_interval(np.ones(2), np.zeros(2), np.arange(2), 10)).all()
    assert np.isnan(ratio_interval(np.empty(0), np.empty(0), np.empty(0), 10)).all()
    # a resample of nothing but the first picture has no ratio, and counts in no interval
    assert ratio_interval(np.ones(2), np.array([0.0, 1.0]), np.arange(2), 50).low == pytest.approx(1)
