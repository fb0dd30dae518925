"""Scores of whole submissions by hand, the bootstrap's units, the command."""

import argparse
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.evaluation.bootstrap import KEYS, average_precisions, draw_weights, find_units
from cxr.evaluation.rows import match_classes, read_rows, read_solution
from cxr.evaluation.score import add_arguments, main, score
from cxr.faults import DataFault
from cxr.labels import CLASSES, STUDY_CLASSES, STUDY_COLUMNS
from cxr.submission_format import validate

REAL_DATA = Path(os.environ.get("CXR_REALDATA") or Path(__file__).parents[3] / "shared" / "realdata")
REAL_LABELS = REAL_DATA / "labels" / "siim"

SOLUTION = {
    "s1_study": "negative 1 0 0 1 1",
    "s2_study": "typical 1 0 0 1 1",
    "s3_study": "indeterminate 1 0 0 1 1",
    "s4_study": "atypical 1 0 0 1 1",
    "i1_image": "none 1 0 0 1 1",
    "i2_image": "opacity 1 0 0 100 100 opacity 1 200 0 300 100",
    "i3_image": "opacity 1 0 0 100 100",
    "i4_image": "none 1 0 0 1 1",
}
UNSURE = "negative 0.5 0 0 1 1 typical 0.5 0 0 1 1 indeterminate 0.5 0 0 1 1 atypical 0.5 0 0 1 1"
SUBMISSION = {
    "s1_study": UNSURE.replace("negative 0.5", "negative 0.9"),  # ranked first: negative 1
    "s2_study": UNSURE.replace("negative 0.5", "negative 0.8"),  # typical is tied; second of four in the file: 1/2
    "s3_study": UNSURE.replace("indeterminate 0.5", "indeterminate 0.4"),  # last of four: 1/4
    "s4_study": UNSURE.replace("atypical 0.5", "atypical 0.6"),  # 1
    "i1_image": "none 0.9 0 0 1 1 opacity 0.95 0 0 100 100",
    "i2_image": "none 0.8 0 0 1 1 opacity 0.9 0 0 100 60 opacity 0.2 200 0 300 50",
    "i3_image": "none 0.1 0 0 1 1 opacity 0.5 0 0 100 100",
    "i4_image": "none 0.7 0 0 1 1",
}
# none: ranked hit, miss, hit, miss: (1 + 2/3) / 2
# opacity, three boxes: miss (.95, i1 has none), hit (.9, IoU .6), hit (.5), miss (.2, IoU exactly .5):
# precision at the hits 1/2 and 2/3, envelope 2/3 and 2/3, each adds 1/3 of recall: 4/9
BY_HAND = {"negative": 1, "typical": 1 / 2, "indeterminate": 1 / 4, "atypical": 1, "none": 5 / 6, "opacity": 4 / 9}
IMAGES = pd.DataFrame(
    {
        "image_id": ["i1", "i2", "i3", "i4"],
        "study_id": ["s1", "s2", "s3", "s4"],
        "patient_id": ["p", "q", "q", "r"],
    }
)


def table(rows):
    return pd.DataFrame({"id": list(rows), "PredictionString": list(rows.values())})


def large(seed=0, studies=60):
    """A solution, two submissions and an images table of `studies` studies, each with one image; 20 patients."""
    rng = np.random.default_rng(seed)
    solution, good, poor = {}, {}, {}
    for number in range(studies):
        study, image, label = f"s{number}_study", f"i{number}_image", STUDY_CLASSES[number % 4]
        box, sick = f"{number} 0 {number + 100} 100", number % 4 > 0
        solution |= {study: f"{label} 1 0 0 1 1", image: f"opacity 1 {box}" if sick else "none 1 0 0 1 1"}
        for rows, skill in ((good, 0.4), (poor, 0.1)):
            scores = rng.random(6) * 0.6
            rows[study] = " ".join(
                f"{name} {value + skill * (name == label):.6f} 0 0 1 1"
                for name, value in zip(STUDY_CLASSES, scores, strict=False)
            )
            healthy, opaque = scores[4] + skill * (not sick), scores[5] + skill * sick
            rows[image] = f"none {healthy:.6f} 0 0 1 1 opacity {opaque:.6f} {box}"
    numbers = range(studies)
    images = pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in numbers],
            "study_id": [f"s{n}" for n in numbers],
            "patient_id": [f"p{n % 20}" for n in numbers],
        }
    )
    return [*map(table, (solution, good, poor)), images]


