"""Which studies fit, and what a model got wrong; the arithmetic stands in the tables of `small_run`."""

import numpy as np
import pandas as pd
import pytest
from small_run import EVIL, SIZE

from cxr.browse.mistakes import FALSE_ALARM, MISSED, RIGHT, WRONG_CLASS, judge_boxes, wrong_classes
from cxr.browse.studies import Filters, Studies
from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault


@pytest.fixture
def studies(full):
    return Studies(RunFiles(full))


def with_error(studies, model, threshold):
    found = studies.mistakes(model, threshold)
    return {kind: [study for study, bad in zip(studies.ids, hits, strict=True) if bad] for kind, hits in found.items()}


def test_errors_of_a_detector_at_a_threshold(studies):
    assert with_error(studies, "yolo", 0.5) == {
        MISSED: ["s2"],  # its hit has .2
        FALSE_ALARM: ["s0", "s3"],  # .7 where nothing is, .6 on a box that .8 had taken
        RIGHT: ["s1", "s4", "s5"],  # the box on the boxless copy of s1 is not judged
    }
    assert with_error(studies, "yolo", 0.15)[MISSED] == []
    assert with_error(studies, "yolo", 0.05)[FALSE_ALARM] == ["s0", "s2", "s3"]
    assert with_error(studies, "yolo", 0.61)[FALSE_ALARM] == ["s0"]
    assert with_error(studies, "yolo", 0.6)[FALSE_ALARM] == ["s0", "s3"], "the threshold itself counts"
    assert with_error(studies, "yolo", 1)[MISSED] == ["s1", "s2", "s3"]


def test_a_classifier_can_only_be_wrong_about_classes(studies):
    assert with_error(studies, "studies", 0.5) == {WRONG_CLASS: ["s2"], RIGHT: ["s0", "s1", "s3", "s4", "s5"]}
    assert studies.error_kinds("yolo") == [MISSED, FALSE_ALARM, RIGHT]
    assert studies.error_kinds("studies") == [WRONG_CLASS, RIGHT] and studies.error_kinds(None) == []
    with pytest.raises(ValueError, match="yolo cannot be asked for 'wrong class'"):
        studies.select(Filters(error=WRONG_CLASS, model="yolo"))


def test_the_best_threshold_has_the_highest_f1(studies):
    # judged boxes by score: .9 hit, .8 hit, .7 false, .6 false, .2 hit, .1 false; F1 = 2 hits / (boxes + 3 true)
    f1 = {0.9: 2 / 4, 0.8: 4 / 5, 0.7: 4 / 6, 0.6: 4 / 7, 0.2: 6 / 8, 0.1: 6 / 9}
    assert max(f1, key=f1.get) == studies.best_threshold("yolo") == 0.8


def test_a_detector_without_a_hit_gets_the_usual_threshold(studies):
    empty = judge_boxes(studies.images, studies.files.truth, studies.boxes["yolo"][:0])
    assert empty.best_threshold == 0.5 and empty.missed(0).sum() == 3 and not empty.false_alarm(0).any()


def test_boxes_and_truth_of_unknown_images_are_left_out(studies):
    strange = studies.boxes["yolo"].assign(image_id="elsewhere")
    judged = judge_boxes(studies.images, pd.concat([studies.files.truth, strange]), strange)
    assert not judged.false_alarm(0).any() and judged.missed(0).sum() == 3


def test_a_study_without_scores_or_class_is_not_called_wrong():
    kinds = pd.Series({"a": "negative", "b": "typical", "c": np.nan})
    scores = pd.DataFrame({"study_id": ["a", "c"], "negative": [0.1, 0.9], "typical": [0.9, 0.1]})
    assert wrong_classes(kinds, scores.assign(indeterminate=0.0, atypical=0.0)).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), ["s0", "s1", "s2", "s3", "s4", "s5"]),
        (Filters(label="typical"), ["s1", "s2"]),
        (Filters(fold=0), ["s0", "s1", "s2"]),
        (Filters(label="typical", fold=1), []),
        (Filters(source="siim", text=" I1B "), ["s1"]),
        (Filters(text="p-s4"), ["s4"]),
        (Filters(text="<img"), ["s5"]),
        (Filters(text=".*"), []),
        (Filters(error=MISSED, model="yolo", threshold=0.5), ["s2"]),
        (Filters(label="negative", error=FALSE_ALARM, model="yolo", threshold=0.5), ["s0"]),
    ],
)
def test_filters_are_joined_by_and(studies, filters, found):
    assert studies.select(filters) == found


def test_what_there_is_to_show_of_a_study(studies):
    assert studies.image_rows("s1") == [1, 2]
    assert studies.image_boxes(1).corners.tolist() == [[10, 20, 60, 90]] and studies.image_boxes(0).corners.size == 0
    assert studies.image_boxes(4, "yolo", 0.7).scores.tolist() == [0.8]
    assert studies.image_boxes(4, "yolo").corners.tolist() == [[10, 20, 60, 90], [11, 20, 61, 90]]
    shown = studies.probabilities("s2")
    assert list(shown) == ["studies"] and shown["studies"]["negative"] == pytest.approx(0.7)
    facts = studies.facts(0)
    assert facts["sex"] == "F" and facts["bits stored"] == "12" and facts["body part"] == EVIL and "age" not in facts
    assert studies.options() == {
        "label": ["negative", "typical", "indeterminate", "atypical"],
        "source": ["siim"],
        "fold": [0, 1],
    }


def test_before_training_only_the_truth_is_there(bare):
    studies = Studies(RunFiles(bare))
    assert studies.models == [] and studies.faults == [] and studies.mistakes("yolo", 0.5) == {}
    assert studies.select(Filters(label="atypical")) == ["s4"] and studies.probabilities("s0") == {}
    bare.places.folds_table.unlink()
    with pytest.raises(DataFault, match=r"folds.csv: no folds and true boxes yet; run 03_annotations_and_folds first"):
        Studies(RunFiles(bare))


def test_a_broken_file_costs_its_own_part_only(full):
    path = full.places.predictions("yolo") / "out_of_fold.csv"
    path.write_text(path.read_text().replace("0.9,", "nan,"))
    np.save(full.places.cache(SIZE), np.zeros((2, SIZE, SIZE), np.uint8))
    studies = Studies(RunFiles(full))
    assert studies.models == ["studies"] and studies.pixels is None
    assert any("score of row 2" in fault for fault in studies.faults), studies.faults
    assert any("2 pictures, but the images table has 7 rows" in fault for fault in studies.faults)
