"""The COCO family by hand, where it differs from the competition's metric."""

import math

import pandas as pd
import pytest

from cxr.evaluation.coco_family import coco_scores
from cxr.tables import BOX_COLUMNS

KEYS = {f"coco_{name}{end}" for name in ("AP", "AP50", "AR100") for end in ("", "_opacity")}


def groups(*rows):
    return pd.DataFrame(rows, columns=["row", "label", "score", *BOX_COLUMNS])


def test_a_perfect_submission_is_one_everywhere():
    truth = groups((0, "none", 1, 0, 0, 1, 1), (1, "opacity", 1, 0, 0, 10, 10), (2, "typical", 1, 0, 0, 1, 1))
    assert coco_scores(truth, truth) == pytest.approx(dict.fromkeys(KEYS, 1.0))


def test_an_iou_counts_at_the_thresholds_that_it_reaches():
    # 10 x 6.2 of 10 x 10: IoU .62 reaches .5, .55 and .6, three of ten thresholds
    result = coco_scores(groups((0, "opacity", 0.9, 0, 0, 10, 6.2)), groups((0, "opacity", 1, 0, 0, 10, 10)))
    assert [result[f"coco_{name}_opacity"] for name in ("AP", "AP50", "AR100")] == pytest.approx([0.3, 1, 0.3])
    # exactly one half is a hit here, and a miss for the competition
    half = coco_scores(groups((0, "opacity", 0.9, 0, 0, 10, 5)), groups((0, "opacity", 1, 0, 0, 10, 10)))
    assert half["coco_AP50_opacity"] == pytest.approx(1)


def test_precision_is_read_at_101_recalls():
    # hit, miss, hit of three true boxes: precision 1 up to recall 1/3 (34 of 101 points), 2/3 up to 2/3 (33 more)
    truth = groups(*((row, "opacity", 1, 0, 0, 10, 10) for row in range(3)))
    found = groups(
        (0, "opacity", 0.9, 0, 0, 10, 10), (5, "opacity", 0.8, 0, 0, 10, 10), (1, "opacity", 0.7, 0, 0, 10, 10)
    )
    result = coco_scores(found, truth)
    assert result["coco_AP50_opacity"] == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert result["coco_AR100_opacity"] == pytest.approx(2 / 3)


def test_the_mean_is_over_the_classes_that_the_truth_holds():
    truth = groups((0, "opacity", 1, 0, 0, 10, 10), (1, "none", 1, 0, 0, 1, 1))
    result = coco_scores(groups((0, "opacity", 0.9, 0, 0, 10, 10), (0, "typical", 0.9, 0, 0, 1, 1)), truth)
    assert result["coco_AP_opacity"] == pytest.approx(1)
    assert result["coco_AP"] == pytest.approx(1 / 2)  # none was not found; typical, which nobody has, does not count


def test_empty_sides(capsys):
    nothing, one = groups(), groups((0, "none", 1, 0, 0, 1, 1))
    assert coco_scores(nothing, one)["coco_AP"] == 0
    assert math.isnan(coco_scores(one, one)["coco_AP_opacity"])
    assert all(map(math.isnan, coco_scores(nothing, nothing).values()))
    output = capsys.readouterr()
    assert output.out == output.err == ""  # pycocotools prints, and standard output is for JSON alone
