import ast

import numpy as np
import pandas as pd
import pytest

from cxr.data.box_table import clean_boxes, true_boxes
from cxr.data.siim import labelled_images


def test_a_box_inside_is_left_alone():
    boxes_xyxy, notes = clean_boxes("a", [[10, 20, 30, 40]], height=100, width=200)
    np.testing.assert_array_equal(boxes_xyxy, [[10, 20, 10 + 30, 20 + 40]])
    assert notes == []


def test_a_box_over_the_border_is_clipped_and_noted():
    boxes_xyxy, notes = clean_boxes("a", [[-3.56, 20, 30, 40], [190, 90, 30, 40]], height=100, width=200)
    np.testing.assert_allclose(boxes_xyxy, [[0, 20, 30 - 3.56, 60], [190, 90, 200, 100]])
    end = "reaches over the border of the image of 200 x 100 and is clipped"
    assert notes == [
        f"image a: box 1 (-3.56, 20.00, 26.44, 60.00) {end}",
        f"image a: box 2 (190.00, 90.00, 220.00, 130.00) {end}",
    ]


def test_rounding_at_the_border_is_clipped_without_a_word():
    boxes_xyxy, notes = clean_boxes("a", [[100, 50, 100.00001, 50]], height=100, width=200)
    np.testing.assert_array_equal(boxes_xyxy, [[100, 50, 200, 100]])
    assert notes == []


@pytest.mark.parametrize(
    ("box_xywh", "word"),
    [
        ([250, 10, 30, 30], "lies outside the image of 200 x 100"),
        ([10, -40, 30, 40], "lies outside"),
        ([10, 10, 0, 30], "is less than 1 pixel wide or high"),
        ([10, 10, 30, -5], "is less than 1 pixel"),
    ],
)
def test_a_box_that_marks_nothing_is_dropped_and_noted(box_xywh, word):
    boxes_xyxy, notes = clean_boxes("a", [box_xywh, [1, 2, 3, 4]], height=100, width=200)
    np.testing.assert_array_equal(boxes_xyxy, [[1, 2, 4, 6]])
    assert len(notes) == 1 and word in notes[0] and notes[0].endswith("is dropped; correct its label")


def test_no_boxes():
    boxes_xyxy, notes = clean_boxes("a", np.empty((0, 4)), 10, 10)
    assert boxes_xyxy.shape == (0, 4) and notes == []


def labels(*boxes):
    return pd.DataFrame({"image_id": list("abc")[: len(boxes)], "boxes_xywh": [np.array(b, float) for b in boxes]})


def test_true_boxes_keep_the_contract():
    table = labels([[10, 20, 30, 40], [-5, 0, 10, 10]], np.empty((0, 4))).assign(height=100, width=200)
    boxes, notes = true_boxes(table)
    assert boxes.to_numpy().tolist() == [["a", "opacity", 1.0, 10, 20, 40, 60], ["a", "opacity", 1.0, 0, 0, 5, 10]]
    assert boxes.columns.tolist() == ["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"]
    assert len(notes) == 1


def test_true_boxes_leave_out_images_that_were_not_converted():
    sizes = pd.DataFrame({"image_id": ["b", "z"], "height": [50, 9], "width": [60, 9]})
    boxes, notes = true_boxes(labels([[1, 1, 5, 5]], [[1, 1, 70, 5]]), sizes)
    assert boxes["image_id"].tolist() == ["b"] and boxes["x_max"].tolist() == [60]
    assert notes[0] == "1 labelled image(s) without a size are left out: a"


def test_true_boxes_of_nothing():
    boxes, notes = true_boxes(labels(np.empty((0, 4))).assign(height=9, width=9))
    assert len(boxes) == 0 and notes == []


def test_real_boxes_need_one_clip_at_zero_and_lose_none(real_labels):
    table, _ = labelled_images(real_labels)
    sizes = pd.read_csv(real_labels / "df_train_512.csv", dtype={"image_id": str})
    sizes[["height", "width"]] = sizes["shape"].map(ast.literal_eval).tolist()
    boxes, notes = true_boxes(table, sizes)
    assert len(boxes) == 7853
    assert sum("(-3.56, " in note for note in notes) == 1
    assert all("is clipped" in note for note in notes)
