"""What the report says of single choices, and of a plain training beside."""

import json

import pytest

from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.report.worth import beside_baseline, beside_plain, choices
from made_run import workspace_in

ROW = {"plain": 0.1, "yolo": 0.12, "faster_rcnn": 0.19, "fused": 0.21, "gain": 0.11, "low": 0.03, "high": 0.19}


@pytest.fixture
def files(tmp_path):
    return RunFiles(workspace_in(tmp_path))


def keep(files, part, rows):
    files.places.ablations.write_text(json.dumps({part: {"rows": rows, "of": {}}}))


def test_what_was_not_measured_says_how(files):
    assert (
        "make ablations PARTS=choices" in choices(files)[0] and "make ablations PARTS=plain" in beside_plain(files)[0]
    )


def test_choices_stand_with_their_gain(files):
    row = {"model": "studies", "choice": "class weights", "metric": "m", "with": 0.5, "without": 0.4, "gain": 0.1}
    keep(files, "choices", [{**row, "low": -0.01, "high": 0.2}])
    page = "".join(choices(files))
    assert "class weights" in page and "+.100 (-.010 to +.200)" in page


def test_the_baseline_stands_beside_class_by_class(files):
    row = {"class": "negative", "run": 0.8, "baseline": 0.5, "gain": 0.3, "low": 0.2, "high": 0.4}
    keep(files, "baseline", [row, {**row, "class": "mean"}])
    page = "".join(beside_baseline(files))
    assert "negative" in page and "+.300 (+.200 to +.400)" in page and ".500" in page


def test_a_plain_training_stands_beside_ours_seed_by_seed(files):
    seconds = {"CPU s, plain": 600.4, "CPU s, ours": 590.0}
    keep(files, "plain", [{"seed": 2021, **ROW, **seconds}, {"seed": "median", **ROW, **seconds}])
    page = "".join(beside_plain(files))
    assert "2021" in page and "median" in page and "+.110 (+.030 to +.190)" in page and "600" in page


def test_trainings_that_only_measure_or_teach_are_no_models_of_the_run():
    names = (
        "yolo_seed_2022",
        "plain_seed_2021",
        "studies_with_class_weights",
        "studies_grid_0a1b2c3d",
        "studies_round_0",
    )
    assert not any(map(is_main, names)) and all(map(is_main, ("yolo", "retinanet", "studies", "faster_rcnn", "fused")))
    assert title_of("studies_with_class_weights") == "study classifier with class weights"
    assert title_of("plain_seed_2021") == "plain ultralytics seed 2021"
