"""Intervals and paired differences out of fold: what they estimate, and that patients are drawn whole."""

import numpy as np
import pytest
from small_out_of_fold import competition, predictions

from cxr.evaluation.intervals import (
    KEYS,
    draw,
    estimate,
    interval,
    interval_table,
    median_difference,
    paired_difference,
    split_folds,
)
from cxr.evaluation.out_of_fold import ground_truth, match_all, match_none, match_opacity, opacity_ap
from cxr.evaluation.voc import average_precision
from cxr.labels import STUDY_CLASSES

RESAMPLES = 60


@pytest.fixture
def data():
    return competition()


def test_the_figure_is_the_ap_of_all_rows(data):
    images, truth = data
    ground = ground_truth(images, truth)
    boxes, none, studies = predictions(images, truth, 0.2)
    found = interval(match_opacity(ground, boxes), ground.patient, RESAMPLES)
    assert found.value == pytest.approx(opacity_ap(images, truth, boxes))
    assert found.low < found.value < found.high
    table = interval_table({"ours": match_all(ground, boxes, none, studies)}, ground, RESAMPLES)["ours"]
    assert list(table.index) == list(KEYS)
    assert table.loc["opacity", "value"] == pytest.approx(found.value)
    assert table.loc["none", "value"] == pytest.approx(average_precision(match_none(ground, none)))
    assert table.loc["studies", "value"] == pytest.approx(table.loc[list(STUDY_CLASSES), "value"].mean())
    assert table.loc["mAP", "value"] == pytest.approx(table["value"].iloc[:6].mean())


def test_by_fold_the_figure_is_the_mean_of_what_each_fold_reaches_alone(data):
    images, truth = data
    ground = ground_truth(images, truth)
    boxes, none, studies = predictions(images, truth, 0.2)
    alone = [opacity_ap(images[images["fold"] == fold], truth, boxes) for fold in (0, 1)]
    matches = match_opacity(ground, boxes)
    assert interval(matches, ground.patient, RESAMPLES, ground.fold).value == pytest.approx(np.mean(alone))
    # a fold whose scores lie on another scale changes nothing by fold, and much over all
    shifted = boxes.assign(score=np.where(images["fold"] == 0, boxes["score"], 0.1 * boxes["score"]))
    matches = match_opacity(ground, shifted)
    assert interval(matches, ground.patient, RESAMPLES, ground.fold).value == pytest.approx(np.mean(alone))
    assert opacity_ap(images, truth, shifted) != pytest.approx(opacity_ap(images, truth, boxes), abs=0.01)
    parts = split_folds(match_all(ground, boxes, none, studies), ground.fold)
    assert [average_precision(part[-1]) for part in parts] == pytest.approx(alone)


def test_the_median_over_seeds_has_an_interval_of_its_own(data):
    images, truth = data
    ground = ground_truth(images, truth)
    boxes, _, _ = predictions(images, truth, 0.2)
    good = match_opacity(ground, boxes)
    worse = [match_opacity(ground, boxes.iloc[::step].reset_index(drop=True)) for step in (2, 3, 4)]
    pairs = [(good, each) for each in worse]
    single = [paired_difference(good, each, ground.patient, RESAMPLES, ground.fold) for each in worse]
    found = median_difference(pairs, ground.patient, RESAMPLES, ground.fold)
    assert found.value == pytest.approx(np.median([each.value for each in single]))
    assert min(each.low for each in single) <= found.low <= found.value <= found.high
    assert median_difference([(good, good)] * 3, ground.patient, RESAMPLES, ground.fold) == (0, 0, 0)


def test_a_system_does_not_differ_from_itself(data):
    ground = ground_truth(*data)
    matches = match_opacity(ground, predictions(*data, 0.2)[0])
    assert paired_difference(matches, matches, ground.patient, RESAMPLES) == (0, 0, 0)


def test_a_better_system_is_better_with_an_interval_above_zero(data):
    ground = ground_truth(*data)
    good, bad = (match_all(ground, *predictions(*data, noise)) for noise in (0.05, 0.8))
    for folds in (None, ground.fold):
        found = paired_difference(good, bad, ground.patient, RESAMPLES, folds)
        assert 0 < found.low <= found.value <= found.high
    back = paired_difference(bad, good, ground.patient, RESAMPLES)
    assert back.value == pytest.approx(-paired_difference(good, bad, ground.patient, RESAMPLES).value)


def test_pairing_makes_the_interval_of_a_small_difference_narrow(data):
    ground = ground_truth(*data)
    boxes = predictions(*data, 0.3)[0]
    other = boxes.assign(score=boxes["score"].round(1))
    one, rounded = match_opacity(ground, boxes), match_opacity(ground, other)
    found = paired_difference(one, rounded, ground.patient, RESAMPLES)
    alone = interval(one, ground.patient, RESAMPLES)
    assert found.high - found.low < alone.high - alone.low


def test_images_of_one_patient_are_drawn_together():
    images, truth = competition(patients=60)
    ground = ground_truth(images, truth)
    matches = match_none(ground, predictions(images, truth, 0.4)[1])
    assert interval(matches, np.arange(ground.rows), 20).low < interval(matches, np.arange(ground.rows), 20).high
    everything = interval(matches, np.zeros(ground.rows), 20)
    assert everything.low == everything.high == everything.value, "one patient alone is drawn every time"


def test_a_class_that_nobody_has_counts_in_no_mean(data):
    images, truth = data
    images = images.assign(negative=images["negative"] + images["atypical"], atypical=0)
    ground = ground_truth(images, truth)
    table = interval_table({"x": match_all(ground, *predictions(images, truth, 0.2))}, ground, RESAMPLES, by_fold=True)
    assert table["x"].loc["atypical"].isna().all()
    assert table.loc["studies", ("x", "value")] == pytest.approx(table["x"]["value"].iloc[:3].mean())


def test_a_fold_without_a_class_is_left_out_of_its_mean(data):
    images, truth = data
    truth = truth[truth["image_id"].isin(images["image_id"][images["fold"] == 1])]
    ground = ground_truth(images, truth)
    boxes = predictions(images, truth, 0.2)[0]
    found = interval(match_opacity(ground, boxes), ground.patient, RESAMPLES, ground.fold)
    assert found.value == pytest.approx(opacity_ap(images[images["fold"] == 1], truth, boxes))


def test_boxless_copies_count_for_their_study_alone(data):
    images, truth = data
    copies = images["image_id"].str.endswith("-1")
    images = images.assign(role=np.where(copies, "duplicate", "train"))
    ground = ground_truth(images, truth)
    assert len(ground.images) == (~copies).sum() and len(ground.studies) == images["study_id"].nunique()
    assert ground.boxes["image_id"].isin(images["image_id"][~copies]).all()


def test_a_patient_in_two_folds_is_refused(data):
    ground = ground_truth(*data)
    system = match_all(ground, *predictions(*data, 0.2))
    with pytest.raises(ValueError, match="a patient is in two folds"):
        draw([system], np.zeros(ground.rows), 5, ground.fold)
    assert estimate(draw([system], ground.patient, 5, ground.fold), 0, "mAP").value > 0