def test_every_class_by_hand():
    result = score(table(SUBMISSION), table(SOLUTION))
    assert list(result) == list(KEYS)
    assert result == pytest.approx(BY_HAND | {"mAP": sum(BY_HAND.values()) / 6})


def test_the_solution_itself_scores_one():
    assert score(table(SOLUTION), table(SOLUTION)) == dict.fromkeys(KEYS, 1.0)


def test_the_order_of_the_solution_does_not_matter():
    shuffled = {key: SOLUTION[key] for key in reversed(SOLUTION)}
    assert score(table(SUBMISSION), table(shuffled)) == pytest.approx(score(table(SUBMISSION), table(SOLUTION)))


def random_files(seed, rows=12):
    """Scores of one decimal, boxes on a coarse grid: ties, IoU of exactly .5, rows without groups, absent classes."""
    rng = np.random.default_rng(seed)
    truth, found = {}, {}
    for number in range(rows):
        study, image, kind = f"s{number}_study", f"i{number}_image", rng.integers(4)
        truth[study] = f"{STUDY_CLASSES[kind]} 1 0 0 1 1"
        found[study] = " ".join(f"{name} {rng.integers(1, 10) / 10} 0 0 1 1" for name in STUDY_CLASSES)
        corner, size = rng.integers(0, 3, (6, 2)), rng.integers(1, 4, (6, 2))
        boxes = [" ".join(map(str, [*low, *(low + extent)])) for low, extent in zip(corner, size, strict=True)]
        count = rng.integers(0, 3)
        truth[image] = " ".join(f"opacity 1 {box}" for box in boxes[:count]) or "none 1 0 0 1 1"
        groups = [f"opacity {rng.integers(1, 10) / 10} {box}" for box in boxes[rng.integers(0, 3) :]]
        found[image] = " ".join([f"none {rng.integers(1, 10) / 10} 0 0 1 1", *groups][: rng.integers(0, 8)])
    order = rng.permutation(list(found)).tolist()
    return {key: found[key] for key in order}, truth


def podm_scores(submission, solution):
    podm = pytest.importorskip("podm.metrics", reason="object-detection-metrics is not installed")

    def boxes(rows, scored):
        for key, text in rows.items():
            tokens = text.split()
            for start in range(0, len(tokens), 6):
                label, *numbers = tokens[start : start + 6]
                confidence, *corners = map(float, numbers)
                yield podm.BoundingBox.of_bbox(key, label, *corners, confidence if scored else None)

    above_half = np.nextafter(0.5, 1)  # podm asks for IoU >= threshold
    found = podm.get_pascal_voc_metrics(list(boxes(solution, False)), list(boxes(submission, True)), above_half)
    return {label: found[label].ap if label in found else math.nan for label in CLASSES}


def test_every_class_of_random_submissions_equals_podm():
    absent = 0
    for seed in range(60):
        submission, solution = random_files(seed)
        result, expected = score(table(submission), table(solution)), podm_scores(submission, solution)
        assert {key: result[key] for key in CLASSES} == pytest.approx(expected, abs=1e-9, nan_ok=True), seed
        assert result["mAP"] == pytest.approx(np.nanmean(list(expected.values())), abs=1e-9)
        absent += any(map(math.isnan, expected.values()))
    assert 0 < absent < 60  # some solutions lack a class


def test_ties_keep_the_order_of_the_submission():
    # typical is tied at .5 on all four rows; with s2 first in the file it is ranked first, with s2 last it is fourth
    first = table({"s2_study": SUBMISSION["s2_study"]} | SUBMISSION)
    rows = {key: text for key, text in SUBMISSION.items() if key != "s2_study"}
    last = table(rows | {"s2_study": SUBMISSION["s2_study"]})
    assert score(first, table(SOLUTION))["typical"] == 1
    assert score(last, table(SOLUTION))["typical"] == 1 / 4


def test_ties_within_a_row_keep_their_position():
    hit, miss = "opacity 0.5 0 0 100 100", "opacity 0.5 500 500 600 600"
    solution = table(SOLUTION | {"i2_image": "none 1 0 0 1 1"})
    others = dict.fromkeys(("i1_image", "i2_image", "i4_image"), "none 1 0 0 1 1")
    assert score(table(SUBMISSION | others | {"i3_image": f"{hit} {miss}"}), solution)["opacity"] == 1
    assert score(table(SUBMISSION | others | {"i3_image": f"{miss} {hit}"}), solution)["opacity"] == 1 / 2


