"""What pretraining is worth: the same trainings without it, compared out of fold with paired intervals.

`python -m cxr ablations` (or `make ablations`, after `make all`) trains every fold of both detectors and of the study
classifier once more from a weight file or from random weights, writes `ablations.json` and the report anew.
"""

import argparse
from pathlib import Path

import pandas as pd

from cxr.data.prepare import load_training
from cxr.evaluation.intervals import Estimate, interval, paired_difference
from cxr.evaluation.out_of_fold import Ground, ground_truth, match_opacity, match_studies
from cxr.paths import find_places
from cxr.prediction.combine import study_means
from cxr.report import write_report
from cxr.systems.competition import (
    FASTER_RCNN,
    STUDIES,
    YOLO,
    train_faster_rcnn_folds,
    train_study_folds,
    train_yolo_folds,
)
from cxr.tables import BOXES, IMAGE_SCORES, read_table
from cxr.workspace import Workspace, file_digests, open_run_folder, write_json

TRAININGS = {
    YOLO: (train_yolo_folds, "out_of_fold.csv", BOXES, "AP of opacity"),
    FASTER_RCNN: (train_faster_rcnn_folds, "out_of_fold.csv", BOXES, "AP of opacity"),
    STUDIES: (train_study_folds, "out_of_fold_images.csv", IMAGE_SCORES, "mean AP of study classes"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--working", default="")
    parser.add_argument("--submissions", default="")


def main(args: argparse.Namespace) -> int:
    """Train without pretraining, print the table, write `ablations.json` and the report."""
    workspace = open_run_folder(find_places(args.profile, "", args.working, args.submissions).root)
    rows = pretraining_rows(workspace)
    write_json({"rows": rows, "of": file_digests(table_paths(workspace))}, workspace.places.ablations)
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(f"in {write_report(workspace)}")
    return 0


def table_paths(workspace: Workspace) -> list[Path]:
    """The out-of-fold tables with pretraining that were compared: the figures hold as long as these stay the same."""
    return [workspace.places.predictions(name) / file for name, (_, file, _, _) in TRAININGS.items()]


def pretraining_rows(workspace: Workspace) -> list[dict]:
    """A row a model: model, metric, with, without, gain, low, high (95 %, paired, by patient)."""
    images, truth, _ = load_training(workspace)
    ground, rows = ground_truth(images, truth), []
    for name, (train, file, contract, metric) in TRAININGS.items():
        kept = read_table(workspace.places.predictions(name) / file, contract)
        matches = [_matches(ground, images, table, contract) for table in (kept, train(workspace, pretrained=False))]
        resamples = workspace.profile.fusion.resamples
        gain = paired_difference(*matches, ground.patient, resamples)
        ends: list[Estimate] = [interval(each, ground.patient, 1) for each in matches]
        values = {"with": ends[0].value, "without": ends[1].value}
        values |= {"gain": gain.value, "low": gain.low, "high": gain.high}
        rows.append({"model": name, "metric": metric, **{key: round(value, 4) for key, value in values.items()}})
    return rows


def _matches(ground: Ground, images: pd.DataFrame, table: pd.DataFrame, contract: object):
    if contract is BOXES:
        return match_opacity(ground, table)
    return match_studies(ground, study_means(table, table["image_id"].map(images.set_index("image_id")["study_id"])))
