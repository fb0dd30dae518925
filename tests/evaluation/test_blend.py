import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.data.folds import make_folds
from cxr.evaluation.blend import gain_table, tune_blend
from cxr.evaluation.blend_inputs import load_predictions, training_sources
from cxr.evaluation.ensemble import OutOfFold, draw_distinct
from cxr.evaluation.intervals import draw
from cxr.evaluation.search import search, too_few
from cxr.evaluation.steps import IOUS, SHARES, SKIPS, Part, Step, search_steps
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.prediction.combine import combine
from cxr.prediction.constants import PUBLISHED, read_constants, starting_constants
from cxr.prediction.out_of_fold import write_boxes
from cxr.profiles import Fusion
from cxr.tables import (
    BOX_COLUMNS,
    BOXES,
    IMAGE_SCORES,
    STUDY_SCORES,
    empty_boxes,
    read_csv,
    read_table,
    write_csv,
    write_table,
)
from cxr.workspace import open_workspace

SIDE = 100
TRUE = np.array([20.0, 20.0, 60.0, 70.0])


def training(count=48):
    """One image a patient, a box on each that is not negative; patients' class goes round."""
    rows = []
    for number in range(count):
        label = STUDY_CLASSES[number % 4]
        names = {"image_id": f"i{number:03d}", "study_id": f"s{number:03d}", "patient_id": f"p{number:03d}"}
        classes = {name: int(name == label) for name in STUDY_CLASSES}
        rows.append({**names, "height": SIDE, "width": SIDE, "has_box": int(label != "negative"), **classes})
    images = pd.DataFrame(rows).assign(source="siim", path="x.dcm", role="train")
    images["pixel_hash"] = images["image_id"]
    truth = images.loc[images["has_box"] == 1, ["image_id"]].assign(label="opacity", score=1.0)
    truth[BOX_COLUMNS] = TRUE
    return images, truth


