"""What counts as the same submission: scores within 1e-4, boxes within half a pixel, in any order of equals."""

import pandas as pd
import pytest

from cxr.kaggle.rehearsal.compare import compare_submissions, rows_of


def table(**rows: str) -> pd.DataFrame:
    return pd.DataFrame({"id": list(rows), "PredictionString": list(rows.values())})


def test_equal_tables_have_no_difference():
    rows = table(a_study="negative 0.5 0 0 1 1 typical 0.25 0 0 1 1", b_image="none 0.1 0 0 1 1 opacity 0.9 1 2 30 40")
    found = compare_submissions(rows, rows)
    assert (found.rows, found.boxes, found.largest_score, found.largest_pixels, found.differing) == (2, 1, 0, 0, [])


def test_differences_within_the_limits_are_measured_and_pass():
    kernel = table(b_image="none 0.10005 0 0 1 1 opacity 0.9 1 2 30 40")
    local = table(b_image="none 0.1 0 0 1 1 opacity 0.90008 1.25 2 30 39.5")
    found = compare_submissions(kernel, local)
    assert found.differing == []
    assert found.largest_score == pytest.approx(0.00008)
    assert found.largest_pixels == 0.5


@pytest.mark.parametrize(
    ("kernel", "local", "reason"),
    [
        ("none 0.1002 0 0 1 1", "none 0.1 0 0 1 1", "none 0.100200 against 0.100000"),
        ("negative 1 0 0 1 1", "none 1 0 0 1 1", "classes negative against none"),
        ("opacity 0.9 1 2 30 40", "opacity 0.9 1 2 30 40.6", "a box of score 0.900000: the nearest is off by 0.60 px"),
        ("opacity 0.9 1 2 30 40", "opacity 0.8 1 2 30 40", "the nearest is off by 0.00 px, 0.100000"),
        ("opacity 0.9 1 2 30 40", "none 0.9 0 0 1 1", "classes - against none"),
        ("opacity 0.9 1 2 3 4 opacity 0.8 1 2 3 4", "opacity 0.9 1 2 3 4", "2 boxes against 1"),
    ],
)
def test_a_difference_names_its_row_and_its_size(kernel, local, reason):
    found = compare_submissions(table(x_image=kernel), table(x_image=local))
    (line,) = found.differing
    assert line.startswith("x_image: ")
    assert reason in line


def test_boxes_of_nearly_the_same_score_may_change_places():
    kernel = table(x_image="opacity 0.50001 0 0 10 10 opacity 0.5 100 100 200 200")
    local = table(x_image="opacity 0.50001 100 100 200 200 opacity 0.5 0 0 10 10")
    found = compare_submissions(kernel, local)
    assert found.differing == []
    assert found.largest_score == pytest.approx(0.00001)


def test_a_local_box_answers_for_one_box_only():
    kernel = table(x_image="opacity 0.5 0 0 10 10 opacity 0.5 0 0 10 10")
    local = table(x_image="opacity 0.5 0 0 10 10 opacity 0.5 0 0 10 90")
    (line,) = compare_submissions(kernel, local).differing
    assert "off by 80.00 px" in line


def test_rows_of_one_side_only_are_differences_and_planted_ones_are_spared():
    kernel = table(a_study="negative 1 0 0 1 1", b_image="none 0.9 0 0 1 1")
    local = table(c_study="negative 1 0 0 1 1", b_image="none 0.1 0 0 1 1")
    found = compare_submissions(kernel, local, rows_of([], ["b"]))
    assert (found.rows, found.spared) == (2, 1)
    assert found.differing == [
        "a_study: is missing in the local submission",
        "c_study: is missing in the kernel submission",
    ]


def test_ids_of_rows_carry_their_suffix():
    assert rows_of(["s"], ["i", "j"]) == {"s_study", "i_image", "j_image"}
