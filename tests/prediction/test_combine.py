import numpy as np
import pandas as pd
import pytest
from ensemble_boxes import weighted_boxes_fusion

from cxr.labels import STUDY_CLASSES
from cxr.prediction.combine import blend, fuse_boxes, none_from_boxes, study_means
from cxr.prediction.detect import box_rows, empty_boxes
from cxr.profiles import Fusion

IMAGES = pd.DataFrame({"image_id": ["a", "b"], "study_id": ["s", "s"], "height": [1000, 400], "width": [800, 500]})


def boxes(*rows):
    return pd.concat(
        [empty_boxes(), *(box_rows(image, np.array([box]), np.array([score])) for image, score, *box in rows)],
        ignore_index=True,
    )


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
        tables, lists, scores = [], [], []
        for _ in range(3):
            corners = np.sort(rng.random((rng.integers(0, 6), 2, 2)), axis=1).reshape(-1, 4)
            corners = corners[(corners[:, 2:] - corners[:, :2] > 0.01).all(1)]
            values = rng.random(len(corners)).round(3) + 0.002
            tables.append(box_rows("a", corners * [800, 1000, 800, 1000], values))
            lists.append(corners.tolist())
            scores.append(values.tolist())
        expected = weighted_boxes_fusion(
            lists, scores, [[0] * len(s) for s in scores], iou_thr=0.55, skip_box_thr=0.001
        )
        fused = fuse_boxes(tables, IMAGES, Fusion())
        assert fused["score"].to_numpy() == pytest.approx(np.sort(expected[1])[::-1], abs=1e-5)


def test_no_boxes_at_all_is_an_empty_table():
    fused = fuse_boxes([empty_boxes(), boxes(("a", 0.0, 0, 0, 9, 9))], IMAGES, Fusion())
    assert len(fused) == 0 and list(fused.columns) == list(empty_boxes().columns)


def test_none_is_the_product_of_absences():
    none = none_from_boxes(["a", "b"], boxes(("a", 0.5, 0, 0, 9, 9), ("a", 0.2, 5, 5, 30, 30)))
    assert none.tolist() == pytest.approx([0.5 * 0.8, 1.0])


def scores(*rows, key):
    return pd.DataFrame([dict(zip([key, *STUDY_CLASSES], row, strict=True)) for row in rows])


def test_a_study_is_the_mean_of_its_images():
    means = study_means(scores(("a", 0.2, 0.8, 0, 0), ("b", 0.6, 0.2, 0.2, 0), key="image_id"), IMAGES["study_id"])
    assert means["study_id"].tolist() == ["s"] and means["negative"].item() == pytest.approx(0.4)


def test_none_and_negative_inform_each_other():
    none = pd.Series([0.2, 0.6], index=["a", "b"])
    studies = scores(("s", 0.9, 0.1, 0, 0), key="study_id")
    new_none, new_studies = blend(IMAGES, none, studies, Fusion(none_from_negative=0.5, negative_from_none=0.3))
    assert new_none.tolist() == pytest.approx([0.5 * 0.2 + 0.5 * 0.9, 0.5 * 0.6 + 0.5 * 0.9])
    assert new_studies["negative"].item() == pytest.approx(0.7 * 0.9 + 0.3 * 0.4)
    assert new_studies["typical"].item() == 0.1


def test_boxes_thinner_than_a_pixel_are_left_out():
    assert len(box_rows("a", np.array([[0, 0, 0.5, 9], [0, 0, 2, 2]]), np.array([0.1, 0.2]))) == 1
