import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.labels import STUDY_CLASSES
from cxr.prediction.calibrate import (
    apply_classes,
    apply_map,
    fit_classes,
    fit_isotonic,
    fit_logistic,
)
from cxr.prediction.combine import calibrate_boxes, calibrate_scores, combine, none_from_boxes
from cxr.prediction.constants import Constants
from cxr.prediction.detect import box_rows


def cases(count, slope, offset, seed=0):
    """Scores whose true probability of a hit is expit(slope logit(score) + offset)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.01, 0.99, count)
    odds = (scores / (1 - scores)) ** slope * np.exp(offset)
    return scores, rng.random(count) < odds / (1 + odds), odds / (1 + odds)


def test_the_logistic_map_finds_the_line_that_made_the_cases():
    scores, hits, true = cases(20000, 1.7, -1.2)
    found = fit_logistic(scores, hits)
    assert found["slope"] == pytest.approx(1.7, abs=0.08) and found["offset"] == pytest.approx(-1.2, abs=0.08)
    assert np.abs(apply_map(found, scores) - true).max() < 0.02


def test_few_cases_leave_the_scores_nearly_as_they_are():
    found = fit_logistic(np.array([0.4, 0.6]), np.array([False, True]))
    assert 0.7 < found["slope"] < 1.5 and abs(found["offset"]) < 0.1


def test_the_isotonic_map_follows_what_no_line_can():
    rng = np.random.default_rng(1)
    scores = rng.random(20000)
    true = np.where(scores < 0.5, 0.1, 0.1 + 0.8 * (scores > 0.6))
    hits = rng.random(20000) < true
    away = (np.abs(scores - 0.55) > 0.1) & (scores > 0.05) & (scores < 0.95)
    assert np.abs(apply_map(fit_isotonic(scores, hits), scores) - true)[away].max() < 0.06
    assert np.abs(apply_map(fit_logistic(scores, hits), scores) - true)[away].max() > 0.1


@pytest.mark.parametrize("fit", [fit_logistic, fit_isotonic])
def test_maps_rise_strictly_keep_zero_and_survive_json(fit):
    scores, hits, _ = cases(3000, 0.6, -2)
    mapping = json.loads(json.dumps(fit(scores, hits)))
    grid = np.linspace(0, 1, 1001)
    values = apply_map(mapping, grid)
    assert (np.diff(values) > 0).all() and values[0] == 0 and values[-1] <= 1, "no order changes, so no AP of one model"


@pytest.mark.parametrize("fit", [fit_logistic, fit_isotonic])
@pytest.mark.parametrize("hits", [[True, True], [False, False], []])
def test_hits_alone_or_misses_alone_say_nothing(fit, hits):
    with pytest.raises(ValueError, match=f"needs hits and misses, found {sum(hits)} hits in {len(hits)} cases"):
        fit(np.full(len(hits), 0.5), np.array(hits, bool))


def test_an_unknown_map_is_an_error():
    with pytest.raises(ValueError, match="calibration of kind 'spline': boxes have logistic or isotonic"):
        apply_map({"kind": "spline"}, np.array([0.5]))
    with pytest.raises(ValueError, match="study classes have softmax"):
        apply_classes({"kind": "logistic"}, np.full((1, 4), 0.25))


def test_temperature_and_biases_of_classes_are_found_again():
    rng = np.random.default_rng(2)
    logits, biases = rng.normal(0, 2, (20000, 4)), np.array([0.5, -0.5, 0.3, -0.3])
    true = np.exp(logits / 2 + biases)
    true /= true.sum(1, keepdims=True)
    classes = (rng.random(20000)[:, None] > true.cumsum(1)).sum(1)
    given = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mapping = json.loads(json.dumps(fit_classes(given, classes)))
    assert mapping["temperature"] == pytest.approx(2, abs=0.1) and mapping["biases"] == pytest.approx(biases, abs=0.1)
    found = apply_classes(mapping, given)
    assert found.sum(1) == pytest.approx(1) and np.abs(found - true).max() < 0.05
    with pytest.raises(ValueError, match="at least two classes"):
        fit_classes(given, np.zeros(20000, int))


HALF = {"kind": "logistic", "slope": 1.0, "offset": float(-np.log(3))}  # odds divided by 3: .5 becomes .25
IMAGES = pd.DataFrame({"image_id": ["a"], "study_id": ["s"], "height": [100], "width": [100]})
PLAIN = Constants(0.55, 0.001, 30, {"one": 1.0, "other": 1.0}, {"net": 1.0})


def box(score):
    return box_rows("a", np.array([[10, 10, 50, 50]]), np.array([score]))


def test_boxes_go_through_their_detectors_map_before_they_are_fused():
    constants = replace(PLAIN, box_calibration={"one": HALF})
    assert calibrate_boxes(box(0.5), "one", constants)["score"].item() == pytest.approx(0.25)
    assert calibrate_boxes(box(0.5), "other", constants)["score"].item() == 0.5
    net = pd.DataFrame({"image_id": ["a"], **dict.fromkeys(STUDY_CLASSES, 0.25)})
    found = {"one": box(0.5), "other": box(0.5)}
    assert combine(IMAGES, found, {"net": net}, constants)[0]["score"].item() == pytest.approx((0.25 + 0.5) / 2)
    again = combine(IMAGES, found, {"net": net}, constants, calibrated=True)[0]
    assert again["score"].item() == pytest.approx(0.5), "scores that went through the maps already pass"


def test_classes_go_through_their_classifiers_map_before_images_are_averaged():
    mapping = {"kind": "softmax", "temperature": 1.0, "biases": [float(np.log(3)), 0.0, 0.0, 0.0]}
    constants = replace(PLAIN, class_calibration={"net": mapping})
    net = pd.DataFrame({"image_id": ["a"], **dict.fromkeys(STUDY_CLASSES, 0.25)})
    assert calibrate_scores(net, "net", constants)["negative"].item() == pytest.approx(3 / 6), "3 : 1 : 1 : 1"
    studies = combine(IMAGES, {"one": box(0.5), "other": box(0.5)}, {"net": net}, constants)[2]
    assert studies["typical"].item() == pytest.approx(1 / 6)


def test_none_may_take_fused_boxes_through_a_map_of_its_own():
    table = pd.concat([box(0.5), box(0.5)])
    assert none_from_boxes(["a"], table, "product", HALF).item() == pytest.approx(0.75**2)
    assert none_from_boxes(["a"], table, "maximum", HALF).item() == pytest.approx(0.75)