def test_a_row_without_predictions_finds_nothing():
    # without i3 one opacity hit is left: precision 1/2 for 1/3 of recall
    result = score(table(SUBMISSION | {"i3_image": ""}), table(SOLUTION))
    assert result["opacity"] == pytest.approx(1 / 2 / 3)


def test_absent_classes_are_nan_and_left_out_of_the_mean():
    solution = SOLUTION | {"s4_study": "negative 1 0 0 1 1"}
    result = score(table(SUBMISSION), table(solution))
    assert math.isnan(result["atypical"])
    assert result["mAP"] == pytest.approx(np.mean([result[key] for key in CLASSES if key != "atypical"]))


def test_a_class_on_the_wrong_kind_of_row_is_a_miss():
    stray = SUBMISSION | {"i1_image": SUBMISSION["i1_image"] + " negative 0.95 0 0 1 1"}
    assert score(table(stray), table(SOLUTION))["negative"] == 1 / 2  # ranked above the hit


def test_weights_of_one_equal_the_plain_score():
    solution, good, _, _ = large()
    truth = read_solution(solution)
    matches = match_classes(read_rows(good, truth), truth)
    ones = average_precisions(matches, np.ones(len(truth.ids), dtype=int))
    assert ones.tolist() == average_precisions(matches).tolist()


def test_resampling_by_patient_keeps_the_rows_of_a_patient_together():
    solution, _, _, images = large()
    ids = solution["id"]
    units, owner = find_units(ids, images), ids.str.extract(r"(\d+)")[0].astype(int) % 20
    rng, seen = np.random.default_rng(1), set()
    for _ in range(50):
        weights = draw_weights(units, rng)
        per_patient = pd.Series(weights).groupby(owner.to_numpy())
        assert (per_patient.nunique() == 1).all()
        assert per_patient.first().sum() == 20  # as many patients as there are
        seen |= set(weights.tolist())
    assert {0, 1, 2, 3} <= seen


def test_without_patients_studies_and_images_are_drawn_separately():
    ids = pd.Series(["a_study", "b_study", "c_study", "x_image", "y_image"])
    units, rng = find_units(ids, None), np.random.default_rng(0)
    drawn = np.array([draw_weights(units, rng) for _ in range(500)])
    assert (drawn[:, :3].sum(axis=1) == 3).all()
    assert (drawn[:, 3:].sum(axis=1) == 2).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(5), abs=0.15)


def test_the_interval_is_that_of_the_resampled_statistic():
    # 16 images with a box each, 8 of them found, nothing else predicted: AP is the share of found boxes, so a resample
    # is Binomial(16, 1/2) / 16. P(X <= 3) = .011 and P(X <= 4) = .038: the 2.5 % point is 4/16 (the 5 % point is 5/16)
    rows = {f"i{n}_image": "opacity 1 0 0 9 9" for n in range(16)}
    found = {key: text if number < 8 else "none 0.5 0 0 1 1" for number, (key, text) in enumerate(rows.items())}
    result = score(table(found), table(rows), bootstrap=4000)
    assert (result["opacity"], result["opacity_low"], result["opacity_high"]) == (1 / 2, 4 / 16, 12 / 16)
    assert math.isnan(result["none_low"]) and math.isnan(result["none_high"])


def test_intervals_hold_the_score_and_are_the_same_each_time():
    solution, good, _, images = large()
    result = score(good, solution, images, bootstrap=200)
    assert set(result) == {key + end for key in KEYS for end in ("", "_low", "_high")}
    assert all(result[f"{key}_low"] <= result[key] <= result[f"{key}_high"] for key in KEYS)
    assert result["mAP_low"] < result["mAP_high"]
    assert score(good, solution, images, bootstrap=200) == result


def test_a_paired_difference_with_itself_is_exactly_zero():
    solution, good, _, images = large()
    result = score(good, solution, images, bootstrap=100, against=good)
    assert [result[key] for key in ("difference", "difference_low", "difference_high")] == [0, 0, 0]