def detections(images, seed, noise):
    """A box on two images in three, near the truth, its score higher where there is one; each seed misses others."""
    rng = np.random.default_rng(seed)
    kept = images[(np.arange(len(images)) // 4 + seed) % 3 > 0]
    score = 0.3 + 0.3 * kept["has_box"].to_numpy() + noise * rng.normal(size=len(kept))
    table = kept[["image_id"]].assign(label="opacity", score=score.clip(0.02, 0.98))
    table[BOX_COLUMNS] = (TRUE + rng.normal(0, 4, (len(kept), 4))).clip(0, SIDE)
    return table.reset_index(drop=True)


def class_scores(images, seed, noise):
    rng = np.random.default_rng(seed)
    values = images[list(STUDY_CLASSES)].to_numpy(float) + noise * rng.random((len(images), 4))
    table = pd.DataFrame(values / values.sum(1, keepdims=True), columns=list(STUDY_CLASSES))
    table.insert(0, "image_id", images["image_id"].to_numpy())
    return table


def make_run(folder, images, truth, settings="", detectors=("yolo", "faster_rcnn")):
    """A workspace with all that stage 10 reads."""
    few = "fusion.resamples=30 fusion.least_patients=1"
    run = open_workspace("demo", f"{few} {settings}", str(folder / "in"), str(folder / "w"), str(folder))
    places = run.places
    write_csv(images, places.images_table)
    write_csv(make_folds(images, 2, 1), places.folds_table)
    write_table(truth, places.boxes_table, BOXES)
    places.cache(run.profile.images.cache_size).parent.mkdir(parents=True)
    np.save(places.cache(run.profile.images.cache_size), np.zeros((len(images), 2, 2), np.uint8))
    for seed, name in enumerate(detectors):
        put_boxes(run, name, detections(images, seed, 0.2))
    scores = class_scores(images, 7, 1.5)
    write_table(scores, places.predictions("studies") / "out_of_fold_images.csv", IMAGE_SCORES)
    for name in (*detectors, "studies"):
        for fold in (0, 1):
            write_record(run, f"{name}/fold_{fold}", ["SIIM"])
    return run


def put_boxes(run, name, table):
    """As stages 07 and 08 leave them."""
    folds = read_csv(run.places.folds_table)
    write_boxes(table, folds, run.places.predictions(name) / "out_of_fold.csv")


def write_record(run, folder, sources):
    path = run.places.root / "models" / folder / "run.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({} if sources is None else {"training_sources": sources}))


def put_member(run, name, table, sources=None):
    write_csv(table, run.places.members / f"{name}.csv")
    if sources is not None:
        (run.places.members / f"{name}.json").write_text(json.dumps({"training_sources": sources}))


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr("cxr.evaluation.ensemble.TRIALS", 40)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path, *training())


def tune(run, detectors=("yolo", "faster_rcnn")):
    return tune_blend(run, detectors, ["studies"])


def test_the_stage_writes_constants_gains_and_nested_predictions(run, capsys):
    result = tune(run)
    steps = ["best detector", "fusion", "box calibration", "fusion constants", "class calibration", "none"]
    steps += ["none into boxes", "negative from none"]
    assert [line["step"] for line in result["steps"]] == steps
    for line in result["steps"]:
        assert line["after"] - line["before"] == pytest.approx(line["gain"], abs=2e-4)
        assert line["low"] <= line["gain"] <= line["high"]
        assert len(line["chosen_by_fold"]) == 2
    assert result["steps"][1]["before"] == result["steps"][0]["after"]
    assert json.loads(run.places.blend.read_text()) == result
    constants = read_constants(run.places.blend, members=False)
    assert result["steps"][5]["chosen"]["none_from_negative"] == constants.none_from_negative
    images = read_csv(run.places.images_table)
    assert set(read_table(run.places.fused / "studies.csv", STUDY_SCORES)["study_id"]) == set(images["study_id"])
    assert read_csv(run.places.fused / "none.csv")["none"].between(0, 1).all()
    assert len(read_table(run.places.fused / "out_of_fold.csv", BOXES)) > 0
    against = [line["against"] for line in result["comparisons"]]
    assert against == ["yolo", "faster_rcnn", "published constants", "no step"]
    assert len(gain_table(result)) == len(result["steps"]) + 4
    assert all(f"note: {line}" in capsys.readouterr().out for line in result["notes"][:1])


def test_two_detectors_that_err_apart_are_better_together(run):
    lines = {line["step"]: line for line in tune(run)["steps"]}
    assert lines["fusion"]["gain"] > 0.02


def test_a_detector_of_pure_noise_loses_its_weight(run):
    noise = detections(training()[0], 3, 0.0)
    noise[BOX_COLUMNS] = [70, 70, 95, 95]
    put_boxes(run, "faster_rcnn", noise.assign(score=0.9))
    weights = tune(run)["constants"]["box_weights"]
    assert weights["faster_rcnn"] == 0 or weights["yolo"] / weights["faster_rcnn"] == 4


def test_what_is_predicted_for_a_fold_owes_nothing_to_its_truth(run, monkeypatch):
    """The heart of the stage: with the truth of fold 0 turned round, its predictions stay, those of fold 1 do not."""
    monkeypatch.setattr("cxr.evaluation.search.SURE", 0.5)  # so few images prove little
    images = read_csv(run.places.images_table)
    fold = images["image_id"].map(read_csv(run.places.folds_table).set_index("image_id")["fold"])
    tune(run)
    before = fused_by_fold(run, images, fold)
    images.loc[fold == 0, list(STUDY_CLASSES)] = images.loc[fold == 0, list(STUDY_CLASSES)].to_numpy()[:, ::-1]
    images["has_box"] = 1 - images["negative"]
    truth = images.loc[images["has_box"] == 1, ["image_id"]].assign(label="opacity", score=1.0)
    truth[BOX_COLUMNS] = np.where((fold == 0)[truth.index].to_numpy()[:, None], TRUE + 20, TRUE)
    write_csv(images, run.places.images_table)
    write_table(truth, run.places.boxes_table, BOXES)
    tune(run)
    after = fused_by_fold(run, images, fold)
    for name in ("boxes", "none", "studies"):
        pd.testing.assert_frame_equal(before[0][name], after[0][name])
    assert any(not before[1][name].equals(after[1][name]) for name in ("boxes", "none", "studies"))


def fused_by_fold(run, images, fold):
    """What the stage wrote about each fold."""
    parts = []
    for number in (0, 1):
        rows = images[fold == number]
        files = {"boxes": "out_of_fold.csv", "none": "none.csv", "studies": "studies.csv"}
        tables = {name: read_csv(run.places.fused / file) for name, file in files.items()}
        keys = {name: "study_id" if name == "studies" else "image_id" for name in files}
        parts.append({n: t[t[keys[n]].isin(rows[keys[n]])].reset_index(drop=True) for n, t in tables.items()})
    return parts


def out_of_fold(images, truth):
    images = images.merge(make_folds(images, 2, 1)[["image_id", "fold"]], on="image_id")
    found = {"yolo": detections(images, 0, 0.2), "faster_rcnn": detections(images, 1, 0.2)}
    return OutOfFold(images, truth, found, {"studies": class_scores(images, 7, 1.5)})


def tuned_path(data, start, folds=(0, 1)):
    """Constants before the first step and after each, all steps tuned on these folds."""
    steps = search_steps(start)
    return search(data, steps, start, folds, {step.name for step in steps})


def test_kept_fusions_give_what_combine_gives():
    images, truth = training(20)
    data = out_of_fold(images, truth)
    for folds in ([0], [0, 1]):
        start = starting_constants(Fusion(), ["yolo", "faster_rcnn"], ["studies"])
        constants = tuned_path(data, start, folds)[-1]
        boxes, none, studies = combine(data.images, data.detections, data.scores, constants)
        kept = data.predict(constants)
        pd.testing.assert_frame_equal(kept.boxes, boxes)
        pd.testing.assert_series_equal(kept.none, none)
        pd.testing.assert_frame_equal(kept.studies, studies)


def test_without_tuning_the_published_constants_are_taken_over_and_measured(tmp_path):
    run = make_run(tmp_path, *training(), settings="fusion.tune=false fusion.none_from_negative=0.35")
    result = tune(run)
    constants = result["constants"]
    assert constants["box_weights"] == {"yolo": 1.0, "faster_rcnn": 1.0}
    assert constants["none_from_negative"] == 0.35 and constants["negative_from_none"] == 0.3
    assert result["comparisons"][-2]["gain"] == 0, "nothing differs from the published constants"
    assert any("fusion.tune is off" in line for line in result["notes"])


def test_where_nothing_is_better_the_published_constants_stay():
    images, truth = training(20)
    data = out_of_fold(images, truth)
    data = OutOfFold(data.images, truth, {"yolo": truth.assign(score=0.9)}, {"studies": class_scores(images, 1, 0)})
    start = starting_constants(Fusion(none_from_negative=0.35), ["yolo"], ["studies"])
    assert tuned_path(data, start)[-1] == start


def test_a_choice_that_may_be_chance_leaves_the_published_constants(monkeypatch):
    images, truth = training()
    data = out_of_fold(images, truth)
    start = starting_constants(Fusion(wbf_iou=0.62), ["yolo", "faster_rcnn"], ["studies"])
    chosen = tuned_path(data, start)[-1]
    assert chosen != start, "there is something to choose"
    monkeypatch.setattr("cxr.evaluation.search.SURE", 1.1)
    assert tuned_path(data, start)[-1] == start


def test_two_detectors_beat_one_on_nearly_all_resamples_and_nobody_beats_himself():
    data = out_of_fold(*training())
    both = starting_constants(Fusion(none_into_boxes=0), ["yolo", "faster_rcnn"], ["studies"])
    one = replace(both, box_weights={"yolo": 1.0, "faster_rcnn": 0.0})
    rows = data.rows([0, 1])
    assert data.share_better([(both, one, rows)], "opacity") > 0.95
    assert data.share_better([(one, both, rows)], "opacity") < 0.05
    assert data.share_better([(both, both, rows)], "opacity") == 0
    assert data.share_better([(both, one, data.rows([]))], "none") == 0, "no folds prove nothing"


def one_good_in_each_fold():
    """Detector `a` is right in fold 0 and silent in fold 1, `b` the reverse; constants that take one alone."""
    images, truth = training()
    data = out_of_fold(images, truth)
    fold = truth["image_id"].map(data.images.set_index("image_id")["fold"])
    data = OutOfFold(data.images, truth, {"a": truth[fold == 0], "b": truth[fold == 1]}, data.scores)
    start = starting_constants(Fusion(none_into_boxes=0), ["a", "b"], ["studies"])
    return data, *(replace(start, box_weights={"a": first, "b": 1 - first}) for first in (1.0, 0.0))


def test_what_is_better_is_better_on_the_given_rows_alone():
    data, a, b = one_good_in_each_fold()
    assert data.share_better([(a, b, data.rows([0]))], "opacity") == 1
    assert data.share_better([(a, b, data.rows([1]))], "opacity") == 0
    # better by 1 in one trial, worse by 1 in the other: on no resample better in the mean
    assert data.share_better([(a, b, data.rows([0])), (a, b, data.rows([1]))], "opacity") == 0
    assert data.value(a, "opacity", data.rows([0])) == 1 and data.value(a, "opacity", data.rows([0, 1])) == 0.5


def test_halves_part_patients_not_rows():
    data = out_of_fold(*training())
    rows = data.rows([0])
    first, second = data.halves(rows)
    assert not (first & second).any() and ((first | second) == rows).all()
    assert not set(data.ground.patient[first]) & set(data.ground.patient[second])
    assert len(set(data.ground.patient[first])) == len(set(data.ground.patient[rows])) // 2


def test_what_one_half_alone_finds_better_is_not_taken(monkeypatch):
    """On all patients together the choice wins; chosen on one half it must win on the other, which it does not."""
    data = out_of_fold(*training())
    rows = data.rows([0, 1])
    good, bad = data.halves(rows)
    start = starting_constants(Fusion(), ["yolo", "faster_rcnn"], ["studies"])
    lucky = replace(start, none_from_negative=0.9)

    def value(constants, metric, asked):
        return float(constants == lucky) * ((asked & good).sum() - (asked & bad).sum() + 1)

    monkeypatch.setattr(data, "value", value)
    monkeypatch.setattr(data, "share_better", lambda trials, _: float(all(one != other for one, other, _ in trials)))
    step = Step("none", "none", lambda c: start, [lambda c, part: [lucky]], ("none_from_negative",))
    assert search(data, [step], start, [0, 1], {"none"})[-1] == start
    loose = step._replace(guarded=False)
    assert search(data, [loose], start, [0, 1], {"none"})[-1] == lucky


def test_a_class_is_scored_once_for_systems_that_agree_and_figures_stay():
    data = out_of_fold(*training())
    start = starting_constants(Fusion(), ["yolo", "faster_rcnn"], ["studies"])
    others = [replace(start, none_from_negative=0.0), replace(start, wbf_iou=0.3), start]
    systems = [data.match(data.predict(each)) for each in (start, *others)]
    plain = draw(systems, data.ground.patient, 20, data.ground.fold)
    once = draw_distinct(systems, data.ground.patient, 20, data.ground.fold)
    np.testing.assert_array_equal(once.plain, plain.plain)
    np.testing.assert_array_equal(once.resampled, plain.resampled)


def test_too_few_patients_of_a_class_leave_the_published_constants_and_the_file_says_why(tmp_path):
    # 48 patients in two folds, 12 of them negative: at most 6 a fold
    run = make_run(tmp_path, *training(), settings="fusion.least_patients=10")
    result = tune(run)
    lines = {line["step"]: line for line in result["steps"]}
    assert lines["negative from none"]["fallback"] == "6 patients have negative in fold 1, tuning wants 10"
    assert lines["class calibration"]["fallback"].startswith("6 patients have its rarest class in fold 1")
    assert lines["fusion"]["fallback"] == "", "opacity has 18 in each fold"
    assert lines["negative from none"]["origin"] == "published"
    assert lines["negative from none"]["published_by"] == {"negative_from_none": "11th place"}
    assert "step none: 6 patients have none in fold 1, tuning wants 10; the published constants stay" in result["notes"]


def test_a_part_asks_nothing_about_the_fold_that_it_leaves_out():
    images, truth = training()
    data = out_of_fold(images, truth)
    step = search_steps(starting_constants(Fusion(), ["yolo"], ["studies"]))[1]
    assert step.metric == "none"
    before = too_few(data, step, [1], 7)
    turned = data.images.assign(has_box=data.images["has_box"].where(data.images["fold"] == 1, 1))
    changed = OutOfFold(turned, truth, data.detections, data.scores)
    assert changed.patients("none", changed.rows([0])) == 0 < data.patients("none", data.rows([0]))
    assert before == too_few(changed, step, [1], 7) == "6 patients have none in fold 1, tuning wants 7"


def test_calibration_is_told_for_every_model_and_its_error_is_nested(run):
    lines = {line["model"]: line for line in tune(run)["calibration"]}
    assert set(lines) == {"yolo", "faster_rcnn", "studies"} and lines["studies"]["cases"] == 48
    for line in lines.values():
        assert 0 <= line["ece_after"] < line["ece_before"], "scores of .3 to .6 for boxes that are nearly all right"
    assert lines["yolo"]["map"]["kind"] == "logistic" and len(lines["studies"]["map"]["biases"]) == 4


def test_two_detectors_on_different_scales_are_worth_more_through_maps():
    """Right boxes score low with one detector, wrong ones high with the other: maps learn whom to believe."""
    images, truth = training()
    data = out_of_fold(images, truth)
    rng = np.random.default_rng(1)
    right, wrong = truth.assign(score=rng.uniform(0.05, 0.1, 36)), truth.assign(score=rng.uniform(0.8, 0.9, 36))
    right.iloc[-1, -4:] = [0, 0, 9, 9]  # one miss, so that it has a map at all
    wrong.iloc[4:, -4:] = [70, 70, 95, 95]
    data = OutOfFold(data.images, truth, {"right": right, "wrong": wrong}, data.scores)
    start = starting_constants(Fusion(none_into_boxes=0), ["right", "wrong"], ["studies"])
    step = next(step for step in search_steps(start) if step.name == "box calibration")
    rows = data.rows([0, 1])
    mapped = step.coordinates[0](start, Part(data, rows))
    assert [{name: each["kind"] for name, each in one.box_calibration.items()} for one in mapped] == [
        {"right": "logistic", "wrong": "logistic"}
    ] * 2, "as fused before and as published; 36 boxes are too few for the isotonic map"
    assert data.value(start, "opacity", rows) < 0.6 and data.value(mapped[0], "opacity", rows) > 0.9


def test_published_values_stand_on_the_grids():
    start = starting_constants(Fusion(), ["a", "b"], ["c"])
    grids = {"wbf_iou": IOUS, "wbf_skip": SKIPS, "none_from_negative": SHARES, "negative_from_none": SHARES}
    grids |= {"none_into_boxes": SHARES, "none_formula": ("product", "maximum")}
    for name, values in PUBLISHED.items():
        assert set(values) <= set(grids[name]) and getattr(start, name) in values


def load(run):
    return load_predictions(run, ["yolo", "faster_rcnn"], ["studies"])[0]


def test_a_fold_that_was_not_trained_stops_the_stage(run):
    (run.places.model("faster_rcnn", 1) / "run.json").unlink()
    with pytest.raises(DataFault, match="fold 1 of faster_rcnn is not trained to its end .*run the notebook"):
        load(run)


def test_a_detector_that_lacks_a_fold_is_told_from_one_that_found_nothing_there(run):
    path = run.places.predictions("yolo") / "out_of_fold.csv"
    folds = read_csv(run.places.folds_table).set_index("image_id")["fold"]
    half = read_table(path, BOXES)
    half = half[half["image_id"].map(folds) == 0]
    write_table(half, path, BOXES)
    with pytest.raises(
        DataFault, match=r"out_of_fold.csv: 0 rows about images of fold 1, but out_of_fold.json says \d+"
    ):
        load(run)
    path.with_suffix(".json").unlink()
    with pytest.raises(
        DataFault, match="fold 1, but no out_of_fold.json says that nothing was found; run the notebook"
    ):
        load(run)
    put_boxes(run, "yolo", half)
    assert set(load(run).detections) == {"yolo", "faster_rcnn"}, "an honest empty fold"
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(DataFault, match="does not hold the number of rows of each fold"):
        load(run)


def test_folds_other_than_the_profiles_stop_the_stage(tmp_path):
    run = make_run(tmp_path, *training(), settings="folds.count=3")
    with pytest.raises(DataFault, match="holds folds 0, 1, the profile has 0, 1, 2; run notebook 03"):
        load(run)


def test_class_scores_that_lack_a_whole_fold_say_which(run):
    path = run.places.predictions("studies") / "out_of_fold_images.csv"
    folds = read_csv(run.places.folds_table).set_index("image_id")["fold"]
    scores = read_table(path, IMAGE_SCORES)
    write_table(scores[scores["image_id"].map(folds) == 0], path, IMAGE_SCORES)
    with pytest.raises(
        DataFault, match="24 rows for 48 images, none about fold 1; run the notebook that trains studies"
    ):
        load(run)


def test_a_foreign_detector_without_a_fold_is_refused(run):
    images = training()[0]
    folds = images["image_id"].map(read_csv(run.places.folds_table).set_index("image_id")["fold"])
    table = detections(images[folds == 1], 5, 0.2)
    put_member(run, "retina", table)
    with pytest.raises(
        DataFault, match="retina.csv: no row about any image of fold 0; add its out-of-fold predictions"
    ):
        load(run)
    quiet = table.iloc[:1].assign(image_id=images["image_id"][folds == 0].iloc[0], score=0.0)
    put_member(run, "retina", pd.concat([table, quiet]))
    assert "retina" in load(run).detections


def test_one_detector_alone_is_not_weighed(tmp_path):
    run = make_run(tmp_path, *training(), detectors=["yolo"])
    result = tune(run, ["yolo"])
    steps = ["class calibration", "none", "none into boxes", "negative from none"]
    assert [line["step"] for line in result["steps"]] == steps
    assert "yolo is the only detector: nothing to weigh against it" in result["notes"]


def test_a_detector_that_found_nothing_is_named_and_does_no_harm(run):
    put_boxes(run, "faster_rcnn", empty_boxes())
    result = tune(run)
    assert "faster_rcnn: found no box on any training image" in result["notes"]
    assert result["constants"]["box_weights"]["yolo"] > 0


def test_no_box_at_all_still_gives_constants(run):
    for name in ("yolo", "faster_rcnn"):
        put_boxes(run, name, empty_boxes())
    result = tune(run)
    assert result["comparisons"][0]["own"] == 0
    assert read_table(run.places.fused / "out_of_fold.csv", BOXES).empty


def test_classes_that_a_fold_or_everybody_lacks_are_left_out_and_told(tmp_path):
    images, truth = training()
    images = images.assign(typical=images["typical"] + images["atypical"], atypical=0)
    folds = make_folds(images, 2, 1).set_index("image_id")["fold"]
    images["typical"] += images["indeterminate"] * (images["image_id"].map(folds) == 1)
    images.loc[images["image_id"].map(folds) == 1, "indeterminate"] = 0
    run = make_run(tmp_path, images, truth)
    write_csv(folds.reset_index().merge(images[["image_id", "study_id", "patient_id"]]).assign(group="g"),
              run.places.folds_table)  # fmt: skip
    for seed, name in enumerate(("yolo", "faster_rcnn")):
        put_boxes(run, name, detections(images, seed, 0.2))
    notes = tune(run)["notes"]
    assert "atypical: nobody in the training images has it; it counts in no mean" in notes
    assert "indeterminate: fold 1 has none; AP of indeterminate is the mean of the other folds" in notes


def test_missing_or_strange_predictions_say_what_to_run(run):
    path = run.places.predictions("studies") / "out_of_fold_images.csv"
    scores = read_table(path, IMAGE_SCORES)
    write_table(scores.iloc[1:], path, IMAGE_SCORES)
    with pytest.raises(DataFault, match="47 rows for 48 images; run the notebook that trains studies again"):
        tune(run)
    write_table(scores.replace("i000", "i999"), path, IMAGE_SCORES)
    with pytest.raises(DataFault, match="1 rows about images that are not in training"):
        tune(run)
    path.unlink()
    with pytest.raises(DataFault, match="not there yet; run the notebook that trains studies first"):
        tune(run)


def test_a_search_that_may_keep_nothing_finds_the_same(run, monkeypatch):
    before = tune(run)
    monkeypatch.setattr("cxr.evaluation.ensemble.MOST_ROWS", 1)
    assert tune(run) == before


def test_boxes_of_another_kind_are_refused_for_our_own_detectors_too(run):
    path = run.places.predictions("yolo") / "out_of_fold.csv"
    boxes = read_table(path, BOXES)
    write_table(boxes.assign(label="nodule"), path, BOXES)
    with pytest.raises(DataFault, match="label 'nodule'; only opacity has boxes"):
        tune(run)
    write_table(boxes.assign(**boxes[BOX_COLUMNS] / 10_000), path, BOXES)
    with pytest.raises(DataFault, match=r"all coordinates lie in 0\.\.1; give pixels of the original image"):
        tune(run)


def test_members_join_and_constants_without_them_are_kept_too(run):
    images = training()[0]
    put_member(run, "retina", detections(images, 5, 0.2), ["NIH"])
    foreign = class_scores(images, 9, 1.2).rename(columns={"image_id": "study_id"})
    put_member(run, "nets", foreign.assign(study_id=images["study_id"]))
    result = tune(run)
    assert [line["step"] for line in result["steps"]][4:6] == ["classifiers", "class calibration"]
    assert [(line["name"], line["training_sources"]) for line in result["members"]] == [
        ("nets", "not declared"),
        ("retina", ["NIH"]),
    ]
    assert set(read_constants(run.places.blend, members=True).box_weights) == {"yolo", "faster_rcnn", "retina"}
    without = read_constants(run.places.blend, members=False)
    assert set(without.box_weights) == {"yolo", "faster_rcnn"} and set(without.class_weights) == {"studies"}
    assert "member nets: training sources not declared; it joins on trust" in result["notes"]


def test_constants_without_members_are_those_of_a_run_without_them(run, tmp_path):
    alone = tune(run)["constants"]
    put_member(run, "retina", detections(training()[0], 5, 0.2))
    assert tune(run)["constants_without_members"] == alone


def test_a_member_that_is_too_good_is_questioned(run):
    _, truth = training()
    put_member(run, "oracle", truth.assign(score=0.9))
    assert any(
        line.startswith("member oracle: its opacity AP of 1.000 is far above our best") for line in tune(run)["notes"]
    )


def test_training_sources_are_collected_over_folds(run):
    write_record(run, "yolo/fold_0", ["SIIM", "RSNA"])
    write_record(run, "yolo/fold_1", ["SIIM"])
    write_record(run, "pretrain_nih", ["NIH"])
    write_record(run, "studies/fold_0", None)
    write_record(run, "studies/fold_1", None)
    sources = {"yolo": ["RSNA", "SIIM"], "faster_rcnn": ["SIIM"], "pretrain_nih": ["NIH"], "studies": []}
    assert training_sources(run) == sources
    result = tune(run)
    assert result["training_sources"]["yolo"] == ["RSNA", "SIIM"]
    assert "studies: its runs recorded no training sources" in result["notes"]


@pytest.mark.parametrize("source", ["BIMCV-COVID19+", "MIDRC-RICORD-1c", "input/weights/covidx_resnet50.pth"])
@pytest.mark.parametrize("folder", ["yolo/fold_1", "pretrain_rsna_yolo"])
def test_a_model_that_knows_the_test_set_stops_the_stage(run, source, folder):
    write_record(run, folder, ["SIIM", source])
    with pytest.raises(DataFault, match=r"run.json: trained on .* repeats pictures of the test set; train"):
        tune(run)


def test_other_systems_may_train_on_what_stays_out_of_the_blend(run):
    write_record(run, "covid_cxnet/fold_0", ["COVIDx"])
    assert "covid_cxnet" not in tune(run)["training_sources"]
    with pytest.raises(DataFault, match="COVIDX repeats"):
        training_sources(run)
