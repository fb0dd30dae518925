import numpy as np
import pandas as pd
import pytest
from small_out_of_fold import competition, predictions

from cxr.evaluation.bootstrap import KEYS
from cxr.evaluation.class_table import AP_COLUMNS, BOXED_COLUMNS, F1_COLUMNS, class_table
from cxr.evaluation.intervals import interval_table
from cxr.evaluation.out_of_fold import ground_truth, match_all, opacity_ap
from cxr.evaluation.thresholds import nested_counts
from cxr.labels import CLASSES, STUDY_CLASSES

RESAMPLES = 40


@pytest.mark.parametrize("by_fold", [False, True])
def test_the_table_says_what_its_parts_say(by_fold):
    images, truth = competition()
    ground = ground_truth(images, truth)
    system = predictions(images, truth, 0.3)
    table = class_table(ground, *system, resamples=RESAMPLES, by_fold=by_fold)
    assert table.index.tolist() == list(KEYS)
    assert table.columns.tolist() == ["positives", *AP_COLUMNS, *BOXED_COLUMNS, *F1_COLUMNS]
    matches = match_all(ground, *system)
    expected = interval_table({"x": matches}, ground, RESAMPLES, by_fold)["x"].loc[list(KEYS)]
    assert table[AP_COLUMNS].to_numpy() == pytest.approx(expected.to_numpy())
    studies = images.drop_duplicates("study_id")
    counts = [studies[name].sum() for name in STUDY_CLASSES] + [(images["has_box"] == 0).sum(), len(truth)]
    assert table["positives"].tolist()[:-1] == counts
    assert table["positives"].isna().tolist() == [False] * 6 + [True]
    for label, each in zip(CLASSES, matches, strict=True):
        counts, chosen = nested_counts(each, ground.fold)
        assert table.loc[label, ["precision", "recall", "F1"]].tolist() == pytest.approx(list(counts.ratios().values()))
        assert table.loc[label, "threshold_low"] == min(chosen.values())
    assert table.loc["mAP", [*BOXED_COLUMNS, *F1_COLUMNS]].isna().all()


def test_boxed_images_only_stand_beside_all_images_for_opacity_alone():
    images, truth = competition()
    boxes, none, studies = predictions(images, truth, 0.6)
    table = class_table(ground_truth(images, truth), boxes, none, studies, RESAMPLES)
    boxed = images[images["has_box"] == 1]
    assert table.loc["opacity", "AP_boxed"] == pytest.approx(opacity_ap(boxed, truth, boxes))
    assert table.loc["opacity", "AP"] == pytest.approx(opacity_ap(images, truth, boxes))
    assert table.loc["opacity", "AP_boxed"] > table.loc["opacity", "AP"]
    assert table.loc["opacity", "boxed_low"] <= table.loc["opacity", "AP_boxed"] <= table.loc["opacity", "boxed_high"]
    assert table[BOXED_COLUMNS].drop("opacity").isna().all(axis=None)


def test_a_class_that_nobody_has_is_a_row_without_figures():
    images, truth = competition()
    images = images.assign(negative=images["negative"] + images["atypical"], atypical=0)
    table = class_table(ground_truth(images, truth), *predictions(images, truth, 0.3), RESAMPLES)
    assert table.loc["atypical", "positives"] == 0
    assert table.loc["atypical", [*AP_COLUMNS, "threshold", "recall"]].isna().all()
    assert not np.isnan(table.loc["mAP", AP_COLUMNS].astype(float)).any()


def test_the_table_survives_a_file(tmp_path):
    images, truth = competition()
    table = class_table(ground_truth(images, truth), *predictions(images, truth, 0.3), RESAMPLES)
    table.to_csv(tmp_path / "a.csv", index_label="class")
    again = pd.read_csv(tmp_path / "a.csv", index_col="class").astype({"positives": "Int64"})
    pd.testing.assert_frame_equal(again, table, check_names=False)