def test_a_paired_difference_is_submission_minus_other_and_narrower_than_unpaired():
    solution, good, poor, images = large()
    result = score(good, solution, images, against=poor)  # 1000 resamples, unless told otherwise
    assert result["difference"] == pytest.approx(result["mAP"] - score(poor, solution)["mAP"])
    assert 0 < result["difference_low"] < result["difference"] < result["difference_high"]
    mirrored = score(poor, solution, images, against=good)
    assert mirrored["difference_low"] == pytest.approx(-result["difference_high"])
    # a system that is better in ten rows: both have the luck of the same resamples, so their difference varies less
    # than each of them; drawn apart it would vary more, as variances add
    slightly = good.copy()
    slightly.loc[:9, "PredictionString"] = solution.loc[:9, "PredictionString"]
    close = score(slightly, solution, images, against=good)
    width = close["difference_high"] - close["difference_low"]
    assert 0 < width < 0.8 * (close["mAP_high"] - close["mAP_low"])


def test_a_comparison_without_resamples_has_no_interval():
    solution, good, poor, _ = large()
    assert set(score(good, solution, bootstrap=0, against=poor)) == {*KEYS, "difference"}


def test_the_images_table_must_fit_the_solution():
    with pytest.raises(DataFault, match="no patient_id for 2 ids of the solution, the first is s4_study"):
        score(table(SUBMISSION), table(SOLUTION), IMAGES[:3], bootstrap=5)
    two = pd.concat([IMAGES, IMAGES[:1].assign(image_id="i5", patient_id="other")])
    with pytest.raises(DataFault, match="s1_study belongs to two patients"):
        score(table(SUBMISSION), table(SOLUTION), two, bootstrap=5)
    with pytest.raises(DataFault, match="column 'patient_id' is missing; found image_id, study_id; it must hold"):
        score(table(SUBMISSION), table(SOLUTION), IMAGES.drop(columns="patient_id"), bootstrap=5)
    with pytest.raises(DataFault, match="its ids carry no _study or _image: remove these"):
        score(table(SUBMISSION), table(SOLUTION), IMAGES.assign(image_id=IMAGES["image_id"] + "_image"), bootstrap=5)
    with pytest.raises(DataFault, match="no patient_id for 2 ids of the solution, the first is s1_study"):
        score(table(SUBMISSION), table(SOLUTION), IMAGES.assign(patient_id=[None, "q", "q", "r"]), bootstrap=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image_id,study_id\ni1,s1\n", "column 'patient_id' is missing; found image_id, study_id"),
        (b"", "not a readable CSV"),
        ("image_id,study_id,patient_id\ni1,s1,\u00e4\n".encode("latin-1"), "not a readable CSV"),
        (b"image_id,study_id,patient_id\n", "no patient_id for 8 ids of the solution"),
        (b"image_id,study_id,patient_id\ni1,s1,\n", "no patient_id for 8 ids of the solution"),
    ],
)
def test_a_broken_images_file_is_one_line(tmp_path, content, message):
    (tmp_path / "images.csv").write_bytes(content)
    with pytest.raises(DataFault, match=message) as caught:
        score(table(SUBMISSION), table(SOLUTION), tmp_path / "images.csv", bootstrap=5)
    assert str(caught.value).startswith(str(tmp_path / "images.csv")) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"i9_image": "none 1 0 0 1 1"}, "i9_image: unknown id, not in the solution"),
        ({"i1_image": "lung 1 0 0 1 1"}, "the class must be one of"),
        ({"i1_image": "none nan 0 0 1 1"}, "the confidence must be a finite number"),
        ({"i1_image": "none 1 0 0 1"}, "5 tokens"),
    ],
)
def test_what_has_no_meaning_is_not_scored(change, message):
    with pytest.raises(DataFault, match=message):
        score(table(SUBMISSION | change), table(SOLUTION))


