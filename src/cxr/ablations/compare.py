"""Models of the spine trained with other settings, and the difference to those of the run: out of fold and paired."""

from pathlib import Path

import pandas as pd

from cxr.data.prepare import load_training
from cxr.evaluation.intervals import interval, paired_difference
from cxr.evaluation.out_of_fold import Ground, ground_truth, match_opacity, match_studies
from cxr.prediction.combine import study_means
from cxr.systems.competition import (
    FASTER_RCNN,
    STUDIES,
    YOLO,
    train_faster_rcnn_folds,
    train_study_folds,
    train_yolo_folds,
)
from cxr.tables import BOXES, IMAGE_SCORES, read_table
from cxr.workspace import Workspace, file_digests

TRAININGS = {
    YOLO: (train_yolo_folds, "out_of_fold.csv", BOXES, "AP of opacity"),
    FASTER_RCNN: (train_faster_rcnn_folds, "out_of_fold.csv", BOXES, "AP of opacity"),
    STUDIES: (train_study_folds, "out_of_fold_images.csv", IMAGE_SCORES, "mean AP of study classes"),
}


def digests(workspace: Workspace) -> dict[str, str]:
    """Of the run's own out-of-fold tables: a comparison holds as long as these stay the same."""
    return file_digests(_table(workspace, name) for name in TRAININGS)


def _table(workspace: Workspace, name: str) -> Path:
    return workspace.places.predictions(name) / TRAININGS[name][1]


def compare(workspace: Workspace, name: str, variant: str, **changes: object) -> dict:
    """Train a model of the spine as a variant, and set it beside the run's; see `paired`."""
    train, _, contract, _ = TRAININGS[name]
    return paired(workspace, name, train(workspace, variant, **changes), read_table(_table(workspace, name), contract))


def paired(workspace: Workspace, name: str, variant: pd.DataFrame, run: pd.DataFrame) -> dict:
    """Two out-of-fold tables of a model: model, metric, run, variant, gain of the variant, low, high (95 %, paired, by
    patient)."""
    _, _, contract, metric = TRAININGS[name]
    images, truth, _ = load_training(workspace)
    ground = ground_truth(images, truth)
    matches = [_matches(ground, images, table, contract) for table in (variant, run)]
    gain = paired_difference(*matches, ground.patient, workspace.profile.fusion.resamples)
    ends = [interval(each, ground.patient, 1).value for each in matches]
    values = {"run": ends[1], "variant": ends[0], "gain": gain.value, "low": gain.low, "high": gain.high}
    return {"model": name, "metric": metric, **{key: round(value, 4) for key, value in values.items()}}


def value_of(workspace: Workspace, name: str, table: pd.DataFrame) -> dict[str, object]:
    """What an out-of-fold table of a model is worth: metric, value, low, high (95 %, by patient)."""
    _, _, contract, metric = TRAININGS[name]
    images, truth, _ = load_training(workspace)
    ground = ground_truth(images, truth)
    found = interval(_matches(ground, images, table, contract), ground.patient, workspace.profile.fusion.resamples)
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {"metric": metric, **{key: round(value, 4) for key, value in values.items()}}


def _matches(ground: Ground, images: pd.DataFrame, table: pd.DataFrame, contract: object):
    if contract is BOXES:
        return match_opacity(ground, table)
    return match_studies(ground, study_means(table, table["image_id"].map(images.set_index("image_id")["study_id"])))
