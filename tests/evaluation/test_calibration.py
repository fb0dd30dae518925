"""Reliability by hand, against simulated truth, and what Matches count as right."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss
from small_out_of_fold import competition, predictions

from cxr.evaluation.calibration import (
    brier,
    calibration_summary,
    expected_calibration_error,
    is_hit,
    reliability,
    wilson,
)
from cxr.evaluation.out_of_fold import ground_truth, match_all
from cxr.evaluation.voc import match_detections
from cxr.labels import CLASSES


def test_two_bins_by_hand():
    # 0..0.5: scores .2 and .4, one right; .5..1: .6, .8 and 1, two right
    table = reliability([0.2, 0.4, 0.6, 0.8, 1.0], [False, True, True, False, True], bins=2, smallest=1)
    assert table[["low", "high", "count"]].to_numpy().tolist() == [[0, 0.5, 2], [0.5, 1, 3]]
    assert table["mean_score"].tolist() == pytest.approx([0.3, 0.8])
    assert table["share"].tolist() == pytest.approx([1 / 2, 2 / 3])
    # distances .2 and .1333, weights 2 and 3 of 5
    scores, hits = [0.2, 0.4, 0.6, 0.8, 1.0], [False, True, True, False, True]
    assert brier(scores, hits) == pytest.approx((0.04 + 0.36 + 0.16 + 0.64 + 0) / 5)
    assert brier(scores, hits) == pytest.approx(brier_score_loss(hits, scores))


def test_the_calibration_error_weighs_bins_by_their_scores():
    # 30 scores of .1, none right, and 10 of .9, all right: distances .1 and .1; then 5 of the 10 wrong: .1 and .4
    scores = np.repeat([0.1, 0.9], [30, 10])
    assert expected_calibration_error(scores, scores > 0.5) == pytest.approx(0.1)
    assert expected_calibration_error(scores, np.arange(40) >= 35) == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)


def test_a_score_on_an_edge_belongs_to_the_lower_bin():
    table = reliability([0.0, 0.5, 0.50001, 1.0], [True] * 4, bins=2, smallest=1)
    assert table["count"].tolist() == [2, 2]


def test_rare_high_scores_share_a_bin_that_holds_enough():
    # 100 scores at .05, 12 at .35, 6 at .75 and 4 at .95: the top two bins hold 4 and 6 together, enough for ten
    scores = np.repeat([0.05, 0.35, 0.75, 0.95], [100, 12, 6, 4])
    table = reliability(scores, scores > 0.5)
    assert table[["low", "high", "count"]].to_numpy().ravel() == pytest.approx([0, 0.3, 100, 0.3, 0.7, 12, 0.7, 1, 10])
    assert table["share"].tolist() == [0, 0, 1]


def test_a_remainder_at_the_bottom_joins_the_bin_above_and_few_scores_are_one_bin():
    scores = np.repeat([0.05, 0.95], [3, 20])
    table = reliability(scores, scores > 0.5)
    assert table[["low", "high", "count"]].to_numpy().tolist() == [[0, 1, 23]]
    assert reliability([0.1, 0.9], [False, True])["count"].tolist() == [2]
    assert reliability([], []).empty
    assert math.isnan(expected_calibration_error([], [])) and math.isnan(brier([], []))


@pytest.mark.parametrize("seed", range(30))
def test_every_score_lies_in_one_bin(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random(rng.integers(1, 200)) ** rng.integers(1, 9)
    hits = rng.random(len(scores)) < scores
    table = reliability(scores, hits)
    assert table["count"].sum() == len(scores)
    assert (table["count"] * table["share"]).sum() == pytest.approx(hits.sum())
    assert (table["low"].iloc[1:].to_numpy() >= table["high"].iloc[:-1].to_numpy()).all()
    assert ((table["low"] <= table["mean_score"]) & (table["mean_score"] <= table["high"])).all()
    assert len(table) == 1 or (table["count"] >= 10).all()


def test_wilsons_interval():
    # 2 of 10 (Wilson 1927): middle (.2 + 3.8415 / 20) / (1 + .38415) = .2833, half width .2266
    assert wilson(0.2, 10) == pytest.approx((0.0567, 0.5098), abs=1e-4)
    # no hits: the interval still has a width, where the normal one would have none
    assert wilson(0, 10) == pytest.approx((0, 3.8415 / 13.8415), abs=1e-4)
    assert wilson(1, 10) == pytest.approx((10 / 13.8415, 1), abs=1e-4)


def test_scores_that_are_probabilities_have_a_small_error_and_others_not():
    rng = np.random.default_rng(0)
    scores = rng.random(20000)
    hits = rng.random(20000) < scores
    assert expected_calibration_error(scores, hits) < 0.02
    table = reliability(scores, hits)
    assert ((table["share_low"] <= table["mean_score"]) & (table["mean_score"] <= table["share_high"])).mean() >= 0.8
    # squared scores claim less than they keep: E|p - p^2| = 1/2 - 1/3
    assert expected_calibration_error(scores**2, hits) == pytest.approx(1 / 6, abs=0.02)


def test_a_second_box_on_an_opacity_is_wrong():
    box = [0, 0, 10, 10]
    matches = match_detections([0, 0], [0.9, 0.8], [box, box], [0], [box], 1)
    assert is_hit(matches).tolist() == [True, False]


def test_the_six_classes_of_a_system():
    images, truth = competition()
    ground = ground_truth(images, truth)
    system = predictions(images, truth, 0.2)
    matches = match_all(ground, *system)
    tables = {label: reliability(each.scores, is_hit(each)) for label, each in zip(CLASSES, matches, strict=True)}
    assert [table["count"].sum() for table in tables.values()] == [40] * 4 + [80] * 2
    none = tables["none"]
    assert (none["count"] * none["share"]).sum() == pytest.approx((images["has_box"] == 0).sum())
    summary = calibration_summary(matches)
    assert summary.loc["none", "Brier"] == pytest.approx(brier(system[1], images["has_box"] == 0))
    share = (images["has_box"] == 0).mean()
    assert summary.loc["none", "Brier_constant"] == pytest.approx(share * (1 - share))
    assert summary.loc["opacity", "scores"] == 80


@pytest.mark.parametrize(("scores", "hits"), [([1.2], [True]), ([math.nan], [True]), ([0.5], [True, False])])
def test_what_is_no_probability_is_refused(scores, hits):
    with pytest.raises(ValueError, match="one score within 0..1 for each outcome"):
        reliability(scores, hits)
