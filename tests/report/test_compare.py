"""Two runs side by side: what differs is told, differences are paired, what cannot be compared says why."""

import json
import shutil

import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.evaluation.intervals import KEYS as ALL_KEYS
from cxr.evaluation.intervals import interval_table
from cxr.labels import CLASSES
from cxr.report.compare import compare_runs, read_run
from cxr.report.compare_text import text_of
from cxr.report.log import record_run
from cxr.workspace import write_json
from made_run import make_run, write_csv

RESAMPLES = 50
UNIT = " 0 0 1 1"


@pytest.fixture
def runs(tmp_path):
    """Two copies of one run, `first` and `second`, each with a submission; what a test changes is its own."""
    made = [make_run(tmp_path / name)[0] for name in ("first", "second")]
    for workspace in made:
        write_submission(workspace, best="negative")
    return made


def write_submission(workspace, best):
    """Test set of 8 studies with an image each; study k is `negative` where k is even; `best` scores highest."""
    images = pd.DataFrame({"image_id": [f"t{k}" for k in range(8)], "study_id": [f"u{k}" for k in range(8)]})
    images = images.assign(patient_id=images["image_id"], source="siim_test", path="x", height=10, width=10)
    write_csv(images, workspace.places.test_images_table)
    scores = [0.9 if (k % 2 == 0) == (best == "negative") else 0.2 for k in range(8)]
    rows = [(f"u{k}_study", f"negative {scores[k]}{UNIT} typical {1 - scores[k]:.1f}{UNIT}") for k in range(8)]
    rows += [(f"t{k}_image", f"none .5{UNIT}") for k in range(8)]
    write_csv(pd.DataFrame(rows, columns=["id", "PredictionString"]), workspace.places.submission)


def write_solution(path):
    rows = [(f"u{k}_study", f"{'typical' if k % 2 else 'negative'} 1{UNIT}") for k in range(8)]
    rows += [(f"t{k}_image", f"none 1{UNIT}") for k in range(8)]
    write_csv(pd.DataFrame(rows, columns=["id", "PredictionString"]), path)
    return path


def compare(runs, solution=None):
    return compare_runs(*(read_run(workspace.places.root) for workspace in runs), solution, RESAMPLES)


def by_key(part):
    return {row["key"]: row for row in part["rows"]}


def test_the_same_run_twice_differs_in_nothing(runs):
    found = compare(runs)
    assert found["settings"] == found["packages"] == found["constants"] == []
    assert all(fact["a"] == fact["b"] for fact in found["facts"])
    assert all(row["difference"] == row["low"] == row["high"] == 0 for row in found["out_of_fold"]["rows"])
    assert "paired" in found["out_of_fold"]["note"] and list(by_key(found["out_of_fold"])) == [*CLASSES, "mAP"]


def test_scores_are_those_of_the_report(runs):
    files = read_run(runs[0].places.root)
    table = interval_table({"a": files.fused_matches()}, files.ground, RESAMPLES, by_fold=True)["a"]
    rows = by_key(compare(runs)["out_of_fold"])
    for key in {*ALL_KEYS} & rows.keys():
        assert [rows[key][name] for name in ("a", "a_low", "a_high")] == pytest.approx(list(table.loc[key]), abs=1e-6)


def test_what_differs_is_told_and_b_less_a_is_the_difference(runs):
    second = runs[1].places
    truth = pd.read_csv(second.boxes_table)
    write_csv(truth, second.fused / "out_of_fold.csv")  # a perfect detector
    record = json.loads((second.model("yolo", 0) / "run.json").read_text())
    write_json({**record, "packages": {"torch": "2.11"}, "commit": "def456"}, second.model("yolo", 1) / "run.json")
    stamp = {"profile": "demo", "settings": {"yolo": {"epochs": 77}}}
    write_json(stamp, second.runs / "07_train_yolo.stamp")
    blend = json.loads(second.blend.read_text())
    write_json({**blend, "constants": {"wbf_skip": 0.01}}, second.blend)
    found = compare(runs)
    assert found["constants"] == ["wbf_skip 0.0001 -> 0.01"]
    assert any(line.startswith("yolo") and "77" in line for line in found["settings"])
    assert found["packages"] == ["torch 2.10 -> 2.11"]
    commits = next(fact for fact in found["facts"] if fact["what"] == "commit of the trainings")
    assert (commits["a"], commits["b"]) == ("abc123", "abc123, def456")
    opacity = by_key(found["out_of_fold"])["opacity"]
    assert opacity["b"] == 1 and opacity["difference"] == pytest.approx(1 - opacity["a"], abs=1e-6)
    assert opacity["low"] > 0 and by_key(found["out_of_fold"])["typical"]["difference"] == 0


def test_other_folds_are_compared_over_all_images_at_once(runs):
    path = runs[1].places.folds_table
    write_csv(pd.read_csv(path).assign(fold=lambda table: 1 - table["fold"] * (table.index < 12)), path)
    part = compare(runs)["out_of_fold"]
    assert part["note"].startswith("other folds") and by_key(part)["mAP"]["difference"] == 0


def test_rows_in_another_order_are_the_same_images(runs):
    places = runs[1].places
    for path in (places.images_table, places.boxes_table):
        write_csv(pd.read_csv(path)[::-1], path)
    part = compare(runs)["out_of_fold"]
    assert "the same" in part["note"] and by_key(part)["mAP"]["difference"] == 0


