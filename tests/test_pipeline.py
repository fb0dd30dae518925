"""The whole run on a tiny phantom, in this process: stages 00 to 11 as functions, good and bad input."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.__main__ import main as command_line
from cxr.ablations import command as ablations
from cxr.app.models import Models
from cxr.data.lung_views import lung_of
from cxr.data.prepare import annotate_and_fold, choose_images, convert_training, load_training
from cxr.data.siim import labelled_images
from cxr.evaluation.blend import tune_blend
from cxr.evaluation.run_files import RunFiles
from cxr.explain.chosen import choose
from cxr.explain.looks import look_where
from cxr.explain.studies import study_heat, study_heats
from cxr.faults import DataFault
from cxr.inputs import has_files, look_at_inputs
from cxr.kaggle.weights import model_folders
from cxr.labels import STUDY_CLASSES, parse_prediction_string
from cxr.papers.run import run_studies
from cxr.phantom.datasets import make_phantom
from cxr.prediction.segment import segment_training
from cxr.profiles import Study
from cxr.report import write_report
from cxr.submission_format import read_submission, validate
from cxr.submit import submit, submit_run
from cxr.summary import score_lines, score_run
from cxr.systems.competition import (
    CLASSIFIERS,
    detectors_of,
    train_faster_rcnn_folds,
    train_more_detectors,
    train_study_folds,
    train_yolo_folds,
)
from cxr.training.pretraining import pretrain_nih, pretrain_rsna
from cxr.training.segmentation import train_lungs
from cxr.workspace import open_run_folder, open_workspace, write_json
from made_server import serving, upload

TINY = (
    "images.cache_size=96 images.png=no yolo.size=64 yolo.epochs=1 yolo.batch=4 study.size=64 study.epochs=1 "
    "study.batch=4 study.network=resnet18 nih.network=resnet18 nih.size=64 nih.epochs=1 nih.batch=4 rsna.yolo_epochs=1 "
    "rsna.faster_rcnn_epochs=1 lungs.size=64 lungs.width=4 lungs.epochs=1 lungs.batch=4 faster_rcnn.network=resnet18 "
    "faster_rcnn.size=64 faster_rcnn.predict_size=64 faster_rcnn.pyramid=16 faster_rcnn.head=16 faster_rcnn.epochs=1 "
    "faster_rcnn.batch=4 faster_rcnn.flip_at_test=yes yolo.flip_at_test=yes study.none_weight=0.5 prediction.half=yes "
    "fusion.resamples=20"
)
MORE = " detectors.more=retinanet"
DETECTORS = ("yolo", "faster_rcnn")


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """OUT of `python -m cxr phantom OUT --studies 24`."""
    out = tmp_path_factory.mktemp("phantom")
    make_phantom(out, studies=24, seed=3)
    return out


def run_all(root, input_dir, solution=""):
    """Stages 00 to 11; returns the workspace and the test failures."""
    workspace = open_workspace("demo", TINY, str(input_dir), str(root / "working"), str(root / "submissions"))
    look_at_inputs(workspace, str(solution))
    convert_training(workspace)
    annotate_and_fold(workspace)
    pretrain_nih(workspace)
    pretrain_rsna(workspace)
    train_yolo_folds(workspace)
    train_faster_rcnn_folds(workspace)
    train_study_folds(workspace)
    tune_blend(workspace, detectors_of(workspace.profile), CLASSIFIERS)
    return workspace, submit_run(workspace)


@pytest.fixture(scope="module")
def good(phantom, tmp_path_factory):
    return run_all(tmp_path_factory.mktemp("good"), phantom / "input", phantom / "solution.csv")


@pytest.fixture(scope="module")
def spoiled(phantom, tmp_path_factory):
    """The phantom with a broken training DICOM, a broken and a missing test DICOM, and an unknown test study."""
    root = tmp_path_factory.mktemp("spoiled")
    competition = root / "input" / "siim-covid19-detection"
    shutil.copytree(phantom / "input" / "siim-covid19-detection", competition)
    train, test = (sorted((competition / part).glob("*/*/*.dcm")) for part in ("train", "test"))
    train[0].write_bytes(train[0].read_bytes()[:5000])
    test[0].write_bytes(test[0].read_bytes()[:5000])
    test[1].unlink()
    stranger = competition / "test" / "0123456789ab" / "s" / "ffffffffffff.dcm"
    stranger.parent.mkdir(parents=True)
    shutil.copy(test[2], stranger)
    names = {"train": train[0], "broken": test[0], "missing": test[1]}
    return run_all(root, root / "input"), {key: path.stem for key, path in names.items()}, competition


def test_a_run_ends_in_a_valid_submission(good):
    workspace, failures = good
    sample = workspace.competition / "sample_submission.csv"
    assert validate(workspace.places.submission, sample) == [] and failures.empty
    rows = read_submission(workspace.places.submission).set_index("id")["PredictionString"]
    assert all(rows[row].split()[::6] == list(STUDY_CLASSES) for row in rows.index if row.endswith("_study"))
    assert all(rows[row].split()[0] == "none" for row in rows.index if row.endswith("_image"))


def test_every_training_image_has_an_out_of_fold_prediction(good):
    workspace, _ = good
    images, _, _ = load_training(workspace)
    scores = pd.read_csv(workspace.places.predictions("studies") / "out_of_fold_images.csv")
    assert sorted(scores["image_id"]) == sorted(images["image_id"])


def test_a_run_folder_tells_what_it_learned_from(good):
    workspace, _ = good
    pretrained = {name: f"pretrain_rsna_{name}" for name in DETECTORS} | {"studies": "pretrain_nih"}
    for name, start in pretrained.items():
        for fold in (0, 1):
            record = json.loads((workspace.places.model(name, fold) / "run.json").read_text())
            assert record["pretraining"] == start and record["data"] == "competition" and record["clock_bound"] is False
            assert record["seed"] == 2021 and record["packages"]["torch"] and record["commit"]
            assert record["training_sources"][-1] == "SIIM-FISABIO-RSNA train"
    sources = json.loads((workspace.places.model("faster_rcnn", 0) / "run.json").read_text())["training_sources"]
    assert sources == ["NIH ChestX-ray14", "RSNA pneumonia", "SIIM-FISABIO-RSNA train"]


def test_without_other_data_sets_the_run_goes_on_and_says_so(spoiled):
    (workspace, _), _, _ = spoiled
    for name in ("nih", "rsna_yolo", "rsna_faster_rcnn"):
        absent = json.loads((workspace.places.pretrained(name) / "absent.json").read_text())
        assert "in the input" in absent["reason"]
    for name in ("yolo", "faster_rcnn", "studies"):
        record = json.loads((workspace.places.model(name, 0) / "run.json").read_text())
        assert record["weights"] == "random" and record["pretraining"] == "none"
        assert record["training_sources"] == ["SIIM-FISABIO-RSNA train"]


def test_the_same_study_net_starts_elsewhere_with_pretraining(good, spoiled):
    starts = [
        json.loads((workspace.places.model("studies", 0) / "config.json").read_text())["weights"]
        for workspace in (good[0], spoiled[0][0])
    ]
    assert starts[0].startswith("weights.pt, ") and starts[1] == "random"


def test_a_finished_pretraining_is_kept(good, capsys):
    pretrain_nih(good[0])
    pretrain_rsna(good[0])
    assert capsys.readouterr().out.count("trained already, kept") == 1 + len(DETECTORS)


def test_a_backbone_that_does_not_fit_is_refused_in_words(good, tmp_path):
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    workspace = open_run_folder(tmp_path / "demo")
    other = replace(workspace.profile, study=replace(workspace.profile.study, network="mobilenet_v2"))
    with pytest.raises(DataFault, match=r"pretrain_nih/weights.pt: only \d+ of \d+ tensors fit this network"):
        train_study_folds(replace(workspace, profile=other))


def test_the_score_stands_beside_the_baseline(good):
    scores = score_run(good[0])
    assert 0 <= scores["run"]["mAP"] <= 1 and scores["run"]["mAP_low"] <= scores["run"]["mAP_high"]
    shown = "\n".join(score_lines(scores))
    assert "run - baseline" in shown and "indeterminate" in shown


def test_a_class_that_the_solution_lacks_is_absent_not_zero(good, phantom, tmp_path):
    workspace, _ = good
    solution = read_submission(phantom / "solution.csv")
    solution["PredictionString"] = solution["PredictionString"].str.replace("atypical", "typical")
    solution.to_csv(tmp_path / "solution.csv", index=False)
    record = {**workspace.inputs, "solution": str(tmp_path / "solution.csv")}
    kept = workspace.places.inputs.read_text()
    try:
        write_json(record, workspace.places.inputs)
        scores = score_run(workspace)
    finally:
        workspace.places.inputs.write_text(kept)
    assert scores["run"]["atypical"] is None and scores["run"]["mAP"] > 0
    assert "absent" in "\n".join(score_lines(scores)) and "NaN" not in workspace.places.score.read_text()


def test_a_finished_fold_is_not_trained_again(good, capsys):
    train_study_folds(good[0])
    assert capsys.readouterr().out.count("trained already, kept") == 2


def test_a_killed_training_keeps_its_finished_folds(good, tmp_path, capsys):
    root = tmp_path / "demo"
    shutil.copytree(good[0].places.root, root)
    shutil.rmtree(root / "models" / "studies")
    record = root / "profile.json"
    record.write_text(record.read_text().replace("study.epochs=1 ", "study.epochs=8 "))
    program = (
        "import sys, pathlib\nfrom cxr.systems.competition import train_study_folds\n"
        "from cxr.workspace import open_run_folder\ntrain_study_folds(open_run_folder(pathlib.Path(sys.argv[1])))"
    )
    first, second = (root / "models" / "studies" / f"fold_{fold}" for fold in (0, 1))
    with subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.DEVNULL) as training:
        while not (second / "config.json").is_file():
            assert training.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
        training.kill()
    assert (first / "run.json").is_file() and not (second / "run.json").is_file()
    kept = (first / "weights.pt").stat().st_mtime_ns
    train_study_folds(open_run_folder(root))
    assert capsys.readouterr().out.count("trained already, kept") == 1
    assert (first / "weights.pt").stat().st_mtime_ns == kept and (second / "run.json").is_file()


def test_a_fold_trained_by_other_code_is_trained_again(good, tmp_path, capsys):
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    config = tmp_path / "demo" / "models" / "studies" / "fold_1" / "config.json"
    config.write_text(config.read_text().replace('"cxr.training.losses": "', '"cxr.training.losses": "x'))
    train_study_folds(open_run_folder(tmp_path / "demo"))
    assert capsys.readouterr().out.count("trained already, kept") == 1


def test_submit_works_from_the_run_folder_alone(good, tmp_path):
    workspace, _ = good
    submit(open_run_folder(workspace.places.root), workspace.competition, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == workspace.places.submission.read_bytes()


def test_a_run_that_is_looked_at_is_not_written(good):
    places = good[0].places
    before = places.record.stat().st_mtime_ns
    open_run_folder(places.root)
    assert places.record.stat().st_mtime_ns == before


def test_the_server_says_what_the_submission_says(good):
    workspace, _ = good
    files = sorted((workspace.competition / "test").glob("*/*/*.dcm"))
    with serving(Models(open_run_folder(workspace.places.root))) as client:
        answer = client.post("/predict", files=[upload(path.read_bytes(), path.name) for path in files])
        heat = client.get(f"/heat/{answer.json()['files'][0]['token']}")
    rows = read_submission(workspace.places.submission).set_index("id")["PredictionString"]
    for path, one in zip(files, answer.json()["files"], strict=True):
        told = list(one["submission"].values())
        for text, row in zip(told, (f"{path.parts[-3]}_study", f"{path.stem}_image"), strict=True):
            ours, theirs = parse_prediction_string(text), parse_prediction_string(rows[row])
            assert [group.label for group in ours] == [group.label for group in theirs]
            assert np.allclose([group[1] for group in ours], [group[1] for group in theirs], atol=2e-3), row
            assert np.allclose([group[2:] for group in ours], [group[2:] for group in theirs], atol=1), row
    assert heat.headers["content-type"] == "image/png"


def test_every_model_answers_alone_and_an_unfinished_run_says_what_is_missing(good, tmp_path):
    models = Models(open_run_folder(good[0].places.root))
    images, pixels = load_training(good[0])[0].iloc[:3], np.asarray(load_training(good[0])[2][:3])
    assert models.names == ["fused", "yolo", "faster_rcnn", "studies"]
    for name, answer in models.predict(images, pixels, models.names).items():
        assert (answer.boxes is not None) == (name != "studies") and (answer.studies is not None) == (
            name in ("fused", "studies")
        )
    assert models.lungs(pixels[0]) is None, "stage 06 was left out"
    with pytest.raises(DataFault, match="no heat of 'yolo'"):
        models.heat(images[:1], pixels[:1], "yolo", "typical")
    with pytest.raises(DataFault, match="no run there"):
        open_run_folder(tmp_path)


def test_a_further_system_is_offered_once_it_is_trained(good, tmp_path):
    shutil.copytree(good[0].places.root, tmp_path / "w" / "demo")
    small = "unet_hrnet.network=squeezenet1_1 unet_hrnet.size=32 unet_hrnet.epochs=1 unet_hrnet.lungs=whole"
    arguments = (str(good[0].places.input), str(tmp_path / "w"), str(tmp_path / "s"))
    workspace = open_workspace("demo", f"{TINY} {small}", *arguments)
    run_studies(workspace, "unet_hrnet")
    models = Models(workspace)
    images, pixels = load_training(workspace)[0].iloc[:2], np.asarray(load_training(workspace)[2][:2])
    assert models.names[-1] == "unet_hrnet" and models.title("unet_hrnet") == "U-Net + HRNet"
    studies = models.predict(images, pixels, ["unet_hrnet"])["unet_hrnet"].studies
    assert np.allclose(studies[list(STUDY_CLASSES)].sum(axis=1), 1, atol=1e-4)
    assert models.heat(images[:1], pixels[:1], "unet_hrnet", "typical").shape == pixels[0].shape


def test_predict_writes_a_table_rows_and_overlays(good, tmp_path, capsys):
    root, files = good[0].places.root, sorted((good[0].competition / "test").glob("*/*/*.dcm"))[:2]
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"no radiograph")
    out, overlays = tmp_path / "rows.csv", tmp_path / "overlays"
    more = ["--run", str(root), "--out", str(out), "--overlay", str(overlays), "--threshold", "0"]
    assert command_line(["predict", *map(str, files), str(bad), *more]) == 0
    said = capsys.readouterr().out
    assert "bad.dcm: neither DICOM nor PNG nor JPEG" in said and "not for diagnosis" in said
    assert {f"{path.stem}_image" for path in files} <= set(read_submission(out)["id"])
    shown = cv2.imread(str(overlays / f"{files[0].stem}.png")).astype(int)
    assert ((shown[..., 2] - shown[..., 0]) > 150).any(), "amber boxes are drawn"
    assert command_line(["predict", str(bad), str(tmp_path / "absent.png"), "--run", str(root)]) == 1


@pytest.mark.slow
def test_same_seed_same_submission(good, phantom, tmp_path):
    workspace, _ = run_all(tmp_path, phantom / "input")
    assert workspace.places.submission.read_bytes() == good[0].places.submission.read_bytes()


def test_a_test_set_of_unknown_studies_alone_gets_fallbacks(good, tmp_path):
    workspace, _ = good
    (tmp_path / "in").mkdir()
    shutil.copytree(workspace.competition / "test", tmp_path / "in" / "test")
    sample = "id,PredictionString\n000000000000_study,negative 1 0 0 1 1\n000000000001_image,none 1 0 0 1 1\n"
    (tmp_path / "in" / "sample_submission.csv").write_text(sample)
    submit(workspace, tmp_path / "in", tmp_path / "s.csv")
    assert validate(tmp_path / "s.csv", tmp_path / "in" / "sample_submission.csv") == []


def test_a_missing_fold_is_an_error_not_half_an_ensemble(good, tmp_path):
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    (tmp_path / "demo" / "models" / "yolo" / "fold_1" / "run.json").unlink()
    with pytest.raises(DataFault, match=r"fold 1 of yolo is not trained"):
        submit(open_run_folder(tmp_path / "demo"), good[0].competition, tmp_path / "s.csv")


def test_one_bad_file_never_loses_the_run(spoiled, capsys):
    (workspace, failures), names, competition = spoiled
    assert validate(workspace.places.submission, competition / "sample_submission.csv") == []
    train_failures = pd.read_csv(workspace.places.failures_table)
    assert names["train"] in train_failures["path"].item() and train_failures["reason"].item()
    assert names["train"] not in set(pd.read_csv(workspace.places.images_table)["image_id"])
    assert len(failures) == 1 and names["broken"] in failures["path"].item()


def test_a_row_without_a_picture_gets_the_fallback(spoiled):
    (workspace, _), names, _ = spoiled
    priors = json.loads(workspace.places.priors.read_text())
    rows = read_submission(workspace.places.submission).set_index("id")["PredictionString"]
    broken, missing = (rows[f"{names[key]}_image"].split() for key in ("broken", "missing"))
    assert float(missing[1]) == pytest.approx(priors["none"], abs=1e-6) and len(missing) == 6, "no size, no boxes"
    assert float(broken[1]) == pytest.approx(priors["none"], abs=1e-6)
    assert len(broken) == 6 * (1 + len(priors["boxes"])), "its header still tells the size"


@pytest.fixture(scope="module")
def poor(phantom, tmp_path_factory):
    """The phantom with five boxed images and without one of the classes."""
    root = tmp_path_factory.mktemp("poor")
    competition = root / "input" / "siim-covid19-detection"
    shutil.copytree(phantom / "input" / "siim-covid19-detection", competition)
    csv = competition / "train_image_level.csv"
    images = pd.read_csv(csv)
    boxed = images.index[images["boxes"].notna()]
    images.loc[boxed[5:], ["boxes", "label"]] = [None, "none 1 0 0 1 1"]
    images.to_csv(csv, index=False)
    csv = competition / "train_study_level.csv"
    studies = pd.read_csv(csv)
    studies["Typical Appearance"] += studies["Atypical Appearance"]
    studies["Atypical Appearance"] = 0
    studies.to_csv(csv, index=False)
    return run_all(root, root / "input")


def test_few_positives_and_an_empty_class_do_not_stop_the_run(poor):
    workspace, _ = poor
    assert validate(workspace.places.submission, workspace.competition / "sample_submission.csv") == []
    notes = " ".join(json.loads(workspace.places.blend.read_text())["notes"])
    assert "atypical: nobody in the training images has it" in notes
    assert "could not be made" not in write_report(workspace).read_text()


def test_unknown_studies_are_told_and_left_out(spoiled):
    (workspace, _), _, _ = spoiled
    assert any(
        "study ids unknown to sample_submission.csv" in line and "0123456789ab" in line
        for line in workspace.inputs["findings"]
    )
    assert not read_submission(workspace.places.submission)["id"].str.contains("0123456789ab").any()


def test_stage_00_leaves_a_valid_submission_behind(phantom, tmp_path):
    workspace = open_workspace("demo", "", str(phantom / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    look_at_inputs(workspace)
    assert validate(workspace.places.submission, workspace.competition / "sample_submission.csv") == []


def test_an_empty_input_folder_becomes_the_phantom_and_is_made_once(tmp_path):
    (tmp_path / "input" / "weights").mkdir(parents=True)
    (tmp_path / "input" / "README.md").write_text("put data here")
    workspace = open_workspace(
        "demo", "phantom.studies=12", str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s")
    )
    assert look_at_inputs(workspace)["data"] == "phantom"
    assert workspace.is_phantom and workspace.inputs["solution"].endswith("phantom/solution.csv")
    made = (workspace.places.phantom / "solution.csv").stat().st_mtime_ns
    look_at_inputs(workspace)
    assert (workspace.places.phantom / "solution.csv").stat().st_mtime_ns == made


def test_a_half_unpacked_input_is_no_reason_for_a_phantom(tmp_path):
    (tmp_path / "input" / "siim-covid19-detection" / "train").mkdir(parents=True)
    workspace = open_workspace("demo", "", str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    with pytest.raises(DataFault, match="half unpacked"):
        look_at_inputs(workspace)
    assert has_files(tmp_path / "input") and not has_files(tmp_path / "nowhere")


def test_an_input_folder_that_is_not_there_is_named(tmp_path):
    workspace = open_workspace("demo", "", str(tmp_path / "inptu"), str(tmp_path / "w"), str(tmp_path / "s"))
    with pytest.raises(DataFault, match="INPUT=.*inptu: no such folder"):
        look_at_inputs(workspace)


def test_a_solution_that_is_not_there_is_named(phantom, tmp_path):
    workspace = open_workspace("demo", "", str(phantom / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    with pytest.raises(DataFault, match="SOLUTION=/nowhere/s.csv: no such file"):
        look_at_inputs(workspace, "/nowhere/s.csv")


def test_no_readable_dicom_at_all_is_one_line(phantom, tmp_path):
    competition = tmp_path / "input" / "siim-covid19-detection"
    shutil.copytree(phantom / "input" / "siim-covid19-detection", competition)
    for path in (competition / "train").glob("*/*/*.dcm"):
        path.write_bytes(b"not a picture")
    workspace = open_workspace("demo", TINY, str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    look_at_inputs(workspace)
    with pytest.raises(DataFault, match=r"train: none of \d+ DICOM files could be read"):
        convert_training(workspace)


@pytest.mark.parametrize("function", [load_training, train_study_folds])
def test_a_stage_run_too_early_says_which_comes_first(phantom, tmp_path, function):
    workspace = open_workspace("demo", TINY, str(phantom / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    with pytest.raises(DataFault, match="run notebook 01_dicom_to_png first"):
        function(workspace)


def test_a_large_input_is_thinned_by_whole_studies_evenly(phantom):
    labels, _ = labelled_images(phantom / "input" / "siim-covid19-detection")
    chosen = choose_images(labels, len(labels) // 2)
    assert len(chosen) < len(labels) * 0.7 and set(chosen["study_id"]) < set(labels["study_id"])
    assert all(
        (labels["study_id"] == study).sum() == count for study, count in chosen["study_id"].value_counts().items()
    )
    shares = [table[list(STUDY_CLASSES)].mean() for table in (labels, chosen)]
    assert np.abs(shares[0] - shares[1]).max() < 0.15
    assert choose_images(labels, 0) is labels


def test_a_notebook_opened_by_hand_sees_the_last_run(tmp_path):
    open_workspace("demo", "yolo.epochs=3", str(tmp_path / "input"), str(tmp_path / "w"))
    again = open_workspace("demo", working_dir=str(tmp_path / "w"))
    assert again.profile.yolo.epochs == 3 and again.places.input == tmp_path / "input"
    assert open_workspace("demo", "", working_dir=str(tmp_path / "w")).profile.yolo.epochs != 3


def test_starting_weights_in_the_input_are_used_and_named(phantom, tmp_path):
    import torch
    import torchvision

    shutil.copytree(phantom / "input" / "siim-covid19-detection", tmp_path / "input" / "siim-covid19-detection")
    (tmp_path / "input" / "weights").mkdir()
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "input/weights/resnet18-abc.pth")
    settings = f"{TINY} study.weights=resnet18 folds.count=2"
    workspace = open_workspace("demo", settings, str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    look_at_inputs(workspace)
    convert_training(workspace)
    annotate_and_fold(workspace)
    train_study_folds(workspace)
    record = json.loads((workspace.places.model("studies", 0) / "run.json").read_text())
    assert record["weights"].endswith("input/weights/resnet18-abc.pth")


def test_models_that_look_at_lungs_alone_train_and_predict(good, tmp_path, capsys):
    shutil.copytree(good[0].places.root, tmp_path / "w" / "demo")
    views = "study.lungs=crop+mask yolo.lungs=crop faster_rcnn.lungs=mask lungs.epochs=15 lungs.width=8"
    arguments = (str(good[0].places.input), str(tmp_path / "w"), str(tmp_path / "s"))
    workspace = open_workspace("demo", f"{TINY} {views}", *arguments)
    with pytest.raises(DataFault, match=r"lungs.csv: not there, so no model can look at lungs alone"):
        train_study_folds(workspace)
    segment_training(workspace, train_lungs(workspace))
    found = train_yolo_folds(workspace), train_faster_rcnn_folds(workspace)
    train_study_folds(workspace)
    assert re.search(r"view crop: [1-9]\d* of \d+ images by their lungs", capsys.readouterr().out)
    sizes = load_training(workspace)[0].set_index("image_id")
    for table in found:
        assert (table["x_max"] <= table["image_id"].map(sizes["width"]) + 1e-6).all() and (table["x_min"] >= 0).all()
    tune_blend(workspace, detectors_of(workspace.profile), CLASSIFIERS)
    assert submit_run(workspace).empty
    assert validate(workspace.places.submission, workspace.competition / "sample_submission.csv") == []
    assert "models/lungs" in [
        str(path.relative_to(workspace.places.root)) for path in model_folders(workspace.places.root)
    ]
    check_where_they_look(workspace)
    shutil.rmtree(workspace.places.lungs_model)
    with pytest.raises(DataFault, match="no lung segmenter, and a model of this run looks at lungs alone"):
        submit_run(workspace)


def check_where_they_look(workspace):
    table = look_where(workspace)
    lungs = table[table["place"] == "lungs"].set_index("model")
    assert list(lungs.index) == ["studies", "yolo", "faster_rcnn", "fused"]
    assert (lungs["images"] > 0).all()
    # a detector of one epoch may have found nothing at all, and then has no heat
    assert lungs[["share", "even"]].dropna().stack().between(0, 1).all() and lungs["share"].notna().any()
    # the study classifier sees nothing but the lungs' box, in which its heat must lie
    files = RunFiles(workspace)
    looked = choose(files)
    for one, mask in zip(study_heat(files, looked).maps, looked.lungs, strict=True):
        x_min, y_min, x_max, y_max = lung_of(mask, workspace.profile.lungs).box_xyxy
        inside = one[y_min:y_max, x_min:x_max].sum()
        assert inside == pytest.approx(one.sum(), rel=1e-4)
    page = write_report(workspace).read_text()
    assert "Grad-CAM of the likeliest class" in page and "over a quarter of the lungs wrong" in page
    heats = study_heats(files, at_most=2)
    assert [set(one.maps) for one in heats] == [{"Grad-CAM", "LIME"}] * 2 and "in truth" in heats[0].words
    workspace.places.lungs_table.unlink()
    assert look_where(workspace) is None and not workspace.places.where_table.exists()
    with pytest.raises(DataFault, match="nothing to look at: there are no lung masks"):
        study_heats(RunFiles(workspace), at_most=2)


@dataclass(frozen=True)
class Plain(Study):
    """The profile section that docs/add_your_own_model.md asks for."""

    epochs: int = 1
    lr: float = 0.001
    size: int = 64
    batch: int = 4
    seed: int = 1


def test_the_page_on_ones_own_model_runs(good, tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "add_your_own_model.md").read_text()
    training, folds = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {"np": np, "pd": pd, "STUDY_CLASSES": STUDY_CLASSES}
    exec(training, names)  # noqa: S102  (our own page)
    exec("from cxr.systems.competition.trainings import *\nfrom cxr.training.runs import load_weights\n", names)  # noqa: S102
    exec(folds, names)  # noqa: S102
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    workspace = open_run_folder(tmp_path / "demo")
    values = {field: getattr(workspace.profile, field) for field in ("name", "budget", "images", "folds", "fusion")}
    workspace = replace(workspace, profile=SimpleNamespace(**values, plain=Plain()))
    # the page's module is not a file of the package here, so its digest cannot be taken
    monkeypatch.setattr("cxr.training.cross_validation.own_digests", lambda modules: dict.fromkeys(modules, ""))
    table = names["train_plain_folds"](workspace)
    assert sorted(table["image_id"]) == sorted(load_training(workspace)[0]["image_id"])
    result = tune_blend(workspace, DETECTORS, ["studies", "plain"])
    assert set(result["constants"]["class_weights"]) == {"studies", "plain"}
    assert len(page.splitlines()) < 100


def test_what_is_refused_of_nihs_test_part_stands_beside_the_other_part(good, monkeypatch):
    from cxr.training import pretraining

    sources = []

    def refuse(workspace, source, images, pixels):
        sources.append(source)
        return np.ones(len(images), bool)

    monkeypatch.setattr(pretraining, "refuse_repeats", refuse)
    for part in ("train_val", "test"):
        pretraining.load_nih(good[0], part)
    assert len(set(sources)) == 2, "rows of one source replace each other"


def test_the_baseline_of_a_fold_learns_from_the_others(good, monkeypatch):
    from cxr.ablations import baseline

    workspace, seen = good[0], []
    images, truth, _ = load_training(workspace)
    learn = baseline.Baseline

    def watched(features, targets, boxes):
        seen.append(len(features))
        return learn(features, targets, boxes)

    monkeypatch.setattr(baseline, "Baseline", watched)
    boxes, none, studies = baseline.out_of_fold(workspace, images, truth)
    used = images[images["role"] == "train"]
    assert seen == [int((used["fold"] != fold).sum()) for fold in (0, 1)]
    assert set(none.index) == set(images["image_id"]) and set(studies["study_id"]) == set(images["study_id"])
    assert set(boxes["image_id"]) <= set(images["image_id"])
    found = baseline.measure(workspace)["rows"]
    assert [row["class"] for row in found][-3:] == ["none", "opacity", "mean"]


def test_a_third_architecture_trains_fuses_and_submits(good, tmp_path):
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    places = good[0].places
    workspace = open_workspace("demo", TINY + MORE, str(places.input), str(tmp_path), str(tmp_path / "s"))
    pretrain_rsna(workspace)
    found = train_more_detectors(workspace)
    assert list(found) == ["retinanet"] and set(found["retinanet"]["label"]) <= {"opacity"}
    record = json.loads((workspace.places.model("retinanet", 1) / "run.json").read_text())
    assert (record["architecture"], record["pretraining"]) == ("retinanet", "pretrain_rsna_retinanet")
    result = tune_blend(workspace, detectors_of(workspace.profile), CLASSIFIERS)
    assert set(result["constants"]["box_weights"]) == {"yolo", "faster_rcnn", "retinanet"}
    assert result["constants"]["none_from_head"] == 0.5, "too few patients to tune on"
    submit_run(workspace)
    assert validate(workspace.places.submission, workspace.competition / "sample_submission.csv") == []


def member(workspace, images, tests):
    """A foreign classifier that is right about every training study, and its rows about test studies."""
    studies = images.drop_duplicates("study_id")
    known = studies[["study_id", *STUDY_CLASSES]].copy()
    known[list(STUDY_CLASSES)] = 0.1 + 0.6 * known[list(STUDY_CLASSES)].astype(float)
    unknown = pd.DataFrame({"study_id": tests["study_id"].unique()}).assign(**dict.fromkeys(STUDY_CLASSES, 0.25))
    return pd.concat([known, unknown])


def test_a_member_joins_the_blend_and_the_submission(good, tmp_path, capsys):
    places = good[0].places
    shutil.copytree(places.root, tmp_path / "w" / "demo")
    shutil.copytree(places.input, tmp_path / "in")
    workspace = open_workspace("demo", TINY, str(tmp_path / "in"), str(tmp_path / "w"), str(tmp_path / "s"))
    look_at_inputs(workspace)
    tests = pd.read_csv(places.test_images_table, dtype=str)
    table = member(workspace, load_training(workspace)[0], tests)
    workspace.places.members.mkdir()
    table.to_csv(workspace.places.members / "friend.csv", index=False)
    result = tune_blend(workspace, DETECTORS, CLASSIFIERS)
    assert result["constants"]["class_weights"]["friend"] > 0 and "friend" not in str(
        result["constants_without_members"]
    )
    submit_run(workspace)
    assert workspace.places.submission.read_bytes() != places.submission.read_bytes()
    # a hidden test set: the member knows nothing of it
    table[table["study_id"].isin(load_training(workspace)[0]["study_id"])].to_csv(
        workspace.places.members / "friend.csv", index=False
    )
    capsys.readouterr()
    submit_run(workspace)
    assert "member friend has no row for" in capsys.readouterr().out


@pytest.mark.slow
def test_ablations_compare_with_and_without_pretraining(good, tmp_path, capsys):
    shutil.copytree(good[0].places.root, tmp_path / "demo")
    arguments = argparse.Namespace(
        profile="demo", working=str(tmp_path), submissions=str(tmp_path / "s"), only=["pretraining"]
    )
    assert ablations.main(arguments) == 0
    found = json.loads((tmp_path / "demo" / "ablations.json").read_text())["pretraining"]
    assert [row["model"] for row in found["rows"]] == ["yolo", "faster_rcnn", "studies"]
    assert all(row["gain"] == pytest.approx(row["with"] - row["without"], abs=2e-4) for row in found["rows"])
    record = json.loads((tmp_path / "demo/models/studies_without_pretraining/fold_0/run.json").read_text())
    assert record["pretraining"] == "none" and record["weights"] == "random"
    assert "without" in capsys.readouterr().out
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "measures it anew" not in page
    oof = tmp_path / "demo/predictions/yolo/out_of_fold.csv"
    oof.write_text(oof.read_text() + "\n")
    assert "measures it anew" in write_report(open_run_folder(tmp_path / "demo")).read_text()
