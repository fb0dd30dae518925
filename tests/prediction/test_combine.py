import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from ensemble_boxes import weighted_boxes_fusion

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.prediction.combine import (
    average_folds,
    blend,
    combine,
    fuse_boxes,
    fuse_detectors,
    fuse_folds,
    none_from_boxes,
    none_into_boxes,
    study_means,
    weigh_studies,
)
from cxr.prediction.constants import Constants, read_constants, starting_constants
from cxr.prediction.detect import box_rows
from cxr.profiles import Fusion
from cxr.tables import empty_boxes

IMAGES = pd.DataFrame({"image_id": ["a", "b"], "study_id": ["s", "s"], "height": [1000, 400], "width": [800, 500]})
PLAIN = Constants(0.55, 0.001, 30, {"one": 1.0, "other": 1.0}, {"net": 1.0})


def boxes(*rows):
    return pd.concat(
        [empty_boxes(), *(box_rows(image, np.array([box]), np.array([score])) for image, score, *box in rows)],
        ignore_index=True,
    )


def scores(*rows, key):
    return pd.DataFrame([dict(zip([key, *STUDY_CLASSES], row, strict=True)) for row in rows])


def test_two_models_that_agree_keep_their_mean_score():
    one, other = boxes(("a", 0.6, 100, 100, 300, 300)), boxes(("a", 0.8, 100, 100, 300, 320))
    fused = fuse_boxes([one, other], IMAGES, Fusion())
    # equation 4 of paper 004: corners weighted by confidence, (0.6 * 300 + 0.8 * 320) / 1.4
    assert len(fused) == 1 and fused["score"].item() == pytest.approx(0.7, abs=1e-6)
    assert fused["y_max"].item() == pytest.approx((0.6 * 300 + 0.8 * 320) / 1.4, abs=1e-2)


def test_what_one_of_two_models_found_loses_half_its_score():
    fused = fuse_boxes([boxes(("b", 0.6, 10, 10, 90, 90)), empty_boxes()], IMAGES, Fusion())
    assert fused["image_id"].tolist() == ["b"] and fused["score"].item() == pytest.approx(0.3, abs=1e-6)
    assert fused[["x_min", "x_max"]].to_numpy()[0] == pytest.approx([10, 90], abs=1e-3), (
        "pixels of the original image again"
    )


def test_fusion_equals_the_library_in_random_cases():
    rng = np.random.default_rng(1)
    for _ in range(30):
        tables, lists, values, weights = [], [], [], [1.0, 0.5, 2.0]
        for _ in range(3):
            corners = np.sort(rng.random((rng.integers(0, 6), 2, 2)), axis=1).reshape(-1, 4)
            corners = corners[(corners[:, 2:] - corners[:, :2] > 0.01).all(1)]
            found = 0.99 * rng.random(len(corners)).round(3) + 0.002
            tables.append(box_rows("a", corners * [800, 1000, 800, 1000], found))
            lists.append(corners.tolist())
            values.append(found.tolist())
        labels = [[0] * len(one) for one in values]
        expected = weighted_boxes_fusion(lists, values, labels, weights, iou_thr=0.55, skip_box_thr=0.001)
        fused = fuse_boxes(tables, IMAGES, Fusion(), weights)
        assert fused["score"].to_numpy() == pytest.approx(np.sort(expected[1])[::-1].clip(0, 1), abs=1e-5)


def test_no_boxes_at_all_is_an_empty_table():
    fused = fuse_boxes([empty_boxes(), boxes(("a", 0.0, 0, 0, 9, 9))], IMAGES, Fusion())
    assert len(fused) == 0 and list(fused.columns) == list(empty_boxes().columns)


def test_a_score_that_is_no_probability_is_refused():
    broken = boxes(("a", 0.5, 0, 0, 90, 90)).assign(score=np.nan)
    with pytest.raises(DataFault, match="score of row 1 is .*nan.*, it must be a probability"):
        fuse_boxes([broken, empty_boxes()], IMAGES, Fusion())


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, 1.0, 1.0]])
def test_weights_that_fit_no_models_are_refused(weights):
    with pytest.raises(ValueError, match="2 tables of boxes need as many positive weights"):
        fuse_boxes([empty_boxes(), empty_boxes()], IMAGES, Fusion(), weights)