@pytest.mark.parametrize(
    ("solution", "message"),
    [
        (pd.concat([table(SOLUTION), table(SOLUTION)[:1]]), "s1_study: duplicate id"),
        (table(SOLUTION | {"i1_image": "negative 1 0 0 1 1"}), "an image row takes"),
        (table({"i1": "none 1 0 0 1 1"}), "i1: the id ends neither in _study nor in _image"),
        (table({"i1_image": ""}), "nothing to find; give the file with the true classes"),
        (
            table(SOLUTION | {"i1_image": "none 0.9 0 0 1 1"}),
            "i1_image: 'none 0.9 0 0 1 1': 1 group.s. with a confidence other than 1.* submission and solution swapped",
        ),
        (table(SOLUTION | {"i1_image": "none 2 0 0 1 1"}), "the confidence must be between 0 and 1"),
    ],
)
def test_a_faulty_solution_is_refused(solution, message):
    with pytest.raises(DataFault, match=message):
        score(table(SUBMISSION), solution)


@pytest.mark.skipif(not REAL_LABELS.is_dir(), reason="the real label files are not here (set CXR_REALDATA)")
def test_the_real_labels_score_one_against_themselves():
    studies, images = (pd.read_csv(REAL_LABELS / f"train_{level}_level.csv") for level in ("study", "image"))
    rows = dict(
        zip(studies["id"], studies[list(STUDY_COLUMNS)].idxmax(axis=1).map(STUDY_COLUMNS) + " 1 0 0 1 1", strict=True)
    ) | dict(zip(images["id"], images["label"], strict=True))
    assert score(table(rows), table(rows)) == dict.fromkeys(KEYS, 1.0)
    assert validate(table(rows), table(rows)) == []
    truth = read_solution(table(rows))
    opacity = match_classes(truth, truth)[KEYS.index("opacity")]
    assert opacity.truths.sum() == 7853  # all boxes of the train set


def run(folder, *options, **tables):
    files = {"submission": table(SUBMISSION), "solution": table(SOLUTION), "images": IMAGES} | tables
    for name, rows in files.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    paths = [str(folder / f"{option}.csv") if option in (*tables, "images") else option for option in options]
    return main(parser.parse_args([str(folder / "submission.csv"), str(folder / "solution.csv"), *paths]))


def test_the_command_prints_flat_json_alone(tmp_path, capsys):
    assert run(tmp_path) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == pytest.approx(BY_HAND | {"mAP": sum(BY_HAND.values()) / 6})
    assert output.err == ""


def test_the_command_writes_null_for_an_absent_class_and_says_so(tmp_path, capsys):
    assert run(tmp_path, solution=table(SOLUTION | {"s4_study": "negative 1 0 0 1 1"})) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["atypical"] is None
    assert output.err == "note: atypical: not in the solution; mAP is the mean of the other 5\n"


def test_the_command_compares(tmp_path, capsys):
    assert run(tmp_path, "--images", "images", "--against", "other", "--bootstrap", "30", other=table(SOLUTION)) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["difference"] == pytest.approx(result["mAP"] - 1)
    assert {"difference_low", "difference_high", "mAP_low", "none_high"} <= set(result)
    assert output.err == ""


def test_the_command_says_what_it_resamples_and_what_it_tolerates(tmp_path, capsys):
    loud = table(SUBMISSION | {"i1_image": "none 3 0 0 1 1"})
    assert run(tmp_path, "--bootstrap", "5", submission=loud) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "1 remark(s) on the format" in lines[0] and "between 0 and 1" in lines[0]
    assert lines[1] == "note: study rows and image rows are resampled separately; give --images to resample patients"
    assert run(tmp_path, "--images", "images") == 0
    assert "--images has no effect" in capsys.readouterr().err


def test_missing_duplicate_and_unknown_ids_are_a_line_each(tmp_path, capsys):
    rows = {key: text for key, text in SUBMISSION.items() if key not in ("s1_study", "i4_image")}
    broken = pd.concat([table(rows | {"i9_image": "none 1 0 0 1 1"}), table(rows)[:1]])
    assert run(tmp_path, submission=broken) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert [line.removeprefix(f"{tmp_path / 'submission.csv'}: ") for line in output.err.splitlines()] == [
        "s2_study: duplicate id, 2 rows have it (rows 1, 8); keep one",
        "i9_image: unknown id, not in the solution; correct or remove it",
        "s1_study: missing id, the solution has it; add its row",
        "i4_image: missing id, the solution has it; add its row",
    ]


def test_faults_of_the_other_submission_and_of_the_solution_name_their_file(tmp_path, capsys):
    assert run(tmp_path, "--against", "other", other=table(SUBMISSION)[1:]) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path / 'other.csv'}: s1_study: missing id, the solution has it; add its row\n"
    )
    assert run(tmp_path, solution=table(SOLUTION | {"i1_image": "lung 1 0 0 1 1"})) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'solution.csv'}: i1_image (row 5): 'lung 1 0 0 1 1'")


