"""Means with intervals, the paired test and its correction, counts of masks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from cxr.evaluation.lungs import masks_by_class
from cxr.evaluation.means import mean_interval
from cxr.evaluation.segmenters import holm, network_table, paired_p
from cxr.images.overlap import dice_jaccard, structure_dice_jaccard
from cxr.labels import STUDY_CLASSES


def test_an_interval_resamples_patients_not_pictures():
    values = np.array([0.0, 1.0] * 50)
    alone = mean_interval(values, np.arange(100), 500)
    pairs = mean_interval(values, np.repeat(np.arange(50), 2), 500)  # each patient has one of both: no spread
    assert alone.value == pairs.value == 0.5 and alone.low < 0.45 < 0.55 < alone.high
    assert pairs.low == pairs.high == 0.5
    assert mean_interval(np.array([np.nan, 0.25]), np.array(["a", "b"]), 10) == (0.25, 0.25, 0.25)
    assert np.isnan(mean_interval(np.array([np.nan]), np.array(["a"]), 10)).all()


def test_the_paired_test_is_scipys_on_patients():
    rng = np.random.default_rng(0)
    one, other = rng.random(20), rng.random(20)
    assert paired_p(one, other, np.arange(20)) == wilcoxon(one - other).pvalue
    patients = np.repeat(np.arange(10), 2)
    means = (one - other).reshape(10, 2).mean(1)
    assert paired_p(one, other, patients) == wilcoxon(means).pvalue
    assert np.isnan(paired_p(one, one, np.arange(20))), "no difference, no test"
    assert np.isnan(paired_p(one[:5], other[:5], np.arange(5))), "too few pairs to find anything"


def test_holm_by_hand():
    # sorted .01 .02 .04: times 3, 2, 1, and never below the one before
    assert np.allclose(holm(np.array([0.04, np.nan, 0.01, 0.02])), [0.04, np.nan, 0.03, 0.04], equal_nan=True)
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_networks_are_compared_with_the_first_on_the_same_pictures():
    rng, rows = np.random.default_rng(1), []
    base = rng.uniform(0.7, 0.8, 12)
    for name, more in (("unet", 0.0), ("better", 0.1), ("alike", 0.0)):
        noise = rng.normal(0, 0.005, 12) if name == "alike" else 0
        values = base + more + noise
        rows += [(name, f"i{n}", f"p{n}", value, value - 0.1) for n, value in enumerate(values)]
    rng.shuffle(rows)
    pictures = pd.DataFrame(rows, columns=["network", "image_id", "patient_id", "dice", "jaccard"])
    pictures[["dice", "jaccard"]] = pictures[["dice", "jaccard"]].astype(float)
    order = ["unet", "better", "alike"]
    pictures = pictures.sort_values("network", key=lambda names: names.map(order.index), kind="stable")
    table = network_table(pictures, 200).set_index("network")
    assert list(table.index) == order and (table["n"] == 12).all()
    assert table.at["better", "difference"] == pytest.approx(0.1) and table.at["better", "p_holm"] < 0.01
    assert np.isnan(table.at["unet", "p"]) and table.at["alike", "p_holm"] > 0.05
    assert (table["low"] < table["dice"]).all() and (table["dice"] < table["high"]).all()


def test_masks_by_class():
    lungs = pd.DataFrame({"image_id": list("abcd"), "accepted": [1, 1, 0, 1], "deformed": [0.1, 0.3, np.nan, 0.25]})
    images = pd.DataFrame(np.eye(4)[[0, 1, 1, 0]], columns=STUDY_CLASSES).assign(image_id=list("abcd"))
    table = masks_by_class(lungs, images).set_index("class")
    assert table.loc["negative"].tolist() == [2, 2, 0, 0.0] and table.loc["typical"].tolist() == [2, 1, 1, 1.0]
    assert table.loc["all", ["images", "believed", "under_segmented"]].tolist() == [4, 3, 1]
    assert table.loc["atypical", "images"] == 0 and pd.isna(table.at["atypical", "share"])


def test_overlap_of_structures():
    truth = np.zeros((1, 4, 4), np.uint8)
    truth[0, :, 0], truth[0, :, 3], truth[0, 3, 1:3] = 2, 3, 255
    found = truth.copy()
    found[0, 3, 1:3] = 1  # where nobody knows: counts for nothing
    found[0, 0, 3] = 0
    scores = structure_dice_jaccard(found, truth)
    assert set(scores) == {"lungs", "right", "left"}, "nobody drew a heart"
    assert scores["right"][0][0] == 1 and scores["left"][0][0] == pytest.approx(6 / 7)
    assert scores["lungs"][1][0] == pytest.approx(7 / 8)
    empty = np.zeros((1, 2, 2), bool)
    assert np.isnan(dice_jaccard(empty, empty)[0][0])