def test_one_detector_passes_unchanged_but_for_the_limit_on_boxes():
    overlapping = boxes(("b", 0.2, 10, 10, 90, 91), ("a", 0.3, 5, 5, 33, 44), ("b", 0.7, 10, 10, 90, 90))
    fused = fuse_folds([overlapping], IMAGES, Fusion())
    assert fused["score"].tolist() == [0.3, 0.7, 0.2], "images in order, the best box first, none merged"
    assert fused["y_max"].tolist() == [44, 90, 91]
    assert fuse_folds([overlapping], IMAGES, Fusion(max_boxes=1))["score"].tolist() == [0.3, 0.7]


def test_boxes_of_images_that_are_not_asked_for_are_left_out():
    table = boxes(("elsewhere", 0.5, 0, 0, 90, 90), ("a", 0.4, 0, 0, 90, 90))
    assert fuse_boxes([table], IMAGES, Fusion())["image_id"].tolist() == ["a"]
    assert fuse_boxes([table, table], IMAGES, Fusion())["image_id"].tolist() == ["a"]


def test_a_heavier_detector_counts_more_and_one_without_weight_need_not_be_there():
    one, other = boxes(("a", 0.8, 100, 100, 300, 300)), boxes(("a", 0.2, 100, 100, 300, 300))
    heavy = fuse_detectors(IMAGES, {"one": one, "other": other}, replace(PLAIN, box_weights={"one": 3, "other": 1}))
    assert heavy["score"].item() == pytest.approx((3 * 0.8 + 0.2) / 4, abs=1e-6)
    alone = fuse_detectors(IMAGES, {"one": one}, replace(PLAIN, box_weights={"one": 0.5, "other": 0.0}))
    assert alone["score"].item() == 0.8


def test_a_model_without_predictions_or_without_a_weight_stops_the_fusion():
    with pytest.raises(DataFault, match="every detector needs both predictions and a weight, found predictions of one"):
        fuse_detectors(IMAGES, {"one": empty_boxes()}, PLAIN)
    with pytest.raises(DataFault, match="found predictions of one, other, weights for one;"):
        fuse_detectors(IMAGES, {"one": empty_boxes(), "other": empty_boxes()}, replace(PLAIN, box_weights={"one": 1}))


def test_none_is_the_product_of_absences_or_the_absence_of_the_best_box():
    found = boxes(("a", 0.5, 0, 0, 9, 9), ("a", 0.2, 5, 5, 30, 30))
    assert none_from_boxes(["a", "b"], found).tolist() == pytest.approx([0.5 * 0.8, 1.0])
    assert none_from_boxes(["a", "b"], found, "maximum").tolist() == pytest.approx([0.5, 1.0])


def test_boxes_of_images_that_look_empty_lose_score():
    found = none_into_boxes(boxes(("a", 0.5, 0, 0, 9, 9), ("b", 0.5, 0, 0, 9, 9)), pd.Series({"a": 0.2, "b": 0.9}), 0.3)
    assert found["score"].tolist() == pytest.approx([0.5**0.7 * 0.8**0.3, 0.5**0.7 * 0.1**0.3])


def test_a_study_is_the_mean_of_its_images():
    means = study_means(scores(("a", 0.2, 0.8, 0, 0), ("b", 0.6, 0.2, 0.2, 0), key="image_id"), IMAGES["study_id"])
    assert means["study_id"].tolist() == ["s"] and means["negative"].item() == pytest.approx(0.4)


def test_classifiers_of_images_and_of_studies_are_weighed_together():
    images = scores(("b", 0.6, 0.2, 0.2, 0), ("elsewhere", 1, 0, 0, 0), ("a", 0.2, 0.8, 0, 0), key="image_id")
    studies = scores(("s", 0.8, 0.1, 0.1, 0), key="study_id")
    mean = weigh_studies(IMAGES, {"net": images, "foreign": studies}, {"net": 1.0, "foreign": 3.0})
    assert mean["negative"].item() == pytest.approx((0.4 + 3 * 0.8) / 4)


def test_a_classifier_that_lacks_an_image_is_named():
    with pytest.raises(DataFault, match="classifier net: no row for 1 of 2 image_ids, the first is b"):
        weigh_studies(IMAGES, {"net": scores(("a", 1, 0, 0, 0), key="image_id")}, {"net": 1.0})