def test_a_number_of_resamples_that_is_none_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, "--bootstrap", "-3")
    assert caught.value.code == 2
    assert "resamples" in capsys.readouterr().err


THRESHOLDS = pd.DataFrame({"class": CLASSES, "threshold": [0.8, 0.5, 0.5, 0.6, 0.75, 0.3]})


def test_details_hold_the_classes_and_their_curves(tmp_path, capsys):
    options = ("--details", str(tmp_path / "deep" / "details"), "--bootstrap", "20", "--images", "images")
    assert run(tmp_path, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert "opacity_F1" not in result and "coco_AP" not in result
    classes = pd.read_csv(tmp_path / "deep" / "details" / "classes.csv").set_index("class")
    assert classes.index.tolist() == list(KEYS)
    assert classes["positives"].tolist()[:6] == [1, 1, 1, 1, 2, 3]
    assert classes["AP"].to_dict() == pytest.approx({key: result[key] for key in KEYS})
    assert classes["low"].to_dict() == pytest.approx({key: result[f"{key}_low"] for key in KEYS})
    # without i1, which holds no box: ranked hit, hit, miss, two of three boxes at precision 1
    assert classes.loc["opacity", "AP_boxed"] == pytest.approx(2 / 3)
    assert classes.loc["opacity", "boxed_low"] <= 2 / 3 <= classes.loc["opacity", "boxed_high"]
    assert classes["AP_boxed"].notna().sum() == 1
    curves = pd.read_csv(tmp_path / "deep" / "details" / "curves.csv")
    opacity = curves[curves["class"] == "opacity"]
    assert opacity["score"].tolist() == [0.9, 0.5]
    assert opacity["recall"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert opacity["precision"].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert opacity["envelope"].tolist() == pytest.approx([2 / 3, 2 / 3])


def test_kept_thresholds_add_precision_recall_and_f1(tmp_path, capsys):
    THRESHOLDS.to_csv(tmp_path / "thresholds.csv", index=False)
    options = ("--thresholds", str(tmp_path / "thresholds.csv"), "--details", str(tmp_path / "details"))
    assert run(tmp_path, *options) == 0
    result = json.loads(capsys.readouterr().out)
    # opacity at .3: miss (.95), hit (.9), hit (.5); the box of score .2 does not count: 2 of 3 correct, 2 of 3 found
    assert [result[f"opacity_{name}"] for name in ("precision", "recall", "F1")] == pytest.approx([2 / 3] * 3)
    # negative at .8: a hit (.9) and a miss (.8); none at .75: a hit (.9) and a miss (.8), one of two found
    assert [result[f"negative_{name}"] for name in ("precision", "recall", "F1")] == pytest.approx([1 / 2, 1, 2 / 3])
    assert [result[f"none_{name}"] for name in ("precision", "recall", "F1")] == pytest.approx([1 / 2] * 3)
    classes = pd.read_csv(tmp_path / "details" / "classes.csv").set_index("class")
    assert classes.loc["none", "F1"] == 1 / 2 and classes["low"].isna().all()


def test_coco_keys_are_marked_and_said_to_be_other_metrics(tmp_path, capsys):
    assert run(tmp_path, "--coco") == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    added = set(result) - set(KEYS)
    assert added and all(key.startswith("coco_") for key in added)
    assert {key: result[key] for key in KEYS} == pytest.approx(BY_HAND | {"mAP": sum(BY_HAND.values()) / 6})
    assert output.err == "note: keys with coco_ are other metrics, not the competition's\n"


def test_details_need_a_place_for_a_folder(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataFault, match="taken: no folder can be made there .*; name another"):
        run(tmp_path, "--details", str(tmp_path / "taken"))


def test_fractions_instead_of_pixels_are_said(tmp_path, capsys):
    small = {key: text.replace("100", "1").replace("200", "0.2") for key, text in SUBMISSION.items()}
    small = {key: text.replace("60", "0.6").replace("300 50", "0.3 0.5") for key, text in small.items()}
    assert run(tmp_path, submission=table(small)) == 0
    assert "opacity box(es) lie within 0..1" in capsys.readouterr().err
