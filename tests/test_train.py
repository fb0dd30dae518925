"""`python -m cxr train`: the trainings of stages, by name and by fold."""

import pytest

from cxr import train
from cxr.__main__ import main
from cxr.faults import DataFault
from cxr.workspace import open_workspace


@pytest.fixture
def called(monkeypatch):
    """What was trained, in place of training it."""
    calls = []
    for name in ("train_yolo_folds", "train_study_folds"):
        monkeypatch.setattr(train, name, lambda workspace, only=None, name=name: calls.append((name, only)))
    monkeypatch.setattr(
        train, "train_detector_folds", lambda workspace, architecture, only=None: calls.append((architecture, only))
    )
    monkeypatch.setattr(train, "PRETRAININGS", {"nih": lambda workspace: calls.append(("nih", None))})
    return calls


def run(tmp_path, *arguments, more=""):
    values = ["--set", f"detectors.more=retinanet {more}".strip(), "--input", str(tmp_path), "--working", str(tmp_path)]
    return main(["train", *arguments, *values])


@pytest.mark.parametrize(
    ("model", "name"),
    [("yolo", "train_yolo_folds"), ("studies", "train_study_folds"), ("retinanet", "retinanet"), ("nih", "nih")],
)
def test_a_model_is_trained_by_its_name(called, tmp_path, model, name):
    assert run(tmp_path, model) == 0 and called == [(name, None)]


def test_some_folds_alone(called, tmp_path):
    assert run(tmp_path, "faster_rcnn", "--folds", "1", "3") == 0 and called == [("faster_rcnn", [1, 3])]


def test_students_are_trained_with_all_their_teachers(tmp_path, capsys):
    assert run(tmp_path, "studies", "--folds", "0", more="pseudo.rounds=1") == 1
    assert "a student needs the teachers of all folds" in capsys.readouterr().err


def test_what_is_not_trained_is_told(called, tmp_path, capsys):
    assert run(tmp_path, "fcos") == 1
    assert "train fcos: not trained in this profile; choose one of nih, yolo, studies" in capsys.readouterr().err
    assert run(tmp_path, "nih", "--folds", "0") == 1 and "it has no folds" in capsys.readouterr().err


def test_a_fold_that_there_is_not_is_told(tmp_path, monkeypatch):
    from cxr.training import cross_validation

    workspace = open_workspace("demo", "", str(tmp_path), str(tmp_path), str(tmp_path))
    import numpy as np
    import pandas as pd

    images = pd.DataFrame({"image_id": ["a", "b"], "fold": [0, 1], "role": "train", "pixel_hash": ""})
    for name in ("negative", "typical", "indeterminate", "atypical"):
        images[name] = 0.0
    loaded = images, pd.DataFrame(), np.zeros((2, 4, 4), np.uint8)
    monkeypatch.setattr(cross_validation, "load_training", lambda _: loaded)
    (tmp_path / "demo").mkdir(exist_ok=True)
    (tmp_path / "demo" / "inputs.json").write_text('{"data": "phantom"}')
    with pytest.raises(DataFault, match="fold 5: there are 0, 1"):
        start = cross_validation.Start(None, None, ())
        cross_validation.each_fold(workspace, "m", workspace.profile.study, start, 1.0, None, None, (), only=[5])