def test_folds_of_a_classifier_are_averaged_and_must_be_about_the_same_images():
    one, other = scores(("a", 0.2, 0.8, 0, 0), key="image_id"), scores(("a", 0.6, 0.4, 0, 0), key="image_id")
    assert average_folds([one, other])["negative"].item() == pytest.approx(0.4)
    with pytest.raises(ValueError, match="same images in the same order"):
        average_folds([one, other.assign(image_id="b")])


def test_none_and_negative_inform_each_other():
    none = pd.Series([0.2, 0.6], index=["a", "b"])
    studies = scores(("s", 0.9, 0.1, 0, 0), key="study_id")
    new_none, new_studies = blend(IMAGES, none, studies, Fusion(none_from_negative=0.5, negative_from_none=0.3))
    assert new_none.tolist() == pytest.approx([0.5 * 0.2 + 0.5 * 0.9, 0.5 * 0.6 + 0.5 * 0.9])
    assert new_studies["negative"].item() == pytest.approx(0.7 * 0.9 + 0.3 * 0.4)
    assert new_studies["typical"].item() == 0.1


def test_combine_goes_from_boxes_to_none_to_negative_and_back_to_boxes():
    constants = replace(PLAIN, none_from_negative=0.5, negative_from_none=0.25, none_into_boxes=0.2)
    found = {"one": boxes(("a", 0.6, 0, 0, 90, 90)), "other": boxes(("a", 0.2, 0, 0, 90, 90))}
    net = scores(("a", 0.3, 0.7, 0, 0), ("b", 0.5, 0.5, 0, 0), key="image_id")
    fused, none, studies = combine(IMAGES, found, {"net": net}, constants)
    assert none.to_dict() == pytest.approx({"a": 0.5 * (1 - 0.4) + 0.5 * 0.4, "b": 0.5 * 1 + 0.5 * 0.4})
    assert studies["negative"].item() == pytest.approx(0.75 * 0.4 + 0.25 * (0.6 + 1) / 2)
    assert fused["score"].item() == pytest.approx(0.4**0.8 * (1 - 0.5) ** 0.2, abs=1e-6)


def test_boxes_thinner_than_a_pixel_are_left_out():
    assert len(box_rows("a", np.array([[0, 0, 0.5, 9], [0, 0, 2, 2]]), np.array([0.1, 0.2]))) == 1
    thin = box_rows("a", np.array([[0, 0, 9, 9]]), np.array([0.1])).assign(x_max=0.5)
    assert len(fuse_boxes([thin], IMAGES, Fusion())) == 0


def test_constants_come_back_from_their_file(tmp_path):
    start = starting_constants(Fusion(none_from_negative=0.4), ["one", "other"], ["net"])
    assert start.box_weights == {"one": 1.0, "other": 1.0} and start.none_from_negative == 0.4
    path = tmp_path / "blend.json"
    path.write_text(json.dumps({"constants": asdict(start), "members": []}))
    assert read_constants(path, members=True) == start
    assert read_constants(path, members=False) == start, "no member joined, so there is one set"


def test_constants_without_members_are_those_tuned_without_them(tmp_path):
    path, without = tmp_path / "blend.json", replace(PLAIN, box_weights={"one": 1.0})
    kept = {"constants": asdict(PLAIN), "members": [{"name": "other"}]}
    path.write_text(json.dumps({**kept, "constants_without_members": asdict(without)}))
    assert read_constants(path, members=False) == without and read_constants(path, members=True) == PLAIN
    path.write_text(json.dumps(kept))
    with pytest.raises(DataFault, match="lacks 'constants_without_members'; run notebook 10_fuse_and_blend again"):
        read_constants(path, members=False)


def test_constants_that_are_missing_or_of_another_version_say_what_to_run(tmp_path):
    with pytest.raises(DataFault, match="not there yet; run notebook 10_fuse_and_blend first"):
        read_constants(tmp_path / "blend.json", members=True)
    for text in ("{", json.dumps({"constants": {"wbf_iou": 0.5, "old": 1}})):
        (tmp_path / "blend.json").write_text(text)
        with pytest.raises(DataFault, match="no constants of this version"):
            read_constants(tmp_path / "blend.json", members=True)