def test_other_images_or_labels_have_no_difference(runs):
    path = runs[1].places.boxes_table
    write_csv(pd.read_csv(path).assign(x_min=lambda table: table["x_min"] + 1), path)
    found = compare(runs)
    assert "other training images or labels" in found["out_of_fold"]["note"]
    assert by_key(found["out_of_fold"])["mAP"]["difference"] is None and by_key(found["out_of_fold"])["mAP"]["b"] > 0
    facts = {fact["what"]: fact for fact in found["facts"]}
    assert facts["input"]["a"] != facts["input"]["b"]


def test_submissions_are_scored_on_the_same_patients(runs, tmp_path):
    solution = write_solution(tmp_path / "solution.csv")
    write_submission(runs[1], best="typical")
    rows = by_key(compare(runs, solution)["test"])
    # the wrong order of 4 negative among 8: the first hit is at rank 5, the envelope ends at 4 / 8
    assert rows["negative"]["a"] == 1 and rows["negative"]["b"] == pytest.approx(0.5)
    assert rows["negative"]["difference"] == pytest.approx(-0.5) and rows["negative"]["high"] < 0
    assert rows["none"]["difference"] == 0 and rows["opacity"]["a"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a, b: b.places.submission.unlink(), "run B has no submission"),
        (lambda a, b: (record_run(b), b.places.submission.write_text("other")), "run B was written over since"),
        (
            lambda a, b: write_csv(
                pd.read_csv(b.places.test_images_table).assign(image_id=list("abcdefgh")), b.places.test_images_table
            ),
            "other test images",
        ),
    ],
)
def test_submissions_that_cannot_be_compared_say_why(runs, tmp_path, change, words):
    change(*runs)
    part = compare(runs, write_solution(tmp_path / "solution.csv"))["test"]
    assert words in part["note"] and by_key(part)["mAP"] | {"key": 0} == {
        "key": 0, "a": 0.568, "a_low": 0.527, "a_high": 0.634, "b": 0.568, "b_low": 0.527, "b_high": 0.634,
        "difference": None, "low": None, "high": None,
    }  # fmt: skip


def test_two_runs_that_wrote_to_one_place_are_not_told_to_be_equal(runs, tmp_path):
    copy = tmp_path / "kept" / "demo"
    shutil.copytree(runs[0].places.root, copy)
    found = compare_runs(read_run(copy), read_run(runs[0].places.root), write_solution(tmp_path / "s.csv"), RESAMPLES)
    assert "only the later one" in found["test"]["note"] and by_key(found["test"])["mAP"]["difference"] is None


def test_costs_of_stages_stand_side_by_side(runs):
    write_json(
        {"stage": "07_train_yolo", "seconds": 10, "peak_memory_gb": 2}, runs[1].places.runs / "07_train_yolo.json"
    )
    (runs[1].places.runs / "00_inputs.json").unlink()
    rows = {row["stage"]: row for row in compare(runs)["stages"]}
    assert rows["07_train_yolo"]["a_seconds"] == 301 and rows["07_train_yolo"]["b_seconds"] == 10
    assert rows["00_inputs"]["b_seconds"] is None and rows["00_inputs"]["a_gb"] == 1.25


def test_the_command_prints_text_or_json_and_writes_nothing(runs, capsys):
    folders = [workspace.places.root for workspace in runs]
    before = [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]
    assert main(["compare", *map(str, folders), "--bootstrap", "20"]) == 0
    shown = capsys.readouterr().out
    assert "out of fold" in shown and "+" not in shown.split("test set")[0].split("B - A")[1], "no difference is .000"
    assert main(["compare", *map(str, folders), "--bootstrap", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out_of_fold"]["rows"][0]["key"] == "negative"
    assert before == [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]


def test_a_folder_without_a_run_is_a_fault_in_one_line(tmp_path, runs, capsys):
    assert main(["compare", str(tmp_path / "nothing"), str(runs[0].places.root)]) == 1
    fault = capsys.readouterr().err
    assert "no run there" in fault and "working/demo" in fault and fault.count("\n") == 1


def test_a_run_without_predictions_is_still_compared(runs, tmp_path):
    shutil.rmtree(runs[1].places.fused)
    found = compare(runs)
    assert "run B lacks out-of-fold predictions" in found["out_of_fold"]["note"] and found["stages"]
    assert "not known" in found["test"]["note"] and "run B lacks" in text_of(found)


def test_nothing_in_the_text_acts_on_a_terminal(runs):
    found = compare(runs)
    found["facts"][0]["a"] = "\x1b[31mred\x07"
    assert "\x1b" not in text_of(found) and "\x07" not in text_of(found) and "red" in text_of(found)


def test_a_copy_under_another_name_knows_its_profile(runs, tmp_path):
    write_json({"profile": "demo", "settings": {}}, runs[0].places.runs / "00_inputs.stamp")
    shutil.copytree(runs[0].places.root, tmp_path / "before")
    copy = read_run(tmp_path / "before")
    assert copy.profile.name == "demo" and copy.ground is not None


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_number_of_resamples_that_is_none_is_wrong_usage(number, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "a", "b", "--bootstrap", number])
    assert "no number of resamples" in capsys.readouterr().err or number.startswith("-")
