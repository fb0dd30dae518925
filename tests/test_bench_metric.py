"""What `make bench` compares does the same work on every side."""

import numpy as np
import pytest

from cxr.bench.metric import BOXES, CLASSES, coco_piece, difference, make_case, our_piece, podm_piece


def test_the_case_has_the_shape_of_the_test_set():
    case = make_case(40, 50, BOXES)
    counts = case.detections["label"].value_counts()
    assert [counts[label] for label in CLASSES] == [40] * 4 + [50, 50 * BOXES]
    assert (case.detections.groupby(["row", "label"]).size().drop("opacity", level=1) == 1).all()
    values = our_piece(case)()
    assert ((values > 0.02) & (values < 0.98)).all()
    assert case.truth.equals(make_case(40, 50, BOXES, seed=1).truth)


def test_the_others_reach_the_same_precision():
    case = make_case(60, 80, 20)
    assert difference(case, podm_piece(case)()) < 1e-9
    # pycocotools reads 101 recalls: close, and not the same
    precision = coco_piece(case, limited=True)().eval["precision"][0, :, :, 0, 0].mean(axis=0)
    assert precision == pytest.approx(our_piece(case)()[: len(CLASSES)], abs=0.02)
    assert np.abs(precision - our_piece(case)()[: len(CLASSES)]).max() > 1e-5
